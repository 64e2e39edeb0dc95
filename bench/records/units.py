"""What a unit is made of, so that sums can be refused, scales converted and products named: macs, h, %, images/s.

Converts nothing itself and holds no words for readers: `written` does. Says only whether and by how much. Units are
open: a name that is not known, such as mAP or dB, is a unit of its own, which fits nothing but itself.

A well-kept library of units costs more at import than this whole floor may take, and knows neither that a
multiply-accumulate is two FLOPs nor that a difference of two % is in points; a map of exponents does.
"""

import difflib
import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from bench.errors import UsageError, near

Share = Literal["", "%", "points"]

# unit -> (what it counts, how many of those). Hundredths are handled apart, for two of them differ in points.
_ATOMS: dict[str, tuple[str, int | Fraction]] = {
    "flops": ("flops", 1),
    "macs": ("flops", 2),  # one multiplication, one addition
    "s": ("s", 1),
    "min": ("s", 60),
    "h": ("s", 3600),
    "bytes": ("bytes", 1),
    "nats": ("nats", 1),
    "usd": ("usd", 1),
    "parameters": ("parameters", 1),
    "elements": ("elements", 1),
    "images": ("images", 1),
    "tokens": ("tokens", 1),
    "epochs": ("epochs", 1),
    "ms": ("s", Fraction(1, 1000)),
    "J": ("J", 1),
    "mJ": ("J", Fraction(1, 1000)),
    "kJ": ("J", 1000),
    "MJ": ("J", 1_000_000),
    "Wh": ("J", 3600),
    "kWh": ("J", 3_600_000),
}
# A power is energy over time, so that watts times seconds are joules.
_POWERS = {"W": 1, "kW": 1000}
_SHARES: dict[str, Share] = {"%": "%", "points": "points"}
_PURE = ("1", "ratio", "exponent")
# Numbers of things: in a product with something else they say how often, as images and epochs do in a training's cost.
_COUNTS = frozenset({"parameters", "elements", "images", "tokens", "epochs"})


@dataclass(frozen=True)
class Unit:
    """Exponents over the atoms, and how many of those one of this unit is. A pure number has no exponents."""

    powers: dict[str, Fraction] = field(default_factory=dict)
    factor: Fraction = Fraction(1)
    share: Share = ""

    @property
    def pure(self) -> bool:
        """Whether it measures nothing: a ratio, a share, an exponent."""
        return not self.powers

    @property
    def counting(self) -> bool:
        """Whether sizes multiply to it: patch * patch * 3 parameters, tokens * channels elements, MACs or bytes."""
        return (
            len(self.powers) == 1
            and all(self.powers.get(key) == 1 for key in self.powers)
            and (set(self.powers) <= _COUNTS | {"flops", "bytes"})
        )

    @property
    def tally(self) -> bool:
        """Whether it is a number of things: a bare number beside it can only mean as many of them."""
        return self.counting and set(self.powers) <= _COUNTS and self.factor == 1

    def times(self, other: "Unit", sign: int = 1) -> "Unit":
        """The product with another unit, or the quotient where `sign` is -1."""
        if self.share and other == PURE:
            return self
        if other.share and self == PURE and sign == 1:
            return other
        powers = {
            key: power
            for key in {**self.powers, **other.powers}
            if (power := self.powers.get(key, Fraction()) + sign * other.powers.get(key, Fraction()))
        }
        return Unit(powers, self.factor * other.factor**sign)

    def to_the(self, power: Fraction) -> "Unit":
        """The unit of a power.

        Raises:
            UsageError: a root of a unit whose scale has none, such as that of hours.
        """
        if self == PURE or power == 1:
            return self
        factor = Fraction(1)
        if self.factor != 1:
            if power.denominator != 1:
                raise UsageError(f"a root of {self} cannot be taken: convert it first")
            factor = self.factor ** int(power)
        return Unit({key: exponent * power for key, exponent in self.powers.items() if power}, factor)

    def fits(self, asked: "Unit") -> bool:
        """Whether a number in this unit can be converted to `asked`: equal dimension, counts aside.

        How often something was done may stand in a product or not: 3 * macs * images * epochs are macs.
        """
        counts, wanted = self._counts(True), asked._counts(True)
        if self._counts(False) != asked._counts(False):
            return False
        if asked._counts(False):
            return not counts or wanted.items() <= counts.items()
        return counts == wanted or (bool(wanted) and wanted.items() <= counts.items())

    def in_terms_of(self, asked: "Unit") -> Fraction:
        """By what a number in this unit is multiplied to be in `asked`, which it fits."""
        return self.factor / asked.factor

    def _counts(self, wanted: bool) -> dict[str, Fraction]:
        return {key: power for key, power in self.powers.items() if (key in _COUNTS) == wanted}

    def __str__(self) -> str:
        if self.share:
            return self.share
        if not self.powers:
            return "a pure number" if self.factor == 1 else f"a pure number of {self.factor}"
        left, parts = self.factor, {}
        for key, power in self.powers.items():
            name, left = _nearest(key, power, left)
            parts[name] = power
        above = " × ".join(_raised(name, power) for name, power in parts.items() if power > 0) or "1"
        below = "".join(f" / {_raised(name, -power)}" for name, power in parts.items() if power < 0)
        return f"{above}{below}" + (f" × {left}" if left != 1 else "")


PURE = Unit()


def of(name: str) -> Unit:
    """The unit of that name: a known one, or a product and quotient of known ones such as `flops/macs`.

    A name that is not known is a unit of its own, unless it is a known one misspelt or written out.

    Raises:
        UsageError: a part of the name can be no unit, or is another spelling of a known one, which is named.
    """
    if name in _SHARES:
        return Unit(factor=Fraction(1, 100), share=_SHARES[name])
    first, *others = name.split("/")
    found = PURE
    for sign, part in ((1, first), *((-1, other) for other in others)):
        found = found.times(_part(part, name, sign), sign)
    return found


def _part(part: str, name: str, sign: int = 1) -> Unit:
    if part in _PURE:
        return PURE
    if part in _POWERS:
        return Unit({"J": Fraction(1), "s": Fraction(-1)}, Fraction(_POWERS[part]))
    if part in _ATOMS:
        key, factor = _ATOMS[part]
        return Unit({key: Fraction(1)}, Fraction(factor))
    known = [*_ATOMS, *_POWERS, *_SHARES, *_PURE]
    if sign < 0 and f"{part}s" in _COUNTS:
        return _part(f"{part}s", name)  # J/image
    if meant := _meant(part):
        others = near(meant, known).removeprefix(f" Did you mean '{meant}'?")
        raise UsageError(f"no unit '{name}'. Did you mean '{meant}'?{others}")
    if not _OWN.fullmatch(part):
        raise UsageError(f"no unit '{name}'.{near(part, known)} A unit of your own is one word, such as mAP or dB")
    return Unit({part: Fraction(1)})


_OWN = re.compile(r"([^\W\d_]|[°€£$])[\w%°·^-]{0,23}")  # a word that begins with a letter
_LIKE = 0.8  # of two spellings, from which one is taken for a slip of the other
# What is written out, or in another case or number, of a known unit.
_WORDS = {
    **dict.fromkeys(("second", "seconds", "sec", "secs"), "s"),
    **dict.fromkeys(("minute", "minutes", "mins"), "min"),
    **dict.fromkeys(("hour", "hours", "hrs"), "h"),
    **dict.fromkeys(("percent", "percentage", "pct", "per_cent"), "%"),
    **dict.fromkeys(("joule", "joules"), "J"),
    **dict.fromkeys(("watt", "watts"), "W"),
    **dict.fromkeys(("dollar", "dollars", "USD"), "usd"),
    **dict.fromkeys(("param", "params", "parms"), "parameters"),
}


def _meant(part: str) -> str | None:
    """The known unit that a name is another spelling of; None where it is a word of its own."""
    if part in _WORDS or part.lower() in _WORDS:
        return _WORDS.get(part) or _WORDS[part.lower()]
    long = [unit for unit in _ATOMS if len(unit) > 3]
    close = difflib.get_close_matches(part.lower(), long, n=1, cutoff=_LIKE)
    # Of words that are much alike one is a slip of the other: `image`, `token`, `MACs`.
    return close[0] if close else None


def _nearest(key: str, power: Fraction, left: Fraction) -> tuple[str, Fraction]:
    """The largest atom of a kind that the scale is a multiple of, and what is left of the scale."""
    if power.denominator != 1:
        return key, left
    alike = [(Fraction(factor), name) for name, (of_kind, factor) in _ATOMS.items() if of_kind == key]
    for factor, name in sorted(alike, key=lambda each: (left != each[0] ** int(power), -each[0])):
        rest = left / factor ** int(power)
        if rest == 1 or factor == 1 or (factor > 1 and rest.denominator == 1 and power > 0):
            return name, rest
    return key, left


def _raised(name: str, power: Fraction) -> str:
    return name if power == 1 else f"{name}^{power}"

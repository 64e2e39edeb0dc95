"""How numbers are written for a reader: digits, thousands, units, signs.

Rounds for the eye only and computes nothing; a difference of percentages is written in points, never in percent.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from bench.records.metrics import UNITS
from bench.records.printed import read

MINUS = "\N{MINUS SIGN}"
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")

# unit -> decimals, for units that keep one scale.
_DECIMALS = {"%": 2, "points": 2, "nats": 3, "ratio": 3, "exponent": 2}
# (smallest magnitude, factor, unit as written), largest first.
_STEPS = {
    "s": ((3600, 3600, "h"), (1, 1, "s"), (1e-3, 1e-3, "ms"), (0, 1e-6, "µs")),
    "seconds": ((1, 1, "s"), (1e-3, 1e-3, "ms"), (0, 1e-6, "µs")),  # of a source that has seconds
    "bytes": ((1024**3, 1024**3, "GiB"), (1024**2, 1024**2, "MiB"), (1024, 1024, "KiB"), (0, 1, "bytes")),
    "decimal bytes": ((1e9, 1e9, "GB"), (1e6, 1e6, "MB"), (1e3, 1e3, "kB"), (0, 1, "bytes")),
    "macs": ((1e12, 0, "MACs"), (1e9, 1e9, "GMACs"), (1e7, 1e6, "MMACs"), (0, 1, "MACs")),
    "flops": ((1e12, 0, "FLOPs"), (1e9, 1e9, "GFLOPs"), (1e7, 1e6, "MFLOPs"), (0, 1, "FLOPs")),
    "flops/s": ((1e12, 1e12, "TFLOP/s"), (1e9, 1e9, "GFLOP/s"), (0, 1, "FLOP/s")),
}
_PREFIXES = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_COUNTS = {"parameters", "elements", "bytes", "decimal bytes", "macs", "flops", "images", "tokens", "epochs"}
_MOST_DIGITS = 12  # of a double: more would show its last bits


_NUMBER_AND_UNIT = re.compile(r"(\d) (%|×|points|parameters|images/s|nats|ms|h|s|GiB|MiB|epochs)(?![\w])")


@dataclass(frozen=True)
class Scale:
    """One way of writing the numbers of one quantity, so that a value and its interval share digits and unit."""

    unit: str
    factor: float = 1.0
    decimals: int | None = 0  # None: a power of ten
    mantissa: int = 2  # decimals before a power of ten

    def text(self, value: float) -> str:
        """The number alone, without its unit."""
        if self.decimals is None:
            return _power(value, self.mantissa)
        shown = f"{abs(value) / self.factor:,.{self.decimals}f}"
        below_zero = value < 0 and shown.strip("0.,")
        return f"{MINUS}{shown}" if below_zero else shown

    def apart(self, values: Iterable[float], others: Iterable[float]) -> "Scale":
        """The same scale with as many digits as it takes to see that none of `values` is one of `others`."""
        pairs = [(one, other) for one in values for other in others if _differ(one, other)]
        chosen = self
        for _ in range(_MOST_DIGITS):
            if all(chosen.text(one) != chosen.text(other) for one, other in pairs):
                return chosen
            more = None if chosen.decimals is None else chosen.decimals + 1
            chosen = replace(chosen, decimals=more, mantissa=chosen.mantissa + (more is None))
        return self

    def signed(self, value: float) -> str:
        """The number with its sign, also when it is above zero."""
        text = self.text(value)
        return text if text.startswith(MINUS) or not text.strip("0.,") else f"+{text}"


def scale(unit: str | None, *values: float) -> Scale:
    """The scale on which all `values` of `unit` can be read side by side; the largest magnitude decides."""
    unit = unit or "1"
    largest = max((abs(value) for value in values), default=0.0)
    written = UNITS.get(unit, unit)
    if unit in _STEPS:
        factor, written = next((factor, name) for least, factor, name in _STEPS[unit] if largest >= least)
        if factor == 0:
            return Scale(written, decimals=None)
        return Scale(written, factor, _digits(largest / factor) if factor != 1 or unit not in _COUNTS else 0)
    prefix, _, base = unit.partition(" ")
    if base and prefix in _PREFIXES:  # the steps of a source that prints `1.03 GMACs`
        factor, name = _PREFIXES[prefix], UNITS.get(base, base)
        decimals = 1 - math.floor(math.log10(largest / factor)) if 0 < largest < 0.01 * factor else None
        return Scale(f"{prefix}{name}", factor, _digits(largest / factor) if decimals is None else decimals)
    if unit in _COUNTS and all(float(value).is_integer() for value in values):
        return Scale(written)
    decimals = _DECIMALS.get(unit, _digits(largest))
    if unit == "ratio" and 0 < largest < 0.01:
        decimals = 1 - math.floor(math.log10(largest))  # 0.00028×, not 0.000×: two digits of it are always shown
    return Scale(written, decimals=decimals)


def published(value: float, unit: str | None, text: str | None = None) -> tuple[str, str]:
    """A published number with the digits it was printed with, and its unit, which is the source's own.

    A suite holds 48.20 as 48.2 and 0.70 as 0.7: percentages, points and losses get both their decimals back.

    Args:
        text: how it is printed, where the suite says so: then nothing is made up.
    """
    if text is not None:
        found = read(text, unit)
        return found.number, found.word or UNITS.get(found.unit, found.unit)
    chosen = scale(as_printed(unit, value), value)
    if unit in ("%", "points") and not float(value).is_integer():
        return replace(chosen, decimals=max(2, _decimals(value))).text(value), chosen.unit
    if chosen.decimals is None:
        digits = f"{abs(value):.{_MOST_DIGITS}e}".partition("e")[0].rstrip("0").partition(".")[2]
        return replace(chosen, mantissa=len(digits)).text(value), chosen.unit
    decimals = _decimals(value, chosen.factor)
    return replace(chosen, decimals=max(2, decimals) if unit == "nats" and decimals else decimals).text(
        value
    ), chosen.unit


def as_printed(unit: str | None, *values: float, text: str | None = None) -> str | None:
    """The unit whose steps give `values` as their source has them: 60 MB are not 57.2 MiB, 5,400 s are not 1.5 h.

    For `scale`, so that what was measured is written in the same steps.
    """
    if text is not None:
        return read(text, unit).steps
    if unit == "bytes":
        binary, decimal = (sum(_decimals(value, scale(of, value).factor) for value in values) for of in _BYTES)
        return "decimal bytes" if decimal < binary else unit
    return "seconds" if unit == "s" and values else unit


_BYTES = ("bytes", "decimal bytes")


def tolerance(allowed: float, unit: str | None, value: float, text: str | None = None) -> str:
    """How far off a published `value` a measured one may be, in the same unit and scale: `0.05 GMACs`, `1.0 points`."""
    if text is not None and allowed == (found := read(text, unit)).tolerance:
        return found.allowed
    width = difference_unit(unit)
    chosen = scale(as_printed(width, value), value)
    if chosen.decimals is None:
        power = int(f"{abs(value):e}".partition("e")[2])
        digits = number(float(Decimal(repr(float(allowed))).scaleb(-power)))
        return f"{digits} × 10{str(power).translate(_SUPERSCRIPT)} {chosen.unit}"
    digits = number(allowed / chosen.factor)
    whole_points = width == "points" and float(allowed).is_integer()
    return with_unit(f"{digits}.0" if whole_points else digits, chosen.unit)


def amount(value: float, unit: str | None, signed: bool | None = None) -> str:
    """A number with its unit: `82.14 %`, `+5.56 points`, `1.040×`. Points carry a sign unless told otherwise."""
    chosen = scale(unit, value).apart([value], [0.0] if abs(value) > 1e-9 else [])  # below: last bits
    signed = unit == "points" if signed is None else signed
    return with_unit(chosen.signed(value) if signed else chosen.text(value), chosen.unit)


def with_unit(text: str, unit: str) -> str:
    """A number as written and its unit; a factor stands close: `1.04×`."""
    return text if not unit else f"{text}×" if unit == "×" else f"{text} {unit}"


def is_count(unit: str | None) -> bool:
    """Whether numbers in a unit are more or fewer, and neither better nor worse."""
    return unit in _COUNTS


def difference_unit(unit: str | None) -> str | None:
    """The unit of a difference: points for percent, otherwise the same."""
    return "points" if unit == "%" else unit


def quantity(value: float, unit: str | None) -> str:
    """A number with its unit, as it stands in a sentence."""
    chosen = scale(unit, value)
    return f"{chosen.text(value)} {chosen.unit}".rstrip()


def kept_together(text: str) -> str:
    """The text with spaces that do not break between a number and its unit."""
    return _NUMBER_AND_UNIT.sub("\\1\N{NO-BREAK SPACE}\\2", text).replace("± ", "±\N{NO-BREAK SPACE}")


def _digits(magnitude: float) -> int:
    """Decimals that leave about three significant digits."""
    return 0 if magnitude >= 100 else 1 if magnitude >= 10 else 2 if magnitude >= 0.1 else 3


def _differ(one: float, other: float) -> bool:
    """Whether two numbers are more than the last bits of a calculation apart."""
    return math.isfinite(one) and math.isfinite(other) and abs(one - other) > 1e-9 * max(abs(one), abs(other))


def _decimals(value: float, factor: float = 1.0) -> int:
    """How many decimals a number has as it was written, in steps of `factor`."""
    text = f"{Decimal(repr(float(value))) / Decimal(repr(float(factor))):.{_MOST_DIGITS}f}"
    return len(text.rstrip("0").partition(".")[2])


def _power(value: float, decimals: int = 2) -> str:
    mantissa, exponent = f"{value:.{decimals}e}".split("e")
    text = f"{mantissa.rstrip('0').rstrip('.')} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    return text.replace("-", MINUS)


def duration(length_s: float | None) -> str:
    """`42 s`, `7 min`, `3.2 h`: a length as a person says it."""
    if length_s is None:
        return "unknown"
    if length_s < 90:
        return f"{length_s:.0f} s"
    return f"{length_s / 60:.0f} min" if length_s < 5400 else f"{length_s / 3600:.1f} h"


def span(hours: float) -> str:
    """`420 h`, `3.2 h`, `23.2 min`, `1.4 s`: hours of a training as a table shows them."""
    if hours >= 100:
        return f"{hours:,.0f} h"
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.1f} min" if hours >= 1 / 60 else f"{hours * 3600:.1f} s"


def change(ratio: float) -> str:
    """A ratio as a change: `+2.1 %`, and a factor where percent no longer say anything."""
    if ratio >= 2:
        return f"{ratio:.2f} ×"
    text = f"{abs(ratio - 1) * 100:.2f}"
    if not text.strip("0."):
        return "0.00 %" if ratio == 1 else "under 0.01 %"
    return f"{'+' if ratio > 1 else MINUS}{text} %"


def number(value: float) -> str:
    """A number as a reader writes it: 147,456 and 0.55 and 7.5e18."""
    if value == 0 or 1e-3 <= abs(value) < 1e9:
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.6g}"
    return f"{value:.4g}".replace("e+0", "e").replace("e+", "e")

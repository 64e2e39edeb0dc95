"""A number as a source prints it, `1.9×10^4 GFLOPs`: its value, how far rounding may be off, how to show it again.

Guesses nothing: a spelling with two readings is refused, with both of them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from bench.records.metrics import METRICS, UNITS

_SPACES = re.compile(r"[\s\u00a0\u2000-\u200b\u202f\u205f\u3000]+")
_MINUS = re.compile(r"[\u2010-\u2015\u2212\ufe63\uff0d]")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_RAISED = re.compile(r"10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+)")
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:[ ,.'’_]\d{3})+(?![\d])(?:[.,]\d+)?|\d+(?:[.,]\d+)?|\.\d+)")
_POWER = re.compile(r" ?(?:(?:[×·*]|\\times|x(?= ?10)) ?10 ?(?:\^|\*\*) ?[{(]?([+-]?\d+)[})]?|[eE]([+-]?\d+))")
_LONE_POWER = re.compile(r"10 ?(?:\^|\*\*) ?[{(]?([+-]?\d+)[})]?")
_ABOUT = re.compile(r"^(?:~|≈|∼|≃|about |approx\.? |approximately |ca\.? |around )\s*")
_GIVE_OR_TAKE = re.compile(r" ?(?:±|\+/-|\+-|\\pm) ?")

_SCALES = {"": 0, "k": 3, "K": 3, "M": 6, "B": 9, "G": 9, "T": 12, "P": 15, "E": 18}
_SCALE_WORDS = {
    "thousand": 3, "million": 6, "mn": 6, "mio": 6, "mio.": 6, "billion": 9, "bn": 9, "trillion": 12,
}  # fmt: skip
# word in small letters -> the unit's name here, and how many of it one is.
_WORDS: dict[str, tuple[str, Decimal]] = {
    **dict.fromkeys(("%", "percent", "per cent", "pct"), ("%", Decimal(1))),
    **dict.fromkeys(("points", "point", "pts", "pp", "p.p.", "percentage points", "%-points"), ("points", Decimal(1))),
    **dict.fromkeys(("parameters", "parameter", "params", "param", "params.", "param."), ("parameters", Decimal(1))),
    **dict.fromkeys(("flops", "flop", "fp operations"), ("flops", Decimal(1))),
    **dict.fromkeys(
        (
            "macs", "mac", "madds", "madd", "mult-adds", "multadds", "mult adds", "multiply-adds", "multi-adds",
            "multiply-accumulates", "multiply adds",
        ),
        ("macs", Decimal(1)),
    ),
    **dict.fromkeys(("flops/s", "flop/s"), ("flops/s", Decimal(1))),
    **dict.fromkeys(("bytes", "byte"), ("bytes", Decimal(1))),
    **dict.fromkeys(("s", "sec", "sec.", "secs", "second", "seconds"), ("s", Decimal(1))),
    **dict.fromkeys(("ms", "msec", "milliseconds", "millisecond"), ("s", Decimal("1e-3"))),
    **dict.fromkeys(("µs", "μs", "us", "microseconds"), ("s", Decimal("1e-6"))),
    **dict.fromkeys(("ns", "nanoseconds"), ("s", Decimal("1e-9"))),
    **dict.fromkeys(("min", "min.", "mins", "minute", "minutes"), ("min", Decimal(1))),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), ("h", Decimal(1))),
    **dict.fromkeys(("day", "days"), ("h", Decimal(24))),
    **dict.fromkeys(("×", "x", "times"), ("ratio", Decimal(1))),
    **dict.fromkeys(("$", "usd", "us$", "dollars"), ("usd", Decimal(1))),
    **dict.fromkeys(("$/h", "usd/h", "$/hr", "$/hour"), ("usd/h", Decimal(1))),
    **dict.fromkeys(("images", "image", "img", "imgs"), ("images", Decimal(1))),
    **dict.fromkeys(
        ("images/s", "images/sec", "images / s", "img/s", "img/sec", "imgs/s", "im/s", "im/sec", "fps"),
        ("images/s", Decimal(1)),
    ),
    **dict.fromkeys(("epochs", "epoch"), ("epochs", Decimal(1))),
    **dict.fromkeys(("tokens", "token"), ("tokens", Decimal(1))),
    **dict.fromkeys(("elements", "element"), ("elements", Decimal(1))),
    **dict.fromkeys(("nats", "nat"), ("nats", Decimal(1))),
}  # fmt: skip
_TALLIES = ("parameters", "elements", "images", "tokens", "epochs")


@dataclass(frozen=True)
class PrintedNumber:
    """A printed number. `value`, `half` and `spread` are in `unit`.

    `half` is half a unit of the last digit; `spread` is what the source itself prints behind a ±. `number` and `word`
    are the two parts as they stand there; `steps` is the unit for `written.scale` that writes others in its steps.
    """

    value: float
    unit: str
    half: float
    spread: float | None
    number: str
    word: str
    steps: str
    allowed: str  # the tolerance, in the source's own unit

    @property
    def tolerance(self) -> float:
        """The spread where one is printed, otherwise half a unit of the last digit."""
        return self.half if self.spread is None else self.spread

    @property
    def why(self) -> str:
        """The reason for the tolerance."""
        text = f"{self.number} {self.word}".rstrip()
        if self.spread is not None:
            return f"printed as '{text}'"
        return f"printed as '{text}', so half a unit of its last digit, {self.allowed}"


@dataclass(frozen=True)
class _Unit:
    """What stands behind a number: the unit's name here, how many of it one is, and in which steps it is shown."""

    name: str
    factor: Decimal
    scaled: str  # the multiplier that belongs to the number: the M of `73 M`
    word: str
    steps: str


@dataclass(frozen=True)
class _Digits:
    """A number at the beginning of a text: its value, what one in its last digit is worth, and how it is written."""

    value: Decimal
    last: Decimal
    text: str
    raised: str  # its power of ten as written, `×10^4`


@lru_cache(maxsize=16_384)
def read(text: str, unit: str | None = None) -> PrintedNumber:
    """The number that is printed.

    Args:
        unit: what the table beside it says it is in; needed where the print has none, as `73 M`.

    Raises:
        ValueError: it is no number, has no unit, or can be read in two ways; says what to write.
    """
    plain = _plain(text)
    digits, spread, rest = _numbers(plain)
    found = _unit(rest, unit, digits.text)
    if found.name == "%" and re.search(r"^0*[1-9]\d*,\d{3}$", digits.text):
        raise ValueError(f"'{digits.text}' may be {digits.text.replace(',', '.')} or {digits.text.replace(',', '')}")
    half = digits.last / 2
    shown = digits.text + (f" ± {spread.text}" if spread else "") + found.scaled
    allowed = spread.text if spread else _half_text(half, digits)
    return PrintedNumber(
        float(digits.value * found.factor),
        found.name,
        float(half * found.factor),
        float(spread.value * found.factor) if spread else None,
        re.sub(r"^-", "\N{MINUS SIGN}", shown),
        found.word,
        found.steps,
        f"{allowed}{found.scaled} {_of_difference(found)}".rstrip(),
    )


def _plain(text: str) -> str:
    """One kind of space, of minus and of power; no word for "about"."""
    plain = _SPACES.sub(" ", _MINUS.sub("-", text)).strip()
    plain = _RAISED.sub(lambda found: "10^" + found[1].translate(_SUPERSCRIPTS), plain)
    plain = _ABOUT.sub("", plain)
    return re.sub(r"^([+-]?) ?(?:US)?(?:\$|USD) ?(.*)$", r"\1\2 $", plain) if "/" not in plain else _price(plain)


def _price(plain: str) -> str:
    return re.sub(r"^(?:US)?(?:\$|USD) ?(.*?) ?/ ?(h|hr|hour)$", r"\1 $/h", plain)


def _numbers(plain: str) -> tuple[_Digits, _Digits | None, str]:
    """The number, the spread behind its ±, and what follows them."""
    if found := re.match(r"^\((.+?)(?: ?(?:±|\+/-|\\pm) ?)(.+?)\)(.*)$", plain):
        power = _POWER.match(found[3])
        raised, rest = (power[0], found[3][power.end() :]) if power else ("", found[3])
        return _whole(found[1] + raised), _whole(found[2] + raised), rest.strip()
    parts = _GIVE_OR_TAKE.split(plain.replace("(±", "±").replace("(+/-", "±"))
    if len(parts) > 2:
        raise ValueError(f"'{plain}' has more than one ±")
    digits, rest = _digits(parts[0])
    if len(parts) == 2:
        spread, behind = _digits(parts[1].replace(")", ""))
        if rest and behind and rest != behind:
            raise ValueError(f"'{rest}' and '{behind}': write both numbers in one unit")
        if spread.raised and not digits.raised:
            raise ValueError(f"'{plain}': write ({digits.text} ± …){spread.raised} where the power belongs to both")
        return digits, spread, rest or behind
    if found := re.match(r"^\((\d+)\)(.*)$", rest):  # 75.96(12)
        width = Decimal(found[1]) * digits.last
        return digits, _Digits(width, digits.last, _short(width), ""), found[2].strip()
    return digits, None, rest


def _whole(text: str) -> _Digits:
    digits, rest = _digits(text)
    if rest:
        raise ValueError(f"'{rest}' is no part of a number")
    return digits


def _digits(text: str) -> tuple[_Digits, str]:
    """The number at the beginning of a text, and the rest."""
    if lone := _LONE_POWER.match(text):
        value = Decimal(10).scaleb(int(lone[1]) - 1)
        return _Digits(value, value, lone[0], lone[0]), text[lone.end() :].strip()
    found = _NUMBER.match(text)
    if not found:
        raise ValueError(f"'{text}' begins with no number. As '73 M', '75.96 %', '1.9×10^4 GFLOPs', '46.5 ± 0.3 s'")
    mantissa = _decimal(found[0])
    exponent = mantissa.as_tuple().exponent
    assert isinstance(exponent, int), f"{found[0]} is finite"
    power = _POWER.match(text, found.end())
    times = int(power[1] or power[2]) if power else 0
    if abs(times) > 300:
        raise ValueError(f"'{text}' is out of range")
    end = power.end() if power else found.end()
    last = Decimal(1).scaleb(exponent + times)
    return _Digits(mantissa.scaleb(times), last, text[:end], power[0] if power else ""), text[end:].strip()


def _decimal(text: str) -> Decimal:
    """The number, whichever of comma and point stands between thousands."""
    bare = re.sub(r"[ '’_]", "", text)
    comma, point = bare.rfind(","), bare.rfind(".")
    if comma >= 0 and point >= 0:
        thousands = "," if comma < point else "."
    else:
        separator = "," if comma >= 0 else "."
        pieces = bare.lstrip("+-").split(separator)
        english = separator == "," and len(pieces[-1]) == 3 and pieces[0].strip("0")
        thousands = separator if len(pieces) > 2 or english else ""
    bare = bare.replace(thousands, "") if thousands else bare
    return Decimal(bare.replace(",", "."))


def _half_text(half: Decimal, digits: _Digits) -> str:
    """Half a unit of the last digit with the power of ten that the number has: `0.05×10^4`."""
    if not digits.raised or digits.raised == digits.text:
        return _short(half)
    times = _POWER.match(digits.raised)
    assert times is not None, digits.raised
    return f"{_short(half.scaleb(-int(times[1] or times[2])))}{digits.raised}"


def _short(value: Decimal) -> str:
    return f"{value.normalize():,f}"


def _of_difference(found: _Unit) -> str:
    return "points" if found.name in ("%", "points") else found.word


def _unit(rest: str, asked: str | None, number: str) -> _Unit:
    """The unit behind a number, held against what the table beside it says."""
    if rest == "B" and asked is None:
        raise ValueError(f"'{number} B' may be bytes or billions: write unit beside it, 'bytes' or 'parameters'")
    if asked is None and re.fullmatch(r"(?:[kKMGTP] ?)?FLOPS", rest):
        raise ValueError(f"'{rest}' may be operations or operations a second: write unit = 'flops' or 'flops/s'")
    for found in _readings(rest, asked):
        if asked in (None, found.name) or (asked == "points" and found.name == "%"):
            return found if asked in (None, found.name) else _Unit("points", found.factor, "", found.word, "points")
    first = next(iter(_readings(rest, None)), None)
    if first is not None and asked is not None:
        raise ValueError(f"'{rest}' is {first.name}, and unit says '{asked}': leave unit out")
    if asked is None and (not rest or rest in _SCALES or rest.casefold() in _SCALE_WORDS):
        raise ValueError(f"'{number}{' ' * bool(rest)}{rest}' has no unit: write unit beside it, such as 'parameters'")
    raise ValueError(
        f"no unit '{rest}'. As %, points, s, min, h, MB, GFLOPs, images/s; one of your own goes into unit too"
    )


def _readings(rest: str, asked: str | None) -> Iterator[_Unit]:
    """What a text behind a number may mean, the likeliest first."""
    if rest and rest == asked:
        yield _made(asked, Decimal(1), "", rest, 0)
    scaled = [(key, power, rest.removeprefix(key)) for key, power in _SCALES.items() if rest.startswith(key)]
    scaled += [
        (rest[: len(word)], power, rest[len(word) :])
        for word, power in _SCALE_WORDS.items()
        if re.match(rf"{re.escape(word)}(?![a-z])", rest.casefold())
    ]
    if asked is not None:  # 73 M, 7B, 88
        for key, power, behind in sorted(scaled, key=lambda each: -len(each[0])):
            if not behind.strip() and not (asked == "bytes" and key == "B"):
                yield _made(asked, Decimal(1).scaleb(power), rest[: len(key)], "", power)
    if byte := re.fullmatch(r"(?:([kKMGTP])(i?))? ?B(?:ytes?)?", rest):
        prefix, binary = byte[1] or "", bool(byte[2])
        factor = Decimal(1024) ** (_SCALES[prefix] // 3) if binary else Decimal(1).scaleb(_SCALES[prefix])
        yield _Unit("bytes", factor, "", rest, "bytes" if binary else "decimal bytes" if prefix else "bytes")
    for key, power, behind in sorted(scaled, key=lambda each: len(each[0])):
        word = behind.strip()
        name, factor = _WORDS.get(word.casefold(), (word if _is_unit(word) else "", Decimal(1)))
        if name and word and not (key and name in ("%", "points", "s", "min", "h")):
            by_number = name in _TALLIES and bool(key)
            yield _made(name, factor.scaleb(power), key if by_number else "", word if by_number else rest, power)
    if asked == "flops/s" and (rate := re.fullmatch(r"([kKMGTP]?) ?FLOPS", rest)):
        yield _made(asked, Decimal(1).scaleb(_SCALES[rate[1]]), "", rest, _SCALES[rate[1]])


def _made(name: str, factor: Decimal, key: str, word: str, power: int) -> _Unit:
    prefix = {3: "k", 6: "M", 9: "G", 12: "T", 15: "P"}.get(power, "")
    steps = f"{prefix} {name}" if prefix and name not in _TALLIES else "seconds" if name == "s" else name
    return _Unit(name, factor, f" {key}" if key else "", word, steps)


def _is_unit(word: str) -> bool:
    """Whether the house knows it: a word of its own has to stand as `unit` beside the number."""
    return word in UNITS or any(word == metric.unit for metric in METRICS.values())

"""The band of values in which a check holds, where an interval lies, and the words for both.

Looks at no rows: what was measured comes in as an interval. Numbers are rounded here for the eye only.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from bench.records import written
from bench.records.metrics import Better
from bench.records.printed import read
from bench.statistics.intervals import Interval
from bench.suite import expression
from bench.suite.claim import Check

Place = Literal["inside", "below", "above", "across"]


@dataclass(frozen=True)
class Band:
    """Values from `low` to `high`; None is open to that side.

    An edge itself lies inside, unless the check says `above` or `below`: 0 is not above 0.
    """

    low: float | None
    high: float | None
    words: str
    strict: bool = False
    unit: str | None = None  # whose steps the source's own numbers are written in

    @classmethod
    def of(cls, check: Check) -> "Band | None":
        """What the check asks for; None where it asks nothing, as an open question does."""
        unit = check.unit
        if check.above is not None:
            shown = written.as_printed(unit, check.above)
            return cls(check.above, None, f"above {printed(check.above, unit)}", True, shown)
        if check.below is not None:
            shown = written.as_printed(unit, check.below)
            return cls(None, check.below, f"below {printed(check.below, unit)}", True, shown)
        if check.between is not None:
            low, high = check.between
            shown = written.as_printed(unit, low, high)
            scale = written.scale(shown, low, high).apart([low], [high])
            words = f"the band {scale.text(low)} to {written.with_unit(scale.text(high), scale.unit)}"
            return cls(low, high, words, unit=shown)
        if check.published is None or check.kind == "open":
            return None
        return cls.around(check.published, check.tolerance or 0.0, unit, check.printed)

    @classmethod
    def around(cls, published: float, tolerance: float, unit: str | None, text: str | None = None) -> "Band":
        """`published` ± `tolerance`; `text` is how the source prints it, where the suite says so."""
        allowed = f" (± {written.tolerance(tolerance, unit, published, text)})" if tolerance else ""
        words = f"the published {printed(published, unit, text)}{allowed}"
        steps = written.as_printed(unit, published, text=text)
        return cls(published - tolerance, published + tolerance, words, unit=steps)

    def references(self, place: Place) -> list[float]:
        """The numbers that a value in this place must not be mistaken for, once it is rounded: those it lies beyond."""
        if place == "inside" and not self.strict:
            return []
        ends = [end for end in (self.low, self.high) if end is not None]
        return ends if len(ends) < 2 else [*ends, (ends[0] + ends[1]) / 2]

    def place(self, low: float, high: float) -> Place:
        """Where the interval from `low` to `high` lies; `inside` and the two sides only when all of it does."""
        least, most = self._ends()
        if high < least:
            return "below"
        if low > most:
            return "above"
        return "inside" if least <= low and high <= most else "across"

    def says(self, place: Place) -> str:
        """The place in words, as it follows a measured value."""
        within = self.words if self.strict else "as published" if self.low == self.high else f"within {self.words}"
        if place == "across":
            return f"which leaves open whether it is {within}"
        outside = f"not {self.words}" if self.strict else f"{place} {self.words}"
        return within if place == "inside" else outside

    def _ends(self) -> tuple[float, float]:
        """The smallest and the largest number that lie inside."""
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if self.strict:
            return math.nextafter(low, math.inf), math.nextafter(high, -math.inf)
        # Decimal fractions miss their last bits: 82.27 - 76.71 is 5.5600000000000005.
        slack = 1e-12 * max((abs(end) for end in (low, high) if math.isfinite(end)), default=0.0)
        return low - slack, high + slack


def rounding(check: Check, published: float) -> float:
    """How far the source's arithmetic may be off: by rounding alone, which is not the tolerance of a measurement."""
    if check.tolerance is not None and (check.measured is None or check.kind in ("arithmetic", "cost")):
        return check.tolerance
    return read(check.printed, check.unit).half if check.printed else half_unit(published)


def half_unit(value: float) -> float:
    """Half a unit of the last digit that a number is written with: 0.005 for 5.56, 0.5 for 88."""
    exponent = Decimal(repr(float(value)).removesuffix(".0")).as_tuple().exponent
    assert isinstance(exponent, int), f"{value} has no digits"
    return float(Decimal(5).scaleb(exponent - 1))


def printed(value: float, unit: str | None, text: str | None = None) -> str:
    """A published number with the digits it was printed with, and its unit."""
    return written.with_unit(*written.published(value, unit, text))


def measured(interval: Interval, unit: str | None, note: str, beside: Sequence[float] = ()) -> str:
    """A point, its interval and what it stands on: `82.14 % (81.70 to 82.58 %, 3 seeds)`.

    Args:
        beside: numbers that follow in the sentence; every digit is shown that tells the measured ones from them.
    """
    known = [value for value in (interval.low, interval.point, interval.high) if math.isfinite(value)]
    scale = written.scale(unit, *known).apart(known, beside)
    low, point, high = (
        scale.signed(value) if unit == "points" else scale.text(value) if math.isfinite(value) else ""
        for value in (interval.low, interval.point, interval.high)
    )
    alone = written.with_unit(point, scale.unit)
    if not interval.bounded:
        return f"{alone} ({note}, which gives no interval)"
    if interval.low == interval.high:
        return alone + (f" ({note})" if note else "")
    return f"{alone} ({low} to {written.with_unit(high, scale.unit)}, {note})"


def against(published: float, point: float, unit: str | None, better: Better, text: str | None = None) -> str:
    """By how much a value differs from the published one, and which way: a count is more or fewer, never better."""
    percent = written.difference_unit(unit) != unit
    steps = written.as_printed(written.difference_unit(unit), published, text=None if percent else text)
    off = written.amount(point - published, steps, signed=True)
    if better == "neither":
        return f"off by {off}"
    if written.is_count(unit):
        return f"off by {off}: {'more' if point > published else 'fewer'} than published"
    return f"off by {off}: {'better' if (point > published) == (better == 'higher') else 'worse'} than published"


def calculation(
    text: str,
    values: Mapping[str, float | tuple[float, ...]],
    result: float,
    unit: str | None,
    beside: Sequence[float] = (),
) -> str:
    """An expression, the same in numbers, and what they give: `H2 − H1 = 82.27 − 76.71 = 5.56 points`."""
    steps = [text.replace("**", "^").replace("*", "×"), _result(result, unit, beside)]
    if text not in values:  # of one name alone, the result is the value
        steps.insert(1, expression.written_out(text, values))
    return minus(" = ".join(dict.fromkeys(steps)))


def minus(text: str) -> str:
    """The text with a minus sign for every hyphen, but for that of 1e-05."""
    return text.replace("e-", "e\0").replace("-", written.MINUS).replace("e\0", "e-")


def sentence(text: str) -> str:
    """The text with a full stop and a capital first letter, unless it begins with a name that is written small."""
    first = text.split(" ", 1)[0].strip(",;:.()'\"")
    # A plain word: gMLP-S, resnet50, small_top1 and static/small are names.
    if first.replace("-", "").isalpha() and first.islower():
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def plural(count: float, word: str) -> str:
    """`1 seed`, `2,000 test images`, `7 processes`."""
    return f"{count:,.0f} {word}{'' if count == 1 else 'es' if word.endswith('s') else 's'}"


def _result(value: float, unit: str | None, beside: Sequence[float]) -> str:
    scale = written.scale(unit, value).apart([value], beside)
    return written.with_unit(scale.text(value), scale.unit)

"""A comparison as rows of words for a terminal, and as plain values for a program.

Compares nothing; rounds for the eye only.
"""

from dataclasses import asdict, dataclass
from typing import Any

from bench.ci.wording import COUNTS
from bench.records import written
from bench.records.metrics import UNITS
from bench.verdicts.between_runs.effects import Compared
from bench.verdicts.between_runs.series import Apart

NO_GATE = (
    "Times and speeds of two runs were taken at different times: their intervals cover the processes of each run and "
    "not what else changed on the machine in between. They are no gate: `bench check` is, for it runs both codes side "
    "by side."
)


@dataclass(frozen=True)
class Fact:
    """One condition of both runs, such as the version of torch."""

    name: str
    first: str | None
    second: str | None


@dataclass(frozen=True)
class Comparison:
    """Two runs, metric by metric; `facts` are those of their environments that differ, and torch."""

    first: str  # run ids
    second: str
    facts: tuple[Fact, ...]
    compared: tuple[Compared, ...]
    apart: tuple[Apart, ...]
    left_out: int  # compared quantities that the selection hides

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know beside the numbers."""
        several = "quantity" if self.left_out == 1 else "quantities"
        verb = "is" if self.left_out == 1 else "are"
        hidden = (f"{self.left_out} {several} without a change {verb} left out.",) if self.left_out else ()
        return (*hidden, NO_GATE) if any(each.clocked for each in self.compared) else hidden


def facts(comparison: Comparison) -> list[dict[str, Any]]:
    """A row for the two runs' ids, and one for each fact."""
    both = (Fact("run", comparison.first, comparison.second), *comparison.facts)
    return [{"condition": each.name, "first": each.first, "second": each.second} for each in both]


def compared(comparison: Comparison) -> list[dict[str, Any]]:
    """A row for each quantity: both values on one scale, the effect, its interval, its word."""
    return [_row(each) for each in comparison.compared]


def apart(comparison: Comparison) -> list[dict[str, Any]]:
    """A row for each thing that cannot be compared, with the key and both values."""
    return [{"not comparable": _apart(each)} for each in comparison.apart]


def as_mapping(comparison: Comparison) -> dict[str, Any]:
    """Everything, raw: plain types only, but for infinities where an interval has no bounds."""
    return {
        "runs": [comparison.first, comparison.second],
        "facts": [asdict(each) for each in comparison.facts],
        "compared": [{**asdict(each), "changed": each.changed} for each in comparison.compared],
        "not_comparable": [asdict(each) for each in comparison.apart],
        "notes": list(comparison.notes),
    }


# What a terminal shows, in this order.
ALL = (facts, compared, apart)


def _row(each: Compared) -> dict[str, Any]:
    return {
        "what": each.what,
        "metric": each.metric,
        "first": _value(each, each.first),
        "second": _value(each, each.second),
        "change": _change(each),
        "interval": _interval(each),
        "word": _word(each),
    }


def _apart(each: Apart) -> str:
    parts = f" ({', '.join(each.parts)})" if each.parts else ""
    return f"{', '.join(each.metrics)} {each.what}{parts}: {each.key} {each.first} | {each.second}"


def _word(each: Compared) -> str:
    if each.kind == "exact" and each.changed:
        more, fewer = ("more", "fewer") if each.unit in COUNTS else ("higher", "lower")
        return f"{each.word}, {more if each.second > each.first else fewer}"
    return f"{each.word} (no gate)" if each.clocked and each.changed else each.word


def _value(each: Compared, value: float) -> str:
    """Both values of a quantity share one scale; a count has all its digits, for one more must be seen."""
    scale = written.scale(each.unit, each.first, each.second).apart([each.first], [each.second])
    if each.kind == "exact" and each.first.is_integer() and each.second.is_integer():
        scale = written.Scale(UNITS.get(each.unit, each.unit))
    return f"{scale.text(value)} {scale.unit}".rstrip()


def _change(each: Compared) -> str:
    """A ratio as the change in percent that a reader asks for, after how many more; a difference in its own unit."""
    if each.word == "equal":
        return ""
    if each.scale == "ratio":
        more = each.second - each.first
        count = f"{written.Scale('').signed(more)}, " if each.kind == "exact" and more.is_integer() else ""
        return f"{count}{written.change(each.effect.point)}"
    scale = written.scale(each.effect_unit, each.effect.point)
    return f"{scale.signed(each.effect.point)} {scale.unit}".rstrip()


def _interval(each: Compared) -> str:
    effect = each.effect
    if not effect.bounded or effect.low == effect.high:
        return ""
    n = f"n {each.values[0]}" if each.values[0] == each.values[1] else f"n {each.values[0]}, {each.values[1]}"
    if each.scale == "ratio":
        return f"[{written.change(effect.low)}, {written.change(effect.high)}], {n}"
    scale = written.scale(each.effect_unit, effect.low, effect.high)
    return f"[{scale.signed(effect.low)}, {scale.signed(effect.high)}], {n}"

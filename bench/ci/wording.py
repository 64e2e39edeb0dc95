"""How an outcome is worded alike in every format: its name, its figures, the counts, the order of what matters.

Knows no format and escapes nothing.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from bench.ci.outcome import CiOutcome, OutcomeFigure, Status
from bench.records import written
from bench.records.metrics import UNITS

# Units of what is counted and not measured.
COUNTS = ("parameters", "macs", "flops", "elements", "images", "tokens", "epochs")
# What a reader has to see first.
STATUSES: tuple[Status, ...] = ("failed", "error", "skipped", "passed")


def by_weight(outcomes: Iterable[CiOutcome]) -> list[CiOutcome]:
    """What failed first, then what could not be measured, what was not decided, what passed; each in its order."""
    return sorted(outcomes, key=lambda outcome: STATUSES.index(outcome.status))


def title(outcome: CiOutcome) -> str:
    """`H1: the published accuracy holds`: the name and what it stands for."""
    return f"{outcome.name}: {outcome.says}" if outcome.says else outcome.name


def counts(outcomes: Sequence[CiOutcome]) -> str:
    """`2 contradicted, 14 reproduced, 38 not measured`: the verdicts' own words, the findings first."""
    order: tuple[Status, ...] = ("failed", "error", "passed", "skipped")
    ordered = sorted(outcomes, key=lambda outcome: order.index(outcome.status))
    return ", ".join(f"{n} {word}" for word, n in Counter(outcome.word for outcome in ordered).items())


def bounds(figure: OutcomeFigure) -> str | None:
    """`[0.991, 1.014]` on the scale of the point; None where there are no bounds."""
    if figure.low is None or figure.high is None:
        return None
    scale = written.scale(figure.unit, figure.value, figure.low, figure.high)
    return f"[{scale.text(figure.low)}, {scale.text(figure.high)}]"


def amount(figure: OutcomeFigure) -> str:
    """`1.003 × [0.991, 1.014]`: the number with its unit and its bounds; a count with all its digits."""
    known = [end for end in (figure.value, figure.low, figure.high) if end is not None]
    scale = written.scale(figure.unit, *known)
    if len(known) == 1 and figure.unit in COUNTS and float(figure.value).is_integer():
        scale = written.Scale(UNITS.get(figure.unit, figure.unit))
    number = f"{scale.text(figure.value)} {scale.unit}".rstrip()
    return " ".join(filter(None, (number, bounds(figure))))

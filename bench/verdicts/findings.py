"""The claims most worth telling, in sentences: what was claimed, then what was found.

Decides nothing; what a claim comes to is its verdict's business. No sentence is told twice.
"""

import math
from collections.abc import Collection, Iterable

from bench.records import written
from bench.verdicts.bands import sentence
from bench.verdicts.deciding import Word
from bench.verdicts.judge import CheckVerdict, Verdict
from bench.verdicts.placement import place

# What a reader wants to hear first, and of which kind of claim. What is open and yet points away from its band stands
# with what is contradicted.
_TOLD_FIRST: tuple[Word, ...] = (
    *("contradicted", "inconsistent", "answered", "reproduced", "inconclusive", "not measured"),
)
_KINDS = ("retrain", "ordering", "speed", "cost", "open", "structure", "recount", "arithmetic")


def findings(
    verdicts: Iterable[Verdict], limit: int = 8, main: Collection[tuple[str, str]] = ()
) -> list[tuple[Verdict, str]]:
    """The claims most worth telling with their sentences.

    What lies outside its band comes first, also where too few seeds leave it open: of that what the question is about,
    then what lies farthest out. Then what the question is about and is open; what a source contradicts itself in, what
    was answered or holds, what else is open, and what was not measured.

    Args:
        main: suite and claim of those that a question is about.
    """
    found = [(verdict, deciding(verdict)) for verdict in verdicts]
    told = sorted(found, key=lambda each: _rank(each[0], each[1], (each[0].suite, each[0].claim) in main))
    by_text: dict[str, Verdict] = {}
    for verdict, check in told:
        by_text.setdefault(_finding(verdict, check), verdict)
    return [(verdict, text) for text, verdict in by_text.items()][:limit]


def deciding(verdict: Verdict) -> CheckVerdict:
    """The check that carries the word of its claim; of several one that points the other way, then the farthest out."""
    carrying = [check for check in verdict.checks if check.verdict == verdict.verdict]
    return max(carrying, key=lambda check: (other_way(check) is not None, outside(check)))


def outside(check: CheckVerdict) -> float:
    """How far the whole interval lies outside the band, in tolerances (half widths for an ordering); 0 if none of it.

    Below zero where nothing was measured. Of an interval without bounds nothing is known to lie outside.
    """
    at = place(check)
    if at is None:
        return -1.0
    ends = [end for end in (at.band[0] - at.high, at.low - at.band[1]) if not math.isnan(end)]
    return max(0.0, *ends)


def other_way(check: CheckVerdict) -> str | None:
    """`points the other way: −1.17 points where +5.56 points was claimed`; None where it does not."""
    if check.measured is None:
        return None
    point = check.measured.point
    if check.published is not None and check.unit == "points" and point * check.published < 0:
        claimed = written.amount(check.published, check.unit)
    elif check.published is None and check.low is not None and check.high is None and point < check.low:
        claimed = f"above {written.amount(check.low, check.unit, signed=False)}"
    elif check.published is None and check.high is not None and check.low is None and point > check.high:
        claimed = f"below {written.amount(check.high, check.unit, signed=False)}"
    else:
        return None
    return f"points the other way: {written.amount(point, check.unit)} where {claimed} was claimed"


def _rank(verdict: Verdict, check: CheckVerdict, main: bool) -> tuple[float, ...]:
    away = outside(check)
    first = verdict.verdict == "contradicted" or (verdict.verdict == "inconclusive" and away > 0)
    tier = 0.0 if first else float(_TOLD_FIRST.index(verdict.verdict))
    if main and verdict.verdict == "inconclusive" and not first:
        tier = 0.5
    return (
        tier,
        not main,
        -away if first else 0.0,
        -_share(check) if first else 0.0,
        check.indication is None,
        _KINDS.index(check.kind),
    )


def _share(check: CheckVerdict) -> float:
    """How far off a value is as a share of what was published: sets exact counts in order, which have no tolerance."""
    difference = check.difference
    return abs(difference / check.published) if difference is not None and check.published else 0.0


def _finding(verdict: Verdict, check: CheckVerdict) -> str:
    # "So does its training loss" means nothing without the sentence it follows.
    alone = check is verdict.checks[0] or check.says == verdict.says
    said = sentence(verdict.says) if alone else f"{sentence(verdict.says)} {sentence(check.says)}"
    way = other_way(check) if verdict.verdict == "inconclusive" else None
    parts = [said, sentence(check.verdict), sentence(way) if way else "", check.reason]
    parts += [sentence(check.indication) if check.indication else ""]
    return " ".join(filter(None, parts))

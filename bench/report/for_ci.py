"""Verdicts on claims as the outcomes that CI formats are made from: one claim, one outcome.

Judges nothing: a word of a verdict decides its status, and the check that carries the word gives the reason.
"""

from bench.ci.outcome import CiOutcome, OutcomeFigure, Status
from bench.report.page import Page
from bench.verdicts import CheckVerdict, Verdict, Word
from bench.verdicts.findings import deciding

# Contradicted and inconsistent are findings; what is open was skipped, with its reason.
STATUSES: dict[Word, Status] = {
    "contradicted": "failed",
    "inconsistent": "failed",
    "inconclusive": "skipped",
    "not measured": "skipped",
    "reproduced": "passed",
    "answered": "passed",
}


def outcomes_of(page: Page) -> list[CiOutcome]:
    """An outcome for each claim of the page, in its order, with the suite's file as its place."""
    paths = {section.key: section.path for section in page.sections}
    return [_outcome(verdict, paths.get(verdict.suite)) for verdict in page.verdicts]


def _outcome(verdict: Verdict, path: str | None) -> CiOutcome:
    carrying = deciding(verdict)
    return CiOutcome(
        group=verdict.suite,
        name=verdict.claim,
        says=verdict.says,
        status=STATUSES[verdict.verdict],
        word=verdict.verdict,
        reason=carrying.reason,
        figures=tuple(_figure(check) for check in verdict.checks if check.measured),
        file=path,
        command=carrying.command,
    )


def _figure(check: CheckVerdict) -> OutcomeFigure:
    """What was measured; without bounds where there were too few values for them, or the value is exact."""
    interval = check.measured
    assert interval, check.says
    known = interval.bounded and interval.low < interval.high
    bounds = (interval.low, interval.high) if known else (None, None)
    return OutcomeFigure(check.says, interval.point, check.unit or "1", *bounds)

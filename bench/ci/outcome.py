"""One verdict as CI systems know them: passed, failed, skipped or error, with its words, its numbers and its place.

Claims of a report and configurations of a check become the same record, so that every format is written once.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["passed", "failed", "skipped", "error"]


@dataclass(frozen=True)
class OutcomeFigure:
    """One number of an outcome: the point, its bounds where there are any, and its unit."""

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    better: Literal["lower", "higher"] | None = None  # None: neither, such as a count


@dataclass(frozen=True)
class CiOutcome:
    """What CI is told of one claim or of one part of a check.

    `failed` is a finding, `error` means that it could not be measured; the two are never mixed.
    """

    group: str  # the suite's id
    name: str  # the claim, or the guard and its part: `C3`, `mixer / static`, `mixer / speed`
    says: str  # what was claimed or guarded, in one line
    status: Status
    word: str  # the verdict's own word: reproduced, contradicted, pass, regression, inconclusive, new, faster, …
    reason: str  # one sentence with its numbers
    line: str = ""  # one line for a terminal; `reason` where there is none
    differences: tuple[str, ...] = ()  # all of them, each a sentence; `reason` names the first few
    figures: tuple[OutcomeFigure, ...] = ()
    file: str | None = None  # where an annotation points: the suite file, relative to the working folder
    command: str | None = None  # what repeats it
    duration_s: float | None = None
    details: dict[str, Any] = field(default_factory=dict)  # raw values for the JSON form: plain JSON types only

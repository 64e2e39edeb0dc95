"""A claim and its rows make a verdict with its reason. Pure: reads no file, no clock, draws nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.stats import Interval

Word = Literal["reproduced", "contradicted", "inconclusive", "inconsistent", "not measured", "answered"]

# Strongest first: a claim of several checks carries the word of its strongest one.
WORDS: tuple[Word, ...] = ("contradicted", "inconsistent", "inconclusive", "not measured", "reproduced", "answered")


@dataclass(frozen=True)
class Sample:
    """One raw value behind an interval, with where it came from."""

    value: float
    seed: int | None = None
    repeat: int | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class CheckVerdict:
    """What one check of a claim says, what was measured, and what follows."""

    says: str
    kind: str
    verdict: Word
    reason: str  # one sentence, with its numbers
    unit: str | None = None
    published: float | None = None
    low: float | None = None  # the band in which the claim is true; None is open to that side
    high: float | None = None
    tolerance_why: str | None = None
    measured: Interval | None = None
    side: Literal["below", "above"] | None = None  # on which side of the band a contradicted value lies
    samples: tuple[Sample, ...] = ()
    calculation: tuple[str, ...] = ()  # arithmetic written out, line by line
    conditions: Mapping[str, str] = field(default_factory=dict)  # device, precision, threads, data, profile, protocol
    resolution: float | None = None  # half width in points of one accuracy on its test set, 95 %
    indication: str | None = None  # what a reduced profile hints at; never a verdict
    deviations: str | None = None
    command: str | None = None  # what would decide it, or measure it again

    @property
    def difference(self) -> float | None:
        """Measured minus published, in the check's unit (points for percent)."""
        if self.measured is None or self.published is None:
            return None
        return self.measured.point - self.published


@dataclass(frozen=True)
class Verdict:
    """The verdict on one claim. The first check is the main one."""

    suite: str
    claim: str
    says: str
    source: str  # the suite's key
    where: str
    quote: str | None
    verdict: Word
    checks: tuple[CheckVerdict, ...]
    compare: tuple[str, ...] = ()
    note: str | None = None

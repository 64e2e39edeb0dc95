"""How much slower the models of one tree are than those of another: rounds of fresh processes until a rule decides.

Knows neither commits nor suites, and has no rule of its own: `decide` looks at the rounds. Imports no torch: its
workers do.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from bench.execution.processes import WorkerFailed
from bench.gate import rule
from bench.gate.pairs.crew import Crew, crew
from bench.gate.pairs.messages import ForwardCounts
from bench.gate.pairs.processes import PairWorker
from bench.gate.pairs.rounds import Name, RoundRecord, Side, Subject, Times, Void, build, job, measure, seed_of
from bench.gate.rule import Round, RuleLimits, Step
from bench.plan.case import plain

__all__ = ["RoundRecord", "Side", "Speed", "Subject", "Times", "compare"]

Decide = Callable[[Sequence[Round], Sequence[Round], RuleLimits], Step]
Refuse = Callable[[Subject, Mapping[Name, ForwardCounts]], str | None]
Stage = Literal["rounds", "confirmation"]
UNDECIDED = ("more", "confirm")
ATTEMPTS = 2  # at a round: a void one is repeated once


@dataclass(frozen=True)
class Speed:
    """What is known of one subject. With a `failure` there is no verdict, and `step` stays what it was.

    `failed_side` is None where neither side is to blame. `failed_stage` says at what: start, plug-ins, lookup (no such
    model), build, origin (code of the project that is not the tree's), counts (refused), forward, lost (killed, died or
    late) or void.
    `counts` is what each side's model has.
    """

    subject: Subject
    rounds: tuple[RoundRecord, ...] = ()
    confirmation: tuple[RoundRecord, ...] = ()
    step: Step = "more"
    failure: str | None = None
    failed_side: Name | None = None
    failed_stage: str | None = None
    seconds: float = 0.0
    counts: Mapping[Name, ForwardCounts] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether another round is wanted."""
        return self.failure is None and self.step in UNDECIDED

    def as_json(self) -> dict[str, Any]:
        """Everything, in plain JSON types."""
        found: dict[str, Any] = plain(asdict(self))
        return found


def compare(
    subjects: Sequence[Subject],
    baseline: Side,
    candidate: Side,
    limits: RuleLimits,
    *,
    device: str = "cpu",
    seed: int,
    inject_pct: float = 0.0,
    time_limit_s: float = 120.0,
    progress: Callable[[str, int, Speed], None] = lambda key, rounds, speed: None,
    decide: Decide = rule.step,
    refuse: Refuse = lambda subject, counts: None,
    clock: Callable[[], float] = time.perf_counter,
    hired: Crew | None = None,
) -> list[Speed]:
    """Compare every subject, round by round and in turns, until the rule has decided on each.

    A side that cannot build a model, dies or is late ends that subject with a `failure`, and leaves the others alone.

    Args:
        seed: of all orders and paddings.
        inject_pct: so much more work the candidate's workers do in every token.
        time_limit_s: for one round, and for the start of a server.
        progress: told of a subject's key, its number of rounds and what is known, after each of its rounds.
        decide: what comes next, from the rounds and those of the confirmation.
        refuse: why the baseline's side is not the one to compare with, from what both sides' models have.
        hired: the crew of an earlier comparison on this device, whose servers are up; default one for this comparison.
    """
    sides: dict[Name, Side] = {"baseline": baseline, "candidate": candidate}
    with nullcontext(hired) if hired else crew(device, os.environ, time_limit_s) as staff:
        table = _Table(sides, limits, device, seed, inject_pct, time_limit_s, decide, refuse, clock, staff)
        speeds = [table.tried(Speed(subject, step=decide((), (), limits))) for subject in subjects]
        while any(speed.open for speed in speeds):
            for place, speed in enumerate(speeds):
                if speed.open:
                    speeds[place] = found = table.advanced(speed)
                    progress(found.subject.key, len(found.rounds) + len(found.confirmation), found)
    return speeds


@dataclass(frozen=True)
class _Table:
    """What all rounds of a comparison have in common."""

    sides: Mapping[Name, Side]
    limits: RuleLimits
    device: str
    seed: int
    inject_pct: float
    time_limit_s: float
    decide: Decide
    refuse: Refuse
    clock: Callable[[], float]
    crew: Crew

    def tried(self, speed: Speed) -> Speed:
        """Build the model once on each side and time nothing: what fails, fails now, and the bytecode is warm."""
        return self._timed(speed, self._build)

    def advanced(self, speed: Speed) -> Speed:
        """The subject after one more round, and what the rule says to that."""
        return self._timed(speed, self._another)

    def _timed(self, speed: Speed, work: Callable[[Speed], Speed]) -> Speed:
        """The work's outcome, or its failure, and the time it took."""
        begun = self.clock()
        try:
            speed = work(speed)
        except WorkerFailed as failed:
            side: Name = "baseline" if failed.side == "baseline" else "candidate"
            speed = replace(speed, failure=str(failed), failed_side=side, failed_stage=failed.stage)
        except Void as void:
            failure = f"two rounds without evidence: {void}. The machine is overloaded, or the batch too large"
            speed = replace(speed, failure=failure, failed_stage="void")
        return replace(speed, seconds=speed.seconds + self.clock() - begun)

    def _build(self, speed: Speed) -> Speed:
        order: tuple[Name, Name] = ("candidate", "baseline")  # what fails on both is no new model of the candidate's
        counts: dict[Name, ForwardCounts] = {}
        strange: WorkerFailed | None = None
        for name in order:
            asked = job(speed.subject, self.sides[name], self.device, 0.0, build_only=True)
            try:
                counts[name] = build(name, self._launcher(speed.subject), asked, self.time_limit_s)
            except WorkerFailed as failed:
                if failed.stage != "origin":
                    raise (strange or failed) from failed
                strange = failed  # where both sides run code from elsewhere, the baseline's word says more
        if strange is not None:
            raise strange
        if refusal := self.refuse(speed.subject, counts):
            return replace(speed, counts=counts, failure=refusal, failed_side="baseline", failed_stage="counts")
        return replace(speed, counts=counts)

    def _another(self, speed: Speed) -> Speed:
        stage: Stage = "rounds" if speed.step == "more" else "confirmation"
        known: tuple[RoundRecord, ...] = getattr(speed, stage)
        try:
            record = self._round(speed.subject, stage, len(known), 0)
        except Void:
            record = self._round(speed.subject, stage, len(known), 1)
        speed = replace(speed, **{stage: (*known, record)})  # type: ignore[arg-type]
        return replace(speed, step=self.decide(values(speed.rounds), values(speed.confirmation), self.limits))

    def _round(self, subject: Subject, stage: Stage, number: int, attempt: int) -> RoundRecord:
        injected: dict[Name, float] = {"baseline": 0.0, "candidate": self.inject_pct}
        return measure(
            self._launcher(subject),
            {name: job(subject, side, self.device, injected[name]) for name, side in self.sides.items()},
            seed_of(self.seed, subject.key, stage, number, attempt),
            self.time_limit_s,
            self.clock,
        )

    def _launcher(self, subject: Subject) -> Callable[[Name, int], PairWorker]:
        return lambda name, padding: self.crew.worker(name, self.sides[name].python, subject.threads, padding)


def values(records: Sequence[RoundRecord]) -> list[Round]:
    """What the rule looks at."""
    return [record.value for record in records]

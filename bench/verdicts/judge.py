"""A claim and its rows make a verdict with its reason. Pure: reads no file, no clock, draws nothing.

Reaches a verdict only when the whole interval lies on one side; otherwise it says what is missing and how to get it.
"""

import math
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pandas

from bench.errors import UsageError
from bench.plan.staleness import Today
from bench.records import written
from bench.statistics.intervals import Interval
from bench.suite import expression, units_of
from bench.suite.claim import Check, Claim
from bench.suite.schema import Suite
from bench.verdicts import bands
from bench.verdicts.across import conditions, pooled
from bench.verdicts.bands import Band, plural, sentence
from bench.verdicts.deciding import History, Spread, Word, decided, flip, history, spread, way
from bench.verdicts.evidence import Evidence, Missing, Sample, Why, collect
from bench.verdicts.ledger import Ledger, is_clocked, is_learned, planned_cases, unseeded
from bench.verdicts.logs import Log, logs_of
from bench.verdicts.machines import Here, Machine, not_here, together
from bench.verdicts.paired import Paired, paired
from bench.verdicts.pools import Pools
from bench.verdicts.uncertainty import (
    POOLED,
    SeedRule,
    basis,
    images_of,
    interval_of,
    nothing_trained,
    resolution,
    seeds_needed,
)

# Strongest first: a claim of several checks carries the word of its strongest one.
WORDS: tuple[Word, ...] = ("contradicted", "inconsistent", "inconclusive", "not measured", "reproduced", "answered")


@dataclass(frozen=True)
class CheckVerdict:
    """What one check of a claim says, what was measured, and what follows."""

    says: str
    kind: str
    verdict: Word
    reason: str  # one sentence, with its numbers
    unit: str | None = None
    published: float | None = None
    printed: str | None = None  # the same as its source prints it, where the suite says how
    low: float | None = None  # the band in which the claim is true; None is open to that side
    high: float | None = None
    tolerance_why: str | None = None
    measured: Interval | None = None
    side: Literal["below", "above"] | None = None  # on which side of the band a contradicted value lies
    samples: tuple[Sample, ...] = ()
    test_images: int | None = None  # of the smallest test set behind what was learned
    further: tuple[Sample, ...] = ()  # seeds beyond the planned ones: shown, they decide nothing
    calculation: tuple[str, ...] = ()  # arithmetic written out, line by line
    conditions: Mapping[str, str] = field(default_factory=dict)  # device, precision, threads, data, profile, protocol
    resolution: float | None = None  # half width in points of one accuracy on its test set, 95 %
    indication: str | None = None  # what a reduced profile hints at; never a verdict
    deviations: str | None = None
    command: str | None = None  # what would decide it, or measure it again
    spread: Spread | None = None  # between seeds, and whose it is
    looks: tuple[int, int] = (1, 0)  # from how many seeds on it may be decided, and how many are planned
    history: History = ()  # its word by the number of seeds, from the first that could decide on
    logs: tuple[Log, ...] = ()  # of the commands that were run for it
    paired: tuple[Paired, ...] = ()  # the two models of a difference on the same test images, seed by seed
    machine: str | None = None  # whose clock it was, as a reader calls it; None where no clock is involved
    machine_id: str | None = None
    elsewhere: tuple["CheckVerdict", ...] = ()  # what the check comes to on other machines
    across: str | None = None  # a sentence on them

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
    group: str | None = None  # of a claim table, or as the suite says


def judge(
    suite: Suite,
    suite_sha256: str,
    rows: pandas.DataFrame,
    *,
    suite_path: str,
    today: Today | None = None,
    options: Sequence[str] = (),
    rule: SeedRule = POOLED,
    here: Here | None = None,
) -> list[Verdict]:
    """The verdict on every claim of a suite, in its order: of a clock on each machine, and of all together.

    Args:
        rows: columns of `Measurement`, of any suites and runs.
        today: the suite's code as it is now: rows that other code made decide nothing. Not looked at when not given.
        suite_path: how the commands in the verdicts name the suite file.
        options: what they need beside it, such as `--store URI`.
        rule: how seeds become an interval.
        here: the machine whose verdict on a clock is that of the claim; without one, the strongest of all machines'.
    """
    values = {key: claim.published for key, claim in suite.claims.items()}
    values |= {key: quantity.value for key, quantity in suite.quantities.items()}
    constants = {key: value for key, value in values.items() if value is not None}
    units = units_of.named(suite.model_dump(include={"quantities", "claims"}, exclude_none=True))
    ledger = Ledger(suite, suite_sha256, rows, today)
    pools = Pools(ledger, constants)
    court = _Court(suite, ledger, constants, units, suite_path, tuple(options), rule, pools, here)
    return [court.verdict(key, claim) for key, claim in suite.claims.items()]


def strongest(words: Iterable[Word]) -> Word:
    """The word that stands for several."""
    return min(words, key=WORDS.index)


def tally(verdicts: Iterable[Verdict]) -> dict[Word, int]:
    """How many claims carry each word, every word present."""
    counted = Counter(verdict.verdict for verdict in verdicts)
    return {word: counted[word] for word in WORDS}


def judged_any(verdicts: Iterable[Verdict]) -> bool:
    """Whether any claim was decided or answered."""
    return any(verdict.verdict not in ("inconclusive", "not measured") for verdict in verdicts)


def exit_code(verdicts: Iterable[Verdict]) -> int:
    """1 when a claim is contradicted, else 0. A source that contradicts itself is no failure of this run."""
    return int(any(verdict.verdict == "contradicted" for verdict in verdicts))


@dataclass(frozen=True)
class _Court:
    """What every check of a suite is judged with."""

    suite: Suite
    ledger: Ledger
    constants: Mapping[str, float]
    units: Mapping[str, units_of.Named]
    suite_path: str
    options: tuple[str, ...]
    rule: SeedRule
    pools: Pools
    here: Here | None

    def verdict(self, key: str, claim: Claim) -> Verdict:
        checks = tuple(self.check(check) for check in claim.checks)
        word = strongest(check.verdict for check in checks)
        place = (claim.source, claim.where, claim.quote)
        beside = (tuple(claim.compare), claim.note, claim.group)
        return Verdict(self.suite.id, key, claim.says, *place, word, checks, *beside)

    def check(self, check: Check) -> CheckVerdict:
        """The source's arithmetic and the measurement, each judged alone; the stronger word stands."""
        band = Band.of(check)
        edges = (band.low, band.high) if band else (None, None)
        source = (check.unit, check.published, check.printed)
        blank = CheckVerdict(check.says, check.kind, "not measured", "", *source, *edges, check.tolerance_why)
        try:
            check = self._in_its_unit(check)
        except UsageError as error:
            return replace(blank, reason=sentence(str(error)))
        if check.follows is None:
            return self._measured(check, check.measured, band, blank)
        arithmetic = self._follows(check, check.follows, band, blank)
        if check.measured is None:
            return arithmetic
        found = self._measured(check, check.measured, band, blank)
        found = replace(found, calculation=arithmetic.calculation + found.calculation)
        if arithmetic.verdict == "reproduced":
            return found
        word = strongest([arithmetic.verdict, found.verdict])
        return replace(found, verdict=word, reason=f"{arithmetic.reason} {found.reason}")

    def _in_its_unit(self, check: Check) -> Check:
        """The check with every conversion of unit written into its expressions, so that plain numbers judge it."""
        texts = {key: text for key in ("follows", "measured") if (text := getattr(check, key)) is not None}
        whole = {key: units_of.converted(text, check.unit, self.units) for key, text in texts.items()}
        return check.model_copy(update=whole) if whole != texts else check

    def _follows(self, check: Check, text: str, band: Band | None, blank: CheckVerdict) -> CheckVerdict:
        """Whether the source's own numbers give what it publishes."""
        try:
            value = expression.evaluate(text, self.constants)
        except UsageError as error:
            return replace(blank, reason=sentence(str(error)))
        if isinstance(value, tuple):
            return replace(blank, reason=f"{text} is a list of numbers, which nothing published can equal.")
        if check.published is not None:
            band = Band.around(check.published, bands.rounding(check, check.published), check.unit, check.printed)
        place = band.place(value, value) if band else "inside"
        beside = band.references(place) if band else []
        line = bands.calculation(text, self.constants, value, band.unit if band else check.unit, beside)
        blank = replace(blank, measured=Interval(value, value, value, "recomputed from published numbers", 1))
        end = f", {band.says(place)}" if band else ""
        if place == "inside":
            return replace(blank, verdict="reproduced", reason=f"{line}{end}.", calculation=(line,))
        reason = f"The source contradicts itself: {line}{end}."
        return replace(blank, verdict="inconsistent", reason=reason, calculation=(f"{line}{end}",))

    def _measured(self, check: Check, text: str | None, band: Band | None, blank: CheckVerdict) -> CheckVerdict:
        if check.unavailable or text is None:
            return replace(blank, reason=sentence(check.unavailable or "nothing is named that could be measured"))
        asked = [self.suite.quantities[name].metric for name in expression.names(text) if name not in self.constants]
        needed = seeds_needed(check, any(is_learned(metric) for metric in asked), self.rule.seeds)
        if (planned := planned_cases(self.ledger, text, self.constants)) is not None:
            blank = replace(blank, logs=logs_of(self.ledger, planned[1]))
        if not any(is_clocked(metric) for metric in asked):
            return self._on(self.ledger, check, text, band, blank, needed)
        known = self.ledger.clocked
        at_hand = self.here.among(known) if self.here else None
        named = [replace(blank, machine=each.label, machine_id=each.key) for each in known]
        each = [
            self._on(self.ledger.on(machine), check, text, band, blank_there, needed)
            for machine, blank_there in zip(known, named, strict=True)
        ]
        if self.here and at_hand is None:
            nowhere = self.ledger.on(Machine(self.here.machine, self.here.name or "this machine"))
            return not_here(self._on(nowhere, check, text, band, blank, needed), each)
        return together(each, WORDS, at_hand) or self._on(self.ledger, check, text, band, blank, needed)

    def _on(
        self, ledger: Ledger, check: Check, text: str, band: Band | None, blank: CheckVerdict, needed: int
    ) -> CheckVerdict:
        """The check by the rows of a ledger, which may be one machine's."""
        found = pooled(ledger, text, self.constants, check.hardware, needed)
        if isinstance(found, Evidence):
            # A measure without seeds needs none, unless the check asks for some.
            return self._judged(check, text, band, found, blank, needed if found.seeds else check.min_seeds or 0)
        hint = self._indication(ledger, check, text, band)
        reason = found.reason
        if hint and found.why in (Why.STALE, Why.NEVER):
            reason = f"only the {hint[0]} profile has been run, and its rows decide no claim"
        command = None if found.why == Why.UNPLANNED else self._command(check, text, again=found.why == Why.CLASH)
        return replace(blank, reason=sentence(reason), indication=hint and hint[1], command=command)

    def _judged(
        self, check: Check, text: str, band: Band | None, evidence: Evidence, blank: CheckVerdict, needed: int
    ) -> CheckVerdict:
        """The verdict on evidence of a full profile, which `needed` seeds make enough."""
        if nothing_trained(evidence) and check.sampling != "new images":
            evidence = replace(evidence, by="exact")
            if band and check.published is not None and check.tolerance is None and not band.strict:
                band = Band.around(check.published, bands.half_unit(check.published), check.unit, check.printed)
                blank = replace(blank, low=band.low, high=band.high)
        known = replace(
            blank,
            samples=evidence.samples,
            test_images=images_of(evidence) or None,
            further=evidence.further,
            conditions=conditions(self.ledger, evidence),
            deviations="; ".join(dict.fromkeys(case.deviations for case in evidence.cases if case.deviations)) or None,
            command=self._command(check, text, again=len(evidence.seeds) >= max(needed, evidence.planned[1])),
        )
        if evidence.not_finite:
            some = any(math.isfinite(sample.value) for sample in evidence.samples)
            reason = sentence(f"{evidence.not_finite}; what is not finite is not averaged away")
            return replace(known, verdict="inconclusive" if some else "not measured", reason=reason)
        pool = self.pools.of(text, evidence, needed)
        new_images = check.sampling == "new images"

        def interval_from(some: Evidence) -> Interval:
            return self.rule.interval(text, self.constants, some, pool, new_images)

        interval = interval_from(evidence)
        known = replace(known, measured=interval, resolution=resolution(evidence), paired=paired(evidence))
        known = replace(known, looks=evidence.planned, spread=spread(evidence, pool, check.unit, self.suite))
        if evidence.by == "exact" and len(expression.names(text)) > 1:
            values = {**self.constants, **evidence.inputs}
            known = replace(known, calculation=(bands.calculation(text, values, interval.point, check.unit),))
        word, side, reason = decided(check, band, interval, evidence, needed)
        if band:
            known = replace(known, history=history(check, band, evidence, needed, interval_from))
            reason = " ".join(filter(None, [reason, flip(known.history, len(evidence.seeds), evidence.planned[1])]))
        if evidence.lacking and evidence.lacking.why in (Why.CLASH, Why.NOT_OK, Why.OTHER_CODE):
            reason += f" {sentence(evidence.lacking.reason)}"
        for failed in evidence.failed_since:
            reason += f" But {failed.rstrip('.')}."
        if evidence.count_failed_since:  # a count is of the code as it is, and that cannot be counted any more
            word, side = "inconclusive", None
        return replace(known, verdict=word, side=side, reason=reason)

    def _indication(self, ledger: Ledger, check: Check, text: str, band: Band | None) -> tuple[str, str] | None:
        """A reduced profile's label, and what it hints at, said so that nobody takes it for a verdict."""
        found = collect(ledger, text, self.constants, check.hardware, reduced=True)
        if isinstance(found, Missing) or found.not_finite:
            return None
        point = interval_of(text, self.constants, found).point
        label = self.suite.profiles[found.setting.profile].label
        epochs = {case.recipe.epochs for case in found.cases if case.recipe}
        images = {int(row.n_test) for rows in found.rows.values() for row in rows if row.n_test}
        counts = [(n, "epoch") for n in sorted(epochs)] + [(n, "test image") for n in sorted(images)]
        small = ", ".join(
            filter(None, [basis(replace(found, planned=(1, 0))), *(plural(n, word) for n, word in counts)])
        )
        value = written.amount(point, check.unit) + (f" ({small})" if small else "")
        towards = way(check, band, point)
        return label, f"{label} profile points {towards}: {value}" if towards else f"{label} profile: {value}"

    def _command(self, check: Check, text: str, again: bool) -> str | None:
        """The command that measures what the check needs under a full profile; `again` also what is there already."""
        planned = planned_cases(self.ledger, text, self.constants)
        if planned is None:
            return None
        profile, cases = planned
        patterns = dict.fromkeys(case.name if case.seed is None else f"{unseeded(case)}/*" for case in cases)
        words = ["bench", "run", self.suite_path, "--profile", profile]
        words += [word for pattern in patterns for word in ("--only", pattern)]
        seeds = {case.seed for case in cases} - {None}
        if seeds and len(seeds) < (needed := seeds_needed(check, learned=True)):
            words += ["--seeds", str(needed)]
        return shlex.join([*words, "--force", *self.options] if again else [*words, *self.options])

"""Stored rows become the samples of an expression: one value per seed, one per timing block, or one exact count.

Judges nothing and never mixes what may not be compared; where no sample can be had, it says precisely why.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from fnmatch import fnmatch
from typing import Any, Literal

from bench.errors import UsageError
from bench.plan.case import Case
from bench.records import written
from bench.records.metrics import METRICS, conditions
from bench.statistics import intervals
from bench.suite import expression
from bench.suite.schema import Quantity
from bench.verdicts.ledger import (
    FAILURES,
    Ledger,
    PlannedSetting,
    Row,
    cut_short,
    deciding_seeds,
    is_clocked,
    is_learned,
    unseeded,
)
from bench.verdicts.values import middle, not_finite, right_images, value_of

By = Literal["seed", "repeat", "exact"]
# A case id answers for these; what is left of a metric's conditions has to agree between rows.
_OF_THE_CASE = {"model", "params_json", "protocol", "part", "batch_size", "image_size", "device", "layout", "compiled"}
_OF_THE_DATA = {"dataset_sha256", "n_train", "n_test"}
_OF_THE_CODE = ("code_sha256", "torch")  # seeds of a training are pooled only where these are the same
_STATUS = {**FAILURES, "skipped": "skipped"}


@dataclass(frozen=True)
class Sample:
    """One raw value behind an interval, with where it came from."""

    value: float
    seed: int | None = None
    repeat: int | None = None
    run_id: str | None = None


class Why(IntEnum):
    """Kinds of reasons; of several, the lowest says most."""

    CLASH = 0  # there are values, which may not be compared
    NOT_OK = 1  # it was run and gave no value
    OLD_PROTOCOL = 2
    OTHER_CODE = 3  # measured, but not by today's code
    STALE = 4  # measured when the suite still said something else
    NEVER = 5
    UNPLANNED = 6


@dataclass(frozen=True)
class Missing:
    """Why there is no sample."""

    why: Why
    reason: str


@dataclass(frozen=True)
class Evidence:
    """The samples of one expression in one setting, and what they depended on.

    `by` says what one sample stands for. `inputs` are the values behind the first sample; `rows` holds one row of
    every series that was used; both by the name of the quantity. `samples` are of the seeds that were planned, which
    alone decide: who could add seeds until a verdict comes would get one in the end. `further` are those of all others.
    """

    setting: PlannedSetting
    by: By
    samples: tuple[Sample, ...]
    inputs: Mapping[str, float | tuple[float, ...]]
    rows: Mapping[str, list[Row]]
    cases: tuple[Case, ...]
    seeds: tuple[int, ...]
    lacking: Missing | None = None  # why planned seeds are not among `seeds`
    not_finite: str | None = None
    right: Mapping[str, Mapping[int, str]] = field(default_factory=dict)  # name, seed -> test images, `packed_bits`
    set_apart: str | None = None  # another device that has evidence of its own, never mixed in
    further: tuple[Sample, ...] = ()
    failed_since: tuple[str, ...] = ()  # newer runs that could not measure it, with the reason
    planned: tuple[int, int] = (1, 0)  # from how many seeds on it may be decided, and how many decide it at the end
    count_failed_since: bool = False  # whether one of them failed at what depends on the model alone


def collect(
    ledger: Ledger,
    text: str,
    constants: Mapping[str, float],
    hardware: str | None,
    reduced: bool,
    needed: int | None = None,
) -> Evidence | Missing:
    """The samples of an expression, from the one profile and device that has the most seeds; CUDA before CPU.

    Args:
        constants: the published numbers, by name.
        hardware: pattern of the device names on which a clock counts.
        reduced: look under the reduced profiles, or under all the others.
        needed: how many seeds decide where fewer are planned; None lets every seed speak, as in a hint.
    """
    names = expression.names(text)
    asked = {name: ledger.suite.quantities[name] for name in names if name not in constants}
    known = {name: constants[name] for name in names if name in constants}
    settings = [setting for setting in ledger.settings if setting.reduced == reduced]
    tried = [Search(ledger, setting, text, asked, known, hardware, needed).evidence() for setting in settings]
    if found := [each for each in tried if isinstance(each, Evidence)]:
        chosen = max(found, key=lambda evidence: len(evidence.seeds))
        others = [each.setting.device for each in found if each.rows and each.setting.device != chosen.setting.device]
        return replace(chosen, set_apart=others[0] if others else None)
    nothing = Missing(Why.UNPLANNED, f"no {'reduced' if reduced else 'full'} profile in this suite")
    return _telling(each for each in tried if isinstance(each, Missing)) or nothing


@dataclass(frozen=True)
class Search:
    """One expression in one setting. The first `Missing` that a step returns ends the search."""

    ledger: Ledger
    setting: PlannedSetting
    text: str
    asked: Mapping[str, Quantity]
    constants: Mapping[str, float]
    hardware: str | None
    needed: int | None

    def evidence(self) -> Evidence | Missing:
        """The samples, or why there are none."""
        cases: dict[str, dict[int | None, Case]] = {}
        for name, quantity in self.asked.items():
            by_seed = _by_seed(name, self.setting.select(quantity), self.setting.profile)
            if isinstance(by_seed, Missing):
                return by_seed
            cases[name] = by_seed
        seeds: list[int | None] = [*sorted({seed for found in cases.values() for seed in found if seed is not None})]
        drawn: dict[int | None, dict[str, list[Row]]] = {}
        lacking: dict[int | None, Missing] = {}
        for seed in seeds or [None]:
            draw = self._draw({name: found.get(seed) or found.get(None) for name, found in cases.items()}, seed)
            if isinstance(draw, Missing):
                lacking[seed] = draw
            else:
                drawn[seed] = draw
        deciding = {None, *deciding_seeds(cases.values(), self.setting, self.needed)}
        further = {seed: drawn.pop(seed) for seed in [*drawn] if seed not in deciding}
        missing = [why for seed, why in lacking.items() if seed in deciding]
        if not drawn:
            return _telling(missing) or Missing(Why.NEVER, "never run")
        if clash := self._clash(drawn.values(), {name: next(iter(found.values())) for name, found in cases.items()}):
            return Missing(Why.CLASH, f"not comparable: {clash}")
        found = self._evaluated(drawn)
        if isinstance(found, Missing):
            return found
        every_case = tuple(case for by_seed in cases.values() for case in by_seed.values())
        known = replace(found, cases=every_case, lacking=_telling(missing), further=self._further(further))
        known = replace(known, planned=(self.needed or 1, len(deciding - {None})))
        return self._with_failures(known, drawn, cases)

    def _further(self, drawn: Mapping[int | None, Mapping[str, list[Row]]]) -> tuple[Sample, ...]:
        """One sample for each seed that nobody planned: shown, and never counted."""
        samples = []
        for seed, draw in drawn.items():
            found = self._evaluated({seed: draw})
            values = [each.value for each in found.samples] if isinstance(found, Evidence) else []
            if values and all(map(math.isfinite, values)):
                samples.append(Sample(intervals.median(values), seed, None, next(iter(draw.values()))[0].run_id))
        return tuple(samples)

    def _with_failures(
        self,
        found: Evidence,
        drawn: Mapping[int | None, Mapping[str, list[Row]]],
        cases: Mapping[str, Mapping[int | None, Case]],
    ) -> Evidence:
        """The evidence, and which newer runs tried the same cases and could not measure them."""
        told: dict[str, None] = {}
        counts = False
        for seed, draw in drawn.items():
            for name, rows in draw.items():
                case = cases[name].get(seed) or cases[name][None]
                if bad := self.ledger.failed_since(self.setting.ids[case.name], rows):
                    told[f"run {bad.run_id} could not measure it since: {bad.reason or bad.status}"] = None
                    counts = counts or not (is_clocked(rows[0].metric) or is_learned(rows[0].metric))
        return replace(found, failed_since=tuple(told), count_failed_since=counts)

    def _draw(self, cases: Mapping[str, Case | None], seed: int | None) -> dict[str, list[Row]] | Missing:
        """The rows of every quantity for one seed: clocks from one run together, all else from its newest run."""
        runs = {}
        for name, case in cases.items():
            found = self._runs(name, case) if case else Missing(Why.UNPLANNED, f"seed {seed} is not planned for {name}")
            if isinstance(found, Missing):
                return found
            runs[name] = found
        clocked = [name for name in runs if is_clocked(self.asked[name].metric)]
        shared = [run for run in (runs[clocked[0]] if clocked else ()) if all(run in runs[name] for name in clocked)]
        if clocked and not shared:
            return Missing(Why.CLASH, _apart({name: next(iter(runs[name].values()))[0] for name in clocked}))
        return {name: found[shared[0] if name in clocked else next(iter(found))] for name, found in runs.items()}

    def _runs(self, name: str, case: Case) -> dict[str, list[Row]] | Missing:
        """The runs that may speak for a quantity, the newest first."""
        quantity, case_id = self.asked[name], self.setting.ids[case.name]
        found = self.ledger.usable.get((case_id, str(quantity.metric), quantity.part), {})
        here = {run: rows for run, rows in found.items() if self._counts(rows[0])}
        whole = self.ledger.whole(case, case_id, quantity)
        if whole := {run: rows for run, rows in whole.items() if run in here}:
            return whole
        if found and not here:
            return Missing(Why.CLASH, self._elsewhere(next(iter(found.values()))))
        return self._why_not(quantity, case, case_id, next(iter(here.values()), []))

    def _counts(self, row: Row) -> bool:
        pattern = self.hardware
        return pattern is None or not is_clocked(row.metric) or fnmatch(row.device_name.lower(), pattern.lower())

    def _elsewhere(self, rows: list[Row]) -> str:
        finite = [row.value for row in rows if row.value is not None and math.isfinite(row.value)]
        shown = f" ({written.number(intervals.median(finite))} {METRICS[rows[0].metric].unit})" if finite else ""
        return f"published for {self.hardware}, measured on {rows[0].device_name}{shown}: not comparable"

    def _why_not(self, quantity: Quantity, case: Case, case_id: str, partial: list[Row]) -> Missing:
        metric, model = str(quantity.metric), self.ledger.suite.models[case.model].label
        refused = self.ledger.refused.get(case_id, [])
        about = [row for row in refused if row.metric == metric] or refused
        bad = next((row for row in about if row.status != "ok"), None)
        if bad and (not partial or bad.started_at >= partial[0].started_at):
            return Missing(Why.NOT_OK, f"{_STATUS.get(bad.status, bad.status)} ({case.name}): {bad.reason}")
        if partial:
            return Missing(Why.NOT_OK, f"{cut_short(case, quantity, partial)} ({case.name}, run {partial[0].run_id})")
        if old := next((row for row in about if row.metric == metric), None):
            reason = f"protocol {old.protocol} measured {metric}; the current one is {METRICS[metric].protocol}"
            return Missing(Why.OLD_PROTOCOL, reason)
        if case_id in self.ledger.measured and case_id not in self.ledger.outdated:
            part = f" for part '{quantity.part}'" if quantity.part else ""
            return Missing(Why.NOT_OK, f"no {metric}{part} came of {case.name}")
        if outdated := self.ledger.outdated.get(case_id):
            return Missing(Why.OTHER_CODE, outdated)
        if stale := self.ledger.stale.get((case.model, metric)):
            reason = f"what the suite asks of {model} has changed since run {stale.run_id} measured it"
            return Missing(Why.STALE, reason)
        return Missing(Why.NEVER, f"never run: {unseeded(case)}")

    def _clash(self, draws: Iterable[Mapping[str, list[Row]]], cases: Mapping[str, Case]) -> str | None:
        """The first condition in which rows of one quantity, or of two on the same data, differ."""
        seen: dict[tuple[str, str | None], Row] = {}
        for draw in draws:
            for name, (row, *_) in draw.items():
                for key in (*conditions(row.metric), *(_OF_THE_CODE if is_learned(row.metric) else ())):
                    if key not in _OF_THE_CASE:
                        one = seen.setdefault((key, cases[name].dataset_key if key in _OF_THE_DATA else name), row)
                        was, is_now = getattr(one, key), getattr(row, key)
                        if was != is_now:
                            return f"{key} is {was} in run {one.run_id}, {is_now} in run {row.run_id}"
        return None

    def _evaluated(self, drawn: Mapping[int | None, Mapping[str, list[Row]]]) -> Evidence | Missing:
        samples: list[Sample] = []
        troubles: list[str] = []
        inputs: dict[str, Any] = {}
        for seed, draw in drawn.items():
            run_id = next((rows[0].run_id for rows in draw.values()), None)
            if trouble := [words for name, rows in draw.items() for words in not_finite(self.asked[name], rows)]:
                troubles += trouble
                samples.append(Sample(math.nan, seed, None, run_id))
                continue
            values = {name: value_of(self.asked[name], rows) for name, rows in draw.items()}
            try:
                found = self._per_repeat(values)
            except UsageError as error:
                return Missing(Why.CLASH, str(error))
            if len(drawn) > 1:  # one sample per seed, whatever was repeated within it
                found = [(None, intervals.median([value for _, value in found]))]
            inputs = inputs or {name: middle(value) for name, value in values.items()}
            samples += [Sample(value, seed, repeat, run_id) for repeat, value in found]
        rows = {name: [draw[name][0] for draw in drawn.values()] for name in self.asked}
        seeds = tuple(seed for seed in drawn if seed is not None)
        troubled = "; ".join(troubles) or None
        right = {name: right_images({seed: draw[name] for seed, draw in drawn.items()}) for name in self.asked}
        return Evidence(self.setting, self._by(samples), tuple(samples), inputs, rows, (), seeds, None, troubled, right)

    def _per_repeat(self, values: Mapping[str, Any]) -> list[tuple[int | None, float]]:
        """The expression for every repeat that all blocks share; once where nothing was repeated."""
        blocks = [value for value in values.values() if isinstance(value, dict)]
        if not blocks:
            result = expression.evaluate(self.text, {**self.constants, **values})
            if not isinstance(result, tuple):
                return [(None, result)]
            if not self.asked or not all(is_clocked(quantity.metric) for quantity in self.asked.values()):
                raise UsageError(f"'{self.text}' is a curve of {len(result)} epochs: reduce it with max, min or mean")
            return list(enumerate(result))  # the epochs of a clock repeat the same work
        found: list[tuple[int | None, float]] = []
        for repeat in sorted(set.intersection(*(set(block) for block in blocks))):
            now = {name: value[repeat] if isinstance(value, dict) else value for name, value in values.items()}
            result = expression.evaluate(self.text, {**self.constants, **now})
            if isinstance(result, tuple):
                raise UsageError(f"'{self.text}' is a curve in every block: reduce it with max, min or mean")
            found.append((repeat, result))
        if not found:
            raise UsageError(f"'{self.text}': no block was repeated for all of its quantities")
        return found

    def _by(self, samples: list[Sample]) -> By:
        metrics = [quantity.metric for quantity in self.asked.values()]
        if any(sample.repeat is not None for sample in samples):
            return "repeat"
        if any(sample.seed is not None for sample in samples) or any(is_learned(metric) for metric in metrics):
            return "seed"
        # Peak bytes are counted by the allocator; a single reading of a clock stays a reading.
        timed = any(metric is not None and METRICS[metric].timed for metric in metrics)
        return "repeat" if timed else "exact"


def _telling(missing: Iterable[Missing]) -> Missing | None:
    return min(missing, key=lambda each: each.why, default=None)


def _by_seed(name: str, cases: list[Case], profile: str) -> dict[int | None, Case] | Missing:
    """The cases of a quantity by seed; they must differ in nothing else."""
    found: dict[int | None, Case] = {}
    for case in cases:
        other = found.setdefault(case.seed, case)
        if other is not case:
            several = f"the suite's quantity {name} fits several cases, {other.name} and {case.name}"
            return Missing(Why.UNPLANNED, f"{several}: it must name its measure, recipe, image_size or batch_size")
    return found or Missing(Why.UNPLANNED, f"profile {profile} plans nothing that would measure {name}")


def _apart(first: Mapping[str, Row]) -> str:
    """Why clocks that share no run are not comparable: the first key in which their newest rows differ."""
    (one, row), *others = first.items()
    for key in ("device_name", "threads", "run_id"):
        for other, against in others:
            if getattr(row, key) != getattr(against, key):
                return f"not comparable: {key} is {getattr(row, key)} for {one}, {getattr(against, key)} for {other}"
    return "not comparable: measured in different runs"

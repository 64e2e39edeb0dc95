"""The rows of a store by what they measure, beside the cases that a suite plans.

Combines no quantities and judges nothing; a row of a case that is no longer planned serves only to say so.
"""

import copy
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import pandas

from bench.plan.case import Case
from bench.plan.planner import plan, selected_by
from bench.plan.staleness import Today
from bench.records.metrics import METRICS, depends
from bench.suite import expression
from bench.suite.command import SECONDS
from bench.suite.schema import Quantity, Suite
from bench.verdicts.machines import Machine, told_apart

# A row of one of these was tried and gave no value.
FAILURES = {"failed": "failed", "timeout": "ran out of time"}

# The folders of an absolute path within a sentence: rows of older code may hold some, and what is shown must not.
_PATH = re.compile(r"(?<![\w.…/:\\])(?:[A-Za-z]:[\\/]|~?/)(?:[^\s'\":;,()\\/]+[\\/])+")


class Row(NamedTuple):
    """The columns of a `Measurement` that a verdict looks at; what was null in the store is None."""

    run_id: str
    case_id: str
    suite: str
    profile: str
    started_at: str
    model: str
    dataset_sha256: str | None
    n_train: int | None
    n_test: int | None
    seed: int | None
    epoch: int | None
    device: str
    device_name: str
    precision: str
    threads: int
    metric: str
    part: str | None
    protocol: int
    repeat: int | None
    value: float | None
    status: str
    reason: str | None
    deviations: str | None
    detail: str | None
    code_sha256: str | None
    torch: str | None
    machine: str | None  # the key that `machines.told_apart` gives it


@dataclass(frozen=True)
class PlannedSetting:
    """One profile on one device: the cases a suite plans there by model, and their ids by name.

    `added` names the cases that only another seed sets apart from a planned one: seeds that somebody ran on top.
    """

    profile: str
    device: str
    reduced: bool
    cases: Mapping[str, list[Case]]
    ids: Mapping[str, str]
    added: frozenset[str]

    @property
    def every(self) -> list[Case]:
        """All its cases."""
        return [case for cases in self.cases.values() for case in cases]

    def select(self, quantity: Quantity) -> list[Case]:
        """The cases that a quantity selects here."""
        if quantity.model is not None:
            return selected_by(quantity, self.cases.get(quantity.model, []))
        return selected_by(quantity, self.every)


class Ledger:
    """Rows by case, metric and part.

    `settings` are all profiles on all devices that have rows, in the suite's order, CUDA before CPU.
    `usable` maps (case, metric, part) to its runs, the newest first; `refused` maps a case to its other rows, newest
    first; `stale` maps (model, metric) to the newest row of a case that is no longer planned; `outdated` maps a case to
    what changed since the newest of its rows that other code made. `machines` are all that rows come from; `clocked`
    are those with values of a clock, and `on` is the ledger without the clocks of all but one of them.
    """

    def __init__(
        self,
        suite: Suite,
        suite_sha256: str,
        frame: pandas.DataFrame,
        today: Today | None = None,
        *,
        every_metric: bool = False,
    ):
        """`every_metric` keeps the rows of metrics too that no quantity of the suite asks for: a page shows them."""
        self.every_metric = every_metric
        self.suite = suite
        self.settings = _settings(suite, suite_sha256, frame)
        self.usable: dict[tuple[str, str, str | None], dict[str, list[Row]]] = defaultdict(dict)
        self.refused: dict[str, list[Row]] = defaultdict(list)
        self.stale: dict[tuple[str, str], Row] = {}
        self.outdated: dict[str, str] = {}
        self.measured: set[str] = set()  # cases with a value of any metric
        self._measured_on: set[tuple[str, str]] = set()  # such a case, and the machine
        self.machines: list[Machine] = []
        self._views: dict[tuple[str, bool], Ledger] = {}
        cases = {setting.ids[case.name]: case for setting in self.settings for case in setting.every}
        self._fill(self._of_today(frame, cases, today) if today else frame, set(cases))

    def _of_today(self, frame: pandas.DataFrame, cases: Mapping[str, Case], today: Today) -> pandas.DataFrame:
        """The rows that today's code would make again, and those of cases that are not planned."""
        old = ~of_today(frame, cases, today)
        for row in _rows(frame[old].sort_values(["started_at", "run_id"], ascending=False, kind="stable")):
            if row.case_id not in self.outdated:
                self.outdated[row.case_id] = today.why(cases[row.case_id], row.code_sha256, row.run_id)
        return frame[~old]

    @property
    def clocked(self) -> list[Machine]:
        """The machines that have values of a clock."""
        series = (runs for (_, metric, _), runs in self.usable.items() if is_clocked(metric))
        found = {row.machine for runs in series for rows in runs.values() for row in rows}
        return [machine for machine in self.machines if machine.key in found]

    def on(self, machine: Machine, *, alone: bool = False) -> "Ledger":
        """The ledger without what other machines' clocks say; `alone` leaves out everything of theirs."""
        if (machine.key, alone) not in self._views:
            view = copy.copy(self)
            view.usable, view.refused = defaultdict(dict), defaultdict(list)
            for (case_id, metric, part), runs in self.usable.items():
                for run, rows in runs.items():
                    if kept := [row for row in rows if _speaks(row, machine, alone)]:
                        view.usable[case_id, metric, part][run] = kept
            for case_id, rows in self.refused.items():
                view.refused[case_id] = [row for row in rows if _speaks(row, machine, alone)]
            view.measured = {case_id for case_id, key in self._measured_on if key == machine.key}
            self._views[machine.key, alone] = view
        return self._views[machine.key, alone]

    def _fill(self, frame: pandas.DataFrame, planned: set[str]) -> None:
        kept, self.machines = told_apart(frame[frame["case_id"].isin(planned) | (frame["suite"] == self.suite.id)])
        about = kept.loc[kept["status"] == "ok", ["case_id", "machine"]].drop_duplicates()
        self._measured_on = set(about.itertuples(index=False, name=None))
        self.measured = {case_id for case_id, _ in self._measured_on}
        # Most rows of a store answer no question of this suite; they are left out before they become tuples.
        asked = {quantity.metric for quantity in self.suite.quantities.values()} | {SECONDS}  # with its log
        if not self.every_metric:
            kept = kept[kept["metric"].isin(asked) | (kept["status"] != "ok")]
        for row in _rows(kept.sort_values(["started_at", "run_id"], ascending=False, kind="stable")):
            if row.case_id not in planned:
                self.stale.setdefault((row.model, row.metric), row)
            elif _usable(row):
                self.usable[row.case_id, row.metric, row.part].setdefault(row.run_id, []).append(row)
            else:
                self.refused[row.case_id].append(row)

    def whole(self, case: Case, case_id: str, quantity: Quantity) -> dict[str, list[Row]]:
        """The runs of a case that have every epoch a quantity needs, the newest first."""
        found = self.usable.get((case_id, str(quantity.metric), quantity.part), {})
        return {run: rows for run, rows in found.items() if not cut_short(case, quantity, rows)}

    def failed_since(self, case_id: str, rows: list[Row]) -> Row | None:
        """The newest failure of a case in a run later than the one these rows are of; None when they are the newest.

        A case that was skipped was not tried: nothing is known against the older value.
        """
        row = rows[0]
        for bad in self.refused.get(case_id, []):
            elsewhere = is_clocked(row.metric) and bad.machine != row.machine
            if bad.status in FAILURES and not elsewhere:
                later = (bad.started_at, bad.run_id) > (row.started_at, row.run_id) and bad.run_id != row.run_id
                return bad if later else None
        return None


def _speaks(row: Row, machine: Machine, alone: bool) -> bool:
    return row.machine == machine.key or not (alone or is_clocked(row.metric))


def is_clocked(metric: str | None) -> bool:
    """Whether a metric depends on the machine."""
    return metric is not None and depends(metric) == "machine"


def is_learned(metric: str | None) -> bool:
    """Whether a metric depends on training and test data."""
    return metric is not None and depends(metric) == "data"


def current(suite: Suite, suite_sha256: str, frame: pandas.DataFrame, today: Today) -> pandas.DataFrame:
    """The rows without those of the suite's cases that other code than today's made: what its figures may show."""
    cases = {
        setting.ids[case.name]: case for setting in _settings(suite, suite_sha256, frame) for case in setting.every
    }
    return frame[of_today(frame, cases, today)]


def of_today(frame: pandas.DataFrame, cases: Mapping[str, Case], today: Today) -> pandas.Series:
    """Row by row, whether it is not of one of these cases, or was made by today's code."""
    about = frame.loc[frame["case_id"].isin(list(cases)), ["case_id", "code_sha256"]].drop_duplicates()
    old = [
        (case_id, code)
        for case_id, code in about.itertuples(index=False)
        if not today.answers(cases[case_id], None if pandas.isna(code) else str(code))
    ]
    gone = pandas.Series(data=False, index=frame.index)
    for case_id, code in old:
        same = frame["code_sha256"].isna() if pandas.isna(code) else frame["code_sha256"].eq(code).fillna(value=False)
        gone |= frame["case_id"].eq(case_id) & same.astype(bool)
    return ~gone.astype(bool)


def _usable(row: Row) -> bool:
    """A value by the current protocol, or an epoch whose value was not finite: a gap in a curve must show."""
    metric = METRICS.get(row.metric or "")
    current = metric is not None and row.protocol == metric.protocol and metric.possible(row.value)
    return current and (row.status == "ok" or (row.status == "failed" and row.epoch is not None))


def _rows(frame: pandas.DataFrame) -> Iterator[Row]:
    """The rows as tuples of plain values: NaN, NA and NaT all become None."""
    known = [frame[name] if name in frame else pandas.Series(None, frame.index, object) for name in Row._fields]
    columns = [column.astype(object).where(column.notna(), None) for column in known]
    for row in map(Row._make, zip(*columns, strict=True)):
        yield row._replace(reason=_PATH.sub("…/", row.reason)) if row.reason else row


def _settings(suite: Suite, suite_sha256: str, frame: pandas.DataFrame) -> list[PlannedSetting]:
    """All profiles on all devices that have rows, in the suite's order, CUDA before CPU."""
    present = {"cpu", *frame["device"].dropna()}
    seeds = sorted({int(seed) for seed in frame["seed"].dropna()})
    return [
        _setting(suite, suite_sha256, profile, device, seeds)
        for profile in suite.profiles
        for device in ("cuda", "cpu")
        if device in present
    ]


def _setting(suite: Suite, suite_sha256: str, profile: str, device: str, seeds: list[int]) -> PlannedSetting:
    """The planned cases, and the same under every other seed that was ever run: more seeds are more evidence."""
    planned = plan(suite, suite_sha256, profile, device)
    named = {case.name: case for case in planned}
    for case in planned:
        for seed in seeds if case.seed is not None else []:
            name = f"{unseeded(case)}/seed{seed}"
            named.setdefault(name, replace(case, seed=seed, name=name))
    cases: dict[str, list[Case]] = {}
    for case in named.values():
        cases.setdefault(case.model, []).append(case)
    ids = {name: case.id for name, case in named.items()}
    added = frozenset(ids) - {case.name for case in planned}
    return PlannedSetting(profile, device, suite.profiles[profile].reduced, cases, ids, added)


def unseeded(case: Case) -> str:
    """The case's name without its seed."""
    return case.name if case.seed is None else case.name.rpartition("/")[0]


def planned_cases(ledger: Ledger, text: str, constants: Mapping[str, float]) -> tuple[str, list[Case]] | None:
    """The first full profile that plans a case for every quantity of an expression, and those it plans."""
    asked = [ledger.suite.quantities[name] for name in expression.names(text) if name not in constants]
    for setting in ledger.settings:
        found = [setting.select(quantity) for quantity in asked]
        if not setting.reduced and found and all(found):
            return setting.profile, [case for cases in found for case in cases if case.name not in setting.added]
    return None


def deciding_seeds(
    cases: Iterable[Mapping[int | None, Case]], setting: PlannedSetting, needed: int | None
) -> set[int | None]:
    """The seeds that decide: those that are planned, up to `needed` joined by the smallest others; None takes all.

    Which they are is fixed before anything is run, so that no seed can be added until the verdict pleases.
    """
    known = [case for by_seed in cases for case in by_seed.values() if case.seed is not None]
    if needed is None:
        return {case.seed for case in known}
    found: set[int | None] = {case.seed for case in known if case.name not in setting.added}
    others = (seed for seed in range(needed + len(found)) if seed not in found)
    return found | {next(others) for _ in range(needed - len(found))}


def cut_short(case: Case, quantity: Quantity, rows: list[Row]) -> str | None:
    """What is missing of the epochs that a quantity needs: of a slice its own, else all the recipe asks for."""
    epochs = {row.epoch for row in rows if row.epoch is not None}
    last = quantity.at[1] if isinstance(quantity.at, list) else case.recipe.epochs if case.recipe else None
    if not epochs or last is None:
        return None
    first = quantity.at[0] if isinstance(quantity.at, list) else last if quantity.at == "last" else 1
    gone = set(range(first, last + 1)) - epochs
    if last in gone:
        return f"stopped after epoch {max(epochs):.0f} of {last}"
    return f"epoch {min(gone)} of {last} is not there" if gone else None

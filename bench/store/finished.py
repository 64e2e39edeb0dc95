"""Which cases need not be measured again: their newest rows are whole, and of today's code, data and conditions.

Measures nothing and decides no claim; of a case that was measured and has to be again it says why.
"""

from collections.abc import Callable, Collection, Iterable, Mapping

import pandas

from bench.plan.case import Case, plain
from bench.plan.staleness import Today
from bench.records.measurement import canonical_json
from bench.records.metrics import METRICS, from_anywhere

COLUMNS = (
    *("case_id", "run_id", "started_at", "metric", "protocol", "epoch", "status", "device_name", "threads"),
    *("dataset_sha256", "code_sha256", "torch", "environment_id", "machine", "machine_name"),
)


def standing(
    rows: pandas.DataFrame,
    cases: Iterable[Case],
    here: tuple[str, int, str | None],
    today: Mapping[str, Today],
    data: Callable[[Case], str | None],
    machines: Collection[tuple[str | None, str | None]] = (),
) -> tuple[dict[str, str], dict[str, str]]:
    """The finished cases, id -> when they were measured; and those to measure again, id -> why.

    A case is finished when every row of its newest run by today's code is of the current protocol and of the data as it
    is now, and has its value; an epoch whose loss was not finite is a value too. Rows with a clock in them count
    only from the same device, number of threads, torch and machine (any, when none is named); counts and accuracies
    from anywhere.

    Args:
        rows: with `COLUMNS`, of these cases.
        here: device name, threads, torch.
        machines: id and name of those whose clocks count; a machine is the same while it has no other name.
    """
    asked = {case.id: case for case in cases}
    rows, old = _of_today(rows[~_elsewhere(rows, here, machines)], asked, today)
    known: dict[str, str | None] = {}  # many cases share a data set, and looking at its files takes a moment

    def data_of(case: Case) -> str | None:
        which = canonical_json(
            {"name": case.dataset, "args": plain(case.dataset_args), "alone": case.weights is not None}
        )
        return known[which] if which in known else known.setdefault(which, data(case))

    done: dict[str, str] = {}
    again: dict[str, str] = {}
    for case_id, found in _newest_if_whole(rows).groupby("case_id"):
        run_id, case = str(found["run_id"].iloc[0]), asked[str(case_id)]
        of_data = [str(each) for each in found["dataset_sha256"].dropna().unique()]
        if of_data and (now := data_of(case)) is not None and of_data != [now]:
            again[case.id] = f"the data of '{case.dataset_key or case.dataset}' changed since run {run_id}"
        else:
            done[case.id] = f"measured {found['started_at'].max():%Y-%m-%d %H:%M} UTC"
    measured = {str(case_id) for case_id in rows["case_id"].unique()}
    return done, {**again, **{case_id: why for case_id, why in old.items() if case_id not in measured}}


def _elsewhere(
    rows: pandas.DataFrame, here: tuple[str, int, str | None], machines: Collection[tuple[str | None, str | None]]
) -> pandas.Series:
    """Rows with a clock in them from another device, number of threads, torch or machine."""
    device_name, threads, torch = here
    elsewhere = rows["device_name"].ne(device_name) | rows["threads"].ne(threads)
    if torch is not None:
        elsewhere |= rows["torch"].ne(torch).fillna(value=True)
    if machines:
        same = pandas.Series(data=False, index=rows.index)
        for machine, name in machines:
            named = True if name is None else rows["machine_name"].fillna(name).eq(name)
            same |= rows["machine"].eq(str(machine)).fillna(value=False) & named
        elsewhere |= ~same.astype(bool)
    clocked = ~rows["metric"].isin(from_anywhere())
    return clocked & elsewhere.fillna(value=True).astype(bool)


def _of_today(
    rows: pandas.DataFrame, asked: Mapping[str, Case], today: Mapping[str, Today]
) -> tuple[pandas.DataFrame, dict[str, str]]:
    """The rows of today's code; and of each case with others, what has changed since the newest of these."""
    old: dict[str, str] = {}
    kept = pandas.Series(data=True, index=rows.index)
    ordered = rows.sort_values("started_at", ascending=False)
    codes = ordered[["case_id", "code_sha256", "run_id"]].drop_duplicates(["case_id", "code_sha256"])
    for case_id, code, run_id in codes.itertuples(index=False):
        case, known = asked[case_id], None if pandas.isna(code) else str(code)
        if why := _other_code(case, known, str(run_id), today.get(case.suite)):
            old.setdefault(case_id, why)
            same = rows["code_sha256"].isna() if known is None else rows["code_sha256"].eq(known).fillna(value=False)
            kept &= ~(rows["case_id"].eq(case_id) & same.astype(bool)).astype(bool)
    return rows[kept], old


def _other_code(case: Case, code: str | None, run_id: str, today: Today | None) -> str | None:
    if today is not None:
        return None if today.answers(case, code) else today.why(case, code, run_id)
    return f"the code of '{case.model}' changed since run {run_id}" if case.code_sha256 not in (None, code) else None


def _newest_if_whole(rows: pandas.DataFrame) -> pandas.DataFrame:
    """The rows of each case's newest run, where every one of them has its value by the current protocol."""
    newest = rows.sort_values("started_at").groupby("case_id")["run_id"].last()
    rows = rows[rows["run_id"].eq(rows["case_id"].map(newest))]
    # A plug-in's metric is not in the table; its protocol is taken for the current one.
    protocol = rows["metric"].map({name: metric.protocol for name, metric in METRICS.items()})
    valued = rows["status"].eq("ok") | (rows["status"].isin(["failed", "skipped"]) & rows["epoch"].notna())
    good = valued & (protocol.isna() | protocol.eq(rows["protocol"]))
    return rows[good.groupby(rows["case_id"]).transform("all")]

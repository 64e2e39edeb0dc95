"""Which cases need not be measured again: their newest rows are whole, and of today's code, data and conditions.

Measures nothing and decides no claim; of a case that was measured and has to be again it says why.
"""

from collections.abc import Callable, Iterable, Mapping

import pandas

from bench.plan.case import Case
from bench.plan.staleness import Today
from bench.records.metrics import METRICS, from_anywhere

COLUMNS = (
    *("case_id", "run_id", "started_at", "metric", "protocol", "epoch", "status", "device_name", "threads"),
    *("dataset_sha256", "code_sha256", "torch"),
)


def standing(
    rows: pandas.DataFrame,
    cases: Iterable[Case],
    here: tuple[str, int, str | None],
    today: Mapping[str, Today],
    data: Callable[[Case], str | None],
) -> tuple[dict[str, str], dict[str, str]]:
    """The finished cases, id -> when they were measured; and those to measure again, id -> why.

    A case is finished when every row of its newest run is of the current protocol, of today's code and of the data as
    it is now, and has its value; an epoch whose loss was not finite is a value too. Rows with a clock in them count
    only from the same device, number of threads and torch (any torch, when none is named); counts and accuracies from
    anywhere.

    Args:
        rows: with `COLUMNS`, of these cases.
        here: device name, threads, torch.
    """
    device_name, threads, torch = here
    elsewhere = rows["device_name"].ne(device_name) | rows["threads"].ne(threads)
    if torch is not None:
        elsewhere |= rows["torch"].ne(torch).fillna(True)
    clocked = ~rows["metric"].isin(from_anywhere())
    rows = rows[~(clocked & elsewhere)]
    newest = rows.sort_values("started_at").groupby("case_id")["run_id"].last()
    rows = rows[rows["run_id"].eq(rows["case_id"].map(newest))]
    # A plug-in's metric is not in the table; its protocol is taken for the current one.
    protocol = rows["metric"].map({name: metric.protocol for name, metric in METRICS.items()})
    valued = rows["status"].eq("ok") | (rows["status"].eq("failed") & rows["epoch"].notna())
    good = valued & (protocol.isna() | protocol.eq(rows["protocol"]))
    whole = rows[good.groupby(rows["case_id"]).transform("all")]
    done: dict[str, str] = {}
    again: dict[str, str] = {}
    by_case = dict(list(whole.groupby("case_id")))
    for case in cases:
        if (found := by_case.get(case.id)) is None:
            continue
        if why := _outdated(case, found, today.get(case.suite), data):
            again[case.id] = why
        else:
            done[case.id] = f"measured {found['started_at'].max():%Y-%m-%d %H:%M} UTC"
    return done, again


def _outdated(
    case: Case, rows: pandas.DataFrame, today: Today | None, data: Callable[[Case], str | None]
) -> str | None:
    """What has changed since a run measured a case; None when nothing has."""
    run_id = str(rows["run_id"].iloc[0])
    for code in rows["code_sha256"].unique():
        known = None if pandas.isna(code) else str(code)
        if today is not None and not today.answers(case, known):
            return today.why(case, known, run_id)
        if today is None and case.code_sha256 not in (None, known):
            return f"the code of '{case.model}' changed since run {run_id}"
    of_data = [str(each) for each in rows["dataset_sha256"].dropna().unique()]
    if of_data and (now := data(case)) is not None and of_data != [now]:
        return f"the data of '{case.dataset_key or case.dataset}' changed since run {run_id}"
    return None

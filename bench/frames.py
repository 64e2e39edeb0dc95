"""The rows that a suite's figures are drawn from, with the suite's own names beside them, and the curves it quotes.

Computes no statistic: rows are chosen and named here, never averaged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.ledger import Ledger
from bench.metrics import METRICS
from bench.spec import Curve, Suite

NAMES = ("measure_key", "model", "dataset_key", "recipe_key", "reduced")


@dataclass(frozen=True)
class PublishedCurve:
    """A curve as its source prints it, to be drawn behind the measured one."""

    label: str
    metric: str
    model: str
    dataset: str
    epochs: tuple[float, ...]
    values: tuple[float, ...]


def named(suite: Suite, suite_sha256: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The usable rows of the suite's cases: every case from its newest run, with the columns of `NAMES` added.

    `dataset_key` is what the suite asked for; the column `dataset` says what a profile put in its place.
    """
    about: dict[str, tuple[object, ...]] = {}
    for setting in Ledger(suite, suite_sha256, rows).settings:
        for case in (case for cases in setting.cases.values() for case in cases):
            found = (case.measure_key, case.model, case.dataset_key, case.recipe_key, setting.reduced)
            known = about.get(setting.ids[case.name])
            about[setting.ids[case.name]] = found if known is None or known[-1] else known
    protocols = rows["metric"].map({name: metric.protocol for name, metric in METRICS.items()})
    kept = rows[rows["case_id"].isin(list(about)) & (rows["status"] == "ok") & (rows["protocol"] == protocols)].copy()
    for position, name in enumerate(NAMES):
        kept[name] = kept["case_id"].map({case_id: found[position] for case_id, found in about.items()})
    kept = kept.sort_values(["started_at", "run_id"], kind="stable")
    return kept[kept["run_id"] == kept.groupby(["case_id", "metric"])["run_id"].transform("last")]


def fullest(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of one kind of profile on one device: full before reduced, CUDA before CPU; none when there are none."""
    for reduced in (False, True):
        for device in ("cuda", "cpu"):
            found = rows[(rows["reduced"] == reduced) & (rows["device"] == device)]
            if len(found):
                return found
    return rows.iloc[:0]


def published_curves(suite: Suite, folder: Path) -> tuple[list[PublishedCurve], list[str]]:
    """The curves the suite quotes, read from the files beside it; and for each that cannot be read, why."""
    curves, problems = [], []
    for key, curve in suite.curves.items():
        try:
            table = pd.read_csv(folder / curve.file)
            curves.append(_curve(curve, table))
        except (OSError, KeyError, ValueError) as error:
            problems.append(f"curve {key}: {curve.file} cannot be drawn ({type(error).__name__})")
    return curves, problems


def published_of(suite: Suite, metric: str) -> Mapping[tuple[str | None, str], tuple[float, str]]:
    """(measure, model) -> the published number of a metric and the claim it belongs to, where a claim is one number."""
    found: dict[tuple[str | None, str], tuple[float, str]] = {}
    for claim_id, claim in suite.claims.items():
        for check in claim.checks:
            quantity = suite.quantities.get(check.measured or "")
            if quantity and quantity.metric == metric and quantity.model and check.published is not None:
                found.setdefault((quantity.measure, quantity.model), (check.published, claim_id))
    return found


def _curve(curve: Curve, table: pd.DataFrame) -> PublishedCurve:
    for column, wanted in curve.where.items():
        table = table[table[column] == wanted]
    offset = 1 - curve.first_epoch
    epochs = tuple(float(epoch) + offset for epoch in table["epoch"])
    values = tuple(float(value) for value in table[curve.column])
    return PublishedCurve(curve.label, curve.metric, curve.model, curve.dataset, epochs, values)

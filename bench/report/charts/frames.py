"""What a suite's figures are about, in the suite's own words, and the curves it quotes.

Computes no statistic and chooses no rows: which rows speak is `verdicts.selection`'s business.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.plan.planner import models_of, plan, selected_by
from bench.suite.exhibits import Curve
from bench.suite.schema import Suite


@dataclass(frozen=True)
class PublishedCurve:
    """A curve as its source prints it, to be drawn behind the measured one."""

    label: str
    metric: str
    model: str
    dataset: str
    epochs: tuple[float, ...]
    values: tuple[float, ...]


def published_curves(suite: Suite, folder: Path) -> tuple[list[PublishedCurve], list[str]]:
    """The curves the suite quotes, read from the files beside it; and for each that cannot be read, why."""
    curves, problems = [], []
    for key, curve in suite.curves.items():
        try:
            table = pd.read_csv(folder / curve.file)
            curves.append(_curve(curve, table))
        except (OSError, KeyError, ValueError) as error:
            why = f"no column {error}" if isinstance(error, KeyError) else str(error)
            if isinstance(error, OSError):
                why = str(error.strerror)  # the rest of it is a path of this machine
            problems.append(f"curve {key}: {curve.file} cannot be drawn: {why}")
    return curves, problems


def trainings(suite: Suite) -> dict[tuple[str, str], str]:
    """(data set, recipe) of every training that the suite asks for -> the first measure that asks for it."""
    found: dict[tuple[str, str], str] = {}
    for key, measure in suite.measures.items():
        for dataset in measure.datasets:
            for recipe in measure.recipes:
                found.setdefault((dataset, recipe), key)
    return found


def trained_models(suite: Suite, dataset: str, recipe: str) -> list[str]:
    """The models of all measures that ask for this training, in the suite's order."""
    asked = [m for m in suite.measures.values() if dataset in m.datasets and recipe in m.recipes]
    found = {model for measure in asked for model in models_of(suite, measure)}
    return [model for model in suite.models if model in found]


def drawn_models(suite: Suite) -> list[str]:
    """The models that a figure may show beside each other, in the suite's order: all that are more than counted."""
    drawn = {
        model
        for key, measure in suite.measures.items()
        if (measure.measure or key) != "static" or measure.image_sizes
        for model in models_of(suite, measure)
    }
    return [model for model in suite.models if model in drawn]


def training_title(suite: Suite, dataset: str, recipe: str, profile: str | None = None) -> str:
    """What was trained on and how, in the suite's words; under a profile, with what that puts in the data's place."""
    used = suite.profiles[profile].datasets.get(dataset, dataset) if profile in suite.profiles else dataset
    data, how = suite.datasets[used].label, suite.recipes[recipe].label
    parts = [how if how.startswith(data) else f"{data}, {how}", f"profile {profile}" if profile else None]
    return ", ".join(part for part in parts if part)


def published_of(suite: Suite, metric: str) -> dict[tuple[str | None, str | None, str], float]:
    """(data set, recipe, model) -> the published number of a metric, where a claim is that one number."""
    cases = [case for profile in suite.profiles for case in plan(suite, "", profile)]
    found: dict[tuple[str | None, str | None, str], float] = {}
    for check in (check for claim in suite.claims.values() for check in claim.checks):
        quantity = suite.quantities.get(check.measured or "")
        if quantity and quantity.metric == metric and check.published is not None:
            for case in selected_by(quantity, cases):
                found.setdefault((case.dataset_key, case.recipe_key, case.model), check.published)
    return found


def _curve(curve: Curve, table: pd.DataFrame) -> PublishedCurve:
    for column, wanted in curve.where.items():
        table = table[table[column].astype(str) == str(wanted)]
    if table.empty:
        raise ValueError(f"no line with {dict(curve.where)}")
    offset = 1 - curve.first_epoch
    epochs = tuple(float(epoch) + offset for epoch in table["epoch"])
    values = tuple(float(value) for value in table[curve.column])
    return PublishedCurve(curve.label, curve.metric, curve.model, curve.dataset, epochs, values)

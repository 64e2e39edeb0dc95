"""A suite and a profile make an ordered list of cases, each once, each with a stable id.

Reads no clock and no file; the same question gets the same id on every machine.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import product
from typing import Any, TypeVar

from bench.errors import NothingSelected, UsageError, near
from bench.plan.case import Case
from bench.records.metrics import METRICS
from bench.registry import FROM_LOGITS, evaluations
from bench.suite import command
from bench.suite.data_facts import taken
from bench.suite.evaluations import EVALUATE
from bench.suite.recipe import Recipe
from bench.suite.schema import DatasetTable, MeasureTable, Profile, Quantity, Suite
from bench.suite.weights import Preparation

Value = TypeVar("Value")
MOST_CASES = 100_000


def plan(
    suite: Suite,
    suite_sha256: str,
    profile: str | None = None,
    device: str = "cpu",
    seeds: int | None = None,
) -> list[Case]:
    """The cases of a suite under a profile, in the suite's order, each question once; none where it measures nothing.

    Args:
        profile: a key of the suite's profiles; its default one when not given.
        seeds: replaces the number of seeds of suite and profile.

    Raises:
        UsageError: no such profile, or more cases than anybody could measure.
    """
    if not suite.measures:
        return []
    key = profile or suite.default_profile
    if key not in suite.profiles:
        raise UsageError(f"suite '{suite.id}' has no profile '{key}'.{near(key, list(suite.profiles))}")
    chosen = suite.profiles[key]
    _refuse_too_many(suite, chosen, seeds)
    start = Case("", suite.id, suite_sha256, key, measure="", model="", factory="", device=device)
    found: dict[str, Case] = {}
    for measure_key, measure in suite.measures.items():
        if measure_key not in chosen.skip:
            for case in _expand(suite, chosen, measure_key, measure, start, seeds):
                found.setdefault(case.id, case)
    return list(found.values())


def _refuse_too_many(suite: Suite, profile: Profile, seeds: int | None) -> None:
    planned = 0
    for key, measure in suite.measures.items():
        axes = (measure.datasets, measure.recipes, measure.image_sizes, measure.batch_sizes)
        points = math.prod(len(_or_none(axis)) for axis in axes) * len(_seeds(measure, profile, seeds))
        planned += points * len(models_of(suite, measure)) * (key not in profile.skip)
    if planned > MOST_CASES:
        raise UsageError(f"suite '{suite.id}' asks for {planned:,} cases, more than the {MOST_CASES:,} of a plan")


def select(cases: list[Case], patterns: Iterable[str], but: Iterable[str] = ()) -> list[Case]:
    """The cases whose name matches one of the patterns (`static*`, `accuracy/hybrid_*`), all when there is none.

    Args:
        but: patterns of names that are left out again.

    Raises:
        NothingSelected: no name matches, or all that do are left out; the message shows some.
    """
    wanted, unwanted = list(patterns), list(but)
    kept = [case for case in cases if not wanted or any(fnmatchcase(case.name, pattern) for pattern in wanted)]
    left = [case for case in kept if not any(fnmatchcase(case.name, pattern) for pattern in unwanted)]
    if not left:
        shown = ", ".join(case.name for case in cases[:8]) + (", …" if len(cases) > 8 else "")
        matches = " ".join(wanted) or "the selection"
        why = (
            f"no case matches {matches}" if not kept else f"--exclude {' '.join(unwanted)} leaves no case of {matches}"
        )
        raise NothingSelected(f"{why}. There are: {shown or 'none'}")
    return left


def selected_by(quantity: Quantity, cases: Iterable[Case]) -> list[Case]:
    """The cases that a quantity's keys select. A key that the quantity leaves out matches anything."""
    wanted = {
        "measure_key": quantity.measure,
        "model": quantity.model,
        "dataset_key": quantity.dataset,
        "recipe_key": quantity.recipe,
        "weights_key": quantity.weights,
        "batch_size": quantity.batch_size,
        "image_size": quantity.image_size,
    }
    return [
        case
        for case in cases
        if all(value is None or getattr(case, key) == value for key, value in wanted.items())
        and (quantity.metric is None or comes_of(case, quantity.metric))
    ]


def comes_of(case: Case, metric: str) -> bool:
    """Whether a case yields a metric: a command those that are read, and its seconds."""
    if case.measure == "command":
        return metric in (*case.options.get("read", ()), command.SECONDS)
    return yields(case.measure, metric)


def yields(measure: str, metric: str) -> bool:
    """Whether a measure yields a metric. A plug-in's measure and a command may yield any.

    What is worked out from logits comes from every measure that has them.
    """
    found = METRICS[metric]
    if measure in (found.measure, found.also):
        return True
    if measure in FROM_LOGITS:
        return not found.measure and evaluations.knows(metric)
    return measure not in {each.measure for each in METRICS.values()}


def _expand(
    suite: Suite, profile: Profile, key: str, measure: MeasureTable, start: Case, seeds: int | None
) -> Iterator[Case]:
    """Every combination of the measure's models, data sets, recipes, image sizes, batch sizes and seeds."""
    begun = replace(
        start,
        measure=measure.measure or key,
        measure_key=key,
        precision=measure.precision,
        layout=measure.layout,
        compiled=measure.compiled,
        time_limit_s=measure.time_limit_s,
    )
    axes = product(
        models_of(suite, measure),
        _or_none(measure.datasets),
        _or_none(measure.recipes),
        _or_none(measure.image_sizes),
        _or_none(measure.batch_sizes),
        _seeds(measure, profile, seeds),
    )
    for model, dataset, recipe, image_size, batch_size, seed in axes:
        case = _with_model(begun, suite, model, image_size, batch_size)
        case = _with_data(case, suite, profile, dataset, image_size)
        case = replace(_with_recipe(case, suite, profile, recipe), seed=seed)
        case = replace(case, options=_options(suite, measure, image_size))
        for weights in weights_of(suite, measure, begun.measure, model):
            used = _with_weights(case, suite, weights, image_size)
            used = replace(used, name=_name(used, image_size))
            yield _with_command(used, suite, measure, profile) if measure.run else used


def _or_none(values: Sequence[Value]) -> Sequence[Value | None]:
    """An axis that the suite leaves out has one point."""
    return values or [None]


def models_of(suite: Suite, measure: MeasureTable) -> list[str]:
    """The model keys that a measure's patterns select, in the suite's order."""
    found = [key for key in suite.models if any(fnmatchcase(key, pattern) for pattern in measure.models)]
    # What nothing can build is for commands, and for who asks for it by name.
    return [key for key in found if suite.models[key].factory or measure.run or key in measure.models]


def _with_command(case: Case, suite: Suite, measure: MeasureTable, profile: Profile) -> Case:
    """Of somebody else's code the question is what it is told: our own model of that name is none of it."""
    told = [
        f"{name} {profile.values[name]} in place of {value}"
        for name, value in measure.values.items()
        if profile.values.get(name, value) != value
    ]
    return replace(
        case,
        factory="",
        model_args={},
        options=command.asked(measure, case.model, suite.models[case.model], profile.values),
        deviations=_joined(case.deviations, *told),
    )


def weights_of(suite: Suite, measure: MeasureTable, name: str, model: str) -> Sequence[str | None]:
    """The weights of a model that a measure takes, in the suite's order; those of none where it takes no weights."""
    if not measure.weights and name != EVALUATE:
        return [None]
    patterns = measure.weights or ["*"]
    own = [key for key, table in suite.weights.items() if table.model == model]
    return [key for key in own if any(fnmatchcase(key, pattern) for pattern in patterns)]


def _with_weights(case: Case, suite: Suite, key: str | None, image_size: int | None) -> Case:
    if key is None:
        return case
    table = suite.weights[key]
    stated = table.preprocess.size if isinstance(table.preprocess, Preparation) else None
    return replace(
        case,
        weights=table.question,
        weights_key=key,
        weights_origin=table.origin,
        image_size=image_size or stated or case.image_size,
    )


def _options(suite: Suite, measure: MeasureTable, image_size: int | None) -> dict[str, Any]:
    if measure.versus is None:
        return dict(measure.options)
    other = suite.models[measure.versus]
    versus = {
        "factory": other.factory,
        "args": other.args,
        "num_classes": other.num_classes,
        "image_size": image_size or other.image_size,
    }
    return {**measure.options, "versus": versus}


def _seeds(measure: MeasureTable, profile: Profile, override: int | None) -> Sequence[int | None]:
    """A training always has a seed; anything else has one where the suite asks for it, for most depends on none."""
    if not measure.recipes and "seeds" not in measure.model_fields_set:
        return [None]
    wanted = override or profile.seeds or measure.seeds
    return range(wanted) if isinstance(wanted, int) else wanted


def _with_model(case: Case, suite: Suite, key: str, image_size: int | None, batch_size: int | None) -> Case:
    model = suite.models[key]
    return replace(
        case,
        model=key,
        factory=model.factory,
        model_args=model.args,
        num_classes=model.num_classes,
        image_size=image_size or model.image_size,
        batch_size=batch_size,
        deviations=model.deviations,
    )


def _size_of_data(case: Case, suite: Suite, dataset: DatasetTable, image_size: int | None) -> int:
    """Of a model that does not say its image size, that of the data, where it is known before they are opened."""
    if image_size is not None or "image_size" in suite.models[case.model].model_fields_set:
        return case.image_size
    facts = taken(dataset.name, dataset.args)
    return (facts.image_size if facts else None) or case.image_size


def _with_data(case: Case, suite: Suite, profile: Profile, key: str | None, image_size: int | None) -> Case:
    if key is None:
        return case
    used = profile.datasets.get(key, key)
    dataset = suite.datasets[used]
    swapped = f"{dataset.label} in place of {suite.datasets[key].label}" if used != key else None
    return replace(
        case,
        dataset=dataset.name,
        dataset_args=dataset.args,
        dataset_key=key,
        num_classes=dataset.classes,
        image_size=_size_of_data(case, suite, dataset, image_size),
        deviations=_joined(case.deviations, swapped),
    )


def _with_recipe(case: Case, suite: Suite, profile: Profile, key: str | None) -> Case:
    if key is None:
        return case
    training = suite.recipes[key]
    recipe = training.settings.changed(profile.recipe, f"[profiles.{case.profile}.recipe] on {key}")
    return replace(
        case,
        recipe=recipe,
        recipe_key=key,
        batch_size=recipe.batch_size,
        precision=recipe.precision,
        deviations=_joined(case.deviations, training.deviations, *_changes(training.settings, recipe, profile)),
    )


def _changes(published: Recipe, used: Recipe, profile: Profile) -> Iterator[str]:
    """What a profile trains otherwise: `epochs 2 in place of 30`."""
    before, now = (
        {key: value if isinstance(value, str) else json.dumps(value) for key, value in dumped.items()}
        for dumped in (published.model_dump(mode="json"), used.model_dump(mode="json"))
    )
    for key in before:
        if key in profile.recipe.model_fields_set and before[key] != now[key]:
            was = before[key] if key in published.model_fields_set else "the default"
            yield f"{key} {now[key]} in place of {was}"


def _joined(*parts: str | None) -> str | None:
    return "; ".join(part for part in parts if part) or None


def _name(case: Case, image_size: int | None) -> str:
    batch = f"batch{case.batch_size}" if case.batch_size and case.recipe is None else None
    size = f"{image_size}px" if image_size else None
    seed = None if case.seed is None else f"seed{case.seed}"
    parts = [case.measure_key, case.model, case.weights_key, case.dataset_key, case.recipe_key, size, batch, seed]
    return "/".join(part for part in parts if part)

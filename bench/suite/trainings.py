"""Whether what a suite trains fits together: recipe, profile, data and model of every training it asks for.

Plans no case and opens no data; what is known of a data set before it is opened decides.
"""

import math
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from bench.errors import UsageError
from bench.registry import models
from bench.suite.data_facts import KnownData, taken, whole
from bench.suite.draft import Draft
from bench.suite.recipe import Crop, OneCycle, Recipe
from bench.suite.schema import MeasureTable


def training_problems(draft: Draft, sound_data: set[str]) -> Iterator[str]:
    """What is wrong with trainings, each thing once.

    Args:
        sound_data: the data sets whose arguments were found sound.
    """
    yield from _class_problems(draft, sound_data)
    yield from dict.fromkeys(_of_each(draft, sound_data))


def _class_problems(draft: Draft, sound_data: set[str]) -> Iterator[str]:
    for key, dataset in draft.suite.datasets.items():
        facts = taken(dataset.name, dataset.args) if key in sound_data else None
        if facts and (tiles := _tiles(facts, dataset.args)):
            yield f"[datasets.{key}.args]: patch_size: {tiles}"
        if facts and facts.classes not in (None, dataset.classes):
            yield f"[datasets.{key}]: classes: '{dataset.name}' has {facts.classes}, not {dataset.classes}"


def _tiles(facts: KnownData, args: Mapping[str, Any]) -> str | None:
    """Why the pixels of the images cannot be put in another order patch by patch."""
    patch, size = args.get("patch_size", 4), facts.image_size
    if args.get("order") in ("patches", "within_patches") and size is not None and size % patch:
        return f"patches of {patch} do not tile images of {size} px"
    return None


def _of_each(draft: Draft, sound_data: set[str]) -> Iterator[str]:
    suite = draft.suite
    for name, profile in suite.profiles.items():
        for key, training in suite.recipes.items():
            if not (draft.sound("recipes", key, "settings") and draft.sound("profiles", name, "recipe")):
                continue
            over, own = f"[profiles.{name}.recipe] on {key}", f"[recipes.{key}.settings]"
            try:
                recipe = training.settings.changed(profile.recipe, over)
            except UsageError as error:
                yield from str(error).splitlines()
                continue
            for measure in (each for each in suite.measures if each not in profile.skip):
                for facts in _data(draft, suite.measures[measure], key, profile.datasets, sound_data):
                    of = suite.measures[measure]
                    sizes, normed = _sizes(draft, of, facts), _normed(draft, of)
                    before = set(_unfit(training.settings, facts, sizes, normed))
                    for path, text in _unfit(recipe, facts, sizes, normed):
                        yield f"{own if (path, text) in before else over}.{path}: {text} (measures.{measure})"
                yield from _precision(measure, suite.measures[measure], key, recipe)


def _data(
    draft: Draft, measure: MeasureTable, recipe: str, swaps: dict[str, str], sound_data: set[str]
) -> Iterator[KnownData]:
    """What is known of each data set that a measure trains on by this recipe."""
    for key in measure.datasets if recipe in measure.recipes else ():
        used = swaps.get(key, key)
        dataset = draft.suite.datasets.get(used)
        yield (taken(dataset.name, dataset.args) if dataset and used in sound_data else None) or KnownData(
            decoded=dataset is not None and whole(dataset.name) is not None and used in sound_data
        )


def _models(draft: Draft, measure: MeasureTable) -> list[str]:
    return [key for key in draft.suite.models if any(fnmatchcase(key, pattern) for pattern in measure.models)]


def _sizes(draft: Draft, measure: MeasureTable, facts: KnownData) -> list[int]:
    if facts.image_size is not None:
        return [facts.image_size]
    return measure.image_sizes or [draft.suite.models[key].image_size for key in _models(draft, measure)]


def _normed(draft: Draft, measure: MeasureTable) -> list[str]:
    """The models that normalise over a batch, as far as the file that offers them says so."""
    return [key for key in _models(draft, measure) if _normalises(draft.suite.models[key].factory)]


@cache
def _normalises(factory: str) -> bool:
    path = models.file_of(factory)
    return path is not None and "BatchNorm" in path.read_text(encoding="utf-8")


def _unfit(recipe: Recipe, facts: KnownData, sizes: list[int], normed: list[str]) -> Iterator[tuple[str, str]]:
    """Which keys of a recipe do not fit the data and the models: path below the recipe, and why."""
    for number, part in enumerate(recipe.augment):
        if isinstance(part, Crop) and sizes and part.padding >= min(sizes):
            yield f"augment[{number}].crop.padding", f"{part.padding} moves images of {min(sizes)} px out of sight"
        if part.name == "resized_crop" and facts.decoded:
            yield f"augment[{number}]", "'resized_crop' cuts image files, and this data set has its images decoded"
    batches = None if facts.n_train is None else _batches(recipe, facts.n_train)
    if facts.n_train == 0:
        yield "batch_size", "there is no training image: the share of the data that is asked for rounds to none"
    elif batches == 0:
        yield "drop_last", f"leaves out all {facts.n_train} images: a batch has {recipe.batch_size}"
    elif isinstance(recipe.schedule, OneCycle):
        steps = _steps(recipe, recipe.schedule, batches)
        if steps is not None and math.isclose(recipe.schedule.pct_start * steps, 1):
            rise = f"{recipe.schedule.pct_start:g} of {steps} steps is 1, so that the rise has no width"
            yield "schedule.onecycle.pct_start", rise

    if normed and facts.n_train is not None and alone(recipe, facts.n_train):
        which = "every batch" if recipe.batch_size == 1 else f"the last of {facts.n_train} images"
        yield "batch_size", f"{which} is a batch of one image, over which '{normed[0]}' would normalise"


def alone(recipe: Recipe, images: int) -> bool:
    """Whether an epoch over so many images has a batch of a single one."""
    return recipe.batch_size == 1 or (images % recipe.batch_size == 1 and not recipe.drop_last)


def _batches(recipe: Recipe, images: int) -> int:
    full, rest = divmod(images, recipe.batch_size)
    return full if recipe.drop_last else full + (rest > 0)


def _steps(recipe: Recipe, schedule: OneCycle, batches: int | None) -> int | None:
    """How often the schedule moves in a training, as `training.schedules` counts it; None where nobody knows yet."""
    if schedule.step == "epoch":
        return math.floor(recipe.epochs - schedule.warmup_epochs)
    return None if batches is None else recipe.epochs * batches - round(schedule.warmup_epochs * batches)


def _precision(key: str, measure: MeasureTable, recipe_key: str, recipe: Recipe) -> Iterator[str]:
    written = "precision" in measure.model_fields_set
    if recipe_key in measure.recipes and written and measure.precision != recipe.precision:
        yield f"[measures.{key}]: precision: recipe '{recipe_key}' trains in {recipe.precision}"

"""What a training that a suite names takes on a device, predicted from its model's kept account, and in words why.

Traces nothing: where no account is kept, nothing is predicted. `bench run` and `bench predict` keep them.
"""

from dataclasses import dataclass, replace

from bench.cost import kept
from bench.cost.efficiencies import interval
from bench.cost.pipeline import off_by, pipeline
from bench.cost.prediction import Conditions, Step, predict_step
from bench.cost.this_machine import from_table
from bench.cost.training import Length, Pipeline, Plan, length
from bench.suite.data_facts import whole
from bench.suite.exhibits import TrainingCost
from bench.suite.recipe import Recipe
from bench.suite.schema import Suite

USUAL_BATCH = 128  # where a suite names no recipe
_SHARES = {"erasing": "p"}  # augmentations that leave most images as they are


@dataclass(frozen=True)
class PredictedTraining:
    """A training's length on a device with its interval in seconds, and the step that it is made of."""

    length: Length
    low: float
    high: float
    step: Step


def predicted(suite: Suite, training: TrainingCost, device: str) -> PredictedTraining | None:
    """The training on a device of the table, prepared by the recipe's augmentations on two workers of its host."""
    model = suite.models[training.model]
    recipe = suite.recipes[training.recipe].settings if training.recipe else None
    mixed = recipe is None or recipe.precision != "float32"
    of = kept.TracedModel(model.factory, model.args, model.num_classes, model.image_size)
    update, test = (kept.recall(of, training=step, mixed=mixed) for step in (True, False))
    if update is None or test is None:
        return None
    on = from_table(device)
    conditions = Conditions(recipe.batch_size if recipe else USUAL_BATCH, "amp" if mixed else "float32")
    steps = [predict_step(one, on.device, conditions, on.efficiencies) for one in (update, test)]
    known = whole(suite.datasets[training.dataset].name) if training.dataset else None
    plan = Plan(training.epochs, training.images, (known.n_test or 0) if known else 0)
    prepared = pipeline(augmentations(recipe), model.image_size)
    low, high = interval(update, on.device.sort)
    found = [
        length(plan, conditions.batch, steps[0].seconds * by, steps[1].seconds * by, slower(prepared, host))
        for by, host in ((1.0, 1.0), (low, 1 / off_by()), (high, off_by()))
    ]
    return PredictedTraining(found[0], found[1].seconds, found[2].seconds, steps[0])


def slower(pipeline: Pipeline, by: float) -> Pipeline:
    """The pipeline on a host that takes so many times as long."""
    return replace(pipeline, core_share=pipeline.core_share / by)


def augmentations(recipe: Recipe | None) -> list[tuple[str, float]]:
    """The names of a recipe's augmentations, each with the share of images that it works on."""
    given = recipe.augment if recipe else ()
    return [(each.name, float(getattr(each, _SHARES.get(each.name, ""), 1.0))) for each in given]

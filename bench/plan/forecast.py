"""How long a case will about take and what it will about cost: for the plan that is printed before a run.

A prediction from the account of a model where one is kept, else an estimate from closed forms and assumed speeds. Never
a row, never compared with anything.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.cost import kept, this_machine
from bench.cost.closed_forms import Counts, closed_form
from bench.cost.devices import recognise
from bench.cost.efficiencies import interval
from bench.cost.money import cost_of_seconds, expected_seconds
from bench.cost.this_machine import KnownDevice
from bench.cost.training import Length, Pipeline, Plan, length
from bench.plan.case import Case
from bench.registry import models
from bench.suite.data_facts import taken

# Seconds that a case of these measures takes at CIFAR size, building the model included; seen on a 2-core machine.
_SECONDS = {"static": 1.0, "timing": 6.0, "side_by_side": 5.0, "memory": 1.0}
_OTHERWISE = 10.0
# Bytes of Python with torch in it; and how often images, weights (gradients, two moments, a checkpoint) and outputs of
# layers (norms and activation functions keep theirs too) are in memory while a model learns.
_PROGRAM_BYTES = 600 * 2**20
_COPIES_OF_IMAGES, _COPIES_OF_WEIGHTS, _KEPT_FOR_GRADIENTS = 2, 5, 4
ROUGH = (0.5, 2.0)  # where nothing but closed forms is known
LONG = 200_000  # images: some minutes on two cores
ELSEWHERE = "t4"  # the card whose price stands in a plan


@dataclass(frozen=True)
class Expected:
    """Seconds of a case, and between which four of five such cases would end."""

    seconds: float
    low: float
    high: float


def seconds(case: Case, cores: int) -> float | None:
    """About how long a case will take; None when nothing is known of its size."""
    found = expected(case, cores)
    return found.seconds if found else None


def expected(case: Case, cores: int, device_name: str | None = None) -> Expected | None:
    """How long a case will take, with an interval; None when nothing is known of its size.

    Args:
        device_name: as a run records it; without it, the estimate is one of closed forms.
    """
    if case.measure == "command":
        return None
    if case.recipe is None:
        usual = _SECONDS.get(case.measure, _OTHERWISE)
        return Expected(usual, usual * ROUGH[0], usual * ROUGH[1])
    on = this_machine.here(device_name, cores if case.device == "cpu" else None) if device_name else None
    return (_predicted(case, on) if on else None) or _estimated(case, cores)


def elsewhere(case: Case, name: str = ELSEWHERE) -> Expected | None:
    """How long a training would take on a device of the table; None for any other case, or without its account."""
    return _predicted(case, this_machine.from_table(name)) if case.recipe else None


def model_of(case: Case) -> kept.TracedModel:
    """What the account of a case's model is kept under."""
    return kept.TracedModel(case.factory, case.model_args, case.num_classes, case.image_size)


def worth_tracing(case: Case) -> bool:
    """Whether a case trains for so long that a plan is worth the second in which its model is traced."""
    data = taken(case.dataset, case.dataset_args) if case.dataset and case.recipe else None
    return bool(data and data.n_train and case.recipe and data.n_train * case.recipe.epochs >= LONG)


def untraced(cases: Iterable[Case]) -> list[Case]:
    """The long trainings of models that bench itself brings and nobody has traced yet."""
    own = models.built_in()
    return [
        case
        for case in cases
        if worth_tracing(case)
        and case.factory.partition(":")[0] in own
        and kept.recall(model_of(case), training=True, mixed=mixed(case)) is None
    ]


def mixed(case: Case) -> bool:
    """Whether the case trains in half precision by autocast."""
    return case.recipe is not None and case.recipe.precision != "float32"


def _predicted(case: Case, on: KnownDevice) -> Expected | None:
    from bench.cost.prediction import Conditions, predict_step  # numpy, which most commands need not wait for

    update = kept.recall(model_of(case), training=True, mixed=mixed(case))
    test = kept.recall(model_of(case), training=False, mixed=mixed(case))
    data = taken(case.dataset, case.dataset_args) if case.dataset else None
    if update is None or test is None or case.recipe is None or data is None or not data.n_train:
        return None
    conditions = Conditions(case.recipe.batch_size, "amp" if mixed(case) else "float32", case.layout, case.compiled)
    steps = [predict_step(one, on.device, conditions, on.efficiencies).seconds for one in (update, test)]
    plan = Plan(case.recipe.epochs, data.n_train, data.n_test or 0)
    factors = interval(update, on.device.sort)
    found: list[Length] = [
        length(plan, conditions.batch, steps[0] * by, steps[1] * by, Pipeline()) for by in (1.0, *factors)
    ]
    return Expected(*(each.seconds for each in found))


def _estimated(case: Case, cores: int) -> Expected | None:
    data = taken(case.dataset, case.dataset_args) if case.dataset else None
    counts = _counts(case)
    if counts is None or case.recipe is None or data is None or data.n_train is None or data.n_test is None:
        return None
    epochs = case.recipe.epochs
    found = expected_seconds(counts.macs, data.n_train, epochs, case.device, cores=cores, test_images=data.n_test)
    return Expected(found, found * ROUGH[0], found * ROUGH[1])


def memory_bytes(case: Case) -> int:
    """About how much main memory a case takes, generously: the program, its images, weights and activations.

    On a graphics card weights and activations are the card's; what is unknown of a model counts as a small one.
    """
    counts, data = _counts(case), taken(case.dataset, case.dataset_args) if case.dataset else None
    images = 0
    if data is not None and data.decoded and data.image_size:
        images = _COPIES_OF_IMAGES * 3 * data.image_size**2 * ((data.n_train or 0) + (data.n_test or 0))
    if counts is None or case.device != "cpu":
        return _PROGRAM_BYTES + images
    weights = counts.params * 4 * (_COPIES_OF_WEIGHTS if case.recipe else 1)
    kept = _KEPT_FOR_GRADIENTS if case.recipe else 1
    return _PROGRAM_BYTES + images + weights + kept * counts.activation_bytes * (case.batch_size or 1)


def _counts(case: Case) -> Counts | None:
    """The model's size, or None where its arguments make no model: that is told when it is built."""
    try:
        return closed_form(case.factory, case.model_args, num_classes=case.num_classes, image_size=case.image_size)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None


def total(cases: Iterable[Case], cores: int, device_name: str | None = None) -> tuple[float, int]:
    """Seconds of all cases whose length can be said, and how many cannot."""
    each = [expected(case, cores, device_name) for case in cases]
    return sum(one.seconds for one in each if one is not None), sum(one is None for one in each)


def span(cases: Iterable[Case], cores: int, device_name: str | None = None) -> Expected:
    """All cases whose length can be said, one after the other: the ends are those of all cases together."""
    each = [one for case in cases if (one := expected(case, cores, device_name))]
    return Expected(*(sum(getattr(one, end) for one in each) for end in ("seconds", "low", "high")))


def usd(length_s: float, device_name: str) -> float | None:
    """Dollars that so many seconds cost on a device of the price table; None for any other, such as this CPU."""
    known = recognise(device_name)
    return cost_of_seconds(length_s, known.name).usd if known else None

"""How long a case will about take and what it will about cost: for the plan that is printed before a run.

An estimate from closed forms and assumed speeds. Never a row, never compared with anything.
"""

from collections.abc import Iterable

from bench.cost.closed_forms import Counts, closed_form
from bench.cost.devices import recognise
from bench.cost.money import cost_of_seconds, expected_seconds
from bench.plan.case import Case
from bench.suite.data_facts import taken

# Seconds that a case of these measures takes at CIFAR size, building the model included; seen on a 2-core machine.
_SECONDS = {"static": 1.0, "timing": 6.0, "side_by_side": 5.0, "memory": 1.0}
_OTHERWISE = 10.0
# Bytes of Python with torch in it; and how often images, weights (gradients, two moments, a checkpoint) and outputs of
# layers (norms and activation functions keep theirs too) are in memory while a model learns.
_PROGRAM_BYTES = 600 * 2**20
_COPIES_OF_IMAGES, _COPIES_OF_WEIGHTS, _KEPT_FOR_GRADIENTS = 2, 5, 4


def seconds(case: Case, cores: int) -> float | None:
    """About how long a case will take; None when nothing is known of its size."""
    if case.measure == "command":
        return None
    if case.recipe is None:
        return _SECONDS.get(case.measure, _OTHERWISE)
    data = taken(case.dataset, case.dataset_args) if case.dataset else None
    counts = _counts(case)
    if counts is None or data is None or data.n_train is None or data.n_test is None:
        return None
    epochs = case.recipe.epochs
    return expected_seconds(counts.macs, data.n_train, epochs, case.device, cores=cores, test_images=data.n_test)


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


def total(cases: Iterable[Case], cores: int) -> tuple[float, int]:
    """Seconds of all cases whose length can be said, and how many cannot."""
    each = [seconds(case, cores) for case in cases]
    return sum(length for length in each if length is not None), sum(length is None for length in each)


def usd(length_s: float, device_name: str) -> float | None:
    """Dollars that so many seconds cost on a device of the price table; None for any other, such as this CPU."""
    known = recognise(device_name)
    return cost_of_seconds(length_s, known.name).usd if known else None

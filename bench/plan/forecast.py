"""How long a case will about take and what it will about cost: for the plan that is printed before a run.

An estimate from closed forms and assumed speeds. Never a row, never compared with anything.
"""

from collections.abc import Iterable

from bench.cost.closed_forms import closed_form
from bench.cost.devices import recognise
from bench.cost.money import cost_of_seconds, expected_seconds
from bench.plan.case import Case

# Seconds that a case of these measures takes at CIFAR size, building the model included; seen on a 2-core machine.
_SECONDS = {"static": 1.0, "timing": 4.0, "side_by_side": 5.0, "memory": 1.0}
_OTHERWISE = 10.0
# Images (training, test) of the data sets that are known before they are opened.
_IMAGES = {"cifar10": (50_000, 10_000), "cifar100": (50_000, 10_000), "cifar10_sample": (5_000, 2_000)}


def seconds(case: Case, cores: int) -> float | None:
    """About how long a case will take; None when nothing is known of its size."""
    if case.recipe is None:
        return _SECONDS.get(case.measure, _OTHERWISE)
    counts = closed_form(case.factory, case.model_args, num_classes=case.num_classes, image_size=case.image_size)
    if counts is None or case.dataset not in _IMAGES:
        return None
    chosen = case.dataset_args
    train, test = _IMAGES[case.dataset]
    train = chosen.get("n_train", round(train * chosen.get("train_fraction", 1.0)))
    test = chosen.get("n_test", test)
    return expected_seconds(counts.macs, train, case.recipe["epochs"], case.device, cores=cores, test_images=test)


def total(cases: Iterable[Case], cores: int) -> tuple[float, int]:
    """Seconds of all cases whose length can be said, and how many cannot."""
    each = [seconds(case, cores) for case in cases]
    return sum(length for length in each if length is not None), sum(length is None for length in each)


def usd(length_s: float, device_name: str) -> float | None:
    """Dollars that so many seconds cost on a device of the price table; None for any other, such as this CPU."""
    known = recognise(device_name)
    return cost_of_seconds(length_s, known.name).usd if known else None

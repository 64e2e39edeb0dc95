"""The account of any registered model, by its name and arguments, and what a device makes of it.

Traces each model once and keeps its account for other commands. Allocates no weight and times nothing.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from bench.cost import kept
from bench.cost.devices import Device
from bench.cost.efficiencies import interval
from bench.cost.prediction import Conditions, Step, largest_batch, predict_step
from bench.cost.this_machine import KnownDevice
from bench.cost.work import Account
from bench.errors import MeasurementError, UsageError
from bench.measures.instruments.model import build
from bench.measures.instruments.wrappers import Attempt, unwrapped
from bench.plan.case import Case
from bench.plan.forecast import mixed as mixed_of
from bench.plan.forecast import model_of
from bench.prediction.tracing import account_of


def account(case: Case, *, training: bool = False, mixed: bool = False) -> Account:
    """The account of the case's model.

    Raises:
        UsageError: the model cannot be built from these arguments.
        MeasurementError: it does not run on the meta device.
    """
    model = model_of(case)
    key = kept.digest(model, training=training, mixed=mixed)
    if key in _KNOWN:
        return _KNOWN[key]
    found = kept.recall(model, training=training, mixed=mixed)
    if found is None:
        found = _traced(case, training, mixed)
        kept.remember(model, found)
    _KNOWN[key] = found
    return found


_KNOWN: dict[str, Account] = {}


def keep(cases: Iterable[Case]) -> None:
    """Trace and keep what a plan needs to know of trainings; a model that cannot be traced is left out."""
    for case in cases:
        with suppress(MeasurementError, UsageError):
            for training in (True, False):
                account(case, training=training, mixed=mixed_of(case))


def _traced(case: Case, training: bool, mixed: bool) -> Account:
    with Attempt() as attempt:
        model = unwrapped(build(case, device="meta"))
        return account_of(model, case.image_size, training=training, mixed=mixed)
    told = str(attempt.refusal).strip().partition("\n")[0]
    raise MeasurementError(f"{case.factory} cannot be traced without data: {type(attempt.refusal).__name__}: {told}")


@dataclass(frozen=True)
class Predicted:
    """One step of a model on a device; four of five measured ones are expected between `low` and `high` times it."""

    device: Device
    conditions: Conditions
    training: bool
    step: Step
    test_step_s: float  # of evaluating as many images, where it is a training; else the step's
    low: float
    high: float
    peak_bytes: float
    largest_batch: int | None


def predicted(case: Case, on: KnownDevice, conditions: Conditions, *, training: bool = False) -> Predicted:
    """What is to be expected of the case's model on the device.

    Raises:
        UsageError, MeasurementError: as `account` does.
    """
    device, known = on.device, on.efficiencies
    found = account(case, training=training, mixed=conditions.mixed)
    step = predict_step(found, device, conditions, known)
    test = predict_step(account(case, mixed=conditions.mixed), device, conditions, known) if training else step
    narrow = 0.5 if conditions.precision in ("bfloat16", "float16") else 1.0
    low, high = interval(found, device.sort)
    return Predicted(
        device, conditions, training, step, test.seconds, low, high,
        found.peak_bytes(conditions.batch) * narrow, largest_batch(found, device, conditions),
    )  # fmt: skip

"""Calls every evaluation with the logits and labels of a test set, and makes readings of what it returns.

Works out no number itself, and lets one evaluation that fails cost none of the others.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from bench.errors import MeasurementError, near
from bench.records.measurement import Reading
from bench.records.metrics import METRICS
from bench.registry import OTHERS_ERRORS, evaluations

MOST_LOGITS = 2**30  # numbers that are kept of a test set: 4 GiB
_TRIED_ON = 64  # images


def evaluated(logits: Tensor, labels: Tensor, epoch: int | None = None) -> Iterator[Reading]:
    """A reading for every number that an evaluation returns: one, or one for each part.

    Args:
        logits: float32 (N, C) on the CPU.
        labels: int64 (N,).
        epoch: after which they were taken.
    """
    for name in evaluations.names():
        try:
            found = evaluations.get(name)(logits.clone(), labels.clone())
        except OTHERS_ERRORS as error:
            reason = f"the evaluation '{name}' failed: {type(error).__name__}: {error}"
            yield Reading(name, None, epoch=epoch, status="failed", reason=reason)
            continue
        parts = found if isinstance(found, Mapping) else {None: found}
        for part, value in parts.items():
            if value is not None:  # None: it does not apply here
                yield Reading(name, value, part=None if part is None else str(part), epoch=epoch)


def try_out(images: int, classes: int) -> None:
    """Call every evaluation with made logits, so that a slip in one shows now and not after hours of training.

    Raises:
        MeasurementError: an evaluation that fails, or one whose metric nobody declares.
    """
    count = max(1, min(images, _TRIED_ON))
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((count, classes), generator=generator)
    labels = torch.arange(count) % classes
    for name in evaluations.names():
        if name not in METRICS:
            mend = f"declare it: [metrics.{name}] with unit, better and meaning."
            raise MeasurementError(f"the evaluation '{name}' has no metric of its name; {mend}{near(name, [*METRICS])}")
    for reading in evaluated(logits, labels):
        if reading.status == "failed":
            raise MeasurementError(f"{reading.reason}, called with {count} made images of {classes} classes")

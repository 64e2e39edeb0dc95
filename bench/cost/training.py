"""How long a whole training takes: its steps, the images that have to be prepared for them, evaluation, checkpoints.

Predicts no step, `prediction` does; and knows a pipeline only by the seconds that one core takes for an image.
"""

import math
from dataclasses import dataclass
from typing import Literal

from bench.cost.devices import SECONDS_PER_HOUR, Device, SourcedFigure

Waits = Literal["device", "pipeline"]
DISK_BYTES_PER_S = 200e6  # of a checkpoint: a cloud's standard disk, assumed
STATE_NUMBERS = 3  # a weight and the optimiser's two moments


@dataclass(frozen=True)
class Pipeline:
    """The preparation of images on a host's cores. `core_s` is one core's time for a training image; 0: no waiting.

    `core_share` is what a core of the host does of the core that was measured.
    """

    core_s: float = 0.0
    test_core_s: float = 0.0
    workers: int = 2
    core_share: float = 1.0

    def seconds(self, images: float, of_one: float) -> float:
        """Seconds until so many images are prepared."""
        return images * of_one / (max(self.workers, 1) * self.core_share)


@dataclass(frozen=True)
class Plan:
    """A training: images an epoch, those that are evaluated after it, and how often the weights are kept."""

    epochs: int
    images: int
    test_images: int = 0
    checkpoints: int = 0


@dataclass(frozen=True)
class Length:
    """Seconds of a training and of one epoch's parts; `waits` is what its steps wait for."""

    seconds: float
    epoch_s: float
    steps_s: float
    pipeline_s: float
    evaluation_s: float
    checkpoint_s: float
    waits: Waits


def length(
    plan: Plan, batch: int, step_s: float, test_step_s: float, pipeline: Pipeline, parameters: int = 0
) -> Length:
    """The training's length.

    Args:
        step_s: of one update with a whole batch.
        test_step_s: of one evaluation of a whole batch.
    """
    steps = math.ceil(plan.images / batch) * step_s
    prepared = pipeline.seconds(plan.images, pipeline.core_s)
    evaluated = math.ceil(plan.test_images / batch) * test_step_s
    evaluated = max(evaluated, pipeline.seconds(plan.test_images, pipeline.test_core_s))
    kept = plan.checkpoints * parameters * 4 * STATE_NUMBERS / DISK_BYTES_PER_S
    epoch = max(steps, prepared) + evaluated
    waits: Waits = "pipeline" if prepared > steps else "device"
    return Length(epoch * plan.epochs + kept, epoch, steps, prepared, evaluated, kept, waits)


def dollars(seconds: float, device: Device) -> tuple[float, SourcedFigure] | None:
    """What so many seconds cost on the device, and the price; None where nobody lists one."""
    if not device.prices:
        return None
    return seconds / SECONDS_PER_HOUR * device.prices[0].value, device.prices[0]

"""A training step as a CUDA graph: recorded once, then replayed for every batch of the same shape.

Changes no arithmetic. A small model's step is some thousand kernels of a few microseconds each, and a host that
launches them one by one is slower than the GPU; a replay launches them all at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.recipes import Recipe
from bench.training.batches import Batch
from bench.training.mixing import Mixed

Step = Callable[[Batch], tuple[Tensor, Tensor]]  # a batch -> its mean loss and how many images were right

WARM_STEPS = 3  # real steps before the recording: libraries choose kernels, the optimiser makes its state


def recordable(recipe: Recipe, device: str) -> bool:
    """Whether every step of a recipe is the same sequence of kernels.

    Float16 is not, because a step with overflowing gradients is left out; mixed images neither, because how much of
    the other image they hold is a number of the host.
    """
    return device == "cuda" and recipe.precision != "float16" and recipe.mixup == 0 and recipe.cutmix == 0


@dataclass(frozen=True)
class Recording:
    """One recorded step, and the tensors it reads and writes at every replay."""

    graph: torch.cuda.CUDAGraph
    batch: Batch
    loss: Tensor
    hits: Tensor


class Recorder:
    """A step that is run as it is at first, then recorded, then replayed; batches of another size are always run.

    A recording holds on to the memory of weights and optimiser: whoever puts others in their place calls `forget`.
    """

    def __init__(self, step: Step, batch_size: int):
        self._step = step
        self._batch_size = batch_size
        self.forget()

    def forget(self) -> None:
        """Begin again with steps that are run as they are."""
        self._steps = 0
        self._recording: Recording | None = None

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean loss of the batch and how many images were right: scalars of their own, on the device."""
        if len(batch.labels) != self._batch_size:
            return self._step(batch)
        if self._steps < WARM_STEPS:
            self._steps += 1
            return self._warm(batch)
        if self._recording is None:
            self._recording = self._record(batch)
        kept = self._recording
        kept.batch.mixed.images.copy_(batch.mixed.images)
        kept.batch.labels.copy_(batch.labels)
        kept.graph.replay()
        return kept.loss.clone(), kept.hits.clone()

    def _warm(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """On a stream of its own, as the recording will be: autograd remembers on which one a gradient was made."""
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            result = self._step(batch)
        here.wait_stream(aside)
        return result

    def _record(self, batch: Batch) -> Recording:
        images, labels = batch.mixed.images.clone(), batch.labels.clone()
        kept = Batch(labels, Mixed(images, labels, 1.0))
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss, hits = self._step(kept)
        return Recording(graph, kept, loss, hits)

"""A model's answers to a test set, image by image: read and prepared in worker processes, classified batch by batch.

Judges nothing and knows no weights; what was right, and how likely it was held, comes back for every image.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from bench.data.held_out import HeldOut
from bench.measures.instruments.from_logits import MOST_LOGITS
from bench.measures.instruments.preparation import Prepared

FEW = 64  # images that are not worth starting processes for
AHEAD = 4  # batches that each process prepares ahead


@dataclass(frozen=True)
class Answers:
    """What a model says of N images: nats, whether the first choice was right, and the logits where they fit."""

    losses: Tensor  # float64 (N,), cross-entropy in nats
    right: Tensor  # bool (N,)
    logits: Tensor | None  # float32 (N, C); None where they are too many to keep
    seconds: float


@dataclass(frozen=True)
class Running:
    """How a model is run."""

    device: str
    dtype: torch.dtype
    layout: torch.memory_format
    batch_size: int
    workers: int
    clock: Callable[[], float] = time.perf_counter
    progress: Callable[[int], None] = lambda _: None


class _Squares(Dataset[np.ndarray]):
    """Each image as the model takes it, but for its normalisation."""

    def __init__(self, data: HeldOut, prepared: Prepared):
        self._data, self._prepared = data, prepared

    def __len__(self) -> int:
        return len(self._data.labels)

    def __getitem__(self, row: int) -> np.ndarray:
        images = self._data.images
        if not isinstance(images, np.ndarray):
            return self._prepared.square(images.picture(row))
        if self._prepared.size is None:
            square: np.ndarray = images[row]
            return square
        from PIL import Image

        return self._prepared.square(Image.fromarray(images[row]))


def _stacked(images: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(images))


@torch.inference_mode()
def answers(model: nn.Module, data: HeldOut, prepared: Prepared, run: Running) -> Answers:
    """Classify every test image once. The size of a batch changes no answer but for the last bits of a logit.

    An image whose logits or loss are not finite is not right: the argmax of NaN is class 0.
    """
    model.eval()
    labels = torch.from_numpy(data.labels)
    losses = torch.empty(len(labels), dtype=torch.float64)
    right = torch.empty(len(labels), dtype=torch.bool)
    logits: Tensor | None = None
    begun, done = run.clock(), 0
    for images in batches(data, prepared, run):
        rows = slice(done, done + len(images))
        values = prepared.normalised(images.to(run.device, non_blocking=True), run.dtype, run.layout)
        found = model(values).float().cpu()
        if done == 0 and found.numel() // len(found) * len(labels) <= MOST_LOGITS:
            logits = torch.empty((len(labels), found.shape[1]))
        loss = functional.cross_entropy(found, labels[rows], reduction="none")
        losses[rows] = loss.double()
        right[rows] = (found.argmax(1) == labels[rows]) & found.isfinite().all(1) & loss.isfinite()
        if logits is not None:
            logits[rows] = found
        done += len(images)
        run.progress(done)
    return Answers(losses, right, logits, run.clock() - begun)


def batches(data: HeldOut, prepared: Prepared, run: Running) -> Iterator[Tensor]:
    """uint8 (B, H, W, 3), in the order of the images."""
    squares = _Squares(data, prepared)
    decoded = isinstance(data.images, np.ndarray) and prepared.size is None
    workers = 0 if decoded or len(squares) < FEW else run.workers
    yield from DataLoader(
        squares,
        batch_size=run.batch_size,
        num_workers=workers,
        collate_fn=_stacked,
        prefetch_factor=AHEAD if workers else None,
        pin_memory=run.device == "cuda",
    )

"""The batches of an epoch: shuffled, augmented and mixed, as the seed and the number of the epoch decide.

Updates no weights and keeps nothing from one epoch to the next, so that an epoch can be told again.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from bench.data.image_files import Windows
from bench.suite.recipe import Recipe
from bench.training import augment, mixing


@dataclass(frozen=True)
class ImageSource:
    """One split, on the device where it is used; images that are decoded lazily stay where they are."""

    images: Any  # Tensor uint8 (N, H, W, 3), or a lazy sequence of arrays such as `ImageFiles`
    labels: Tensor  # int64 (N,)
    device: str

    @classmethod
    def of(cls, images: Any, labels: np.ndarray, device: str) -> "ImageSource":
        """A split as a `Dataset` has it; an array goes to the device as a whole."""
        kept = torch.from_numpy(images).to(device) if isinstance(images, np.ndarray) else images
        return cls(kept, torch.from_numpy(np.asarray(labels, np.int64)).to(device), device)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: Tensor, windows: Windows | None = None) -> tuple[Tensor, Tensor]:
        """uint8 (B, H, W, 3) and int64 (B,) on the device. Only image files can be cut by `windows`."""
        there = rows.to(self.device, non_blocking=True)  # or the host would wait for the step before
        if isinstance(self.images, Tensor):
            return self.images[there], self.labels[there]
        decoded = self.images[rows.numpy()] if windows is None else self.images.windows(rows.numpy(), windows)
        return torch.from_numpy(decoded).to(self.device, non_blocking=True), self.labels[there]


@dataclass(frozen=True)
class Batch:
    """What a step sees: images as mixed, their own labels, and the others' that were mixed in."""

    labels: Tensor  # int64 (B,)
    mixed: mixing.Mixed


def count(images: int, recipe: Recipe) -> int:
    """Batches of one epoch."""
    whole, rest = divmod(images, recipe.batch_size)
    return whole if recipe.drop_last else whole + (rest > 0)


def prepared(
    source: ImageSource,
    recipe: Recipe,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    seed: int,
    epoch: int,
    together: int = 1,
) -> Iterator[Batch]:
    """The batches of an epoch; the same arguments give the same bits.

    Args:
        together: how many batches are augmented at once. Changes no bit: a GPU that is told of every batch alone waits
            for the host more than it works.
    """
    generator = Generator().manual_seed(derive(seed, epoch, "images"))
    order = torch.randperm(len(source), generator=generator)
    drawn = augment.draw(recipe.augment, len(source), source.images.shape[1:3], generator)
    mixer = random.Random(derive(seed, epoch, "mixing"))
    end = min(count(len(source), recipe) * recipe.batch_size, len(source))
    for first in range(0, end, together * recipe.batch_size):
        chosen = slice(first, min(first + together * recipe.batch_size, end))
        rows = augment.rows(drawn, chosen)
        images, labels = source.batch(order[chosen], augment.windows(recipe.augment, rows))
        images = augment.augment(images, recipe.augment, rows, mean, std)
        for some, theirs in zip(images.split(recipe.batch_size), labels.split(recipe.batch_size), strict=True):
            yield Batch(theirs, mixing.mix(some, theirs, mixup=recipe.mixup, cutmix=recipe.cutmix, rng=mixer))


def derive(seed: int, *purpose: object) -> int:
    """A seed of its own for each purpose, 63 bits of SHA-256: neighbouring seeds have nothing in common."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

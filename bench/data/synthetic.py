"""Made images that can be learned, for tests and for first steps.

The same seed gives the same images everywhere.
"""

from pathlib import Path
from typing import Any

import numpy as np

from bench.data.dataset import Dataset, finish
from bench.registry import datasets


@datasets.register("synthetic")
def synthetic(
    data_dir: Path | None = None,
    *,
    n_train: int = 512,
    n_test: int = 256,
    image_size: int = 32,
    n_classes: int = 10,
    seed: int = 0,
    **choice: Any,
) -> Dataset:
    """Made images that can be learned: each class is a coarse 4 x 4 colour pattern under uniform noise.

    The statistics are those of the distribution: the pattern has 96 values, the noise 129, and integers uniform over
    k values have the variance (k^2 - 1) / 12.
    """
    rng = np.random.RandomState(seed)
    patterns = rng.randint(80, 176, (n_classes, 4, 4, 3), dtype=np.int16)  # mean 127.5
    cells = np.arange(image_size) * 4 // image_size
    patterns = patterns[:, cells][:, :, cells]  # (classes, H, W, 3)
    std = ((96**2 - 1) / 12 + (129**2 - 1) / 12) ** 0.5 / 255
    splits = {}
    for split, count in (("train", n_train), ("test", n_test)):
        labels = rng.permutation(np.arange(count) % n_classes)
        noise = rng.randint(-64, 65, (count, image_size, image_size, 3), dtype=np.int16)
        splits[split] = ((patterns[labels] + noise).astype(np.uint8), labels)
    classes = tuple(f"pattern_{label}" for label in range(n_classes))
    return finish("synthetic", classes, ((0.5, 0.5, 0.5), (std, std, std)), splits, choice)

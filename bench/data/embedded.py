"""The sample of CIFAR-10 that ships with the package: 5,000 training and 2,000 test images.

Is not cut here (`build_sample` does that), only checked and read.
"""

from pathlib import Path
from typing import Any

import numpy as np

from bench.data.cifar import CIFAR10
from bench.data.dataset import Dataset, finish
from bench.data.decoding import Split, check_file, decode, encoded_images, read_table
from bench.errors import DataAbsent
from bench.registry import datasets

SAMPLE = Path(__file__).parent / "sample" / "cifar10_sample.parquet"
SAMPLE_SHA256 = "e5a7d09e16c4f6bda9bcb691fee2a090ac8b3e0f447cd71b14bb9da8a9858c33"
SAMPLE_ROWS = {"train": 5_000, "test": 2_000}
SAMPLE_SEED = 2009  # the year of CIFAR-10


def load_sample(path: Path = SAMPLE, sha256: str = SAMPLE_SHA256) -> dict[str, Split]:
    """The embedded sample: `train` with 5,000 and `test` with 2,000 images of 32 x 32, classes alike.

    Raises:
        DataAbsent: it was left out of the package; the message ends in the command that builds it.
        DataCorrupt: the file is not the one that was built.
    """
    if not path.is_file():
        raise DataAbsent(f"{path} is missing; with CIFAR-10's shards in DIR: python -m bench.data.build_sample DIR")
    check_file(path, sha256)
    table = read_table(path, ["split", "image", "label"])
    images, labels = decode(encoded_images(table, "image"), path), table["label"].to_numpy()
    of_split = {split: np.asarray(table["split"]) == split for split in SAMPLE_ROWS}
    return {split: (images[rows], labels[rows]) for split, rows in of_split.items()}


@datasets.register("cifar10_sample")
def cifar10_sample(data_dir: Path | None = None, **choice: Any) -> Dataset:
    """The embedded sample: 5,000 training and 2,000 test images of CIFAR-10, with the statistics of all 50,000."""
    facts = CIFAR10
    return finish("cifar10_sample", facts.classes, (facts.mean, facts.std), load_sample(), choice)

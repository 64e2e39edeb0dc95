"""Small labelled sets through torchvision's loaders: Fashion-MNIST, MNIST, KMNIST, SVHN and STL-10.

Downloads nothing; says the command that does. Grey images become three equal channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.dataset import Dataset, channel_statistics, finish, home_of
from bench.data.decoding import Split
from bench.errors import DataAbsent, DataCorrupt
from bench.registry import datasets


@dataclass(frozen=True)
class Known:
    """What is published of one set: the class that loads it, names of its classes, rows of its splits."""

    name: str
    loader: str
    classes: tuple[str, ...]
    rows: Mapping[str, int]
    flagged: bool = True  # its loader asks for `train`, the others for `split`


_DIGITS = tuple("0123456789")
_TENTHS = {"train": 60_000, "test": 10_000}
SETS = {
    known.name: known
    for known in (
        Known(
            "fashion_mnist", "FashionMNIST",
            ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
            _TENTHS,
        ),
        Known("mnist", "MNIST", _DIGITS, _TENTHS),
        Known("kmnist", "KMNIST", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"), _TENTHS),
        Known("svhn", "SVHN", _DIGITS, {"train": 73_257, "test": 26_032}, flagged=False),
        Known(
            "stl10", "STL10",
            ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
            {"train": 5_000, "test": 8_000}, flagged=False,
        ),
    )
}  # fmt: skip


@datasets.register("fashion_mnist")
def fashion_mnist(data_dir: Path | None = None, **choice: Any) -> Dataset:
    """Fashion-MNIST, ten classes of 28 x 28 grey pixels; see `load_known`."""
    return load_known(SETS["fashion_mnist"], data_dir, choice)


@datasets.register("mnist")
def mnist(data_dir: Path | None = None, **choice: Any) -> Dataset:
    """MNIST, ten digits of 28 x 28 grey pixels; see `load_known`."""
    return load_known(SETS["mnist"], data_dir, choice)


@datasets.register("kmnist")
def kmnist(data_dir: Path | None = None, **choice: Any) -> Dataset:
    """Kuzushiji-MNIST, ten characters of 28 x 28 grey pixels; see `load_known`."""
    return load_known(SETS["kmnist"], data_dir, choice)


@datasets.register("svhn")
def svhn(data_dir: Path | None = None, **choice: Any) -> Dataset:
    """Street View House Numbers, ten digits of 32 x 32 pixels, without its extra images; see `load_known`."""
    return load_known(SETS["svhn"], data_dir, choice)


@datasets.register("stl10")
def stl10(data_dir: Path | None = None, **choice: Any) -> Dataset:
    """STL-10, ten classes of 96 x 96 pixels, without its unlabelled images; see `load_known`."""
    return load_known(SETS["stl10"], data_dir, choice)


def load_known(known: Known, data_dir: Path | None, choice: dict[str, Any]) -> Dataset:
    """A set from `data_dir` (or BENCH_DATA), where torchvision unpacked it: there, or in a folder of its name.

    Channel statistics are those of the whole training set.

    Raises:
        DataAbsent: it is not there; the message ends in the command that downloads it.
        DataCorrupt: another number of images than is published.
    """
    splits = {split: read_split(known, home_of(data_dir), split) for split in ("train", "test")}
    return finish(known.name, known.classes, channel_statistics(splits["train"][0]), splits, choice)


def read_split(known: Known, home: Path | None, split: str) -> Split:
    """Images uint8 (N, H, W, 3) and labels int64 (N,) of one split. Raises as `load_known` does."""
    found = _loaded(known, home, split)
    labels = np.asarray(found.targets if hasattr(found, "targets") else found.labels, np.int64)
    if len(labels) != known.rows[split]:
        raise DataCorrupt(f"{known.name}: expected {known.rows[split]:,} {split} images, found {len(labels):,}")
    images = np.asarray(found.data, np.uint8)
    if images.ndim == 3:  # grey, (N, H, W)
        return np.repeat(images[..., None], 3, axis=3), labels
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)), labels  # (N, 3, H, W)


def _loaded(known: Known, home: Path | None, split: str) -> Any:
    from bench.torchvision_import import torchvision

    loader = getattr(torchvision.datasets, known.loader)
    which: dict[str, Any] = {"train": split == "train"} if known.flagged else {"split": split}
    for place in (home / known.name, home) if home is not None else ():
        try:
            return loader(place, **which)
        except (RuntimeError, FileNotFoundError):  # torchvision's words for what is not there
            continue
    get = f"from bench.torchvision_import import torchvision as t; t.datasets.{known.loader}('DIR', download=True"
    more = "" if known.flagged else f", split='{split}'"
    where = f"is not in {home}" if home else "is not in the package, and no folder is named"
    raise DataAbsent(f'{known.name} {where} with --data or BENCH_DATA; download it: python -c "{get}{more})"')

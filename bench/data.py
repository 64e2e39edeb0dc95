"""Data sets by name: the embedded sample, CIFAR, image folders, synthetic images, each as the same `Dataset`.

Neither augments nor normalises, that is the recipe's business, and never goes to the network unless asked to.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import sample
from bench.errors import DataAbsent, DataCorrupt, UsageError
from bench.imagefiles import INTERPOLATIONS, SUFFIXES, ImageFiles, permute
from bench.registry import datasets, near

# torchvision.transforms' constants for models trained on ImageNet.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_LAYOUT = "lay the images out as {0}/train/<class>/*.JPEG and {0}/val/<class>/*.JPEG, then: bench run SUITE --data DIR"

Images = np.ndarray | ImageFiles  # of shape (N, H, W, 3); an integer array (B,) gets uint8 (B, H, W, 3)


@dataclass(frozen=True)
class Dataset:
    """Two splits of labelled images and the channel statistics of its whole training set, in units of 0 to 1.

    `sha256` is `content_sha256` of both splits: equal pixels and labels in equal order have an equal digest, whether
    they came from Parquet or from torchvision's files.
    """

    name: str
    classes: tuple[str, ...]
    mean: sample.Channels
    std: sample.Channels
    train_images: Images
    train_labels: np.ndarray  # int64 (N,)
    test_images: Images
    test_labels: np.ndarray
    sha256: str


@dataclass(frozen=True)
class Choice:
    """Which images of a data set to take and how to rearrange their pixels: the options every data set knows.

    `n_train`, `n_test` and `train_fraction` take a stratified subset, the same one for the same `subset_seed`.
    `order` permutes the pixels of all images of both splits alike (see `pixel_order`).
    """

    train_fraction: float | None = None
    n_train: int | None = None
    n_test: int | None = None
    subset_seed: int = 0
    order: str | None = None
    order_seed: int = 0
    patch_size: int = 4


@datasets.register("cifar10_sample")
def cifar10_sample(data_dir: Path | None = None, **choice: Any) -> Dataset:
    """The embedded sample: 5,000 training and 2,000 test images of CIFAR-10, with the statistics of all 50,000."""
    facts = sample.CIFAR10
    return finish("cifar10_sample", facts.classes, (facts.mean, facts.std), sample.load_sample(), choice)


@datasets.register("cifar10")
def cifar10(data_dir: Path | None = None, *, download: bool = False, **choice: Any) -> Dataset:
    """All of CIFAR-10, from Parquet shards or torchvision's files; see `load_cifar`."""
    return load_cifar(sample.CIFAR10, data_dir, download=download, **choice)


@datasets.register("cifar100")
def cifar100(data_dir: Path | None = None, *, download: bool = False, **choice: Any) -> Dataset:
    """All of CIFAR-100 with its 100 fine labels; see `load_cifar`."""
    return load_cifar(sample.CIFAR100, data_dir, download=download, **choice)


def load_cifar(facts: sample.Cifar, data_dir: Path | None, *, download: bool = False, **choice: Any) -> Dataset:
    """One CIFAR from `data_dir`, or from the folder that the environment names in BENCH_DATA.

    Found as shards `train-*.parquet` and `test-*.parquet` in its folder `<name>`, which may also be given itself, or
    as torchvision's unpacked folder; in this order.

    Raises:
        DataAbsent: none of them is there with both splits; the message ends in the command that downloads it.
        DataCorrupt: a checksum or a number of rows is not the published one.
    """
    home = _home(data_dir)
    try:
        splits = _cifar_splits(facts, home)
    except DataAbsent:
        if not download:
            raise
        sample.fetch(facts, home)
        splits = _cifar_splits(facts, home)
    for split, (_, labels) in splits.items():
        if len(labels) != facts.rows[split]:
            raise DataCorrupt(f"{home}: expected {facts.rows[split]} {split} rows of {facts.name}, found {len(labels)}")
        if labels.min() < 0 or labels.max() >= len(facts.classes):
            found = f"{labels.min()} to {labels.max()}"
            raise DataCorrupt(f"{home}: expected labels 0 to {len(facts.classes) - 1} in {split}, found {found}")
    return finish(facts.name, facts.classes, (facts.mean, facts.std), splits, choice)


def _home(data_dir: Path | str | None) -> Path | None:
    named = data_dir or os.environ.get("BENCH_DATA")
    return Path(named) if named else None


def _cifar_splits(facts: sample.Cifar, home: Path | None) -> dict[str, sample.Split]:
    if home is None:
        raise DataAbsent(f"{facts.name} is not in the package: {facts.remedy}")
    # A folder of another name may hold the other CIFAR.
    for folder in (home / facts.name, *([home] if home.absolute().name == facts.name else [])):
        shards = {split: sorted(folder.glob(f"{split}-*.parquet")) for split in facts.rows}
        if all(shards.values()):
            return {split: sample.read_shards(files, facts.label_column) for split, files in shards.items()}
    for folder in (home / facts.torch_folder, home / facts.name / facts.torch_folder):
        if all((folder / name).is_file() for files in facts.torch_files.values() for name in files):
            return {split: sample.read_batches(folder, files) for split, files in facts.torch_files.items()}
    raise DataAbsent(f"{facts.name} is not in {home}, or not all of it: {facts.remedy}")


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


@datasets.register("image_folder")
def image_folder(
    data_dir: Path | None = None,
    *,
    folder: str = ".",
    n_classes: int | None = None,
    image_size: int = 224,
    crop_share: float = 7 / 8,
    interpolation: str = "bilinear",
    **choice: Any,
) -> Dataset:
    """Images in `train/<class>/` and `val/<class>/` (or `test/<class>/`), decoded lazily, with ImageNet's statistics.

    Args:
        folder: where in `data_dir` (or BENCH_DATA) those folders are.
        n_classes: take the first ones in alphabetical order; all when left out.
        crop_share, interpolation: how a centre square is taken, see `ImageFiles`; training images may also be cut at
            random, which is the recipe's business.

    Raises:
        DataAbsent: fewer classes than asked for, or one without images; the message ends in the layout and the command.
        UsageError: a share or an interpolation that there is none.
    """
    if not 0 < crop_share <= 1:
        raise UsageError(f"image_folder: crop_share = {crop_share} is not above 0 and at most 1")
    if interpolation not in INTERPOLATIONS:
        raise UsageError(f"image_folder: no interpolation '{interpolation}'.{near(interpolation, [*INTERPOLATIONS])}")
    home = (_home(data_dir) or Path()) / folder
    remedy = _LAYOUT.format(Path("DIR") / folder)
    tests = home / "val" if (home / "val").is_dir() else home / "test"
    found = sorted(path.name for path in (home / "train").glob("*/"))
    if not found or len(found) < (n_classes or 0):
        raise DataAbsent(f"{len(found)} classes in {home / 'train'}, {n_classes or 'some'} needed; {remedy}")
    classes = tuple(found[:n_classes])
    splits = {}
    for split, place in (("train", home / "train"), ("test", tests)):
        paths, labels = _labelled(place, classes, remedy)
        splits[split] = ImageFiles(paths, image_size, crop_share, interpolation), labels
    return finish("image_folder", classes, IMAGENET, splits, choice)


def _labelled(folder: Path, classes: tuple[str, ...], remedy: str) -> tuple[tuple[Path, ...], np.ndarray]:
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(path for path in (folder / name).rglob("*") if path.suffix.lower() in SUFFIXES)
        if not found:
            raise DataAbsent(f"no images in {folder / name}; {remedy}")
        paths += found
        labels += [label] * len(found)
    return tuple(paths), np.array(labels, np.int64)


def finish(
    name: str,
    classes: tuple[str, ...],
    statistics: tuple[sample.Channels, sample.Channels],
    splits: Mapping[str, tuple[Images, np.ndarray]],
    options: dict[str, Any],
) -> Dataset:
    """Take the subset and the order of pixels that `options` (fields of `Choice`) ask for, and digest the result.

    Raises:
        UsageError: an option that no data set knows, or a subset that is larger than the whole.
    """
    known = [option.name for option in fields(Choice)]
    for option in options.keys() - set(known):
        raise UsageError(f"{name}: no data set option '{option}'.{near(option, known)}")
    choice = Choice(**options)
    n_train = choice.n_train
    if choice.train_fraction is not None:
        if n_train is not None:
            raise UsageError(f"{name}: give train_fraction or n_train, not both")
        n_train = round(choice.train_fraction * len(splits["train"][1]))
    train = _rearranged(*_subset(name, *splits["train"], n_train, choice.subset_seed), choice)
    test = _rearranged(*_subset(name, *splits["test"], choice.n_test, choice.subset_seed), choice)
    return Dataset(name, classes, *statistics, *train, *test, sha256=content_sha256(train, test))


def _subset(name: str, images: Images, labels: np.ndarray, count: int | None, seed: int) -> tuple[Images, np.ndarray]:
    if count is None or count == len(labels):
        return images, labels
    if not 0 < count <= len(labels):
        raise UsageError(f"{name}: {count} images asked for, 1 to {len(labels)} are there")
    rows = sample.stratified(labels, count, seed)
    if isinstance(images, ImageFiles):
        return replace(images, paths=tuple(images.paths[row] for row in rows)), labels[rows]
    return images[rows], labels[rows]


def _rearranged(images: Images, labels: np.ndarray, choice: Choice) -> tuple[Images, np.ndarray]:
    if choice.order is None:
        return images, labels
    permutation = pixel_order(choice.order, images.shape[1:3], choice.patch_size, choice.order_seed)
    if isinstance(images, ImageFiles):
        return replace(images, permutation=permutation), labels
    return permute(images, permutation), labels


def pixel_order(order: str, shape: tuple[int, ...], patch_size: int, seed: int) -> np.ndarray:
    """A permutation of the pixels of an image: MLP-Mixer, section 3.4 (arXiv 2105.01601).

    Args:
        order: `pixels` shuffles all pixels; `patches` the patches, whole; `within_patches` the pixels inside each
            patch, in all patches alike.
        shape: (H, W); `patch_size` P must divide both.

    Returns:
        int64 (H * W,): the pixel that comes to each place. Its `argsort` restores the image.
    """
    rng = np.random.RandomState(seed)
    (height, width), p = shape, patch_size
    if order == "pixels":
        return rng.permutation(height * width)
    if order not in ("patches", "within_patches"):
        raise UsageError(f"no order '{order}'.{near(order, ['pixels', 'patches', 'within_patches'])}")
    if height % p or width % p:
        raise UsageError(f"order '{order}': patches of {p} do not tile {height} x {width} pixels")
    pixels = np.arange(height * width).reshape(height // p, p, width // p, p).transpose(0, 2, 1, 3)
    patches = pixels.reshape(-1, p * p)  # (S, P * P), S = (H / P)(W / P)
    moved = patches[rng.permutation(len(patches))] if order == "patches" else patches[:, rng.permutation(p * p)]
    return moved.reshape(pixels.shape).transpose(0, 2, 1, 3).reshape(-1)


def content_sha256(*splits: tuple[Images, np.ndarray]) -> str:
    """Hex SHA-256 of, for each split in turn: its shape (N, H, W, 3), its pixels, its labels.

    Shape and labels as little-endian int64, pixels as uint8 in row-major order. Image files are not decoded for it:
    in place of their pixels stand how a centre square is taken, the order of pixels and the SHA-256 of each file.
    """
    digest = hashlib.sha256()
    for images, labels in splits:
        digest.update(np.array(images.shape, "<i8").tobytes())
        if isinstance(images, ImageFiles):
            order = b"" if images.permutation is None else images.permutation.astype("<i8").tobytes()
            digest.update(f"{images.crop_share!r} {images.interpolation} ".encode())
            digest.update(order + "".join(map(sample.file_hash, images.paths)).encode())
        else:
            digest.update(np.ascontiguousarray(images).data)
        digest.update(np.asarray(labels, "<i8").tobytes())
    return digest.hexdigest()

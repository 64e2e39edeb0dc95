"""What a data set is: two splits of images, their statistics and digest, and which of them are taken.

Neither augments nor normalises, that is the recipe's business.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.decoding import Channels, file_hash
from bench.data.image_files import ImageFiles, permute
from bench.errors import UsageError, near

Images = np.ndarray | ImageFiles  # of shape (N, H, W, 3); an integer array (B,) gets uint8 (B, H, W, 3)


@dataclass(frozen=True)
class Dataset:
    """Two splits of labelled images and the channel statistics of its whole training set, in units of 0 to 1.

    `sha256` is `content_sha256` of both splits: equal pixels and labels in equal order have an equal digest, whether
    they came from Parquet or from torchvision's files.
    """

    name: str
    classes: tuple[str, ...]
    mean: Channels
    std: Channels
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


def home_of(data_dir: Path | str | None) -> Path | None:
    """The folder with the data sets: the one given, else the one that BENCH_DATA names."""
    named = data_dir or os.environ.get("BENCH_DATA")
    return Path(named) if named else None


def finish(
    name: str,
    classes: tuple[str, ...],
    statistics: tuple[Channels, Channels],
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


def channel_statistics(images: np.ndarray) -> tuple[Channels, Channels]:
    """Mean and standard deviation of red, green and blue over all pixels of uint8 (N, H, W, 3), in units of 0 to 1."""
    values = np.arange(256) / 255
    shares = [np.bincount(images[..., channel].reshape(-1), minlength=256) for channel in range(3)]
    shares = [counts / counts.sum() for counts in shares]
    means = [float(each @ values) for each in shares]
    spreads = [float((each @ (values - mean) ** 2) ** 0.5) for each, mean in zip(shares, means, strict=True)]
    return (means[0], means[1], means[2]), (spreads[0], spreads[1], spreads[2])


def _subset(name: str, images: Images, labels: np.ndarray, count: int | None, seed: int) -> tuple[Images, np.ndarray]:
    if count is None or count == len(labels):
        return images, labels
    if not 0 < count <= len(labels):
        raise UsageError(f"{name}: {count} images asked for, 1 to {len(labels)} are there")
    rows = stratified(labels, count, seed)
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
            digest.update(order + "".join(map(file_hash, images.paths)).encode())
        else:
            digest.update(np.ascontiguousarray(images).data)
        digest.update(np.asarray(labels, "<i8").tobytes())
    return digest.hexdigest()


def stratified(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Rows of a subset that keeps the share of each class, in ascending order.

    With one seed, a smaller subset of balanced classes lies inside a larger one, so a data-scaling study adds images
    and replaces none.

    Args:
        labels: int64 (N,).
        count: how many rows, 0 <= count <= N.

    Returns:
        int64 (count,)
    """
    # RandomState, not Generator: numpy promises that its stream never changes, and a digest depends on it.
    rng = np.random.RandomState(seed)
    members = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    shares = np.array([len(rows) for rows in members]) * count / max(len(labels), 1)
    quotas = np.floor(shares).astype(np.int64)
    # The largest remainders get the rows that rounding down left over; ties go to the lower label.
    quotas[np.argsort(quotas - shares, kind="stable")[: count - quotas.sum()]] += 1
    return np.sort(np.concatenate([rows[:quota] for rows, quota in zip(members, quotas, strict=True)]))

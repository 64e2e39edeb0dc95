"""The test split of a data set alone, as an evaluation needs it: no training images have to be there.

Prepares no image: it hands over decoded arrays, or pictures that are opened one by one.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import cifar, image_folder, parquet, torchvision_sets
from bench.data.dataset import Choice, Dataset, content_sha256, home_of, stratified
from bench.data.decoding import Channels
from bench.data.image_files import SUFFIXES
from bench.data.labels import classes_in, labels_in
from bench.data.pictures import PictureFiles, Pictures
from bench.errors import DataAbsent, UsageError
from bench.registry import datasets

SPLITS = ("val", "test", "validation")


@dataclass(frozen=True)
class HeldOut:
    """Test images with their labels. `sha256` is of these alone, whatever lies beside them."""

    name: str
    classes: tuple[str, ...]
    images: np.ndarray | Pictures  # uint8 (N, H, W, 3), or opened one by one
    labels: np.ndarray  # int64 (N,)
    statistics: tuple[Channels, Channels] | None = None  # mean and std, where the data set has its own
    sha256: str = ""


def held_out(name: str, data_dir: Path | None, arguments: Mapping[str, Any]) -> HeldOut:
    """The test images of a registered data set under a suite's arguments.

    Of `n_test` and `subset_seed` a stratified subset is taken. How images are cut (`image_size`, `crop_share`,
    `interpolation`) is not the data set's business here.

    Raises:
        DataAbsent, DataCorrupt: as the data set says.
    """
    args = dict(arguments)
    if name == "image_folder":
        found = _folders(home_of(data_dir) or Path(), **_only(args, "folder", "classes", "n_classes"))
    elif name == "image_list":
        found = _listed(home_of(data_dir) or Path(), **_only(args, "folder", "labels", "classes", "ids", "first_label"))
    elif name == "parquet":
        wanted = _only(args, "folder", "split", "image_column", "label_column", "classes")
        pictures, numbers, names = parquet.pictures_of(home_of(data_dir), **wanted)
        found = HeldOut(name, names, pictures, numbers)
    elif name in ("cifar10", "cifar100"):
        facts = cifar.CIFAR10 if name == "cifar10" else cifar.CIFAR100
        images, numbers = cifar.cifar_test(facts, home_of(data_dir))
        found = HeldOut(name, facts.classes, images, numbers, (facts.mean, facts.std))
    elif name in torchvision_sets.SETS:
        known = torchvision_sets.SETS[name]
        images, numbers = torchvision_sets.read_split(known, home_of(data_dir), "test")
        found = HeldOut(name, known.classes, images, numbers)
    else:
        return _of_whole(datasets.get(name)(data_dir, **args))
    return _digested(_subset(found, args))


def _only(args: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in args.items() if key in keys}


def _of_whole(dataset: Dataset) -> HeldOut:
    """The test split of a data set that comes as a whole."""
    images = dataset.test_images
    if not isinstance(images, np.ndarray):
        images = PictureFiles(images.paths)  # type: ignore[assignment]
    statistics = dataset.mean, dataset.std
    return _digested(HeldOut(dataset.name, dataset.classes, images, dataset.test_labels, statistics))  # type: ignore[arg-type]


def _subset(whole: HeldOut, args: Mapping[str, Any]) -> HeldOut:
    count = args.get("n_test")
    if args.get("order", Choice.order) is not None:
        raise UsageError(f"{whole.name}: order: an evaluation takes the pixels in their own order")
    if count is None or count == len(whole.labels):
        return whole
    if not 0 < count <= len(whole.labels):
        raise UsageError(f"{whole.name}: {count} images asked for, 1 to {len(whole.labels)} are there")
    rows = stratified(whole.labels, count, args.get("subset_seed", Choice.subset_seed))
    images = whole.images[rows] if isinstance(whole.images, np.ndarray) else whole.images.some(rows)
    return replace(whole, images=images, labels=whole.labels[rows])


def _digested(data: HeldOut) -> HeldOut:
    if isinstance(data.images, np.ndarray):
        return replace(data, sha256=content_sha256((data.images, data.labels)))
    digest = hashlib.sha256(f"pictures {len(data.labels)} ".encode())
    for each in data.images.digests():
        digest.update(each.encode())
    digest.update(np.asarray(data.labels, "<i8").tobytes())
    return replace(data, sha256=digest.hexdigest())


def _folders(data_dir: Path, *, folder: str = ".", classes: str | None = None, n_classes: int | None = None) -> HeldOut:
    """One folder per class, in `val/`, `test/` or `validation/`, or in the folder itself.

    Args:
        classes: a file with the names of all classes in the order of their labels, of which some may have no images;
            in alphabetical order when left out.
    """
    home = data_dir / folder
    place = next((home / split for split in SPLITS if (home / split).is_dir()), home)
    there = image_folder.class_folders(place)
    if not there:
        raise DataAbsent(f"no class folders in {place}; {_LAYOUT.format(Path('DIR') / folder)}")
    names = classes_in(data_dir / classes) if classes else tuple(there[:n_classes])
    if unknown := [name for name in there if name not in names]:
        if not n_classes:
            raise DataAbsent(f"{place / unknown[0]} is no class of {classes} ({len(names):,} classes)")
        there = [name for name in there if name in names]
    paths, numbers = [], []
    for name in there:
        found = image_folder.images_in(place / name)
        paths += found
        numbers += [names.index(name)] * len(found)
    if not paths:
        raise DataAbsent(f"no images in {place}; {_LAYOUT.format(Path('DIR') / folder)}")
    return HeldOut("image_folder", names, PictureFiles(tuple(paths)), np.array(numbers, np.int64))


_LAYOUT = "lay the images out as {0}/val/<class>/*.JPEG, then: bench run SUITE --data DIR"


def _listed(
    data_dir: Path,
    *,
    labels: str,
    folder: str = ".",
    classes: str | None = None,
    ids: str | None = None,
    first_label: int | None = None,
) -> HeldOut:
    """Images in one folder, and a list of their labels; see `bench.data.image_list`."""
    place = data_dir / folder
    paths = sorted(path for path in place.glob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise DataAbsent(f"no images in {place}; lay them out as {Path('DIR') / folder}/*.JPEG with {labels} beside")
    order = classes_in(data_dir / classes) if classes else None
    known = classes_in(data_dir / ids) if ids else None
    numbers = labels_in(data_dir / labels, [path.name for path in paths], order, known, first_label)
    names = order or (tuple(sorted(known)) if known else None) or tuple(map(str, range(int(numbers.max()) + 1)))
    if numbers.min() < 0 or numbers.max() >= len(names):
        raise DataAbsent(f"{labels}: labels {numbers.min()} to {numbers.max()} for {len(names):,} classes")
    return HeldOut("image_list", tuple(names), PictureFiles(tuple(paths)), numbers)

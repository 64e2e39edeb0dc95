"""Images in one folder per class, as ImageNet is laid out.

Decodes nothing itself: `image_files` does, when a batch asks.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.dataset import Dataset, finish, home_of
from bench.data.decoding import shards_in
from bench.data.image_files import INTERPOLATIONS, SUFFIXES, ImageFiles
from bench.data.labels import classes_in
from bench.errors import DataAbsent, UsageError, near
from bench.registry import datasets

# torchvision.transforms' constants for models trained on ImageNet.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_LITTER = {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"}
_LAYOUT = "lay the images out as {0}/train/<class>/*.JPEG and {0}/val/<class>/*.JPEG, then: bench run SUITE --data DIR"


@datasets.register("image_folder")
def image_folder(
    data_dir: Path | None = None,
    *,
    folder: str = ".",
    n_classes: int | None = None,
    classes: str | None = None,
    image_size: int = 224,
    crop_share: float = 7 / 8,
    interpolation: str = "bilinear",
    **choice: Any,
) -> Dataset:
    """Images in `train/<class>/` and `val/<class>/` (or `test/<class>/`), decoded lazily, with ImageNet's statistics.

    Args:
        folder: where in `data_dir` (or BENCH_DATA) those folders are.
        n_classes: take the first ones in alphabetical order; all when left out.
        classes: a file in `data_dir` with the names of the class folders in the order of their labels, one a line;
            alphabetical when left out.
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
    home = (home_of(data_dir) or Path()) / folder
    remedy = _LAYOUT.format(Path("DIR") / folder)
    tests = home / "val" if (home / "val").is_dir() else home / "test"
    found = class_folders(home / "train")
    if classes is not None:
        found = [name for name in classes_in((home_of(data_dir) or Path()) / classes) if name in found]
    if not found or len(found) < (n_classes or 0):
        lacking = f"{len(found)} classes in {home / 'train'}, {n_classes or 'some'} needed"
        raise DataAbsent(f"{lacking}{shards_in(home)}; {remedy}")
    names = tuple(found[:n_classes])
    _compare(home / "train", tests, names, found if n_classes else names, remedy)
    splits = {}
    for split, place in (("train", home / "train"), ("test", tests)):
        paths, labels = _labelled(place, names, remedy)
        splits[split] = ImageFiles(paths, image_size, crop_share, interpolation), labels
    return finish("image_folder", names, IMAGENET, splits, choice)


def class_folders(folder: Path) -> list[str]:
    """The class folders, sorted. A name that begins with a dot, or is a system's own, is no class."""
    return sorted(path.name for path in folder.glob("*/") if not _is_litter(path.name))


def _is_litter(name: str) -> bool:
    """Whether a name is left behind by a system or an editor: `.DS_Store`, `._x.png`, `.ipynb_checkpoints`."""
    return name.startswith(".") or name.lower() in _LITTER


def _compare(train: Path, tests: Path, classes: Sequence[str], known: Sequence[str], remedy: str) -> None:
    """Two splits have the same classes.

    Args:
        classes: those that are taken; all of them are needed in `tests`.
        known: those that `tests` may have.
    """
    there = class_folders(tests)
    missing, more = [name for name in classes if name not in there], [name for name in there if name not in known]
    if there and (missing or more):
        sides = [f"only in {train}: {_some(missing)}"] * bool(missing) + [f"only in {tests}: {_some(more)}"] * bool(
            more
        )
        raise DataAbsent(f"the classes differ: {'; '.join(sides)}; {remedy}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _instead(home: Path) -> str:
    """What lies in a folder that has no image, in words to add to a reason."""
    if not home.is_dir():
        above = home.parent if home.parent.is_dir() else home.parent.parent
        there = sorted(path.name for path in above.glob("*/") if not _is_litter(path.name))
        return f" (folders in {above}: {_some(there) or 'none'})"
    others = Counter(path.suffix.lower() or path.name for path in home.rglob("*") if path.is_file())
    told = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(3))
    return f" (found there: {told}; images end in {', '.join(sorted(SUFFIXES))})" if told else ""


def images_in(home: Path) -> list[Path]:
    """The images of a class, sorted, at any depth below its folder."""
    found = sorted(path for path in home.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return [path for path in found if not any(map(_is_litter, path.relative_to(home).parts))]


def _labelled(folder: Path, classes: tuple[str, ...], remedy: str) -> tuple[tuple[Path, ...], np.ndarray]:
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = images_in(folder / name)
        if not found:
            raise DataAbsent(f"no images in {folder / name}{_instead(folder / name)}; {remedy}")
        paths += found
        labels += [label] * len(found)
    return tuple(paths), np.array(labels, np.int64)

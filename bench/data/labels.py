"""Lists of labels beside images: ImageNet's ground truth, a CSV, names with numbers or synsets; and orders of classes.

Guesses nothing that changes a number: where a list can be read in two ways, it asks for the key that decides.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.errors import DataAbsent, DataCorrupt, UsageError, near

_BETWEEN = re.compile(r"[,;\t ]+")


def listed(path: Path) -> list[str]:
    """The lines of a text file that are not empty. Raises DataAbsent where there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        there = sorted(each.name for each in path.parent.glob("*.*")) if path.parent.is_dir() else []
        raise DataAbsent(f"no list {path}.{near(path.name, there[:20])}") from error
    except UnicodeDecodeError as error:
        raise DataCorrupt(f"{path}: expected a list of labels as text: {error}") from error
    return [line.strip() for line in lines if line.strip()]


def classes_in(path: Path) -> tuple[str, ...]:
    """The names of classes in the order of their labels: the first word of every line, `n01440764 tench`."""
    names = tuple(_BETWEEN.split(line)[0] for line in listed(path))
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise DataCorrupt(f"{path}: class '{twice[0]}' is there twice")
    return names


def labels_in(
    path: Path, files: Sequence[str], classes: Sequence[str] | None, ids: Sequence[str] | None, first: int | None
) -> np.ndarray:
    """The label of each file, int64 (N,).

    A line is a label, in the order of the files' names, or a file's name (with or without its suffix) and a label.
    A label is the name of a class, or a number.

    Args:
        files: names, sorted.
        classes: the names of the classes in the order of their labels; of names alone it is their alphabetical order.
        ids: the names of the classes in the order of the numbers in the list, where that is another one.
        first: what the first class is called, where labels are numbers: 0 or 1.

    Raises:
        UsageError: numbers from 1, where it is not said what 1 is.
        DataCorrupt: another number of lines than files, a file that is not listed, or a label that is no class.
    """
    words = [_BETWEEN.split(line) for line in listed(path)]
    known = {Path(name).stem: name for name in files}
    if len(words[0]) > 1 and Path(words[0][0]).stem not in known and len(words) > 1:
        words = words[1:]  # the names of columns
    if len(words[0]) == 1:
        if len(words) != len(files):
            raise DataCorrupt(f"{path}: expected {len(files):,} labels, one for each image, found {len(words):,}")
        texts = [word[0] for word in words]
    else:
        told = {Path(word[0]).stem: word[1] for word in words}
        if lacking := [name for name in files if Path(name).stem not in told]:
            raise DataCorrupt(f"{path}: expected a label of {lacking[0]}, found none ({len(lacking):,} lack one)")
        texts = [told[Path(name).stem] for name in files]
    return _numbered(path, texts, classes, ids, first)


def _numbered(
    path: Path, texts: list[str], classes: Sequence[str] | None, ids: Sequence[str] | None, first: int | None
) -> np.ndarray:
    if all(text.isdecimal() for text in texts):
        numbers = np.array([int(text) for text in texts], np.int64)
        if ids is not None:
            names = [_named(path, ids, number, first) for number in numbers.tolist()]
            return _by_name(path, names, classes or sorted(ids))
        if first is None and numbers.min() > 0:
            told = "if that is the first class, write first_label = 1"
            devkit = "ImageNet's own list counts in the order of its development kit, which is given as ids = 'FILE'"
            raise UsageError(f"{path.name}: its smallest label is {numbers.min()}: {told}. {devkit}")
        return numbers - (first or 0)
    return _by_name(path, texts, classes or sorted(set(texts)))


def _named(path: Path, ids: Sequence[str], number: int, first: int | None) -> str:
    place = number - (1 if first is None else first)
    if not 0 <= place < len(ids):
        raise DataCorrupt(f"{path}: label {number} has no line in the list of {len(ids):,} ids")
    return ids[place]


def _by_name(path: Path, names: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    places: Mapping[str, int] = {name: place for place, name in enumerate(classes)}
    if unknown := next((name for name in names if name not in places), None):
        raise DataCorrupt(f"{path}: no class '{unknown}'.{near(unknown, list(classes)[:20])}")
    return np.array([places[name] for name in names], np.int64)

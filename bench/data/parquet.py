"""Any labelled images in Parquet as hubs lay them out: shards of a split, a column of images, a column of labels.

Knows no data set by name: how many classes there are, and what they are called, is said by the files or the suite.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet

from bench.data.dataset import Dataset, channel_statistics, finish, home_of
from bench.data.decoding import IMAGE_COLUMNS, shards_in, shards_of
from bench.data.labels import classes_in
from bench.data.pictures import ParquetPictures, Pictures, column_of
from bench.errors import DataAbsent, DataCorrupt, UsageError, near
from bench.registry import datasets

LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")
TESTS = ("test", "validation", "valid", "val")


@datasets.register("parquet")
def parquet(
    data_dir: Path | None = None,
    *,
    folder: str = ".",
    split: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    classes: str | None = None,
    **choice: Any,
) -> Dataset:
    """Images of one size with their labels, from `train-*.parquet` and `test-*.parquet` below a folder of `data_dir`.

    Grey images become three equal channels. Channel statistics are those of the whole training set.

    Args:
        folder: where the shards are, or the folders that hubs put around them (`data`, `plain_text`).
        split: which one is the test set: `test`, `validation`, `valid` or `val`, the first that is there.
        image_column, label_column: what they are called, where it is not what hubs call them.
        classes: a file with the names of the classes; the shards' own when left out.

    Raises:
        DataAbsent: no shards there; says what is.
        DataCorrupt: images of several sizes, which only `measure = "evaluate"` takes; or a damaged file.
    """
    columns = {"folder": folder, "image_column": image_column, "label_column": label_column, "classes": classes}
    splits = {}
    for name, wanted in (("train", "train"), ("test", split)):
        pictures, labels, names = pictures_of(home_of(data_dir), split=wanted, **columns)  # type: ignore[arg-type]
        splits[name] = _decoded(pictures, folder), labels
    return finish("parquet", names, channel_statistics(splits["train"][0]), splits, choice)


def pictures_of(
    home: Path | None,
    *,
    folder: str = ".",
    split: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    classes: str | None = None,
) -> tuple[Pictures, np.ndarray, tuple[str, ...]]:
    """The images of one split, their labels int64 (N,) and the names of the classes; see `parquet`."""
    place = (home or Path()) / folder
    files = next((found for name in ([split] if split else TESTS) if (found := shards_of(place, name))), [])
    if not files:
        wanted = f"{split or 'test'}-*.parquet"
        raise DataAbsent(f"no {wanted} in {place}{shards_in(place)}; name the folder that holds it with --data")
    names = pyarrow.parquet.read_schema(files[0]).names
    image = _column(files[0], names, image_column, IMAGE_COLUMNS, "image_column")
    label = _column(files[0], names, label_column, LABEL_COLUMNS, "label_column")
    labels = column_of(files, label)
    told = classes_in((home or Path()) / classes) if classes else _class_names(files[0], label)
    known = told or tuple(map(str, range(int(labels.max()) + 1)))
    if labels.min() < 0 or labels.max() >= len(known):
        hint = ": a set whose labels are hidden" if labels.min() < 0 else ""
        raise DataCorrupt(f"{place}: labels {labels.min()} to {labels.max()} for {len(known)} classes{hint}")
    return ParquetPictures(tuple(files), image, np.arange(len(labels))), labels, known


def _column(path: Path, names: Sequence[str], wanted: str | None, usual: Sequence[str], key: str) -> str:
    if wanted is not None:
        if wanted not in names:
            raise UsageError(f"{path.name}: {key}: no column '{wanted}'.{near(wanted, list(names))}")
        return wanted
    found = [name for name in usual if name in names]
    if not found:
        raise UsageError(
            f"{path.name}: none of the columns {', '.join(names)} is called {' or '.join(usual)}: say {key}"
        )
    return found[0]


def _class_names(path: Path, label: str) -> tuple[str, ...]:
    """The names that a hub's library keeps in the schema; none where it keeps none."""
    metadata = pyarrow.parquet.read_schema(path).metadata or {}
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[label]["names"])
    except (KeyError, TypeError, ValueError):
        return ()


def _decoded(pictures: Pictures, folder: str) -> np.ndarray:
    """uint8 (N, H, W, 3)"""
    first = np.asarray(pictures.picture(0))
    images = np.empty((len(pictures), *first.shape), np.uint8)
    for row in range(len(pictures)):
        pixels = np.asarray(pictures.picture(row))
        if pixels.shape != first.shape:
            size = f"{pixels.shape[1]} x {pixels.shape[0]}"
            raise DataCorrupt(f"{folder}: image {row} has {size} pixels, the first {first.shape[1]} x {first.shape[0]}")
        images[row] = pixels
    return images

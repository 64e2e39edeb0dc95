"""Encoded images of any size, opened one by one: files, and the cells of Parquet shards.

Scales and cuts nothing: how an image is prepared depends on the weights that are evaluated.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow.parquet
from PIL import Image

from bench.data import decoding
from bench.data.colours import rgb
from bench.data.decoding import encoded_images, file_hash, read_table
from bench.errors import DataCorrupt


class Pictures(Protocol):
    """Images that are decoded when they are asked for."""

    def __len__(self) -> int:
        """How many."""

    def picture(self, row: int) -> Image.Image:
        """One of them, in RGB. Raises DataCorrupt where it is none."""

    def digests(self) -> Iterator[str]:
        """The SHA-256 of each as it is encoded, in order."""

    def some(self, rows: np.ndarray) -> "Pictures":
        """Those of some rows, in this order."""


@dataclass(frozen=True)
class PictureFiles:
    """Image files."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, row: int) -> Image.Image:
        """As in `Pictures`."""
        path = self.paths[row]
        try:
            with Image.open(path) as file:
                return rgb(file)
        except decoding.UNREADABLE as error:
            raise DataCorrupt(f"{path}: expected an image, found sha256 {file_hash(path)}: {error}") from error

    def digests(self) -> Iterator[str]:
        """As in `Pictures`."""
        with ThreadPoolExecutor() as pool:  # reading and hashing both happen outside the interpreter's lock
            yield from pool.map(file_hash, self.paths, chunksize=64)

    def some(self, rows: np.ndarray) -> "PictureFiles":
        """As in `Pictures`."""
        return PictureFiles(tuple(self.paths[row] for row in rows))


@dataclass
class ParquetPictures:
    """Cells of a column of Parquet files, of which one row group is held at a time."""

    files: tuple[Path, ...]
    column: str
    rows: np.ndarray  # int64 (N,): which of all rows
    _held: tuple[tuple[int, int], list[bytes | None]] | None = field(default=None, repr=False)
    _groups: list[tuple[int, int, int]] = field(default_factory=list, repr=False)  # first row, file, row group

    def __len__(self) -> int:
        return len(self.rows)

    def picture(self, row: int) -> Image.Image:
        """As in `Pictures`."""
        try:
            return rgb(Image.open(io.BytesIO(self._bytes(row))))
        except decoding.UNREADABLE as error:
            raise DataCorrupt(f"{self.files[0].parent}: expected an image in row {row}, found none: {error}") from error

    def digests(self) -> Iterator[str]:
        """As in `Pictures`."""
        return (hashlib.sha256(self._bytes(row)).hexdigest() for row in range(len(self)))

    def some(self, rows: np.ndarray) -> "ParquetPictures":
        """As in `Pictures`."""
        return ParquetPictures(self.files, self.column, self.rows[rows])

    def _bytes(self, row: int) -> bytes:
        if not self._groups:
            self._groups = list(_row_groups(self.files))
        wanted = int(self.rows[row])
        first, file, group = max(each for each in self._groups if each[0] <= wanted)
        if self._held is None or self._held[0] != (file, group):
            with pyarrow.parquet.ParquetFile(self.files[file]) as opened:
                cells = encoded_images(opened.read_row_group(group, [self.column]), self.column)
            self._held = (file, group), cells
        found = self._held[1][wanted - first]
        if found is None:
            raise DataCorrupt(f"{self.files[file].name}: row {wanted - first} of row group {group} has no image")
        return found


def _row_groups(files: Sequence[Path]) -> Iterator[tuple[int, int, int]]:
    first = 0
    for number, path in enumerate(files):
        with pyarrow.parquet.ParquetFile(path) as opened:
            for group in range(opened.num_row_groups):
                yield first, number, group
                first += opened.metadata.row_group(group).num_rows


def column_of(files: Sequence[Path], column: str) -> np.ndarray:
    """A column of whole numbers of some Parquet files, int64 (N,). Raises DataCorrupt where it is none."""
    found = [read_table(path, [column])[column] for path in files]
    try:
        return np.concatenate([each.to_numpy() for each in found]).astype(np.int64)
    except (TypeError, ValueError) as error:
        raise DataCorrupt(f"{files[0]}: expected whole numbers in column '{column}': {error}") from error

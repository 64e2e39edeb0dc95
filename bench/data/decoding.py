"""Files of encoded images: checked against their sums, read from Parquet, decoded.

Every file is checked before it is believed; no subset or order of pixels is chosen here.
"""

import hashlib
import io
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.parquet
from PIL import Image

from bench.data.colours import rgb
from bench.errors import DataCorrupt

# What Pillow raises for damaged images: truncated or unknown, a broken chunk of PNG, an absurd size in the header; and
# `rgb` for values or colours that it does not know.
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
# What hubs call these columns.
IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "labels")
_MOST_LOOKED_AT = 20_000  # files and folders, when it is told what lies there

Channels = tuple[float, float, float]
Split = tuple[np.ndarray, np.ndarray]  # images uint8 (N, H, W, 3), labels int64 (N,)


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def check_file(path: Path, expected: str, algorithm: str = "sha256") -> None:
    """Compare a file with its published checksum.

    Raises:
        DataCorrupt: they differ; the message holds both.
    """
    found = file_hash(path, algorithm)
    if found != expected:
        raise DataCorrupt(f"{path}: expected {algorithm} {expected}, found {found} ({path.stat().st_size} bytes)")


def published_sums(folder: Path) -> dict[Path, str]:
    """The SHA256SUMS of a folder or of its parent, as absolute path -> hex digest; empty when neither has one."""
    sums = {}
    for home in (folder.absolute().parent, folder.absolute()):
        listing = home / "SHA256SUMS"
        for line in listing.read_text().splitlines() if listing.is_file() else ():
            digest, _, name = line.partition(" ")
            sums[home / name.lstrip(" *")] = digest
    return sums


def read_shards(files: Sequence[Path], label_column: str) -> Split:
    """Decode all rows of some Parquet files, in the order given.

    Args:
        files: at least one; checked against a SHA256SUMS beside them or one folder up, where there is one.
        label_column: `label`, or `fine_label` for CIFAR-100. It may also stand in the plural, or as plain `label`.

    Raises:
        DataCorrupt: a checksum differs, a file is no Parquet or lacks a column, an image cannot be decoded, or a label
            is no whole number.
    """
    sums = published_sums(files[0].parent)
    splits = []
    for path in files:
        if path.absolute() in sums:
            check_file(path, sums[path.absolute()])
        names = tuple(dict.fromkeys([label_column, f"{label_column}s", *LABEL_COLUMNS]))
        image, label = _columns(path, [IMAGE_COLUMNS, names])
        table = read_table(path, [image, label])
        splits.append((decode(encoded_images(table, image), path), _labels(table, label, path)))
    images, labels = zip(*splits, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _labels(table: pyarrow.Table, column: str, path: Path) -> np.ndarray:
    """int64 (N,). Raises DataCorrupt for anything that is no whole number."""
    found = table[column]
    if found.null_count or not pyarrow.types.is_integer(found.type):
        lacking = f" without a value in {found.null_count} rows" * bool(found.null_count)
        raise DataCorrupt(f"{path}: expected whole numbers in column '{column}', found {found.type}{lacking}")
    labels: np.ndarray = found.to_numpy().astype(np.int64)
    return labels


def shards_of(folder: Path, split: str) -> list[Path]:
    """The Parquet files of one split, sorted: `train-00000-of-00002.parquet`, `train.parquet` or `train/0000.parquet`.

    Looked for in the folder itself, then in `plain_text`, `data`, `default` and a folder of its own name below it, as
    hubs lay them out; the first of these that has any is taken.
    """
    for place in (folder, *(folder / name for name in ("plain_text", "data", "default", folder.name))):
        for pattern in (f"{split}-*.parquet", f"{split}.parquet", f"{split}/*.parquet"):
            if found := sorted(path for path in place.glob(pattern) if not path.name.startswith(".")):
                return found
    return []


def shards_in(folder: Path) -> str:
    """What Parquet files lie below a folder, in words to add to a reason; "" when none."""
    files = (path for path in islice(folder.rglob("*"), _MOST_LOOKED_AT) if path.suffix == ".parquet")
    found = sorted(path.relative_to(folder).as_posix() for path in files)
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return f" (found Parquet files in {folder}: {', '.join(found[:3])}{more})" if found else ""


def _columns(path: Path, wanted: Sequence[Sequence[str]]) -> list[str]:
    """Of each group of names the first that the file has as a column. Raises as `read_table` does."""
    names = _column_names(path)
    found = [next((name for name in group if name in names), None) for group in wanted]
    if None in found:
        others = [f"'{other}' would do for '{first}'" for first, *rest in wanted for other in rest]
        asked = [first for first, *_ in wanted]
        raise DataCorrupt(f"{path}: expected columns {asked}, found {names}; {', '.join(others)}")
    return [name for name in found if name is not None]


def _column_names(path: Path) -> list[str]:
    try:
        return list(pyarrow.parquet.read_schema(path).names)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataCorrupt(f"{path}: expected a whole Parquet file, found sha256 {file_hash(path)}: {error}") from error


def read_table(path: Path, columns: list[str]) -> pyarrow.Table:
    """Some columns of one Parquet file.

    Raises:
        DataCorrupt: the file is damaged or lacks a column.
    """
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            if not set(columns) <= set(file.schema_arrow.names):
                raise DataCorrupt(f"{path}: expected columns {columns}, found {file.schema_arrow.names}")
            return file.read(columns)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataCorrupt(f"{path}: expected a whole Parquet file, found sha256 {file_hash(path)}: {error}") from error


def encoded_images(table: pyarrow.Table, column: str) -> list[bytes | None]:
    """The encoded images of a column that holds either bytes or structs with a field `bytes`; None where none are."""
    cells = table[column]
    if pyarrow.types.is_struct(cells.type) and "bytes" in [field.name for field in cells.type]:
        cells = pyarrow.compute.struct_field(cells, "bytes")
    found: list[bytes | None] = cells.to_pylist()
    return found


def decode(encoded: Sequence[bytes | None], source: Path) -> np.ndarray:
    """Encoded images, all of one size, as uint8 (N, H, W, 3).

    One thread: an image of 32 x 32 takes 0.1 ms, and handing it to another thread costs more than it saves.

    Raises:
        DataCorrupt: a row is no image, or has another size than the first; names the file and the row.
    """
    images = np.empty((0, 0, 0, 3), np.uint8)
    for row, data in enumerate(encoded):
        if not isinstance(data, bytes):
            raise DataCorrupt(f"{source}: expected the bytes of an image in row {row}, found {type(data).__name__}")
        try:
            pixels = np.asarray(rgb(Image.open(io.BytesIO(data))))
        except UNREADABLE as error:
            raise DataCorrupt(f"{source}: expected an image in row {row}, found none: {error}") from error
        if row == 0:
            images = np.empty((len(encoded), *pixels.shape), np.uint8)
        if pixels.shape != images.shape[1:]:
            raise DataCorrupt(f"{source}: expected {images.shape[1:]} pixels in row {row}, found {pixels.shape}")
        images[row] = pixels
    return images

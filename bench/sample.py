"""CIFAR as it lies on a disk: Parquet shards, torchvision's batches, and the sample that ships with the package.

Every file is checked before it is believed. `python -m bench.sample DIR` cuts the sample again; no subset or order of
pixels is chosen here.
"""

import argparse
import hashlib
import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.parquet
from PIL import Image

from bench.errors import DataAbsent, DataCorrupt, UsageError

SAMPLE = Path(__file__).parent / "sample" / "cifar10_sample.parquet"
SAMPLE_SHA256 = "e5a7d09e16c4f6bda9bcb691fee2a090ac8b3e0f447cd71b14bb9da8a9858c33"
SAMPLE_ROWS = {"train": 5_000, "test": 2_000}
SAMPLE_SEED = 2009  # the year of CIFAR-10

# What Pillow raises for damaged images: truncated or unknown, a broken chunk of PNG, an absurd size in the header.
UNREADABLE = (OSError, SyntaxError, Image.DecompressionBombError)

Channels = tuple[float, float, float]
Split = tuple[np.ndarray, np.ndarray]  # images uint8 (N, H, W, 3), labels int64 (N,)


@dataclass(frozen=True)
class Cifar:
    """What is published about one CIFAR: names, statistics, row counts, torchvision's files with their MD5."""

    name: str
    label_column: str
    classes: tuple[str, ...]
    mean: Channels
    std: Channels
    torch_folder: str
    torch_files: dict[str, dict[str, str]]  # split -> file -> md5
    rows: dict[str, int] = field(default_factory=lambda: {"train": 50_000, "test": 10_000})

    @property
    def remedy(self) -> str:
        """Where the files are looked for; ends in the command that downloads them."""
        layout = f"{self.name}/train-*.parquet and {self.name}/test-*.parquet, or {self.torch_folder}/"
        get = f"python -c \"import bench.data; bench.data.{self.name}('DIR', download=True)\""
        return f"name a folder that holds {layout} with --data or BENCH_DATA, or download it: {get}"


CIFAR10 = Cifar(
    name="cifar10",
    label_column="label",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    torch_folder="cifar-10-batches-py",
    torch_files={
        "train": {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        "test": {"test_batch": "40351d587109b95175f43aff81a1287e"},
    },
)
_FINE_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
CIFAR100 = Cifar(
    name="cifar100",
    label_column="fine_label",
    classes=tuple(_FINE_NAMES.split()),
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    torch_folder="cifar-100-python",
    torch_files={
        "train": {"train": "16019d7e3df5f24257cddd939b257f8d"},
        "test": {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    },
)


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
        label_column: `label`, or `fine_label` for CIFAR-100.

    Raises:
        DataCorrupt: a checksum differs, a file is no Parquet or lacks a column, or an image cannot be decoded.
    """
    sums = published_sums(files[0].parent)
    splits = []
    for path in files:
        if path.absolute() in sums:
            check_file(path, sums[path.absolute()])
        table = read_table(path, ["img", label_column])
        splits.append((decode(encoded_images(table, "img"), path), table[label_column].to_numpy().astype(np.int64)))
    images, labels = zip(*splits, strict=True)
    return np.concatenate(images), np.concatenate(labels)


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


def encoded_images(table: pyarrow.Table, column: str) -> list[bytes]:
    """The encoded images of a column that holds either bytes or structs with a field `bytes`."""
    cells = table[column]
    if pyarrow.types.is_struct(cells.type):
        cells = pyarrow.compute.struct_field(cells, "bytes")
    return cells.to_pylist()


def decode(encoded: Sequence[bytes], source: Path) -> np.ndarray:
    """Encoded images, all of one size, as uint8 (N, H, W, 3).

    One thread: an image of 32 x 32 takes 0.1 ms, and handing it to another thread costs more than it saves.

    Raises:
        DataCorrupt: a row is no image, or has another size than the first; names the file and the row.
    """
    images = np.empty((0, 0, 0, 3), np.uint8)
    for row, data in enumerate(encoded):
        try:
            pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        except UNREADABLE as error:
            raise DataCorrupt(f"{source}: expected an image in row {row}, found none: {error}") from error
        if row == 0:
            images = np.empty((len(encoded), *pixels.shape), np.uint8)
        if pixels.shape != images.shape[1:]:
            raise DataCorrupt(f"{source}: expected {images.shape[1:]} pixels in row {row}, found {pixels.shape}")
        images[row] = pixels
    return images


def read_batches(folder: Path, files: dict[str, str]) -> Split:
    """torchvision's pickled batches: `data` uint8 (N, 3072), channel after channel, and `labels` or `fine_labels`.

    Raises:
        DataCorrupt: an MD5 is not the published one.
    """
    images, labels = [], []
    for name, md5 in files.items():
        # A pickle can run code: it is opened only when it is the published file.
        check_file(folder / name, md5, "md5")
        batch = pickle.loads((folder / name).read_bytes(), encoding="latin1")
        images.append(batch["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.append(batch["labels"] if "labels" in batch else batch["fine_labels"])
    return np.ascontiguousarray(np.concatenate(images)), np.concatenate(labels).astype(np.int64)


def fetch(facts: Cifar, home: Path | None) -> None:
    """Download one CIFAR with torchvision, which checks the archive's MD5, and unpack it in `home`.

    Raises:
        DataAbsent: the network does not give it, or there is no room for it.
        DataCorrupt: what came is not the published archive.
        UsageError: no folder is named.
    """
    if home is None:
        raise UsageError(f"to download {facts.name}, name a folder with --data or BENCH_DATA")
    from bench.vision_import import torchvision  # torch is not needed for any data that is already here

    try:
        getattr(torchvision.datasets, facts.name.upper())(home, download=True)
    except OSError as error:
        raise DataAbsent(f"{facts.name} cannot be downloaded ({error}); {facts.remedy}") from error
    except RuntimeError as error:
        raise DataCorrupt(f"{home / facts.torch_folder}: {error}") from error


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


def load_sample(path: Path = SAMPLE, sha256: str = SAMPLE_SHA256) -> dict[str, Split]:
    """The embedded sample: `train` with 5,000 and `test` with 2,000 images of 32 x 32, classes alike.

    Raises:
        DataAbsent: it was left out of the package; the message ends in the command that builds it.
        DataCorrupt: the file is not the one that was built.
    """
    if not path.is_file():
        raise DataAbsent(f"{path} is missing; with CIFAR-10's shards in DIR: python -m bench.sample DIR")
    check_file(path, sha256)
    table = read_table(path, ["split", "image", "label"])
    images, labels = decode(encoded_images(table, "image"), path), table["label"].to_numpy()
    of_split = {split: np.asarray(table["split"]) == split for split in SAMPLE_ROWS}
    return {split: (images[rows], labels[rows]) for split, rows in of_split.items()}


def build(folder: Path, target: Path) -> str:
    """Cut the sample out of a folder with CIFAR-10's Parquet shards; image bytes are taken as they are.

    The choice is seeded: the same shards and the same pyarrow give the same bytes.

    Returns:
        The SHA-256 of the file written, to be kept as `SAMPLE_SHA256`.

    Raises:
        DataAbsent: no shards there.
    """
    parts = [_chosen_rows(folder, split, count) for split, count in SAMPLE_ROWS.items()]
    table = pyarrow.concat_tables(parts)
    # Shuffled once, so that a batch in file order is not of one class.
    table = table.take(np.random.RandomState(SAMPLE_SEED).permutation(len(table)))
    # Lossless WebP does not compress further; statistics and dictionaries would only repeat image bytes.
    pyarrow.parquet.write_table(table, target, compression="none", use_dictionary=["split"], write_statistics=False)
    return file_hash(target)


def _chosen_rows(folder: Path, split: str, count: int) -> pyarrow.Table:
    files = sorted(folder.glob(f"{split}-*.parquet"))
    if not files:
        raise DataAbsent(f"no {split}-*.parquet in {folder}")
    source = pyarrow.concat_tables([read_table(path, ["img", "label"]) for path in files])
    rows = stratified(source["label"].to_numpy(), count, SAMPLE_SEED)
    chosen = source.take(rows)
    return pyarrow.table(
        {
            "split": [split] * count,
            "image": pyarrow.array(encoded_images(chosen, "img"), pyarrow.binary()),
            "label": chosen["label"].combine_chunks(),
            "index": pyarrow.array(rows, pyarrow.int64()),
        }
    )


def main() -> None:
    """`python -m bench.sample DIR`: build the sample where the package keeps it and print its checksum."""
    parser = argparse.ArgumentParser("python -m bench.sample", description="Build the embedded sample of CIFAR-10.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="holds train-*.parquet and test-*.parquet of CIFAR-10")
    print(f"{build(parser.parse_args().folder, SAMPLE)}  {SAMPLE}")


if __name__ == "__main__":
    main()

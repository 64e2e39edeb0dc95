"""CIFAR-10 and CIFAR-100 from Parquet shards or torchvision's files, against what is published of them.

Every file is checked before it is believed; nothing goes to the network unless asked to.
"""

import pickle
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.dataset import Dataset, finish, home_of
from bench.data.decoding import Channels, Split, check_file, read_shards, shards_in, shards_of
from bench.errors import DataAbsent, DataCorrupt, UsageError
from bench.registry import datasets


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
        get = f"python -c \"from bench.data import cifar; cifar.{self.name}('DIR', download=True)\""
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


@datasets.register("cifar10")
def cifar10(data_dir: Path | None = None, *, download: bool = False, **choice: Any) -> Dataset:
    """All of CIFAR-10, from Parquet shards or torchvision's files; see `load_cifar`."""
    return load_cifar(CIFAR10, data_dir, download=download, **choice)


@datasets.register("cifar100")
def cifar100(data_dir: Path | None = None, *, download: bool = False, **choice: Any) -> Dataset:
    """All of CIFAR-100 with its 100 fine labels; see `load_cifar`."""
    return load_cifar(CIFAR100, data_dir, download=download, **choice)


def load_cifar(facts: Cifar, data_dir: Path | None, *, download: bool = False, **choice: Any) -> Dataset:
    """One CIFAR from `data_dir`, or from the folder that the environment names in BENCH_DATA.

    Found as shards `train-*.parquet` and `test-*.parquet` in its folder `<name>`, which may also be given itself, or
    below it as hubs lay them out (`shards_of`), or as torchvision's unpacked folder; in this order.

    Raises:
        DataAbsent: none of them is there with both splits; the message ends in the command that downloads it.
        DataCorrupt: a checksum or a number of rows is not the published one.
    """
    home = home_of(data_dir)
    try:
        splits = _cifar_splits(facts, home)
    except DataAbsent:
        if not download:
            raise
        fetch(facts, home)
        splits = _cifar_splits(facts, home)
    for split, (_, labels) in splits.items():
        if len(labels) != facts.rows[split]:
            raise DataCorrupt(f"{home}: expected {facts.rows[split]} {split} rows of {facts.name}, found {len(labels)}")
        if labels.min() < 0 or labels.max() >= len(facts.classes):
            found = f"{labels.min()} to {labels.max()}"
            raise DataCorrupt(f"{home}: expected labels 0 to {len(facts.classes) - 1} in {split}, found {found}")
    return finish(facts.name, facts.classes, (facts.mean, facts.std), splits, choice)


def _cifar_splits(facts: Cifar, home: Path | None) -> dict[str, Split]:
    if home is None:
        raise DataAbsent(f"{facts.name} is not in the package: {facts.remedy}")
    # A folder of another name may hold the other CIFAR.
    for folder in (home / facts.name, *([home] if home.absolute().name == facts.name else [])):
        shards = {split: shards_of(folder, split) for split in facts.rows}
        if all(shards.values()):
            return {split: read_shards(files, facts.label_column) for split, files in shards.items()}
    for folder in (home / facts.torch_folder, home / facts.name / facts.torch_folder):
        if all((folder / name).is_file() for files in facts.torch_files.values() for name in files):
            return {split: read_batches(folder, files) for split, files in facts.torch_files.items()}
    found = shards_in(home / facts.name) or shards_in(home)
    raise DataAbsent(f"{facts.name} is not in {home}, or not all of it{found}: {facts.remedy}")


def cifar_test(facts: Cifar, home: Path | None) -> Split:
    """The test images and labels alone, looked for and checked as `load_cifar` does. Raises as it does."""
    alone = replace(
        facts,
        rows={"test": facts.rows["test"]},
        torch_files={"test": facts.torch_files["test"]},
    )
    images, labels = _cifar_splits(alone, home)["test"]
    if len(labels) != facts.rows["test"]:
        raise DataCorrupt(f"{home}: expected {facts.rows['test']} test rows of {facts.name}, found {len(labels)}")
    return images, labels


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
    from bench.torchvision_import import torchvision

    try:
        getattr(torchvision.datasets, facts.name.upper())(home, download=True)
    except OSError as error:
        raise DataAbsent(f"{facts.name} cannot be downloaded ({error}); {facts.remedy}") from error
    except RuntimeError as error:
        raise DataCorrupt(f"{home / facts.torch_folder}: {error}") from error

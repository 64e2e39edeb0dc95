"""The digest of a data set as it lies there now, without reading it again while no file of it has changed.

Decodes nothing that is remembered, and says nothing of what it cannot tell: absent data, or data that no folder holds.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from bench.data.dataset import home_of
from bench.data.held_out import SPLITS, held_out
from bench.errors import BenchError
from bench.plan.case import Case, plain
from bench.records.measurement import Measurement, canonical_json
from bench.registry import OTHERS_ERRORS, datasets
from bench.source import remembered

# Data that is the same everywhere: drawn from a seed, or part of the package.
_CONSTANT = ("synthetic", "cifar10_sample")
_IN_FOLDERS = ("image_folder", "image_list", "parquet")
_MOST = 3_000_000  # files that are looked at


def sha256(case: Case, data_dir: Path | None, *, read: bool = True) -> str | None:
    """The digest of a case's data set as it is now; None where it is not there, or is no files in a folder.

    Args:
        read: work out what is not remembered; for a plug-in's data set that runs its code.
    """
    stamp = _stamp(case, data_dir)
    if stamp is None:
        return None
    if known := remembered.recall(stamp):
        return known
    if not read:
        return None
    try:
        args = plain(case.dataset_args)
        if case.weights is None:
            found = str(datasets.get(str(case.dataset))(data_dir, **args).sha256)
        else:
            found = held_out(str(case.dataset), data_dir, args).sha256
    except (BenchError, *OTHERS_ERRORS):  # whoever measures the case will say it
        return None
    remembered.remember(stamp, found)
    return found


def learn(case: Case, rows: Sequence[Measurement], data_dir: Path | None) -> None:
    """Remember the digest that a measure has just worked out."""
    found = {row.dataset_sha256 for row in rows if row.dataset_sha256}
    if len(found) == 1 and (stamp := _stamp(case, data_dir)) is not None:
        remembered.remember(stamp, str(found.pop()))


def _stamp(case: Case, data_dir: Path | None) -> str | None:
    if case.dataset is None or case.dataset in _CONSTANT:
        return None
    home = home_of(data_dir)
    if case.dataset in _IN_FOLDERS:
        places = list(_places(home or Path(), case))
    elif case.dataset in ("cifar10", "cifar100") and home is not None and home.is_dir():
        places = [path for path in home.iterdir() if path.name.startswith("cifar")] or [home]
    else:
        places = [home] if home is not None else []
    files = sorted(islice((path for place in places for path in _files(place)), _MOST))
    args = canonical_json(plain(case.dataset_args))
    alone = "" if case.weights is None else " alone"
    return remembered.stamp_of(files, f"{case.dataset} {args}{alone}") if files else None


def _places(home: Path, case: Case) -> Iterator[Path]:
    """Where the images of a case lie, and the lists beside them."""
    inner = home / str(case.dataset_args.get("folder", "."))
    splits = SPLITS if case.weights is not None else ("train", *SPLITS)
    there = [inner / name for name in splits if (inner / name).is_dir()]
    yield from there if there and case.dataset == "image_folder" else [inner]
    yield from (home / str(case.dataset_args[key]) for key in ("labels", "classes", "ids") if key in case.dataset_args)


def _files(place: Path) -> Iterator[Path]:
    return (path for path in (place.rglob("*") if place.is_dir() else [place]) if path.is_file())

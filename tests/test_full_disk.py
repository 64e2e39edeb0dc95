"""A full disk and a folder that is read-only, at each place that writes: a sentence, the old file, and no row lost.

Mounts a small file system in memory, which takes root on Linux; elsewhere these tests are skipped with the reason.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from bench import files
from bench.commands import check
from bench.data.synthetic import synthetic
from bench.errors import BenchError
from bench.execution.context import Context
from bench.execution.locks import CaseLocks
from bench.plan.fingerprint import Fingerprint
from bench.records.measurement import CodePart
from bench.source import remembered
from bench.store import Store
from bench.suite.recipe import Recipe
from bench.training import checkpoint
from bench.training.loop import train
from tests import making

FULL, READ_ONLY = "No space left on device", "Read-only file system"


class Disk:
    """A file system of 4 MB that can be filled, and written to no more."""

    def __init__(self, place: Path):
        self.place = place

    def spoil(self, reason: str) -> None:
        if reason == READ_ONLY:
            mount("-o", "remount,ro", self.place)
            return
        with (self.place / "filler").open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 10, 1):
                try:
                    while file.write(b"\0" * size):
                        pass
                except OSError:
                    continue

    def mend(self) -> None:
        mount("-o", "remount,rw", self.place)
        (self.place / "filler").unlink(missing_ok=True)


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True, text=True)


@pytest.fixture
def disk(tmp_path) -> Iterator[Disk]:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("mounting a file system takes root on Linux")
    place = tmp_path / "disk"
    place.mkdir()
    try:
        mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", place)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        pytest.skip(f"nothing can be mounted here: {getattr(error, 'stderr', error)}")
    yield Disk(place)
    subprocess.run(["umount", "--lazy", str(place)], check=False)


def stored(place: Path) -> None:
    Store(place / "store").append([making.row(repeat=3, detail="x" * 5000)])


def exported(place: Path) -> None:
    other = Store(place.parent / "other")
    other.append([making.row(run_id=str(len(list(place.parent.rglob("*.parquet")))))])
    other.export(place / "out")


def kept(place: Path) -> None:
    checkpoint.save(place / "scratch" / "training.pt", checkpoint.pack({"much": torch.zeros(5000)}))


def trained(place: Path) -> None:
    recipe = Recipe.from_mapping({"epochs": 2, "batch_size": 16, "optimizer": "sgd", "lr": 0.1})
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4))
    data = synthetic(n_train=32, n_test=8, image_size=8, n_classes=4)
    list(train(model, data, recipe, seed=0, context=Context(), keep=place / "case" / "training.pt"))


# What writes -> what it does, the kind of error, and what its sentence ends in.
STORED = "are not stored; all 0 that this process stored before are."
WRITERS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "rows": (stored, "StoreError", STORED),
    "conditions": (lambda place: Store(place / "store").append_environment(making.environment()), "StoreError", STORED),
    "sources": (
        lambda place: Store(place / "store").append_code([Fingerprint("a", (CodePart("module", "m", "b", "c"),))]),
        "StoreError", STORED,
    ),
    "compaction": (lambda place: Store(place / "store").compact(), "StoreError", ""),
    "an export": (exported, "StoreError", "The old one stands"),
    "a file of -o": (lambda place: check.write(place / "x.xml", "y" * 5000), "StoreError", "The old one stands"),
    "a page in a new folder": (lambda place: files.write_text(place / "new" / "x.html", "y" * 5000), "StoreError", ""),
    "a checkpoint": (kept, "MeasurementError", ""),
    "a training": (trained, "MeasurementError", ""),
}  # fmt: skip


@pytest.mark.parametrize("reason", [FULL, READ_ONLY])
@pytest.mark.parametrize("name", WRITERS)
def test_what_cannot_be_written_is_told_with_its_place_and_reason_and_the_old_file_stands(disk, name, reason):
    write, kind, ending = WRITERS[name]
    store = Store(disk.place / "store")
    for repeat in range(2):
        store.append([making.row(repeat=repeat)])
    exported(disk.place)
    check.write(disk.place / "x.xml", "old")
    kept(disk.place)
    before = {path: path.read_bytes() for path in disk.place.rglob("*") if path.is_file()}
    disk.spoil(reason)
    with pytest.raises(BenchError) as caught:
        write(disk.place)
    told = str(caught.value)
    assert (type(caught.value).__name__, caught.value.exit_code) == (kind, 3)
    assert "cannot be written" in told or "cannot be compacted" in told
    assert reason in told or "os error" in told
    assert ending in told
    assert "\n" not in told
    disk.mend()
    there = {path: path.read_bytes() for path in disk.place.rglob("*") if path.is_file()}
    assert {path: there.get(path) for path in before} == before
    assert not [path for path in there if path.suffix == ".part"], "nothing unfinished is left"
    assert sorted(store.load()["repeat"]) == [0, 1]
    write(disk.place)


@pytest.mark.parametrize("reason", [FULL, READ_ONLY])
def test_what_is_only_convenient_is_done_without(disk, reason, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(disk.place / "memory"))
    remembered.remember("a", "1")
    disk.spoil(reason)
    remembered.remember("b", "2" * 100_000)
    assert (remembered.recall("a"), remembered.recall("b")) == ("1", None)
    locks = CaseLocks(disk.place / "scratch")
    assert locks.take("case")
    locks.release("case")
    disk.mend()
    assert [path.name for path in (disk.place / "memory").iterdir()] == ["digests.json"]


SUITE = making.suite_text(
    making.PAPER, making.mixer_text("small"),
    """
[measures.static]
models = ["*"]
[profiles.full]
label = "full"
reduced = false
[quantities]
size = { metric = "params", model = "small" }
[claims.X1]
says = "It has a size"
kind = "open"
source = "paper"
where = "Table 1"
measured = "size"
unit = "parameters"
""",
)  # fmt: skip


@pytest.mark.parametrize("reason", [FULL, READ_ONLY])
def test_a_run_that_cannot_store_ends_with_3_and_goes_on_once_there_is_room(disk, reason):
    (disk.place / "made.toml").write_text(SUITE)
    disk.spoil(reason)
    stopped = making.bench("run", "made.toml", cwd=disk.place, code=3)
    assert "cannot be written: " in stopped.stderr
    assert "Traceback" not in stopped.stderr
    disk.mend()
    making.bench("run", "made.toml", cwd=disk.place)
    disk.spoil(reason)
    page = making.bench("report", "made.toml", "-o", "-", "--format", "md", cwd=disk.place)
    assert "It has a size" in page.stdout, "a page needs no room on the disk of the store"
    refused = making.bench("report", "made.toml", cwd=disk.place, code=3)
    assert f"cannot be written: {reason}" in refused.stderr

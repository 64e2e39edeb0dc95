"""Killed at any moment, a run is taken up by the next start: every row once, and a training with the bits it had.

A few kills by default; `BENCH_KILLS=200 pytest -n0 -s tests/test_kills.py` tries harder and says when each one struck.
"""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from bench.store import Store
from tests import making

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")
KILLS = int(os.environ.get("BENCH_KILLS", "3"))
TARGETS = ("run", "worker", "training")
SUITE = making.suite_text(
    making.PAPER,
    making.mixer_text("small"),
    making.mixer_text("wide", width=16),
    """
[datasets.dots]
name = "synthetic"
label = "Synthetic"
classes = 10
args = { n_train = 256, n_test = 64, n_classes = 10 }
[recipes.short]
label = "short"
settings = { epochs = 6, batch_size = 32, optimizer = "adamw", lr = 1e-3, mixup = 0.2, augment = [{ name = "flip" }] }
[measures.static]
models = ["*"]
[measures.accuracy]
models = ["small"]
datasets = ["dots"]
recipes = ["short"]
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
    name="killed",
)
# What a clock says is another number every time; what is counted or learned is the same to the last bit.
KEY = ["case_id", "metric", "part", "epoch", "repeat"]


def started(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        making.command("run", "killed.toml", "--threads", "1"), cwd=folder, env=making.settings(),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finished(running: subprocess.Popen) -> None:
    _, said = running.communicate(timeout=300)
    assert running.returncode == 0, said


def measured(folder: Path) -> dict:
    """Of each row that has a value: how often it is there, its value and its detail."""
    rows = Store(folder / "results" / "store").load([*KEY, "value", "detail", "status"])
    found: dict = {}
    for row in rows[rows["status"] == "ok"].to_dict("records"):
        key = tuple(None if row[name] != row[name] or row[name] is None else str(row[name]) for name in KEY)
        timed = row["metric"] in ("epoch_s", "train_fps")
        found.setdefault(key, []).append((None if timed else row["value"], str(row["detail"])))
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The rows of a run that nobody killed, and how long it took."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "killed.toml").write_text(SUITE)
    begun = time.monotonic()
    finished(started(folder))
    rows = measured(folder)
    assert len({key[0] for key in rows}) == 3, "two counts and a training"
    return rows, time.monotonic() - begun


def struck(running: subprocess.Popen, folder: Path, target: str, draw: random.Random, seconds: float) -> str:
    """Kill the run, one of its processes, or one of them amid the training; what was there then, in words."""
    begun = time.monotonic()
    if target == "training":
        while not list(folder.rglob("training.pt")) and running.poll() is None and time.monotonic() < begun + 120:
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.4))
    else:
        time.sleep(draw.uniform(0, seconds))
    try:
        family = psutil.Process(running.pid).children(recursive=True)
        chosen = draw.choice(family) if family and (target == "worker" or draw.random() < 0.5) else None
        (chosen or running).send_signal(signal.SIGKILL)
    except (psutil.NoSuchProcess, ProcessLookupError):
        family, chosen = [], None
    kept = len(list(folder.rglob("training.pt")))
    _, said = running.communicate(timeout=120)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, f"left behind: {alive}\n{said}"
    who = "one of its processes" if chosen else "the run"
    return f"{target}: {who} after {time.monotonic() - begun:.2f} s, exit {running.returncode}, checkpoints {kept}"


@pytest.mark.parametrize("number", range(KILLS))
def test_after_a_kill_the_next_start_ends_with_every_row_once_and_the_same_bits(tmp_path, whole, number):
    rows, seconds = whole
    (tmp_path / "killed.toml").write_text(SUITE)
    words = struck(started(tmp_path), tmp_path, TARGETS[number % 3], random.Random(number), seconds)
    before = len(measured(tmp_path))
    finished(started(tmp_path))
    print(f"kill {number}, {words}, {before} of {len(rows)} rows")
    found = measured(tmp_path)
    assert {key: len(values) for key, values in found.items()} == dict.fromkeys(rows, 1)
    assert found == rows
    assert not list(tmp_path.rglob("training.pt")), "a checkpoint goes once its rows are stored"
    assert not list(tmp_path.rglob("*.part")), "nothing half written is left"


def test_two_runs_at_once_share_the_cases_and_leave_every_row_once(tmp_path, whole):
    (tmp_path / "killed.toml").write_text(SUITE)
    both = [started(tmp_path), started(tmp_path)]
    for running in both:
        finished(running)
    assert measured(tmp_path) == whole[0]
    assert not list(tmp_path.rglob("*.part"))

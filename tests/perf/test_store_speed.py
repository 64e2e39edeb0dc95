"""How fast the store is beside the bare libraries below it: one appended row, a million loaded rows, four writers.

Prints seconds and judges ratios alone: both sides take turns, so that a slow or busy machine slows both.

Run with `pytest tests/perf/test_store_speed.py -s`.
"""

import dataclasses
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import deltalake
import pyarrow
import pytest

from bench.plan.case import Case
from bench.records.measurement import SCHEMA, Measurement, canonical_json
from bench.records.metrics import METRICS
from bench.store import Store, delta, schema_of
from bench.suite.recipe import Recipe

ROOT = Path(__file__).parents[2]
ROWS, CASES, RUNS = 1_000_000, 5_000, 100
RECIPE = Recipe.from_mapping({
    "epochs": 30, "batch_size": 128, "optimizer": "adamw", "lr": 3e-3, "weight_decay": 5e-4,
    "schedule": {"name": "cosine", "t_max": 30, "step": "batch"},
    "augment": [{"name": "flip"}, {"name": "crop"}, {"name": "rotation", "degrees": 15}, {"name": "erasing", "p": 0.1}],
})  # fmt: skip


def training(number: int) -> Case:
    return Case(
        "accuracy", "cifar_mixers", "ab" * 32, "paper", "accuracy", "hybrid", "hybrid_mixer", dataset="cifar10",
        model_args={"depth": 8, "dim": 128, "token_dim": 64, "channel_dim": 256, "patch": 4, "dropout": 0.15},
        recipe=RECIPE, seed=number, batch_size=128,
    )  # fmt: skip


def measurement(case: Case, **changes) -> Measurement:
    plain = Measurement(
        schema=SCHEMA, run_id="20261120-093000-abcdef", case_id=case.id, suite=case.suite,
        suite_sha256=case.suite_sha256, profile=case.profile, started_at="2026-11-20T09:30:00.250+00:00",
        duration_s=1412.5, model=case.model, params_json=canonical_json(case.question), dataset=case.dataset,
        dataset_sha256="cd" * 32, n_train=50_000, n_test=10_000, seed=case.seed, epoch=1, batch_size=128, image_size=32,
        device="cuda", device_name="NVIDIA H200", precision="float32", layout="contiguous", compiled=False, threads=16,
        metric="test_top1_pct", part=None, protocol=METRICS["test_top1_pct"].protocol, repeat=None, value=82.27,
        unit="%", status="ok", reason=None, deviations="best epoch on the test set",
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


def a_million_rows() -> pyarrow.Table:
    """Trainings of 5,000 cases in 100 runs, 200 rows each, as they would have been appended."""
    schema = schema_of(Measurement)
    cases = [measurement(training(number), run_id=f"2026-run-{number // (CASES // RUNS)}") for number in range(CASES)]
    columns = ("run_id", "case_id", "params_json", "seed")
    by_case = pyarrow.Table.from_pylist([{name: getattr(row, name) for name in columns} for row in cases])
    one = dataclasses.asdict(cases[0]) | {"started_at": pyarrow.scalar(0, schema.field("started_at").type)}
    draw = random.Random(0)
    metrics = ["train_loss", "train_top1_pct", "test_loss", "test_top1_pct", "epoch_s", "train_fps"]
    drawn = {
        **{name: by_case[name].combine_chunks().take([i * CASES // ROWS for i in range(ROWS)]) for name in columns},
        "metric": [metrics[i % len(metrics)] for i in range(ROWS)],
        "epoch": [i % 200 // len(metrics) + 1 for i in range(ROWS)],
        "value": [draw.random() * 100 for _ in range(ROWS)],
    }
    for name in schema.names:
        if name not in drawn:
            value = one[name]
            drawn[name] = pyarrow.nulls(ROWS, schema.field(name).type) if value is None else pyarrow.repeat(value, ROWS)
    return pyarrow.table({name: drawn[name] for name in schema.names}, schema=schema)


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Store:
    store = Store(tmp_path_factory.mktemp("million") / "store")
    table, rows = delta.StoredTable(f"{store.uri}/measurements", schema_of(Measurement)), a_million_rows()
    for part in range(10):
        table.append(rows.slice(part * ROWS // 10, ROWS // 10))
    start = time.perf_counter()
    store.compact()
    print(f"\ncompacting {ROWS:,} rows: {time.perf_counter() - start:.2f} s")
    return store


def milliseconds(action, times: int) -> list[float]:
    return sorted(1000 * seconds for seconds in in_turns(times, action)[0])


def in_turns(times: int, *actions) -> list[list[float]]:
    """Seconds of each action, so many times, one after the other."""
    taken: list[list[float]] = [[] for _ in actions]
    for _ in range(times):
        for action, found in zip(actions, taken, strict=True):
            start = time.perf_counter()
            action()
            found.append(time.perf_counter() - start)
    return taken


@pytest.mark.parametrize("before", ["an empty store", "a million rows"])
def test_appending_a_row_takes_at_most_three_times_as_long_as_the_bare_library(tmp_path, request, before):
    store = Store(tmp_path / "store") if before == "an empty store" else request.getfixturevalue("full")
    row = measurement(training(0))
    bare = pyarrow.Table.from_pylist([{"case_id": row.case_id, "metric": row.metric, "value": row.value}])
    # 250 appends pass the number of small files at which the store tidies up twice.
    ours, theirs = in_turns(
        250, lambda: store.append([row]), lambda: deltalake.write_deltalake(tmp_path / "bare", bare, mode="append")
    )
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    median, p95, mean = (1000 * f(ours) for f in (statistics.median, lambda x: sorted(x)[237], statistics.mean))
    print(f"\nappending one row to {before}: median {median:.1f} ms, p95 {p95:.1f} ms, mean {mean:.1f} ms", end="")
    print(f"; {ratio:.2f} times the bare library")
    assert ratio < 3


LOAD = """
import re, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from bench.store import Store
def peak_mb():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before, start, busy = peak_mb(), time.perf_counter(), time.process_time()
frame = Store(sys.argv[2]).load()
print(len(frame), time.perf_counter() - start, time.process_time() - busy, before, peak_mb())
"""
READ = """
import sys, time
import deltalake, pandas, pyarrow.dataset
start = time.perf_counter()
table = deltalake.DeltaTable(sys.argv[2] + "/measurements").to_pyarrow_dataset().to_table()
print(table.num_rows, time.perf_counter() - start)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory of a process as Linux tells it")
def test_loading_a_million_rows_takes_at_most_twice_as_long_as_reading_their_files(full):
    found = {LOAD: [], READ: []}
    for _ in range(3):
        for script, told in found.items():
            command = [sys.executable, "-c", script, str(ROOT), full.uri]
            words = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            told.append([float(word) for word in words])
    rows, best, busy, before, peak = min(found[LOAD], key=lambda each: each[1])
    there, bare = min(found[READ], key=lambda each: each[1])
    print(f"\nloading {rows:,.0f} rows in a new process: {best:.2f} s ({busy:.2f} s of CPU),", end=" ")
    print(f"{best / bare:.1f} times the bare files; peak memory {before:.0f} MB before, {peak:.0f} MB after")
    assert rows == there >= ROWS
    assert best < 2 * bare


def test_a_run_finds_out_what_is_finished_among_a_million_rows(full):
    cases = [training(number) for number in range(100)]
    taken = milliseconds(lambda: full.finished(cases, "NVIDIA H200", 16), times=3)
    print(f"\nfinished cases among {ROWS:,} rows: {taken[0]:.0f} ms")
    assert len(full.finished(cases, "NVIDIA H200", 16)) == 100


WRITE = """
import sys
sys.path[:0] = [sys.argv[1]]
from tests.perf.test_store_speed import Store, measurement, training
store, row = Store(sys.argv[2]), measurement(training(int(sys.argv[3])))
for _ in range(100):
    store.append([row])
"""


def test_four_processes_append_100_rows_each_one_by_one(tmp_path):
    uri, start = str(tmp_path / "store"), time.perf_counter()
    begin = [sys.executable, "-c", WRITE, str(ROOT), uri]
    running = [subprocess.Popen([*begin, str(number)]) for number in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    print(f"\nfour processes, 100 appends each: {time.perf_counter() - start:.1f} s in all")
    assert Store(uri).load()["case_id"].value_counts().tolist() == [100] * 4

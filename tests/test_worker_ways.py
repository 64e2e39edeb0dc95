"""What a model may do to its process: copy itself, leave daemons, close files, go to another folder. All is real."""

import json
from contextlib import closing
from dataclasses import replace

import psutil
import pytest

from bench.execution.limits import Limits
from bench.execution.messages import Recording
from bench.execution.process_executor import ProcessExecutor
from bench.execution.workers import starting
from bench.statistics.intervals import median
from bench.store import Store
from bench.suite.schema import Quantity
from bench.verdicts.evidence import collect
from bench.verdicts.ledger import Ledger
from bench.verdicts.uncertainty import basis, interval_of
from tests import making
from tests.test_process_per_case import Silent

ASKED = Recording("r", "2026-11-25T00:00:00+00:00", ["bench"], "cpu", 1)
TIMED = making.case(
    "timing", num_classes=10, image_size=32, batch_size=1, options={"processes": 3, "min_seconds": 0.1},
    model_args={"patch_size": 8, "width": 8, "depth": 1, "token_mlp": 4, "channel_mlp": 8},
)  # fmt: skip

PLUGIN = """
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from bench.registry import models


class Odd(nn.Module):
    def __init__(self, way, num_classes):
        super().__init__()
        self.way = way
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, num_classes))

    def forward(self, x):
        WAYS[self.way]()
        return self.head(x)


def daemon():
    made = "import os, time; os.fork() or (os.setsid(), print(os.getpid(), flush=True), time.sleep(600))"
    started = subprocess.Popen([sys.executable, "-c", made], stdout=subprocess.PIPE, text=True, start_new_session=True)
    with Path(__file__).with_name("daemons").open("a") as file:
        file.write(started.stdout.readline())


def closed():
    sys.stdout.close()
    sys.stderr.close()


WAYS = {
    "fine": lambda: None,
    "forks": os.fork,
    "daemon": daemon,
    "closed": closed,
    "elsewhere": lambda: (os.chdir("/"), torch.set_default_dtype(torch.float64), torch.set_num_threads(1)),
    "loud": lambda: print("x" * 3_000_000),
}


@models.register("odd")
def odd(*, num_classes, image_size, way):
    return Odd(way, num_classes)
"""
NAMES = ("closed", "daemon", "elsewhere", "forks", "loud", "fine")


def test_copies_daemons_closed_files_and_other_folders_change_no_row_and_leave_nothing_running(tmp_path):
    tables = [
        f'[models.{name}]\nfactory = "odd"\nlabel = "{name}"\nnum_classes = 2\nimage_size = 8\n'
        f'args = {{ way = "{name}" }}'
        for name in NAMES
    ]
    claim = """
[quantities]
size = { metric = "params", model = "fine" }
[claims.X1]
says = "It has a size"
kind = "recount"
source = "paper"
where = "Table 1"
published = 8
unit = "parameters"
measured = "size"
tolerance = 0.0
tolerance_why = "a count: 3 * 2 + 2"
"""
    profile = '[profiles.full]\nlabel = "full"\nreduced = false'
    text = making.suite_text(
        making.PAPER, *tables, '[measures.static]\nmodels = ["*"]', profile, claim, plugins=["odd.py"]
    )
    (tmp_path / "made.toml").write_text(text, encoding="utf-8")
    (tmp_path / "odd.py").write_text(PLUGIN, encoding="utf-8")
    done = making.bench("run", "made.toml", cwd=tmp_path)
    assert len(done.stderr) < 100_000, "what a model prints is passed on in part"
    rows = Store(tmp_path / "results/store").load(["model", "metric", "part", "value", "status"])
    frames = {name: of.drop(columns="model") for name, of in rows.groupby("model")}
    values = {name: sorted(map(str, of.to_numpy().tolist())) for name, of in frames.items()}
    assert set(values) == set(NAMES)
    for name in NAMES:
        assert values[name] == values["fine"], name
    daemons = [int(line) for line in (tmp_path / "daemons").read_text().split()]
    assert daemons
    assert [pid for pid in daemons if psutil.pid_exists(pid)] == [], "not even in a session of its own"


TIMING = """
from bench.execution.context import OnceMore
from bench.records.measurement import Reading
from bench.records.metrics import Metric, register
from bench.registry import measures

register(Metric("pid", "1", "neither", 1, "asks_again", "a process", depends="machine"))


@measures.register("asks_again")
def asks_again(case, context, *, dies_in=9):
    import os

    yield Reading("pid", os.getpid(), repeat=context.turn.number)
    if context.turn.number == dies_in:
        os._exit(4)
    return OnceMore() if context.turn.number < 2 else None
"""


def test_a_measure_that_asks_for_it_is_asked_again_in_fresh_processes_and_the_rows_are_of_one_case(tmp_path):
    (tmp_path / "again.py").write_text(TIMING, encoding="utf-8")
    whole = making.case("asks_again", suite="s")
    dies = replace(whole, options={"dies_in": 1})
    with closing(
        ProcessExecutor(starting(), ASKED, (None, None), {"s": [("again.py", str(tmp_path))]}, Limits())
    ) as run:
        found = {found.case.id: found for found in run.execute([whole, dies], Silent(), lambda case: True)}
        (timed,) = run.execute([TIMED], Silent(), lambda case: True)
    rows = found[whole.id].rows
    assert [row.repeat for row in rows] == [0, 1, 2]
    assert len({row.value for row in rows}) == 3, "each in a process of its own"
    assert [(row.repeat, row.reason) for row in found[dies.id].rows] == [
        (0, None), (1, None), (None, "ended with exit code 4"),
    ]  # fmt: skip
    assert not found[dies.id].complete
    latencies = [row for row in timed.rows if row.metric == "latency_s"]
    assert [row.repeat for row in latencies] == [0, 1, 2], "three processes were asked for"
    assert [row.value for row in latencies] == pytest.approx(
        [median(json.loads(row.detail)) for row in latencies], 1e-5
    )


def test_the_interval_of_a_latency_says_that_it_covers_processes_and_of_blocks_that_they_are_of_one(material):
    loaded = material.suite()
    rows = material.rows(name="cifar_mixers")
    quantities = {"slow": Quantity(metric="latency_s", model="mlp_mixer", measure="timing", batch_size=1)}
    ledger = Ledger(loaded.suite.model_copy(update={"quantities": quantities}), loaded.sha256, rows)
    evidence = collect(ledger, "slow", {}, None, reduced=False)
    assert interval_of("slow", {}, evidence).method.endswith(f", {len(evidence.samples)} processes")
    assert basis(evidence) == f"{len(evidence.samples)} processes"
    side = replace(evidence, cases=tuple(replace(each, measure="side_by_side") for each in evidence.cases))
    assert interval_of("slow", {}, side).method.endswith(", within one process")

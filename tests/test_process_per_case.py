"""One process per case: whatever becomes of it, its case alone has failed, and nothing is left running. All is real."""

import csv
import json
import math
import os
import signal
import subprocess
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bench.execution.limits import Limits, ended_by, not_beside_others
from bench.execution.locks import CaseLocks
from bench.execution.messages import Job, Recording, Surroundings, asked, question
from bench.execution.process_executor import ProcessExecutor
from bench.execution.workers import CannotStart, Forking, Starting
from bench.plan.case import Case
from tests import making
from tests.making import bench, command, settings

ROOT = Path(__file__).parent.parent
HEAD = making.suite_text(
    making.PAPER,
    """
[profiles.full]
label = "full"
reduced = false
[quantities]
size = { metric = "params", model = "fine" }
[claims.X1]
says = "It has a size"
kind = "recount"
source = "paper"
where = "Table 1"
published = 30730
unit = "parameters"
measured = "size"
tolerance = 0.0
tolerance_why = "a count: 3 * 32 * 32 * 10 + 10"
[datasets.dots]
name = "synthetic"
label = "Synthetic"
classes = 10
args = { n_train = 64, n_test = 32, n_classes = 10 }
[recipes.short]
label = "short"
settings = { epochs = @EPOCHS@, batch_size = 32, optimizer = "adamw", lr = 1e-3 }
""",
    name="odd",
    plugins=["odd.py"],
)
MODEL = """
[models.{name}]
factory = "ending"
label = "{name}"
num_classes = 10
image_size = 32
args = {{ how = "{name}" }}
"""
PLUGIN = """
import ctypes, os, signal, subprocess, sys, time
import torch
from torch import nn
from bench.records.measurement import Reading
from bench.records.metrics import Metric, register
from bench.registry import measures, models

register(Metric("began_at", "1", "neither", 1, "dated", "when", depends="model"))
register(Metric("ended_at", "1", "neither", 1, "dated", "when", depends="model"))
register(Metric("waited_s", "s", "lower", 1, "clocked", "how long", depends="machine"))


def end(how):
    if how == "exits":
        sys.exit(7)
    if how == "reads_null":
        ctypes.string_at(0)
    if how == "hangs":
        while True:
            time.sleep(1)
    if how == "leaves_at_once":
        os._exit(0)
    if how == "aborts":
        os.abort()
    if how == "is_killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "takes_all":
        held = [torch.ones(2**26) for _ in range(64)]
        time.sleep(60)
    if how == "kills_its_parent":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    if how == "interrupts":
        raise KeyboardInterrupt
    if how == "has_offspring":
        subprocess.Popen(["sleep", "600"])
        print("offspring", file=sys.stderr, flush=True)
        while True:
            time.sleep(1)


class Ending(nn.Module):
    def __init__(self, how, num_classes):
        super().__init__()
        self.how, self.layer = how, nn.Linear(3 * 32 * 32, num_classes)

    def forward(self, x):
        end(self.how)
        return self.layer(x.flatten(1))


@models.register("ending")
def ending(*, num_classes, image_size, how="fine"):
    return Ending(how, num_classes)


@measures.register("half")
def half(case, context):
    yield Reading("params", 4.0)
    end(case.model)
    yield Reading("params", 5.0)


@measures.register("dated")
def dated(case, context):
    begun = time.time()
    time.sleep(0.7)
    yield Reading("began_at", begun)
    yield Reading("ended_at", time.time())


@measures.register("clocked")
def clocked(case, context):
    yield from dated(case, context)
    yield Reading("waited_s", 0.7)
"""


@pytest.fixture
def write(tmp_path):
    """A folder with the plug-in and a suite of these models and measures."""

    def made(models, *measures, epochs=2):
        (tmp_path / "odd.py").write_text(PLUGIN, encoding="utf-8")
        text = HEAD.replace("@EPOCHS@", str(epochs)) + "".join(MODEL.format(name=name) for name in (*models, "fine"))
        (tmp_path / "odd.toml").write_text(text + "".join(measures), encoding="utf-8")
        return tmp_path

    return made


def measure(key, *, measure=None, models="*", training=False, **more):
    lines = [f"[measures.{key}]", f'models = ["{models}"]', *(f"{name} = {value}" for name, value in more.items())]
    lines += [f'measure = "{measure}"'] if measure else []
    lines += ['datasets = ["dots"]', 'recipes = ["short"]'] if training else []
    return "\n".join(lines) + "\n"


def run(here, *arguments, code=None, **extra):
    return bench("run", "odd.toml", *arguments, cwd=here, code=code, **extra)


def rows(here, store="results/store"):
    bench("export", f"{store}-csv", "--store", store, cwd=here)
    with (here / f"{store}-csv" / "measurements.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def living(mark):
    """Processes that carry the mark in their environment, and are no zombies."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((int(folder.name), (folder / "cmdline").read_bytes()))
        except OSError:
            continue
    return found


def wait_until(true, limit_s=90):
    until = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_models_that_exit_crash_or_hang_are_rows_with_reasons_and_the_next_one_is_measured(write):
    limited = measure("limited", measure="static", models="hangs", time_limit_s=5)  # the others may take their time
    here = write(["exits", "reads_null", "hangs"], limited, measure("static", models="[!h]*"))
    done = run(here, code=3)
    told = {row["model"]: row for row in rows(here) if row["status"] != "ok"}
    assert told.keys() == {"exits", "reads_null", "hangs"}
    assert told["exits"]["reason"].startswith("ended with exit code 7 (odd.py:")
    assert told["reads_null"]["reason"] == "died by signal 11 (SIGSEGV)"
    assert (told["hangs"]["status"], told["hangs"]["reason"]) == ("timeout", "ran out of time: 5 s (limit)")
    assert "reproduced" in done.stdout, "the fourth was measured and judged"
    assert "4/4 static/fine  ok" in done.stderr
    assert "began" in done.stderr


def test_what_was_measured_before_the_end_is_kept_and_every_end_has_its_words(write):
    ends = ["leaves_at_once", "aborts", "is_killed", "takes_all", "interrupts", "kills_its_parent"]
    here = write(ends, measure("half"))
    run(here, "--memory-limit", "2GiB", code=3)
    found = rows(here)
    assert all({row["value"] for row in found if row["model"] == name} == {"4", ""} for name in ends)
    reasons = {row["model"]: row["reason"] for row in found if row["status"] == "failed"}
    assert reasons == {
        "leaves_at_once": "ended with exit code 0",
        "aborts": "died by signal 6 (SIGABRT)",
        "is_killed": "died by signal 9 (SIGKILL), as the system does when memory runs out",
        "takes_all": "used more than 2.0 GiB",
        "interrupts": "KeyboardInterrupt",
        "kills_its_parent": "was lost together with the process that started it",
    }
    assert {row["value"] for row in found if row["model"] == "fine"} == {"4", "5"}
    assert {row["metric"] for row in found if row["status"] == "failed"} == {"half"}, "the measure has no metric"


def hears_every_signal():
    """What is started behind `nohup` ignores some, and so would what it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129), ("SIGKILL", -9)])
def test_a_run_that_is_ended_leaves_nothing_running_and_keeps_its_rows(write, name, code):
    here = write(["has_offspring"], measure("a", measure="half", models="fine"), measure("b", measure="half"))
    value = f"{os.getpid()}-{name}"
    mark = f"BENCH_TEST_MARK={value}"
    running = subprocess.Popen(
        command("run", "odd.toml", "--store", "kept"), cwd=here, env=settings(BENCH_TEST_MARK=value), text=True,
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        preexec_fn=hears_every_signal,
    )  # fmt: skip
    wait_until(lambda: any(b"sleep" in line for _, line in living(mark)) or running.poll() is not None)
    assert len(living(mark)) >= 4, "the run, its server, the worker, and what that started"
    running.send_signal(getattr(signal, name))
    assert running.wait(timeout=60) == code, running.stderr.read()
    wait_until(lambda: not living(mark))
    assert {row["value"] for row in rows(here, "kept")} == {"4", "5"}


def values(found, *, but=("epoch_s", "train_fps", "began_at", "ended_at", "waited_s")):
    kept = ("case_id", "metric", "part", "epoch", "repeat", "value", "status", "detail")
    return sorted(tuple(row[key] for key in kept) for row in found if row["metric"] not in but)


def test_several_jobs_and_one_process_give_the_bits_of_a_process_after_the_other(write):
    here = write(["a", "b"], measure("static"), measure("accuracy", training=True))
    run(here, "--store", "one", code=0)
    run(here, "--store", "two", "--jobs", "2", code=0)
    run(here, "--store", "inside", "--in-process", code=0)
    one, two, inside = (values(rows(here, store)) for store in ("one", "two", "inside"))
    assert sum(row[1] == "test_loss" for row in one) == 3 * 2
    assert one == two == inside
    seconds = [[row for row in rows(here, store) if row["metric"] == "epoch_s"] for store in ("one", "two")]
    assert (len(seconds[0]), len(seconds[1])) == (3 * 2, 0), "trainings side by side have no seconds of their own"
    with_environments = [here / f"{store}-csv" / "environments.csv" for store in ("one", "inside")]
    first, second = (next(csv.DictReader(path.open(encoding="utf-8"))) for path in with_environments)
    differ = {key for key in first if first[key] != second[key]}
    assert differ <= {"run_id", "started_at", "command"}, "a worker's conditions are those of this process"


def spans(found):
    """Measure -> when each of its cases began and ended."""
    dated = {(row["case_id"], row["metric"]): float(row["value"]) for row in found if row["metric"].endswith("_at")}
    ids = {json.loads(row["params_json"])["measure"]: [] for row in found}
    for row in found:
        if row["metric"] == "began_at":
            one = (dated[row["case_id"], "began_at"], dated[row["case_id"], "ended_at"])
            ids[json.loads(row["params_json"])["measure"]].append(one)
    return ids


def overlap(one, other):
    return one[0] < other[1] and other[0] < one[1]


def test_cases_run_side_by_side_but_none_beside_a_clock(write):
    here = write(["a"], measure("dated"), measure("clocked"), measure("static"))
    run(here, "--jobs", "3", "--exclude", "static*")
    found = spans(rows(here))
    first, second = found["dated"]
    assert overlap(first, second)
    everything = [*found["dated"], *found["clocked"]]
    assert not any(overlap(one, other) for one in found["clocked"] for other in everything if one != other)


def test_a_training_that_runs_out_of_time_keeps_its_epochs_and_goes_on_where_it_stopped(write):
    here = write([], measure("accuracy", training=True), measure("static"), epochs=100_000)
    begun = time.monotonic()
    run(here, "--only", "static*")
    limit_s = max(6, math.ceil(2 * (time.monotonic() - begun)))  # a run that starts here and now, twice
    limited = ("--only", "accuracy*", "--time-limit", f"{limit_s}s")
    done = run(here, *limited, code=3)
    found = rows(here)
    finished = sum(row["metric"] == "test_top1_pct" for row in found)
    assert finished > 1
    assert [row["reason"] for row in found if row["status"] == "timeout"] == [f"ran out of time: {limit_s} s (limit)"]
    assert "of 100000" in done.stderr
    again = run(here, *limited, code=3)
    assert "goes on after epoch" in again.stderr
    assert max(int(float(row["epoch"] or 0)) for row in rows(here)) > finished


def test_two_runs_on_one_store_share_the_cases(write):
    here = write(["a", "b"], measure("dated"), measure("static"))
    both = [
        subprocess.Popen(
            command("run", "odd.toml", "--only", "dated*"), cwd=here, env=settings(), stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [one.communicate()[1] for one in both]
    assert sum("Traceback" in text for text in told) == 0, told
    assert len(rows(here)) == 3 * 2, "each case was measured once"


def test_a_case_that_another_has_in_hand_is_not_taken_and_that_it_had_it_is_remembered(tmp_path):
    ours, theirs = CaseLocks(tmp_path), CaseLocks(tmp_path)
    assert theirs.take("a")
    assert not ours.take("a")
    theirs.release("a")
    assert ours.take("a")
    assert ours.touched("a")
    assert ours.take("b")
    assert not ours.touched("b")
    assert theirs.take("c")
    theirs.release("c")
    assert ours.take("c")
    assert ours.touched("c"), "it was in their hands after our run began"
    assert CaseLocks(None).take("a")


class Silent:
    """Whom nothing is worth a word."""

    def __getattr__(self, name):
        return lambda *_: None


STATIC = Case(
    "static/m", "s", "x", "p", "static", "m", "mlp_mixer", num_classes=10, image_size=32,
    model_args={"patch_size": 16, "width": 8, "depth": 1, "token_mlp": 4, "channel_mlp": 8},
)  # fmt: skip
ASKED = Recording("r", "2026-01-02T03:04:05+00:00", ["bench"], "cpu", 1)


def test_where_nothing_can_be_forked_a_new_interpreter_does_the_same():
    found = {}
    for kind in (Starting, Forking):
        with closing(ProcessExecutor(kind(), ASKED, (None, None), {}, Limits())) as executor:
            (outcome,) = executor.execute([STATIC], Silent(), lambda case: True)
        found[kind] = [(row.metric, row.part, row.value, row.status) for row in outcome.rows], executor.environment
    assert found[Starting] == found[Forking]
    assert len(found[Forking][0]) > 10


def test_a_worker_that_cannot_be_started_fails_its_case_and_the_next_one_is_tried(monkeypatch):
    with closing(ProcessExecutor(Forking(), ASKED, (None, None), {}, Limits())) as executor:
        start, tries = executor._workers.start, iter([True, False])

        def refused(question):
            if next(tries):
                raise CannotStart("no worker could be forked: Resource temporarily unavailable")
            return start(question)

        monkeypatch.setattr(executor._workers, "start", refused)
        first, second = executor.execute([STATIC, replace(STATIC, image_size=64)], Silent(), lambda case: True)
    assert first.problem.reason == "no worker could be forked: Resource temporarily unavailable"
    assert second.problem is None


def test_a_question_comes_through_a_pipe_as_it_was():
    case = Case("n", "s", "x", "p", "timing", "m", "f", model_args={"w": 1, "f": 0.1}, options={"sizes": [1, 2]})
    job = Job(case, [("odd.py", "folder")], Surroundings("cpu", 2, "data", None))
    assert question(asked(job)) == job
    assert question(asked(job)).case.id == case.id


def test_a_limit_is_what_was_asked_for_then_the_suites_then_a_multiple_of_what_is_expected():
    case = Case("n", "s", "x", "p", "static", "m", "f")
    limited = Case("n", "s", "x", "p", "static", "m", "f", time_limit_s=7.0)
    assert limited.id == case.id, "a limit changes no answer"
    assert Limits(asked_time_s=3.0).time_limit_s(limited, 1) == 3.0
    assert Limits().time_limit_s(limited, 1) == 7.0
    assert Limits().time_limit_s(case, 1) == 900.0, "20 times 1 s is below the floor"


def test_only_measures_that_are_about_no_clock_have_company():
    alone = {name: not_beside_others(Case("n", "s", "x", "p", name, "m", "f")) for name in
             ("static", "timing", "side_by_side", "memory", "accuracy", "nobody_knows")}  # fmt: skip
    assert [name for name, yes in alone.items() if not yes] == ["static", "accuracy"]


def test_an_end_is_told_in_words():
    assert ended_by(7) == "ended with exit code 7"
    assert ended_by(-11) == "died by signal 11 (SIGSEGV)"
    assert ended_by(None) == "was lost together with the process that started it"

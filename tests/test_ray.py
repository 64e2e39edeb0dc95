"""A run on a Ray cluster of three nodes: the rows of a local run, whatever is lost on the way. The cluster is real.

Its nodes share this machine, and so its cores and its clock; a node is killed by its id.
"""

import csv
import json
import re
import signal
import subprocess
from collections import Counter
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from subprocess import PIPE

import psutil
import pytest

from bench.records.metrics import METRICS
from tests import making
from tests.making import bench, command, settings

pytest.importorskip("ray", reason="Ray is not installed: pip install 'mixer-bench[ray]'")

TABLES = """
[datasets.dots]
name = "synthetic"
label = "Synthetic"
classes = 10
args = { n_train = 256, n_test = 64, n_classes = 10 }
[recipes.short]
label = "short"
settings = { epochs = @EPOCHS@, batch_size = 16, optimizer = "adamw", lr = 1e-3 }
[profiles.quick]
label = "quick"
reduced = true
[quantities]
size = { metric = "params", model = "@MODEL@" }
[claims.X1]
says = "It has a size"
kind = "recount"
source = "paper"
where = "Table 1"
published = 1
unit = "parameters"
measured = "size"
tolerance = 1e9
tolerance_why = "any size will do"
[measures.static]
models = ["*"]
"""
MEASURES = """
[measures.dated]
models = ["*"]
[measures.accuracy]
models = ["@MODEL@"]
datasets = ["dots"]
recipes = ["short"]
seeds = 2
"""
WIDTHS = {"one": 8, "three": 12, "seven": 16, "eleven": 20, "twelve": 24, "long": 28}  # each another question
PLUGIN = """
import os
import time

import psutil
from beside import SECONDS

from bench.records.measurement import Reading
from bench.records.metrics import Metric, register
from bench.registry import measures

register(Metric("waited_s", "s", "lower", 1, "dated", "how long", depends="machine"))


@measures.register("dated")
def dated(case, context):
    begun = time.perf_counter()
    time.sleep(SECONDS)
    yield Reading("waited_s", time.perf_counter() - begun)


register(Metric("lived", "1", "neither", 1, "killer", "whether", depends="model"))


@measures.register("killer")
def killer(case, context):
    process = psutil.Process()
    while not process.name().startswith("ray::"):
        process = process.parent()
    process.kill()
    time.sleep(600)
    yield Reading("lived", 1.0)
"""


def suite(folder: Path, *models: str, measures: str = MEASURES, epochs: int = 2) -> Path:
    """A suite of these Mixers, named after the first, with a plug-in in a folder beside its own."""
    name = models[0]
    home, parts = folder / name, folder / "parts"
    for each in (home, parts):
        each.mkdir(parents=True, exist_ok=True)
    tables = (TABLES + measures).replace("@EPOCHS@", str(epochs)).replace("@MODEL@", name)
    mixers = [making.mixer_text(model, WIDTHS[model]) for model in models]
    text = making.suite_text(making.PAPER, tables, *mixers, name=name, plugins=["../parts/odd.py"])
    (home / "suite.toml").write_text(text)
    (parts / "odd.py").write_text(PLUGIN)
    (parts / "beside.py").write_text("SECONDS = 2.0\n")
    return home / "suite.toml"


class Nodes:
    """Three nodes: the head has two processors, the others one each."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        self.small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
        head = self.small | {"num_cpus": 2, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.complete()

    def complete(self):
        """Put a node in the place of each that was killed."""
        for _ in range(3 - len(self.cluster.list_all_nodes())):
            self.cluster.add_node(**self.small)

    def kill(self, name):
        """Kill the node that a run calls so, by its place in the order of their ids; the head is the first."""
        head, *others = self.cluster.list_all_nodes()
        ordered = [head, *sorted(others, key=lambda node: node.node_id)]
        self.cluster.remove_node(ordered[int(name.removeprefix("node ")) - 1], allow_graceful=False)


@pytest.fixture(scope="module")
def nodes():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings(RAY_USAGE_STATS_ENABLED="0").items():
            patch.setenv(name, value)
        found = Nodes()
        yield found
        found.cluster.shutdown()


def run(nodes, *arguments, **options):
    return bench("run", "--on", nodes.cluster.address, "--threads", "1", *map(str, arguments), **options)


@contextmanager
def started(on, path, *arguments, cwd):
    """A run in the background; when the block ends it has ended."""
    words = command("run", str(path), "--on", on, "--threads", "1", *arguments)
    environment = settings(RAY_ADDRESS="")
    with subprocess.Popen(
        words, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=PIPE, text=True
    ) as process:
        yield process


def rows(store, folder):
    """The rows of a store, as `bench export` writes them."""
    bench("export", str(folder), "--store", str(store))
    with open(folder / "measurements.csv", newline="") as file:
        return list(csv.DictReader(file))


def key(row):
    return tuple(row[name] for name in ("case_id", "metric", "part", "epoch", "repeat"))


def once(found):
    """Every row, none of which stands there twice."""
    assert not [each for each, times in Counter(map(key, found)).items() if times > 1]
    return {key(row): row for row in found}


def values(found):
    """What is counted and learned, to the last bit; no clock."""
    quiet = {name for name, metric in METRICS.items() if metric.depends != "machine"}
    return {each: (row["value"], row["status"], row["detail"]) for each, row in found.items() if row["metric"] in quiet}


def named(row):
    """The name of a row's case, as a run prints it."""
    measure = json.loads(row["params_json"])["measure"]
    return (
        f"accuracy/{row['model']}/dots/short/seed{row['seed']}"
        if measure == "accuracy"
        else f"{measure}/{row['model']}"
    )


def began(told):
    """Name of a case -> the nodes on which a run said that it began, the last one last."""
    found = {}
    for name, node in re.findall(r"^ *\d+/\d+ (\S+)  began \S+ on (node \d)", told, re.MULTILINE):
        found.setdefault(name, []).append(node)
    return found


def overlaps(row, other):
    (begun, ended), (other_begun, other_ended) = span(row), span(other)
    return begun < other_ended and other_begun < ended


def span(row):
    """From when to when a case ran, in seconds; the time of its row is cut to milliseconds."""
    begun = datetime.fromisoformat(row["started_at"]).timestamp()
    return begun, begun + float(row["duration_s"])


@pytest.fixture(scope="module")
def both(tmp_path_factory, nodes):
    """Two suites, run here and on the cluster: rows of both, and what the latter said."""
    folder = tmp_path_factory.mktemp("both")
    suites = [str(suite(folder, "one", "three")), str(suite(folder, "eleven", "twelve"))]
    bench("run", *suites, "--threads", "1", "--store", str(folder / "here"))
    done = run(nodes, *suites, "--store", folder / "there", cwd=folder)
    return once(rows(folder / "here", folder / "a")), once(rows(folder / "there", folder / "b")), done.stderr


def test_a_cluster_gives_the_rows_of_a_local_run_to_the_last_bit(both):
    here, there, _ = both
    # two suites, each with a clock for 2 models and 2 seeds of 2 epochs
    assert sum(row["metric"] == "waited_s" for row in there.values()) == 2 * 2
    assert sum(row["metric"] == "test_top1_pct" for row in there.values()) == 2 * 2 * 2
    assert there.keys() <= here.keys()
    # the seconds of a training that may have had company are left out
    assert {each[1] for each in here.keys() - there.keys()} <= {"epoch_s", "train_fps"}
    assert values(here) == values(there)
    assert {row["status"] for row in there.values()} == {"ok"}
    assert {row["environment_id"] for row in there.values()} != {""}


def test_the_plan_says_what_each_kind_of_node_will_do_and_for_how_long(both):
    _, _, told = both
    # two nodes are alike: they have the clocks, 10 s each; 4 counts of 1 s and 4 trainings of a moment go to the third
    assert re.search(r"^on 2 x .*: 4 cases, 40 s of work$", told, re.MULTILINE), told
    assert re.search(r"^on 1 x .*: 8 cases, 4 s of work$", told, re.MULTILINE), told
    assert re.search(r"^all of them done after about 20 s$", told, re.MULTILINE), told


def test_two_clocks_never_share_a_node_while_trainings_go_on_elsewhere(both):
    _, there, told = both
    where = {name: nodes[-1] for name, nodes in began(told).items()}
    clocks = [row for row in there.values() if row["metric"] == "waited_s"]
    trainings = [row for row in there.values() if row["metric"] == "test_top1_pct"]
    assert {where[named(row)] for row in clocks} == {"node 2", "node 3"}  # four clocks on the two nodes that are alike
    for row in clocks:
        others = [other for other in there.values() if other["case_id"] != row["case_id"] and overlaps(row, other)]
        assert where[named(row)] not in {where[named(other)] for other in others}
    assert any(overlaps(row, other) for row in clocks for other in trainings)


def test_a_training_whose_node_is_killed_ends_elsewhere_with_the_same_curve(tmp_path, nodes):
    nodes.complete()
    # What ran on a node that is killed is there for a second more: it does not get to the end of so many epochs.
    measures = MEASURES.replace("seeds = 2", "seeds = 4")  # one for each processor
    path = suite(tmp_path, "long", measures=measures, epochs=60)
    arguments = ("--only", "accuracy*", "--store", str(tmp_path / "there"))
    with started(nodes.cluster.address, path, *arguments, cwd=tmp_path) as process:
        told, victim = "", None
        for line in process.stderr:
            told += line
            if victim is None and "after epoch 3 of 60" in line:
                name = line.strip().partition(":")[0]
                victim = began(told)[name][-1]
                if victim == "node 1":  # the head, without which there is no cluster
                    victim = None
                    continue
                nodes.kill(victim)
    assert victim is not None
    assert process.returncode == 0, told
    assert f"{name} is lost: {victim} is gone. It begins again" in told
    first, *later = began(told)[name]
    assert first == victim
    assert later
    assert victim not in later
    bench("run", str(path), "--threads", "1", "--store", str(tmp_path / "here"), "--only", "accuracy*")
    here, there = once(rows(tmp_path / "here", tmp_path / "a")), once(rows(tmp_path / "there", tmp_path / "b"))
    assert values(here) == values(there)
    lost = {row["note"] for row in there.values() if named(row) == name}
    assert lost == {"begun again elsewhere: its node was lost"}
    assert {
        row["note"] for row in there.values() if named(row) not in began(told) or len(began(told)[named(row)]) == 1
    } == {""}
    assert "goes on after epoch" in told  # from the checkpoint in the store, which the nodes share
    assert not list((tmp_path / "there" / "scratch").glob("shared-*"))


@pytest.fixture(scope="module")
def killed(tmp_path_factory, nodes):
    """A run whose driver is killed after three cases, and the same again with a suite more that kills its workers."""
    nodes.complete()
    folder = tmp_path_factory.mktemp("killed")
    path = suite(folder, "one", "three", "seven", "eleven", "twelve")
    with started(nodes.cluster.address, path, "--store", str(folder / "there"), cwd=folder) as process:
        told = ""
        for line in process.stderr:
            told += line
            if re.match(r" *3/12 ", line) and "  ok, " in line:
                process.kill()
                break
    before = once(rows(folder / "there", folder / "a"))
    worse = suite(folder, "long", measures='[measures.killer]\nmodels = ["long"]')
    again = run(nodes, path, worse, "--store", folder / "there", cwd=folder, code=3).stderr
    return told, before, again, once(rows(folder / "there", folder / "b"))


def test_a_driver_that_is_killed_loses_nothing_and_measures_nothing_twice(killed):
    told, before, again, after = killed
    ended = re.findall(r"^ *\d+/12 (\S+)  ok, ", told, re.MULTILINE)
    assert len(ended) == 3
    assert {named(row) for row in before.values()} >= set(ended)
    # five models with counts and a clock, and two seeds; of the other suite a count and the killer
    assert len({row["case_id"] for row in after.values()}) == 5 + 5 + 2 + 1 + 1
    assert before.items() <= after.items()
    assert not set(ended) & set(began(again))


def test_a_case_that_kills_its_worker_twice_has_failed_and_is_not_tried_for_ever(killed):
    _, _, again, after = killed
    (row,) = [row for row in after.values() if row["metric"] == "lived"]
    assert (row["status"], row["reason"]) == ("failed", "killed its worker 2 times: its worker died")
    assert again.count("killer/long is lost: its worker died") == 1
    assert {row["status"] for row in after.values() if row["metric"] != "lived"} == {"ok"}


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signals")
def test_a_cluster_that_the_run_started_is_gone_after_ctrl_c(tmp_path):
    path = suite(tmp_path, "long", epochs=100_000)
    with started("ray", path, "--store", str(tmp_path / "there"), "--only", "accuracy*", cwd=tmp_path) as process:
        for line in process.stderr:
            if "after epoch 1 of" in line:
                break
        living = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
    assert process.returncode == 130, told
    assert len(living) >= 3  # Ray's own, and what measures
    assert psutil.wait_procs(living, timeout=60)[1] == []

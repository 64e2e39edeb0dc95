"""A worker builds what its tree says, under conditions that are the same on both sides, and tells why it could not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from bench import machine
from bench.execution.processes import WorkerFailed, deadline
from bench.gate.pairs import worker as worker_file
from bench.gate.pairs.crew import PADDING, Crew, crew
from bench.gate.pairs.processes import ALLOCATOR, environment, new_worker
from bench.gate.pairs.rounds import Side, Subject, job
from bench.statistics.intervals import median

needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
needs_glibc = pytest.mark.skipif(not os.confstr("CS_GNU_LIBC_VERSION"), reason="only glibc reads these variables")

PLUGIN = """
import json, os, sys
from pathlib import Path
import torch
from bench.registry import models

@models.register("plain")
def plain(*, num_classes, image_size, width=8):
    Path("seen.json").write_text(json.dumps({"environment": dict(os.environ), "path": sys.path[0]}))
    print("a model that talks on standard output", flush=True)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * image_size**2, width), torch.nn.ReLU())

@models.register("hungry")
def hungry(*, num_classes, image_size):
    # 64 MB: by default glibc maps more than 32 MB anew for every tensor
    class Hungry(torch.nn.Module):
        def forward(self, x):
            return torch.zeros(16_000_000)
    return Hungry()

@models.register("mortal")
def mortal(*, num_classes, image_size, how):
    class Mortal(torch.nn.Module):
        def forward(self, x):
            if how == "killed": os.kill(os.getpid(), 9)
            if how == "leaves": sys.stderr.write("last words\\n"); sys.exit(7)
            if how == "hangs": import time; time.sleep(600)
            raise ValueError("no such depth: 3")
    return Mortal()

# As the registry does it: the name is known, the file is imported when it is asked for.
models._modules["torn"] = "torn_model"

@models.register("family")
def family(name, *, num_classes, image_size):
    if name != "kind": raise AssertionError(name)
    return torch.nn.Identity()
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "torn_model.py").write_text("def torn(:\n")
    return tmp_path


def asked(tree: Path, factory: str = "plain", args: dict | None = None, **changes) -> dict:
    subject = Subject("x", factory, args or {}, 10, 8, batch_size=4, plugins=("plugin.py",))
    return {**job(subject, Side(tree), "cpu", 0.0), "padding_bytes": 100, **changes}


def test_a_worker_answers_with_the_seconds_of_as_many_forwards_as_it_is_asked_for(tree, hired):
    with closing(hired.worker("baseline", sys.executable, 1, 0)) as worker:
        ready = worker.ask(asked(tree))
        one, many = (worker.ask({"forwards": n}) for n in (1, 2000))
    assert len(ready["warm_up_faults"]) >= 3
    assert 0 < one["wall_s"] < many["wall_s"]
    assert many["cpu_s"] > one["cpu_s"] > 0
    assert many["cpu_s"] < 1.1 * many["wall_s"]  # one thread cannot work longer than it takes


@pytest.mark.skipif(not machine.usable_cores(), reason="this system does not place processes")
def test_a_core_that_is_not_there_leaves_the_worker_where_the_system_puts_it(tree, hired):
    with closing(hired.worker("baseline", sys.executable, 1, 0)) as worker:
        assert worker.ask(asked(tree, cores=[machine.usable_cores()[0]]))["cores"] == [machine.usable_cores()[0]]
    with closing(hired.worker("baseline", sys.executable, 1, 0)) as worker:
        assert worker.ask(asked(tree, cores=[1022]))["cores"] == []
        assert worker.ask({"forwards": 1})["wall_s"] > 0


def test_a_model_is_built_in_its_tree_and_finds_the_trees_files_first(tree, hired):
    with closing(hired.worker("baseline", sys.executable, 1, 0)) as worker:
        worker.ask(asked(tree))
    assert json.loads((tree / "seen.json").read_text())["path"] == str(tree)


def test_a_tree_with_a_bench_of_its_own_is_asked_for_its_own_models(tmp_path, hired):
    package = tmp_path / "bench"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "registry.py").write_text(
        "class UsageError(Exception): pass\n"
        "class models:\n"
        "    def get(name): raise UsageError('the registry of the tree, asked for ' + name)\n"
    )
    with closing(hired.worker("candidate", sys.executable, 1, 0)) as worker, pytest.raises(WorkerFailed) as caught:
        worker.ask(asked(tmp_path, plugins=[]))
    assert (caught.value.stage, caught.value.side) == ("lookup", "candidate")
    assert caught.value.reason == "UsageError: the registry of the tree, asked for plain"


def test_a_name_with_a_tail_hands_the_tail_to_the_factory(tree, hired):
    with closing(hired.worker("baseline", sys.executable, 1, 0)) as worker:
        assert worker.ask(asked(tree, "family:kind"))["forward_s"] > 0


@pytest.mark.parametrize(
    ("factory", "args", "stage", "reason"),
    [
        ("plain", {"depth": 1}, "build", "unexpected keyword argument 'depth'"),
        ("torn", {}, "build", "SyntaxError"),
        ("nowhere; touch pwned", {}, "lookup", "no model 'nowhere; touch pwned'"),
        ("mortal", {"how": "raises"}, "forward", "ValueError: no such depth: 3"),
        ("mortal", {"how": "killed"}, "lost", "killed by signal 9"),
        ("mortal", {"how": "leaves"}, "lost", "ended with code 7 in the middle of its work: .*last words"),
    ],
)
@needs_fork
def test_a_worker_that_cannot_says_at_what_and_why(tree, hired, factory, args, stage, reason):
    with closing(hired.worker("candidate", sys.executable, 1, 0)) as worker:
        with pytest.raises(WorkerFailed, match=reason) as caught:
            worker.ask(asked(tree, factory, args))
        assert (caught.value.side, caught.value.stage) == ("candidate", stage)
    assert not (tree / "pwned").exists()


def test_a_missing_plugin_is_named(tree, hired):
    with closing(hired.worker("baseline", sys.executable, 1, 0)) as worker:
        with pytest.raises(WorkerFailed, match=r"no file .*absent\.py") as caught:
            worker.ask(asked(tree, plugins=["absent.py"]))
        assert caught.value.stage == "plug-ins"


@needs_glibc
def test_the_allocators_variables_reach_the_worker_so_that_a_forward_faults_in_no_memory(tree, hired):
    variables = {name: text for name, text in environment(1, os.environ).items() if name not in ALLOCATOR}
    faults = []
    for worker in (hired.worker("baseline", sys.executable, 1, 0), new_worker("baseline", sys.executable, variables)):
        with closing(worker):
            worker.ask(asked(tree, "hungry"))
            faults.append(median([worker.ask({"forwards": 1})["faults"] for _ in range(15)]))
    assert faults[0] < 16
    assert faults[1] > 64_000_000 / 65536  # without them every forward has a fault for each page, however large


@pytest.mark.parametrize("forking", [pytest.param(True, marks=needs_fork), False])
def test_the_environments_of_both_sides_are_equal_but_for_the_padding(tree, forking):
    seen = []
    with crew("cpu", {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, 60) as hired:
        hired.forking = forking
        for side, padding in (("baseline", 10), ("candidate", 300)):
            with closing(hired.worker(side, sys.executable, 1, padding)) as worker:
                worker.ask(asked(tree, padding_bytes=padding, build_only=True))
            seen.append(json.loads((tree / "seen.json").read_text())["environment"])
    assert [len(each.pop(PADDING)) for each in seen] == [10, 300]
    assert seen[0] == seen[1]
    assert seen[0].items() >= {**ALLOCATOR, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}.items()
    assert "PYTHONDONTWRITEBYTECODE" not in seen[0]


@needs_fork
@pytest.mark.parametrize("threads", [1, 2])
def test_a_server_has_one_thread_when_it_forks_however_many_its_workers_will_have(threads):
    with crew("cpu", os.environ, 60) as hired:
        hired.worker("baseline", sys.executable, threads, 0).close()
        (server,) = hired.servers.values()
        assert server.threads == 1


def test_a_worker_that_hangs_is_killed_when_its_time_is_over(tree, hired):
    begun = time.monotonic()
    with closing(hired.worker("baseline", sys.executable, 1, 0)) as worker:
        with deadline(0.7, worker.kill) as late, pytest.raises(WorkerFailed, match="signal 9"):
            worker.ask(asked(tree, "mortal", {"how": "hangs"}))
        assert late.is_set()
    assert time.monotonic() - begun >= 0.7, "not before"


@needs_fork
def test_a_server_that_was_killed_is_replaced(tree):
    with crew("cpu", os.environ, 60) as hired:
        hired.worker("baseline", sys.executable, 1, 0).close()
        next(iter(hired.servers.values())).kill()
        with pytest.raises(WorkerFailed, match="no worker could be forked: the process was killed by signal 9"):
            hired.worker("baseline", sys.executable, 1, 0)
        with closing(hired.worker("baseline", sys.executable, 1, 0)) as worker:
            assert worker.ask(asked(tree))["forward_s"] > 0


def test_an_interpreter_that_is_not_there_is_named():
    with pytest.raises(WorkerFailed, match="cannot start /no/python: No such file") as caught:
        Crew("cpu", os.environ, 60).worker("baseline", "/no/python", 1, 0)
    assert (caught.value.side, caught.value.stage) == ("baseline", "start")


@pytest.mark.skipif(shutil.which("false") is None, reason="needs the program false")
def test_an_interpreter_that_is_none_is_named():
    with crew("cpu", os.environ, 60) as hired, pytest.raises(WorkerFailed, match="ended with code 1"):
        hired.worker("baseline", shutil.which("false"), 1, 0).ask({})


HIRES = """
import os, sys, time
from bench.gate.pairs.crew import crew
with crew("cpu", os.environ, 60) as hired:
    hired.forking = bool(int(sys.argv[1]))
    worker = hired.worker("baseline", sys.executable, 1, 0)
    print(worker.pid, *(server.pid for server in hired.servers.values()), flush=True)
    time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@needs_fork
@pytest.mark.parametrize(
    ("number", "forking"), [(signal.SIGTERM, 1), (signal.SIGINT, 1), (signal.SIGKILL, 1), (signal.SIGTERM, 0)]
)
def test_no_process_outlives_the_tool(number, forking):
    root = Path(worker_file.__file__).parents[3]
    command = [sys.executable, "-c", HIRES, str(forking)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=root) as tool:
        pids = [int(word) for word in tool.stdout.readline().split()]
        assert len(pids) == 1 + forking  # the worker, and the server that forked it
        assert all(map(alive, pids))
        tool.send_signal(number)
        tool.wait(timeout=120)
    until = time.monotonic() + 120  # to say so in place of hanging
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(alive, pids))

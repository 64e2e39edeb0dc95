"""Somebody else's code as a case: its numbers are read where the suite says, its failures say why, nothing is left."""

import json
import os
import signal
import subprocess
import time
from contextlib import suppress

import psutil
import pytest

from bench.errors import SuiteError
from bench.execution.context import Context
from bench.execution.executor import stream
from bench.measures.instruments.foreign_results import NotThere, Results
from bench.plan.planner import plan
from bench.store import Store
from bench.suite import read
from tests import making

TRAIN = """
import argparse, json, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int); parser.add_argument("--out"); parser.add_argument("--epochs", type=int)
told = parser.parse_args()
for epoch in range(1, told.epochs + 1):
    print(f"epoch {epoch}: loss {1 / epoch - told.seed / 1000:.3f} acc {60 + 5 * epoch + told.seed / 10:.2f}")
best = 60 + 5 * told.epochs + told.seed / 10
pathlib.Path(told.out, "metrics.json").write_text(json.dumps({"best": {"top1": best / 100}}))
"""
SUITE = """
[models.theirs]
label = "Their net"

[measures.authors]
measure = "command"
models = ["theirs"]
seeds = 3
run = ["python", "train.py", "--seed", "{seed}", "--out", "{out}", "--epochs", "{epochs}"]
values = { epochs = 3 }

[measures.authors.read]
test_top1_pct = { at = "metrics.json:best.top1", times = 100 }
test_loss = 'log:epoch (\\d+): loss ([\\d.]+)'

[profiles.paper]
label = "paper"
reduced = false
default = true

[profiles.quick]
label = "quick"
reduced = true
seeds = 1
values = { epochs = 1 }

[quantities]
top1 = { metric = "test_top1_pct", model = "theirs" }
loss = { metric = "test_loss", model = "theirs" }

[claims.F1]
says = "75 % top-1"
kind = "retrain"
source = "paper"
where = "README"
printed = "75 %"
measured = "top1"

[claims.F2]
says = "The loss falls to a third"
kind = "retrain"
source = "paper"
where = "README"
unit = "nats"
measured = "loss"
below = 0.34
tolerance_why = "1 / 3"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "theirs.toml").write_text(making.suite_text(making.PAPER, SUITE))
    return tmp_path


def problems(folder, *changes: tuple[str, str]) -> list[str]:
    text = (folder / "theirs.toml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "broken.toml").write_text(text)
    with pytest.raises(SuiteError) as told:
        read.load(folder / "broken.toml")
    return [problem.partition("broken.toml ")[2] for problem in told.value.problems]


def case(folder, run, read, **options):
    return making.case("command", factory="", beside=str(folder), options={"run": run, "read": read, **options})


def measured(found, **context):
    *items, stop = stream(found, Context(**context))
    return [item for item in [*items, stop.early] if item is not None]


def test_a_foreign_training_is_judged_over_its_seeds_and_run_again_after_an_edit(folder):
    making.bench("run", "theirs.toml", "--store", "s", cwd=folder)
    report = json.loads(
        making.bench("report", "theirs.toml", "--store", "s", "--format", "json", "-o", "-", cwd=folder).stdout
    )
    verdicts = {claim["claim"]: claim for claim in report["claims"]}
    # 60 + 5 * 3 + seed / 10: 75.0, 75.1 and 75.2
    assert [sample["value"] for sample in verdicts["F1"]["checks"][0]["samples"]] == pytest.approx([75.0, 75.1, 75.2])
    assert (verdicts["F1"]["verdict"], verdicts["F2"]["verdict"]) == ("reproduced", "reproduced")
    (log, *_) = verdicts["F1"]["checks"][0]["logs"]
    assert log["tail"].splitlines()[-1] == "epoch 3: loss 0.333 acc 75.00"
    assert (folder / "s" / log["name"]).read_text().count("epoch") == 3
    assert "0 of 3 cases to measure" in making.bench("run", "theirs.toml", "--store", "s", cwd=folder).stderr
    (folder / "train.py").write_text(TRAIN.replace("60", "50"))
    told = making.bench("report", "theirs.toml", "--store", "s", "--format", "json", "-o", "-", cwd=folder).stdout
    assert "train.py changed since run" in json.loads(told)["claims"][0]["checks"][0]["reason"]


def test_a_quick_profile_runs_it_with_other_values_and_says_so(folder):
    suite = read.load(folder / "theirs.toml").suite
    (quick,) = plan(suite, "", "quick")
    assert quick.options["values"] == {"epochs": 1}
    assert quick.deviations == "epochs 1 in place of 3"
    assert len({found.id for found in plan(suite, "")} | {quick.id}) == 4


def test_a_failure_shows_the_last_lines_of_its_error_and_no_path(tmp_path):
    (tmp_path / "train.py").write_text("print('fine so far')\nraise RuntimeError('CUDA out of memory')\n")
    (failed,) = measured(case(tmp_path, ["python", "train.py"], {"test_top1_pct": {"at": "log:acc (.*)"}}))
    assert failed.status == "failed"
    assert failed.reason.startswith("the command ended with exit code 1: Traceback")
    assert failed.reason.endswith("RuntimeError: CUDA out of memory")
    assert str(tmp_path) not in failed.reason + failed.detail
    assert "fine so far" in json.loads(failed.detail)["tail"]


def test_what_is_not_where_the_suite_says_is_a_reading_without_a_value(tmp_path):
    say = ["python", "-c", "import json; json.dump({'best': {'top5': 1}}, open(r'{out}/m.json', 'w')); print('acc 7')"]
    say[2] = say[2].replace("{'best': {'top5': 1}}", "dict(best=dict(top5=1))")
    wanted = {"test_top1_pct": {"at": "m.json:best.top1"}, "test_loss": {"at": "log:acc (.*)"}}
    seconds, top1, loss = measured(case(tmp_path, say, wanted))
    assert (seconds.metric, seconds.status) == ("command_s", "ok")
    assert (top1.value, top1.reason) == (None, "m.json:best has no 'top1'. Did you mean 'top5'? Known: top5.")
    assert loss.value == 7.0


def test_no_shell_reads_the_command(tmp_path):
    _, loss = measured(case(tmp_path, ["echo", "$HOME; 3", "`x`"], {"test_loss": {"at": r"log:HOME; (\d)"}}))
    assert loss.value == 3.0


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        ({"device": "cuda"}, "needs a cuda device"),
        ({"memory": "9000TB"}, "needs 9000TB of memory"),
        ({"data": ["cifar10"]}, "say where with --data DIR"),
    ],
)
def test_a_command_without_what_it_needs_is_skipped_with_the_reason(tmp_path, needs, words):
    (skipped,) = measured(case(tmp_path, ["false"], {"test_loss": {"at": "log:(.)"}}, needs=needs))
    assert skipped.status == "skipped"
    assert words in skipped.reason


def results(tmp_path, name: str, text: str, **where) -> list[tuple[int | None, float]]:
    (tmp_path / name).write_text(text)
    found = Results(tmp_path, tmp_path, tmp_path / "log", time.time())
    return [(each.epoch, each.value) for each in found.readings("test_loss", where)]


@pytest.mark.parametrize(
    ("name", "text", "where", "found"),
    [
        ("m.json", '{"a": {"b.c": [1, {"d": "2.5%"}]}}', {"at": 'm.json:a["b.c"][-1].d'}, [(None, 2.5)]),
        ("m.json", '{"h": [{"x": 3}, {"x": 4}]}', {"at": "m.json:h[].x"}, [(1, 3), (2, 4)]),
        ("m.json", '{"h": [3, 4], "e": [0, 5]}', {"at": "m.json:h", "epoch": "m.json:e"}, [(0, 3), (5, 4)]),
        ("m.json", '{"h": [3, 9, 4]}', {"at": "m.json:h", "take": "max"}, [(None, 9)]),
        ("m.jsonl", '{"head": 1}\n{"x": 3}\n{"x": 4}\n', {"at": "m.jsonl:x"}, [(1, 3), (2, 4)]),
        ("m.csv", "epoch,top1\n1,50\n2,60\n", {"at": "m.csv:top1"}, [(1, 50), (2, 60)]),
        ("m.csv", "epoch;top1\n7;50\n", {"at": "m.csv:top1"}, [(None, 50)]),
        ("log", "acc 1\nacc 2\n", {"at": r"log:acc (\d)"}, [(None, 2)]),
        ("log", "acc 1\racc 2\r", {"at": r"log:^acc (\d)$", "take": "all"}, [(1, 1), (2, 2)]),
        ("log", "e 1 acc 5\ne 2 acc 6\ne 2 acc 7\n", {"at": r"log:e (\d) acc (\d)"}, [(1, 5), (2, 7)]),
        ("log", "acc 5 at 3\n", {"at": r"log:acc (?P<value>\d) at (?P<epoch>\d)"}, [(3, 5)]),
        ("out.txt", "top-1: 76.5%", {"at": r"out.txt:top-1: ([\d.]+%)"}, [(None, 76.5)]),
    ],
)
def test_numbers_are_read_from_json_lines_columns_and_patterns(tmp_path, name, text, where, found):
    assert results(tmp_path, name, text, **where) == found


def test_a_file_of_an_earlier_run_is_not_read(tmp_path):
    home, out = tmp_path / "home", tmp_path / "out"
    for each in (home, out):
        each.mkdir()
    (home / "m.json").write_text('{"x": 1}')
    os.utime(home / "m.json", (1, 1))
    with pytest.raises(NotThere, match="one of an earlier run lies in the folder"):
        list(Results(out, home, tmp_path / "log", time.time()).readings("test_loss", {"at": "m.json:x"}))


def test_a_git_source_is_run_at_its_commit(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    making.git(theirs, "init", "--quiet")
    (theirs / "say.py").write_text("print('acc 5')")
    first = making.commit(theirs)
    (theirs / "say.py").write_text("print('acc 6')")
    making.commit(theirs)
    found = case(
        tmp_path, ["python", "say.py"], {"test_loss": {"at": r"log:acc (\d)"}},
        sources=[{"git": "theirs", "commit": first}],
    )  # fmt: skip
    _, loss = measured(found, scratch_dir=tmp_path / "store" / "scratch")
    assert loss.value == 5.0
    gone = {"git": "theirs", "commit": "0" * 40}
    (failed,) = measured(case(tmp_path, ["true"], {}, sources=[gone]), scratch_dir=tmp_path / "store" / "scratch")
    assert "0000" in failed.reason


def test_a_virtual_environment_is_made_once_and_kept_by_its_hash(tmp_path):
    (tmp_path / "requirements.txt").write_text("# nothing beside Python\n")
    say = ["python", "-c", "import sys; print('own', int(sys.prefix != sys.base_prefix)); print(sys.prefix)"]
    found = case(tmp_path, say, {"test_loss": {"at": r"log:own (\d)"}}, environment="requirements.txt")
    scratch = tmp_path / "store" / "scratch"
    first, second = (measured(found, scratch_dir=scratch) for _ in range(2))
    assert [each.value for each in (first[1], second[1])] == [1.0, 1.0]
    (home,) = [path for path in (scratch / "environments").iterdir() if path.is_dir()]
    assert home.name in (scratch.parent / json.loads(first[0].detail)["log"]).read_text()


def test_nothing_that_a_command_started_outlives_it(tmp_path):
    code = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True); print('acc 1')"
    seconds, loss = measured(case(tmp_path, ["python", "-c", code], {"test_loss": {"at": r"log:acc (\d)"}}))
    assert loss.value == 1.0
    assert seconds.value < 60
    assert [child for child in psutil.Process().children(recursive=True) if "sleep" in child.name()] == []


def test_a_command_that_runs_out_of_time_ends_with_all_that_it_started(folder):
    (folder / "train.py").write_text(
        "import subprocess, sys\nprint('begun', flush=True)\nsubprocess.run(['sleep', '612'])\n"
    )
    making.bench("run", "theirs.toml", "--store", "s", "--seeds", "1", "--time-limit", "2s", cwd=folder, code=3)
    rows = Store(folder / "s").load()
    assert rows["status"].tolist() == ["timeout"]
    with suppress(subprocess.CalledProcessError):
        assert not subprocess.run(["pgrep", "-f", "sleep 612"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("{seed}", "1"),
            "[measures.authors]: seeds: run does not use {seed}, so that every seed would be the same run",
        ),
        (("{epochs}", "{epoch}"), "[measures.authors]: run: nothing is called 'epoch'. Did you mean 'epochs'?"),
        (("{out}", "{"), "[measures.authors]: run: '{': "),
        (('measure = "command"', 'measure = "accuracy"'), '[measures.authors]: run: belongs to measure = "command"'),
        (("(\\d+): loss", "((\\d+): loss"), "[measures.authors.read]: test_loss: "),
        (
            ("values = { epochs = 1 }", "values = { epoch = 1 }"),
            "[profiles.quick.values]: no value 'epoch' in any measure.",
        ),
        (("seeds = 3", 'seeds = 3\nsources = ["gone.py"]'), "[measures.authors]: sources: no file or folder 'gone.py'"),
        (("seeds = 3", 'seeds = 3\nenvironment = "no.txt"'), "[measures.authors]: environment: no file 'no.txt'"),
        (
            ("[measures.authors]", '[measures.static]\nmodels = ["theirs"]\n\n[measures.authors]'),
            "[measures.static]: models: 'theirs' has no factory",
        ),
    ],
)
def test_a_mistake_in_a_command_is_told_at_its_key(folder, change, words):
    assert any(problem.startswith(words) for problem in problems(folder, change)), problems(folder, change)


def test_a_model_without_a_factory_is_a_name_for_what_a_command_runs(folder):
    (told,) = problems(folder, ("[measures.authors]", '[models.other]\nlabel = "x"\n\n[measures.authors]'))
    assert told.startswith("[models.other]: key 'factory' is missing")
    text = (
        (folder / "theirs.toml")
        .read_text()
        .replace("[measures.authors]", '[measures.static]\nmodels = ["*"]\n\n[measures.authors]')
    )
    (folder / "both.toml").write_text(text)
    assert {found.measure for found in plan(read.load(folder / "both.toml").suite, "")} == {"command"}


def test_an_interrupt_ends_the_command(folder):
    (folder / "train.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(613)\n")
    done = subprocess.Popen(
        making.command("run", "theirs.toml", "--store", "s", "--seeds", "1"), cwd=folder, env=making.settings(),
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    logs = folder / "s" / "logs"
    while not (logs.is_dir() and any("begun" in path.read_text() for path in logs.iterdir())):
        assert done.poll() is None
        time.sleep(0.05)
    done.send_signal(signal.SIGINT)
    done.communicate()
    assert done.returncode == 130

"""The command line keeps its contract: what goes where, and which exit code ends it. Every test is a real process."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests import making
from tests.making import bench, command, settings

ROOT = Path(__file__).parent.parent
SUITE = making.suite_text(
    making.PAPER,
    making.mixer_text("small"),
    """
[datasets.dots]
name = "synthetic"
label = "Synthetic"
classes = 10
args = { n_train = 64, n_test = 32, n_classes = 10 }
[datasets.absent]
name = "cifar10"
label = "CIFAR-10"
classes = 10
[recipes.short]
label = "short"
settings = { epochs = @EPOCHS@, batch_size = 32, optimizer = "adamw", lr = 1e-3 }
[measures.static]
models = ["*"]
[measures.accuracy]
models = ["*"]
datasets = ["dots"]
recipes = ["short"]
[measures.elsewhere]
measure = "accuracy"
models = ["*"]
datasets = ["absent"]
recipes = ["short"]
[profiles.full]
label = "full"
reduced = false
[quantities]
size = { metric = "params", model = "small" }
[claims.X1]
says = "It has a size"
kind = "recount"
source = "paper"
where = "Table 1"
published = @PUBLISHED@
unit = "parameters"
measured = "size"
tolerance = 0.0
tolerance_why = "a count"
""",
    name="tiny",
)
# Patch embedding 16·16·3·8 + 8; norms 3·2·8; token MLP 4·4 + 4, twice; channel MLP 8·8 + 8, twice; head 8·10 + 10.
SIZE = (16 * 16 * 3 * 8 + 8) + 3 * 2 * 8 + (4 * 4 + 4 + 4 * 4 + 4) + (8 * 8 + 8 + 8 * 8 + 8) + (8 * 10 + 10)


@pytest.fixture
def folder(tmp_path):
    def write(published: int = SIZE, epochs: int = 1, name: str = "tiny.toml") -> Path:
        text = SUITE.replace("@PUBLISHED@", str(published)).replace("@EPOCHS@", str(epochs))
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_a_run_measures_stores_and_summarises_and_a_second_one_skips_what_is_done(folder):
    here = folder()
    first = bench("run", "tiny.toml", "--only", "static*", "--only", "accuracy/*", cwd=here)
    assert "static/small  ok" in first.stderr
    assert "reproduced" in first.stdout
    assert "Traceback" not in first.stderr
    assert not list((here / "results").rglob("training.pt")), "a checkpoint goes once its rows are stored"
    second = bench("run", "tiny.toml", "--only", "static*", "--only", "accuracy/*", cwd=here)
    assert "0 of 2 cases to measure" in second.stderr
    assert second.stderr.count("measured 20") == 2, "each finished case is named with a word why"
    runs = json.loads(bench("list", "runs", "--json", cwd=here).stdout)
    assert len(runs) == 1
    forced = bench("run", "tiny.toml", "--only", "static*", "--force", cwd=here)
    assert "1 of 1 cases to measure" in forced.stderr


def test_a_contradicted_claim_ends_with_1_and_says_both_numbers(folder):
    done = bench("run", "tiny.toml", "--only", "static*", cwd=folder(published=SIZE + 1), code=1)
    assert f"{SIZE:,}" in done.stdout
    assert "contradicted" in done.stdout


ARITHMETIC = making.suite_text(
    making.PAPER,
    """
[quantities]
k = { value = 3, unit = "1", source = "paper" }
[claims.X1]
says = "It is six"
kind = "arithmetic"
source = "paper"
where = "Table 1"
published = 6
unit = "1"
follows = "k * 2"
""",
    name="sums",
)


def test_a_suite_with_nothing_to_measure_is_run_and_summarised_like_any_other(tmp_path):
    (tmp_path / "sums.toml").write_text(ARITHMETIC)
    done = bench("run", "sums.toml", "--strict", cwd=tmp_path)
    assert "nothing to measure: what is claimed is worked out from published numbers" in done.stderr
    assert "1 reproduced" in done.stdout
    planned = bench("run", "sums.toml", "--dry-run", cwd=tmp_path)
    assert (planned.stdout, "nothing to measure" in planned.stderr) == ("", True)
    asked = bench("run", "sums.toml", "--only", "static*", cwd=tmp_path, code=5)
    assert "no case matches static*. There are: none" in asked.stderr


def test_absent_data_is_a_skipped_case_and_not_a_failure(folder):
    done = bench("run", "tiny.toml", "--only", "elsewhere/*", "--only", "static*", cwd=folder())
    assert "skipped" in done.stderr
    assert "--data" in done.stderr, "the reason ends in what would get the data"


def test_a_dry_run_measures_nothing(folder):
    here = folder()
    done = bench("run", "tiny.toml", "--dry-run", cwd=here)
    assert "accuracy/small/dots/short/seed0" in done.stderr
    assert not (here / "results").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "tiny.toml", "--only", "statik*"], 5, "no case matches statik*. There are: static/small"),
        (["run", "tiny.toml", "--profile", "ful"], 2, "no profile 'ful'. Did you mean 'full'?"),
        (["run", "tinny.toml"], 2, "no such file. Did you mean 'tiny.toml'?"),
        (["run", "tiny.toml", "--device", "cuda"], 2, "device 'cuda'"),
        (["run", "tiny.toml", "--exclude", "*"], 5, "--exclude * leaves no case"),
        (["run"], 2, "Missing argument"),
        (["report", "--format", "pdf"], 2, "'pdf' is not one of"),
        (["show", "nothing"], 2, "no run 'nothing'"),
        (["report", "tiny.toml", "--strict"], 4, "no claim could be judged"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_says_what_was_possible_and_ends_with_its_code(folder, arguments, code, words):
    if "cuda" in arguments and _has_cuda():
        pytest.skip("this machine has CUDA")
    done = bench(*arguments, cwd=folder(), code=code)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def test_machine_output_is_json_on_standard_output_and_nothing_else(folder):
    here = folder()
    (claim,) = json.loads(bench("list", "claims", "tiny.toml", "--json", cwd=here).stdout)
    assert claim == {
        "suite": "tiny", "claim": "X1", "kind": "recount", "value": float(SIZE), "unit": "parameters",
        "source": "paper", "where": "Table 1", "says": "It has a size",
    }  # fmt: skip
    assert json.loads(bench("validate", "tiny.toml", "--json", cwd=here).stdout)[0]["claims"] == 1
    assert {row["model"] for row in json.loads(bench("list", "models", "--json").stdout)} >= {"mlp_mixer", "timm"}


def test_the_committed_schema_is_the_one_that_bench_prints():
    assert json.loads(bench("schema").stdout) == json.loads((ROOT / "suites/suite.schema.json").read_text("utf-8"))


def test_a_report_in_every_format_names_the_claim(folder):
    here = folder()
    bench("run", "tiny.toml", "--only", "static*", cwd=here)
    for form in ("html", "md", "json", "csv", "junit"):
        bench("report", "--format", form, "-o", form, "tiny.toml", cwd=here)
        assert "X1" in (here / form).read_text(encoding="utf-8"), form


def hears_ctrl_c():
    """What a shell starts in the background, as CI may, ignores Ctrl-C, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_an_interrupt_keeps_finished_rows_ends_with_130_and_a_second_run_goes_on(folder):
    here = folder(epochs=400)
    running = subprocess.Popen(
        command("run", "tiny.toml", "--only", "static*", "--only", "accuracy/*"),
        cwd=here, env=settings(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        preexec_fn=hears_ctrl_c,
    )  # fmt: skip
    for line in running.stderr:
        if "after epoch" in line:
            break
    running.send_signal(signal.SIGINT)
    message = running.stderr.read()
    assert running.wait(timeout=60) == 130, message
    assert "every finished row is kept" in message
    again = bench("run", "tiny.toml", "--only", "static*", cwd=here)
    assert "0 of 1 cases to measure" in again.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")
def test_a_run_that_is_killed_again_and_again_ends_with_the_curve_of_one_that_was_not(folder, tmp_path):
    here, epochs = folder(epochs=150), 150
    arguments = ("run", "tiny.toml", "--only", "accuracy/*")
    kept = []
    for _ in range(3):
        running = subprocess.Popen(
            command(*arguments), cwd=here, env=settings(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        before = written(here)
        while written(here) < before + 20 and running.poll() is None:
            time.sleep(0.01)
        running.kill()
        assert running.wait() == -signal.SIGKILL, "it was still training"
        kept.append(written(here))
    assert kept == sorted(set(kept)), "every run went on where the one before it was killed"
    bench(*arguments, cwd=here)
    bench(*arguments, "--store", "undisturbed", cwd=here)
    curves = [rows_in(here, store) for store in ("results/store", "undisturbed")]
    assert sum(metric == "test_top1_pct" for metric, *_ in curves[0]) == epochs
    assert curves[0] == curves[1]


def written(here: Path) -> int:
    """Epochs in the newest whole checkpoint below a folder."""
    for path in here.rglob("training.pt"):
        return len(torch.load(path, weights_only=True)["curve"])
    return 0


def rows_in(here: Path, store: str) -> list[tuple]:
    """What a store says of every epoch, its clock aside."""
    bench("export", f"{store}-csv", "--store", store, cwd=here)
    (path,) = (here / f"{store}-csv").glob("*measurements*.csv")
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] not in ("epoch_s", "train_fps")]
    return sorted((row["metric"], int(float(row["epoch"])), row["value"], row["detail"]) for row in rows)


def test_an_export_is_text_that_reports_and_other_stores_read(folder):
    here = folder()
    bench("run", "tiny.toml", "--only", "static*", cwd=here)
    bench("export", "reference", cwd=here)
    direct, exported = (
        json.loads(bench("report", "tiny.toml", "--store", store, "--format", "json", "-o", "-", cwd=here).stdout)
        for store in ("results/store", "reference")
    )
    for check in (check for claim in direct["claims"] + exported["claims"] for check in claim["checks"]):
        check.pop("command")  # which names the store
    assert direct["claims"] == exported["claims"]
    bench("import", "reference", "--store", "other", cwd=here)
    assert len(json.loads(bench("list", "runs", "--store", "other", "--json", cwd=here).stdout)) == 1


def test_output_that_is_not_utf_8_loses_nothing(folder):
    done = subprocess.run(
        command("run", "tiny.toml", "--only", "static*"), cwd=folder(), env=settings(PYTHONIOENCODING="cp1252"),
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"? 1 reproduced" in done.stdout, "a question mark in place of the circle"


@pytest.mark.parametrize("arguments", [["run", "tiny.toml"], ["report", "tiny.toml"]], ids=lambda found: found[0])
def test_a_bug_ends_with_3_and_its_traceback_and_never_looks_like_a_contradicted_claim(folder, arguments):
    broken = "import runner; from bench.commands import loading; loading.load = lambda paths: 1 / 0; runner.bench()"
    done = subprocess.run(
        [sys.executable, "-c", broken, *arguments], cwd=folder(), env=settings(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "ZeroDivisionError" in done.stderr


def test_cases_can_be_left_out_by_name(folder):
    done = bench("run", "tiny.toml", "--dry-run", "--exclude", "accuracy/*", "--exclude", "else*", cwd=folder())
    assert "1 of 1 cases to measure" in done.stderr
    bench("run", "tiny.toml", "--dry-run", "--only", "static*", "--exclude", "*", cwd=folder(), code=5)


@pytest.mark.parametrize(
    ("option", "value"), [("--time-limit", "soon"), ("--time-limit", "0s"), ("--memory-limit", "8 xB")]
)
def test_a_limit_that_cannot_be_read_says_what_one_looks_like(folder, option, value):
    done = bench("run", "tiny.toml", option, value, cwd=folder(), code=2)
    assert f"'{value}' is not a" in done.stderr
    assert "such as" in done.stderr


def test_every_command_explains_itself():
    listed = re.search(r"Commands:\n(.*)", bench("--help").stdout, re.DOTALL)[1]
    names = re.findall(r"^  (\w+)  ", listed, re.MULTILINE)
    assert {"run", "report", "check", "baseline", "compare", "doctor"} <= set(names)
    for name in names:
        assert "Usage:" in bench(name, "--help").stdout


def test_the_doctor_says_what_this_machine_can_measure():
    findings = {finding["subject"]: finding for finding in json.loads(bench("doctor", "--json").stdout)}
    assert {"subject", "level", "text"} == findings["torch"].keys()
    assert re.search(r"differ by [\d.]+ % \(standard deviation\)", findings["gate"]["text"])


def test_a_quick_doctor_times_nothing():
    subjects = {finding["subject"] for finding in json.loads(bench("doctor", "--quick", "--json").stdout)}
    assert "torch" in subjects
    assert "gate" not in subjects

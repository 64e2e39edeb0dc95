"""What tests need made: a case, a row, a suite, a repository, and a run of the command line in a process of its own.

Asserts nothing but an exit code that was asked for. Each takes what a test is about and fills in the rest; the made
material of the report's page is in `material`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.plan.case import Case
from bench.records.measurement import SCHEMA, Environment, Measurement, columns
from bench.records.metrics import METRICS
from bench.suite.schema import Suite

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).parent.parent
NOW = "2026-11-20T09:30:00+00:00"

# Cases and rows


def case(measure: str = "static", factory: str = "mlp_mixer", **fields: object) -> Case:
    """A case of the measure and the model; its names say nothing unless they are given."""
    names = {"name": "c", "suite": "s", "suite_sha256": "0", "profile": "quick", "model": factory}
    return Case(**(names | {"measure": measure, "factory": factory} | fields))


def plain(record: type) -> dict[str, object]:
    """A value of its type for every column that needs one, so that a new column needs no change in a test."""
    of_type = {"int64": 2, "float64": 1.5, "string": "text", "bool": False}
    return {name: None if may_be_null else of_type[kind] for name, (kind, may_be_null) in columns(record).items()}


def row(metric: str = "fps", value: float | None = 1234.5, **changes: object) -> Measurement:
    """A row of the metric that was measured without trouble."""
    known = {
        "schema": SCHEMA, "run_id": "run-1", "started_at": NOW, "status": "ok",
        "metric": metric, "protocol": METRICS.get(metric, METRICS["fps"]).protocol, "value": value,
    }  # fmt: skip
    return Measurement(**(plain(Measurement) | known | changes))


def environment(**changes: object) -> Environment:
    """The conditions of a run, of which only the version of torch is a real one."""
    known = {"run_id": "run-1", "started_at": NOW, "torch": "2.13.0", "packages_json": "{}"}
    return Environment(**(plain(Environment) | known | changes))


def params(model: "torch.nn.Module") -> int:
    """All numbers in the weights of a model."""
    return sum(weight.numel() for weight in model.parameters())


def unsettle(model: "torch.nn.Module") -> None:
    """Give every BatchNorm weights and statistics of its own, so that a swapped pair would show."""
    from torch import nn

    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 1.5)


# Suites


def suite(**tables: object) -> Suite:
    """A parsed suite: what every suite must have, and the tables given."""
    head = {
        "schema": 1,
        "id": "made",
        "question": "Is it so?",
        "summary": "Made for a test.",
        "sources": {"paper": {"title": "A paper", "kind": "paper"}},
    }
    return Suite.model_validate(head | tables)


def claim(**said: object) -> dict[str, object]:
    """A claim of the paper that `suite` names."""
    return {"says": "It is so", "source": "paper", "where": "Table 1"} | said


def suite_text(*tables: str, name: str = "made", **top: object) -> str:
    """The text of a suite file: its head, then the tables; `top` is more of the head, like `plugins`."""
    head = {"schema": 1, "id": name, "question": "Is it so?", "summary": "Made for a test."} | top
    return "\n".join([*(f"{key} = {json.dumps(value)}" for key, value in head.items()), *map(str.strip, tables), ""])


PAPER = """
[sources.paper]
title = "A paper"
kind = "paper"
"""


def mixer_text(key: str, width: object = 8, depth: object = 1) -> str:
    """The table of a Mixer that is measured in a moment."""
    return f"""
[models.{key}]
factory = "mlp_mixer"
label = "{key.capitalize()}"
num_classes = 10
image_size = 32
args = {{ patch_size = 16, width = {width}, depth = {depth}, token_mlp = 4, channel_mlp = 8 }}
"""


# Processes


# For `before`: a round of the gate ends after three quads and not only after two seconds. Real ones still, and their
# scatter is far below 30 %.
SHORT_ROUNDS = "from bench.gate.pairs import rounds; rounds.ENOUGH_S, rounds.ENOUGH_QUADS, rounds.SURE = 0.0, 3, 1.0"


def command(*arguments: str, python: str | Path = sys.executable, before: str = "") -> list[str | Path]:
    """What starts the command line of this tree, where `settings` are its environment; `before` is run before it."""
    return [python, "-c", f"{before}\nfrom runner import bench; bench()", *arguments]


def settings(**extra: str) -> dict[str, str]:
    """An environment with this tree and one thread, that knows neither the data of the machine nor a CI system."""
    kept = {
        name: value for name, value in os.environ.items() if name != "BENCH_DATA" and not name.startswith("GITHUB_")
    }
    return {**kept, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "OMP_NUM_THREADS": "1", **extra}


def bench(
    *arguments: str, cwd: Path = ROOT, code: int | None = 0, python: str | Path = sys.executable, before: str = "",
    **extra: str,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """The command line, run to its end, which must be the exit code (None: any); `extra` are more variables."""
    done = subprocess.run(
        command(*arguments, python=python, before=before), cwd=cwd, env=settings(**extra),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A user's pytest in the folder, with the plug-in of this tree."""
    # Without autoload an installed copy of the plug-in is not registered a second time.
    environment = settings(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", COLUMNS="200")
    environment.pop("CI", None)  # where it is set, pytest's short summary repeats every line of a failure
    start = [sys.executable, "-m", "pytest", "-p", "bench.gate.pytest_plugin", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(start, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def git(folder: Path, *arguments: str) -> str:
    """What git says, by an author of its own, who may also clone a submodule from a folder."""
    who = ["-c", "user.name=made", "-c", "user.email=made@example.org", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", "-C", folder, *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path) -> str:
    """The full name of a new commit of everything in the folder, changed or not."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "made")
    return git(folder, "rev-parse", "HEAD")

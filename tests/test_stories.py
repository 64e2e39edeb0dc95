"""The stories of docs/trust.md end as the page says, with the README's own files."""

import re
from pathlib import Path

import pytest

from tests import making
from tests.test_gate_origin import LAYOUTS, environment, install, project, write_code
from tests.test_identity import NET, SUITE

PAGE = (making.ROOT / "docs" / "trust.md").read_text(encoding="utf-8")
EDITED = NET.replace("nn.Conv2d(width, width, 3", "nn.Conv2d(width, width, 5").replace("nn.ReLU", "nn.GELU")
FOUR = """import ctypes
import sys
import time

from torch import nn

from bench.registry import models


class Four(nn.Module):
    def __init__(self, way: str, num_classes: int):
        super().__init__()
        self.way = way
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, num_classes))

    def forward(self, x):
        if self.way == "exits":
            sys.exit(7)
        if self.way == "reads_null":
            ctypes.string_at(0)
        if self.way == "hangs":
            time.sleep(10_000)
        return self.head(x)


@models.register("four")
def four(*, num_classes: int, image_size: int, way: str) -> nn.Module:
    return Four(way, num_classes)
"""
CLAIM = """
[measures.static]
models = ["*"]
[profiles.full]
label = "full"
reduced = false
[quantities]
size = { metric = "params", model = "fine" }
[claims.F1]
says = "The fourth has 30,730 parameters"
kind = "recount"
source = "paper"
where = "Table 1"
published = 30730
unit = "parameters"
measured = "size"
tolerance = 0.0
tolerance_why = "3 * 32 * 32 * 10 + 10"
"""


def told(command: str) -> list[str]:
    """The lines that the page prints for a command, but for what is another every time."""
    (block,) = (text for text in re.findall(r"^```\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE) if command in text)
    return [plain(line) for line in block.splitlines()[1:] if line.strip()]


def plain(text: str) -> str:
    text = re.sub(r"\d{8}T\d{6}-[0-9a-f]{6}", "RUN", text)
    return " ".join(re.sub(r", \d+ s$| on [^:]+: about .*", "", text, flags=re.MULTILINE).split())


def said(*arguments: str, cwd: Path, code: int, **more) -> str:
    done = making.bench(*arguments, cwd=cwd, code=code, COLUMNS="100", **more)
    return plain(done.stderr + done.stdout)


def test_a_verdict_cannot_be_stale(tmp_path):
    (tmp_path / "tiny_net.toml").write_text(SUITE, encoding="utf-8")
    (tmp_path / "tiny_net.py").write_text(NET, encoding="utf-8")
    assert "T1 The tiny net has 2,938 parameters. Reproduced." in said("run", "tiny_net.toml", cwd=tmp_path, code=0)
    (tmp_path / "tiny_net.py").write_text(EDITED, encoding="utf-8")
    # 3·3·3·16 + 16, 5·5·16·16 + 16, 16·10 + 10
    assert (3 * 3 * 3 * 16 + 16) + (5 * 5 * 16 * 16 + 16) + (16 * 10 + 10) == 7034
    after = said("run", "tiny_net.toml", "--only", "static*", cwd=tmp_path, code=1)
    for line in told("bench run tiny_net.toml"):
        assert line in after, after


def test_no_model_can_end_a_run(tmp_path):
    names = ("exits", "reads_null", "hangs", "fine")
    tables = [
        f'[models.{name}]\nfactory = "four"\nlabel = "{name}"\nnum_classes = 10\nimage_size = 32\n'
        f'args = {{ way = "{name}" }}'
        for name in names
    ]
    text = making.suite_text(making.PAPER, *tables, CLAIM, plugins=["four.py"])
    (tmp_path / "four.toml").write_text(text, encoding="utf-8")
    (tmp_path / "four.py").write_text(FOUR, encoding="utf-8")
    after = said("run", "four.toml", "--time-limit", "8s", cwd=tmp_path, code=3)
    for line in told("bench run four.toml"):
        assert line.replace("20 s (limit)", "8 s (limit)") in after, after


@pytest.mark.slow
def test_a_gate_sees_what_it_guards(tmp_path):
    how = LAYOUTS["src"]
    home, python = project(tmp_path, how), environment(tmp_path / "venv")
    install(python, home, "--editable")
    making.bench("baseline", "accept", "ci.toml", "--reason", "first", cwd=home, python=python)
    making.commit(home)
    write_code(home, how, spin_s=8 * 0.01)
    after = said("check", "ci.toml", cwd=home, code=1, python=python)
    assert re.search(r"net static PASS wall \+[67]\d\d\.\d % .* REGRESSION", after)
    assert told("bench check ci.toml")[-1] in after

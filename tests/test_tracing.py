"""What no text names and a model reads all the same belongs to its fingerprint: seen while it runs, told in words."""

import json
import re
from pathlib import Path

import pytest

from bench.plan.fingerprint import Code
from bench.source import tracing
from tests import making

NET = """
import importlib
import importlib.util
import json
import sys
from pathlib import Path

from torch import nn

from bench.registry import models

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "lib"))


def head(width, num_classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, width), nn.Linear(width, num_classes))


@models.register("by_name_made_here")
def by_name_made_here(*, num_classes, image_size):
    return head(json.loads((HERE / f"{'con' + 'fig'}.json").read_text())["width"], num_classes)


@models.register("from_a_folder_on_the_path")
def from_a_folder_on_the_path(*, num_classes, image_size):
    from widths import WIDTH

    return head(WIDTH, num_classes)


@models.register("from_a_module_named_by_an_argument")
def from_a_module_named_by_an_argument(*, num_classes, image_size, size="small"):
    return head(importlib.import_module(f"sizes.{size}").WIDTH, num_classes)


@models.register("from_a_file_that_is_no_module")
def from_a_file_that_is_no_module(*, num_classes, image_size):
    names = {}
    exec((HERE / "width.inc").read_text(), names)
    return head(names["WIDTH"], num_classes)


@models.register("that_keeps_a_diary")
def that_keeps_a_diary(*, num_classes, image_size):
    with open(HERE / "diary.txt", "a+") as diary:
        diary.write("built\\n")
        diary.seek(0)
        return head(len(diary.read()) and 4, num_classes)
"""
FILES = {
    "net.py": NET,
    "config.json": '{"width": 4}',
    "lib/widths.py": "WIDTH = 4\n",
    "sizes/__init__.py": "",
    "sizes/small.py": "WIDTH = 4\n",
    "width.inc": "WIDTH = 4\n",
}
# model -> the file whose edit makes its rows old, and how that is told
READS = {
    "by_name_made_here": ("config.json", "config.json changed since run"),
    "from_a_folder_on_the_path": ("lib/widths.py", "lib/widths.py changed since run"),
    "from_a_module_named_by_an_argument": ("sizes/small.py", "sizes/small.py changed since run"),
    "from_a_file_that_is_no_module": ("width.inc", "width.inc changed since run"),
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def suite(models: list[str]) -> str:
    tables = [
        f'[models.{name}]\nfactory = "{name}"\nlabel = "{name}"\nnum_classes = 2\nimage_size = 8' for name in models
    ]
    quantities = [f'count_{name} = {{ metric = "params", model = "{name}" }}' for name in models]
    claims = [
        f'[claims.{name}]\nsays = "It is small"\nkind = "recount"\nsource = "paper"\nwhere = "Table 1"\n'
        f'measured = "count_{name}"\nunit = "parameters"\nbelow = 100\ntolerance_why = "a hundred is small"'
        for name in models
    ]
    return making.suite_text(
        making.PAPER, *tables, '[measures.static]\nmodels = ["*"]', '[profiles.full]\nlabel = "full"\nreduced = false',
        "[quantities]", *quantities, *claims, plugins=["net.py"],
    )  # fmt: skip


def test_a_case_is_measured_again_after_an_edit_of_whatever_it_has_read(tmp_path):
    write(tmp_path, FILES | {"made.toml": suite([*READS, "that_keeps_a_diary"])})
    making.bench("run", "made.toml", cwd=tmp_path)
    write(tmp_path, {name: FILES[name].replace("4", "5") for name, _ in READS.values()})
    told = making.bench("run", "made.toml", "--dry-run", cwd=tmp_path, COLUMNS="300").stderr
    assert "4 of 5 cases to measure" in told, "a diary that a model writes is nothing that it was made from"
    report = making.bench("report", "made.toml", "--format", "json", "-o", "-", cwd=tmp_path).stdout
    reasons = {claim["claim"]: claim["checks"][0]["reason"] for claim in json.loads(report)["claims"]}
    for model, (_, words) in READS.items():
        assert re.search(rf"static/{model}: {re.escape(words)}", told), told
        assert words in reasons[model]
    write(tmp_path, FILES)
    assert "0 of 5 cases" in making.bench("run", "made.toml", "--dry-run", cwd=tmp_path).stderr, "and back"


def test_in_one_process_a_case_may_have_found_in_memory_what_an_earlier_one_has_read(tmp_path):
    write(tmp_path, FILES | {"made.toml": suite(["by_name_made_here", "from_a_file_that_is_no_module"])})
    making.bench("run", "made.toml", "--in-process", cwd=tmp_path)
    write(tmp_path, {"config.json": '{"width": 5}'})
    assert "2 of 2 cases" in making.bench("run", "made.toml", "--dry-run", cwd=tmp_path).stderr


def test_what_lies_hidden_installed_or_among_the_data_is_no_part_of_a_project(tmp_path):
    place = tracing.ProjectFolder(tmp_path)
    for name in (".cache/a.json", "venv/lib/site-packages/a.py", "__pycache__/a.py", "images/1.png"):
        assert place.holds(str(tmp_path / name)) is None, name
    assert place.holds(str(tmp_path / "conf/a.json")) == "conf/a.json"
    assert place.holds(str(tmp_path.parent / "a.json")) is None


def test_what_a_run_keeps_of_a_case_is_nothing_that_the_case_was_made_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"net.py": "", "results/scratch/training.pt": "1", "conf.json": "2"})
    trace = tracing.of(["net.py"], tmp_path, [Path("results/scratch"), None])
    for name in ("results/scratch/training.pt", "conf.json"):
        Path(name).read_text()
    assert [part.label for part in trace.fresh()] == ["conf.json"]
    assert trace.fresh() == [], "each is told once"


def test_files_of_the_repository_above_the_suite_have_labels_of_it_and_are_found_by_them(tmp_path):
    (tmp_path / ".git").mkdir()
    write(tmp_path, {"conf/a.json": "1", "suites/b.json": "2", "suites/net.py": ""})
    places = tracing.places_of(["net.py"], tmp_path / "suites")
    for name, label in (("conf/a.json", "conf/a.json"), ("suites/b.json", "b.json")):
        trace = tracing.Trace(places)
        assert trace._label(str(tmp_path / name)) == label
        assert tracing.found(label, places).samefile(tmp_path / name)


def test_a_file_that_is_not_on_this_machine_does_not_make_its_rows_old(tmp_path):
    from bench.plan.staleness import Today

    write(tmp_path, FILES)
    asked = making.case(factory="by_name_made_here")
    code = Code(["net.py"], tmp_path)
    made = code.with_reads(asked, [tracing.part("config.json", tmp_path / "config.json")])
    stored = {made.sha256: made.parts}
    assert made.sha256 != code.of(asked).sha256
    assert Today(Code(["net.py"], tmp_path), stored).answers(asked, made.sha256)
    (tmp_path / "config.json").unlink()
    assert Today(Code(["net.py"], tmp_path), stored).answers(asked, made.sha256), "a laptop that only reports"
    write(tmp_path, {"config.json": '{"width": 5}'})
    today = Today(Code(["net.py"], tmp_path), stored)
    assert not today.answers(asked, made.sha256)
    assert today.why(asked, made.sha256, "r1") == "config.json changed since run r1"


def test_a_package_that_imports_its_models_in_a_loop_has_a_fingerprint_and_any_name(tmp_path, monkeypatch):
    loop = (
        "import importlib, pkgutil\nfor each in pkgutil.iter_modules(__path__):\n"
        "    importlib.import_module(f'{__name__}.{each.name}')\n"
    )
    write(tmp_path, {"zoo_of_loops/__init__.py": loop, "zoo_of_loops/net.py": NET})
    monkeypatch.syspath_prepend(tmp_path)
    asked = making.case(factory="by_name_made_here")
    first = Code(["zoo_of_loops"], tmp_path).of(asked)
    write(tmp_path, {"zoo_of_loops/__init__.py": f"{loop}X = 1\n"})
    assert first is not None
    assert Code(["zoo_of_loops"], tmp_path).of(asked).sha256 != first.sha256
    write(tmp_path, {"made.toml": suite(["by_name_made_here"]).replace('["net.py"]', '["zoo_of_loops"]')})
    assert making.bench("validate", "made.toml", cwd=tmp_path, PYTHONPATH=f"{making.ROOT}:{tmp_path}").returncode == 0


@pytest.mark.parametrize("head", [b"\xef\xbb\xbf", b"# coding: latin-1\nNAME = '\xe9'\n"])
def test_a_source_is_read_in_the_encoding_that_python_reads_it_in(tmp_path, head):
    text = (
        "from bench.registry import models\n@models.register('net')\ndef net(*, num_classes, image_size, k={}): ...\n"
    )
    found = []
    for number in (1, 2):
        (tmp_path / "net.py").write_bytes(head + text.format(number).encode())
        found.append(Code(["net.py"], tmp_path).of(making.case(factory="net")))
    assert None not in found
    assert found[0].sha256 != found[1].sha256


def test_a_constant_of_another_plug_in_in_another_folder_enters(tmp_path):
    net = (
        "import consts\nfrom bench.registry import models\n@models.register('net')\ndef net(**given): return consts.W\n"
    )
    write(tmp_path, {"a/net.py": net, "b/consts.py": "W = 1\n"})
    first = Code(["b/consts.py", "a/net.py"], tmp_path).of(making.case(factory="net"))
    write(tmp_path, {"b/consts.py": "W = 2\n"})
    assert Code(["b/consts.py", "a/net.py"], tmp_path).of(making.case(factory="net")).sha256 != first.sha256

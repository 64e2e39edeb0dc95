"""A file is understood without being run: what it offers, what it imports, and what it says beyond its form."""

from pathlib import Path

import pytest

from bench.errors import SuiteError, UsageError
from bench.plan.answers import unanswered
from bench.records.metrics import METRICS
from bench.registry import load_plugin, measures, models
from bench.source import changes, finding, following, meaning
from bench.source.offers import offers
from bench.suite import read

NET = '''"""A net."""
from torch import nn

from bench.registry import models


@models.register("net")
def net(*, num_classes, image_size, width=16):
    """Two layers."""
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU())  # a comment
'''


def digest(folder: Path, name: str = "net.py") -> str:
    """What the plug-in and all that it imports say, as one digest."""
    root = finding.plugin_module(name, folder)
    inner = following.followed([root], finding.finder(folder))
    found = meaning.digests(inner, {"": root})
    return "".join([found[""], *sorted(filter(None, (found[key] for key in inner)))])


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "edited",
    [
        NET.replace('"""A net."""', '"""Another word."""\n# and a comment'),
        NET.replace("  # a comment", ""),
        NET.replace('    """Two layers."""\n', ""),
        NET.replace("nn.Conv2d(3, width, 3), nn.ReLU()", "\n        nn.Conv2d(3, width, 3),\n        nn.ReLU(),\n    "),
        NET.replace("from torch import nn\n", "").replace("import models\n", "import models\nfrom torch import nn\n"),
        NET.replace("width=16", "width=0x10"),
        NET.replace("from bench.registry import models", "from bench.registry import models, datasets"),
    ],
)  # fmt: skip
def test_another_form_says_the_same(tmp_path, edited):
    assert edited != NET
    assert digest(write(tmp_path / "a", net=NET)) == digest(write(tmp_path / "b", net=edited))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("width, 3", "width, 5"), ("ReLU", "GELU"), ("width=16", "width=32"), ("from torch", "from other"),
        ("(3, width", "(-3, width"), ("width=16", "width=16.0"), ("3), nn", "3, bias=None), nn"),
    ],
)  # fmt: skip
def test_another_number_operator_or_import_does_not(tmp_path, old, new):
    assert digest(write(tmp_path / "a", net=NET)) != digest(write(tmp_path / "b", net=NET.replace(old, new)))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("from helpers import conv\nx = conv(1)", "from tools import conv\nx = conv(1)"),
        ("import helpers\nx = helpers.conv(1)", "import tools\nx = tools.conv(1)"),
        ("import helpers as h\nx = h.conv(1)", "import tools as h\nx = h.conv(1)"),
        ("from parts import helpers\nx = helpers.conv(1)", "from bits import tools\nx = tools.conv(1)"),
        ("import parts.helpers\nx = parts.helpers.conv(1)", "import bits.tools\nx = bits.tools.conv(1)"),
        ("def f():\n    from helpers import conv\n    conv(1)", "def f():\n    from tools import conv\n    conv(1)"),
    ],
)  # fmt: skip
def test_a_helper_under_another_file_name_says_the_same_and_with_another_number_does_not(tmp_path, first, second):
    helper = "def conv(x):\n    return 2 * x\n"
    one = write(tmp_path / "a", net=first, helpers=helper, parts__in__helpers=helper)
    other = write(tmp_path / "b", net=second, tools=helper, bits__in__tools=helper)
    assert digest(one) == digest(other)
    before = digest(one)
    write(one, helpers=helper.replace("2", "3"), parts__in__helpers=helper.replace("2", "3"))
    assert digest(one) != before


def test_which_of_two_files_a_name_comes_from_matters(tmp_path):
    helpers = {"one": "def conv(x):\n    return x\n", "two": "def conv(x):\n    return -x\n"}
    text = "import one\nimport two\nfrom {} import conv\n"
    first = write(tmp_path / "a", net=text.format("one"), **helpers)
    second = write(tmp_path / "b", net=text.format("two"), **helpers)
    assert digest(first) != digest(second)


def test_a_package_is_followed_through_relative_imports_its_own_init_and_circles(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    files = {
        "mynet__in____init__": "WIDTH = 4\n",
        "mynet__in__models": "from . import layers\nfrom .layers import block\nfrom .deep.down import bottom\n",
        "mynet__in__layers": "def block(x):\n    from .models import layers\n    return x + 1\n",
        "mynet__in__deep__in__down": "from ..layers import block\nbottom = 3\n",
        "mynet__in__unused": "x = 1\n",
    }
    folder = write(tmp_path, **files)
    before = digest(folder, "mynet.models")
    for name, text in files.items():
        write(folder, **{name: f"{text}\ny = 7\n"})
        same = digest(folder, "mynet.models") == before
        assert same == (name == "mynet__in__unused"), name
        write(folder, **{name: text})


def test_what_is_installed_is_not_followed_and_what_lies_beside_is(tmp_path):
    folder = write(tmp_path, net="import torch\nimport json\nimport helpers\nimport nowhere\n", helpers="")
    root = finding.plugin_module("net.py", folder)
    assert list(following.followed([root], finding.finder(folder))) == ["helpers"]


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (NET.replace("width, 3)", "width, 5)"), "net: nn.Conv2d(3, width, 3) -> nn.Conv2d(3, width, 5)"),
        (NET.replace("nn.ReLU", "nn.GELU"), "net: nn.ReLU() -> nn.GELU()"),
        (NET + "LAYERS = 3\n", "nothing -> LAYERS = 3"),
    ],
)
def test_a_change_is_told_by_its_first_place(tmp_path, new, words):
    texts = [meaning.readable(finding.Module("", "net.py", text, "")) for text in (NET, new)]
    assert changes.phrase(*texts) == words


def test_names_are_read_under_whatever_they_are_registered():
    found = offers(
        "from bench.registry import models as zoo, measures\n"
        "import bench.registry as registry\n"
        "NAME = 'by_constant'\n"
        "@zoo.register('by_decorator')\ndef one(*, num_classes, image_size, width=1): ...\n"
        "@registry.models.register(NAME)\nclass Two:\n    def __init__(self, num_classes, image_size, depth): ...\n"
        "def three(num_classes, image_size, height=2, **more): ...\n"
        "zoo.register('by_call')(three)\n"
        "@measures.register('clock')\ndef clock(case, context, *, tries=1): ...\n"
        "for size in 'ab':\n    zoo.register(f'net_{size}')(three)\n"
        "model.register_buffer('no_name', 1)\n"
    )
    assert found.named["models"] == {"by_decorator": {"width": ""}, "by_constant": {"depth": ""}, "by_call": None}
    assert found.named["measures"] == {"clock": {"tries": ""}}
    assert found.open == {"models"}


SUITE = """
schema = 1
id = "strange"
question = "Is it safe to look?"
summary = "A suite with a plug-in."
plugins = ["strange.py"]
[sources.paper]
title = "A paper"
kind = "paper"
[models.net]
factory = "strange_net"
label = "Net"
args = { width = 3 }
[measures.strange_measure]
models = ["*"]
[profiles.full]
label = "full"
reduced = false
[quantities]
m = { metric = "strange_metric", model = "net" }
[claims.X]
says = "It has a number"
kind = "recount"
source = "paper"
where = "Table 1"
published = 1
unit = "1"
measured = "m"
"""
STRANGE = """
from pathlib import Path
Path("@MARK@").write_text("I ran")
from bench.records import metrics
from bench.records.metrics import Metric
from bench.registry import measures, models
metrics.register(Metric("strange_metric", "1", "neither", 1, "strange_measure", "a number", decimals=2))
@models.register("strange_net")
def net(*, num_classes, image_size, width): ...
@measures.register("strange_measure")
def strange(case, context): ...
"""


def test_a_suite_is_read_with_its_names_arguments_and_metrics_and_no_line_of_its_plug_in_runs(tmp_path, monkeypatch):
    monkeypatch.delitem(METRICS, "strange_metric", raising=False)
    mark = tmp_path / "mark"
    (tmp_path / "strange.py").write_text(STRANGE.replace("@MARK@", str(mark)), encoding="utf-8")
    (tmp_path / "strange.toml").write_text(SUITE, encoding="utf-8")
    loaded = read.load(tmp_path / "strange.toml", unanswered)
    assert loaded.suite.quantities["m"].metric == "strange_metric"
    assert METRICS["strange_metric"].decimals == 2
    assert models.knows("strange_net")
    assert measures.knows("strange_measure")
    (tmp_path / "strange.toml").write_text(SUITE.replace("width = 3", "widht = 3"), encoding="utf-8")
    with pytest.raises(SuiteError, match=r"no key 'widht'\. Did you mean 'width'"):
        read.load(tmp_path / "strange.toml", unanswered)
    assert not mark.exists()
    models.get("strange_net")  # who asks for the factory gets it, and only then
    assert mark.exists()


def test_a_plug_in_that_is_no_python_is_told_with_its_line(tmp_path):
    (tmp_path / "strange.py").write_text("x = 1\ndef (:\n", encoding="utf-8")
    (tmp_path / "strange.toml").write_text(SUITE, encoding="utf-8")
    with pytest.raises(SuiteError, match=r"\[plugins\]: plug-in 'strange\.py': SyntaxError: strange\.py: .*line 2"):
        read.load(tmp_path / "strange.toml", unanswered)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class Odd(Exception): ...\nraise Odd('no luck')", "Odd: no luck"),
        ("import sys\nsys.exit(7)", "SystemExit: 7"),
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_whatever_a_plug_in_raises_is_told_in_one_sentence(tmp_path, text, words):
    (tmp_path / "raising.py").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_plugin("raising.py", tmp_path)
    assert str(caught.value) == f"plug-in 'raising.py': {words}"


def test_a_plug_in_that_was_edited_is_imported_anew_with_its_helpers(tmp_path):
    write(tmp_path, model="import beside_it\nWHAT = beside_it.WHAT\n", beside_it="WHAT = 1\n")
    first = load_plugin("model.py", tmp_path)
    assert load_plugin("model.py", tmp_path) is first
    write(tmp_path, beside_it="WHAT = 2\n")  # of the same length, within the same second
    assert load_plugin("model.py", tmp_path).WHAT == 2


def test_two_plug_ins_each_get_the_helper_that_lies_beside_them(tmp_path):
    for name in "ab":
        write(tmp_path / name, model="from the_helper import WHERE\n", the_helper=f"WHERE = {name!r}\n")
    assert [load_plugin("model.py", tmp_path / name).WHERE for name in "ab"] == ["a", "b"]

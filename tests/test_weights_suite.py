"""Weights in a suite: what may be said of them, which cases they make, and by what they are known."""

from pathlib import Path

import pytest

from bench.errors import SuiteError
from bench.plan.answers import unanswered
from bench.plan.case import Case
from bench.plan.planner import plan, selected_by
from bench.source import remembered
from bench.suite import read
from tests.making import PAPER, case, mixer_text, suite_text

TABLES = """
[weights.published]
model = "net"
file = "net.pth"
preprocess = { size = 32, resize = 36, interpolation = "bicubic", mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }

[weights.tagged]
model = "net"
timm = "test_resnet.r160_in1k"

[datasets.val]
name = "image_folder"
label = "V"
classes = 10

[measures.top1]
measure = "evaluate"
models = ["net"]
datasets = ["val"]

[profiles.full]
label = "f"
reduced = false

[quantities.accuracy]
metric = "test_top1_pct"
weights = "published"

[claims.A1]
says = "It is right"
kind = "retrain"
source = "paper"
where = "Table 1"
measured = "accuracy"
published = 76.5
unit = "%"
tolerance = 0.1
tolerance_why = "a test"
"""


def written(folder: Path, text: str = TABLES) -> Path:
    """A suite of a Mixer with two sorts of weights."""
    path = folder / "made.toml"
    path.write_text(suite_text(PAPER, mixer_text("net"), text))
    return path


def cases(folder: Path, text: str = TABLES) -> list[Case]:
    """The cases of the suite."""
    loaded = read.load(written(folder, text), unanswered)
    return plan(loaded.suite, loaded.sha256)


def problems(folder: Path, *change: str) -> str:
    """What is wrong with the suite after one text is put in place of another."""
    text = TABLES.replace(*change)
    assert text != TABLES
    with pytest.raises(SuiteError) as caught:
        read.load(written(folder, text), unanswered)
    return str(caught.value)


def test_each_sort_of_weights_is_a_case_that_is_known_by_its_digest(tmp_path):
    (tmp_path / "net.pth").write_bytes(b"some weights")
    published, tagged = cases(tmp_path)
    assert published.name == "top1/net/published/val"
    assert published.question["weights"]["sha256"] == remembered.file_sha256(tmp_path / "net.pth")
    assert "file" not in str(published.question)  # neither a path nor a name
    assert tagged.question["weights"] == {
        "timm": "test_resnet.r160_in1k", "preprocess": "timm:test_resnet.r160_in1k",
    }  # fmt: skip
    (tmp_path / "net.pth").write_bytes(b"other weights")
    assert [each.id for each in cases(tmp_path)] != [published.id, tagged.id]
    assert cases(tmp_path)[1].id == tagged.id


def test_a_quantity_says_which_weights_it_means(tmp_path):
    loaded = read.load(written(tmp_path))
    every = plan(loaded.suite, loaded.sha256)
    assert [each.weights_key for each in selected_by(loaded.suite.quantities["accuracy"], every)] == ["published"]
    assert "fits several cases" in problems(tmp_path, 'weights = "published"\n', "")


def test_a_digest_that_is_written_needs_no_file(tmp_path):
    known = TABLES.replace('file = "net.pth"', f'file = "net.pth"\nsha256 = "{"a" * 64}"')
    assert cases(tmp_path, known)[0].question["weights"]["sha256"] == "a" * 64


def test_a_question_without_weights_is_hashed_as_before():
    assert "weights" not in case().question


@pytest.mark.parametrize(("change", "told"), [
    (('model = "net"\nfile', 'model = "nte"\nfile'), "[weights.published]: model: no model 'nte'. Did you mean 'net'?"),
    (('file = "net.pth"\n', ""), "one of file, timm, torchvision, url is needed"),
    (('timm = "test', 'url = "https://x"\ntimm = "test'), "one of file, timm, torchvision, url is needed, not 2"),
    (('file = "net.pth"', 'url = "https://x/net.pth"'), "'url' needs 'sha256'"),
    (("size = 32, resize = 36, ", "size = 32, "), "'size' needs either 'crop_share' or 'resize'"),
    (("size = 32, resize = 36, ", "resize = 36, "), "needs 'size', the side of the square"),
    (('interpolation = "bicubic", ', ""), "'size' needs 'interpolation'"),
    (('"bicubic"', '"bicubbic"'), "'bicubbic' is not known. Did you mean 'bicubic'?"),
    (("resize = 36", "resize = 30"), "30 is less than the size that is cut out, 32"),
    (('datasets = ["val"]', ""), "[measures.top1]: key 'datasets' is missing: 'evaluate' needs a test set"),
    (('datasets = ["val"]', 'datasets = ["val"]\nweights = ["pub"]'), "weights: no weights match 'pub'"),
    (('weights = "published"', 'weights = "publish"'), "no weights 'publish'. Did you mean 'published'?"),
])  # fmt: skip
def test_what_is_wrong_with_weights_is_told(tmp_path, change, told):
    assert told in problems(tmp_path, *change)


def test_a_file_without_a_word_on_its_images_is_told(tmp_path):
    start = TABLES.index("preprocess")
    text = TABLES[:start] + TABLES[TABLES.index("\n", start) :]
    with pytest.raises(SuiteError, match="key 'preprocess' is missing: a file does not say how images are prepared"):
        read.load(written(tmp_path, text))
    named = TABLES[:start] + 'preprocess = "tim:resnet50"' + TABLES[TABLES.index("\n", start) :]
    with pytest.raises(SuiteError, match="no 'tim:resnet50'"):
        read.load(written(tmp_path, named))

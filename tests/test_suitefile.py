"""A suite file is checked at the door: every mistake at once, each with file, table, key and what was possible."""

import re
from pathlib import Path

import pytest

from bench.errors import SuiteError
from bench.plan.answers import unanswered
from bench.suite import read

SOUND = """
schema = 1
id = "tiny"
question = "Does it hold?"
summary = "A small suite."

[sources.paper]
title = "A paper"
kind = "paper"

[models.mixer]
factory = "mlp_mixer"
label = "Mixer"
args = { depth = 2 }

[datasets.full]
name = "cifar10"
label = "CIFAR-10"
classes = 10

[recipes.short]
label = "short"
settings = { epochs = 2, batch_size = 8, optimizer = "adamw", lr = 1e-3 }

[measures.static]
models = ["*"]

[measures.accuracy]
models = ["mixer"]
datasets = ["full"]
recipes = ["short"]

[profiles.paper]
label = "paper"
reduced = false

[quantities]
size = { metric = "params", model = "mixer" }
top1 = { metric = "test_top1_pct", model = "mixer", at = "best" }

[claims.X1]
says = "It has 5 parameters"
kind = "recount"
source = "paper"
where = "Table 1"
published = 5
unit = "parameters"
measured = "size"
tolerance = 0.0
tolerance_why = "a count"
"""


def load(path):
    """As the commands load a suite: with the questions that no case answers."""
    return read.load(path, unanswered)


@pytest.fixture
def problems_of(tmp_path):
    def problems(text: str) -> list[str]:
        path = tmp_path / "x.toml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(SuiteError) as caught:
            load(path)
        assert all(problem.startswith(str(path)) for problem in caught.value.problems)
        return [problem.removeprefix(f"{path} ") for problem in caught.value.problems]

    return problems


def test_a_sound_suite_loads_with_its_digest(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(SOUND, encoding="utf-8")
    loaded = load(path)
    assert loaded.suite.claims["X1"].published == 5
    assert re.fullmatch("[0-9a-f]{64}", loaded.sha256)


# ruff: noqa: E501
# (what is changed, into what, the message that must come)
MISTAKES = [
    ("depth = 2", "depht = 2", "[models.mixer.args]: no key 'depht'. Did you mean 'depth'?"),
    ('name = "cifar10"', 'name = "cifra10"', "[datasets.full]: name: no dataset 'cifra10'. Did you mean 'cifar10'?"),
    ('label = "CIFAR-10"\n', "", "[datasets.full]: key 'label' is missing"),
    ("classes = 10", 'classes = "ten"', "[datasets.full]: classes: input should be a valid integer (found 'ten')"),
    ('optimizer = "adamw"', 'optimizer = "adamv"', "[recipes.short.settings].optimizer"),
    ('models = ["mixer"]', 'models = ["mixers"]', "[measures.accuracy]: models: no model matches 'mixers'. Did you mean 'mixer'?"),
    ("reduced = false", "reduced = false\nskip = [\"statik\"]", "[profiles.paper]: skip: no measure 'statik'. Did you mean 'static'?"),
    ('metric = "params"', 'metric = "parms"', "[quantities.size]: metric: no metric 'parms'. Did you mean 'params'?"),
    ('source = "paper"', 'source = "papers"', "[claims.X1]: source: no source 'papers'. Did you mean 'paper'?"),
    ('unit = "parameters"', 'unit = "parameter"', "[claims.X1]: unit: no unit 'parameter'. Did you mean 'parameters'?"),
    ('measured = "size"', 'measured = "sise + 1"', "[claims.X1]: measured: no quantity 'sise'. Did you mean 'size'?"),
    ('tolerance_why = "a count"', "", "[claims.X1]: 'tolerance' needs 'tolerance_why'"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES, ids=[new or f"no {old}" for old, new, _ in MISTAKES])
def test_each_mistake_has_its_own_message(problems_of, old, new, message):
    assert SOUND.count(old) >= 1
    found = problems_of(SOUND.replace(old, new, 1))
    assert [problem for problem in found if problem.startswith(message)], found
    assert len(found) == 1, found


def test_a_suite_with_all_these_mistakes_yields_all_the_messages_at_once(problems_of):
    text = SOUND
    for old, new, _ in MISTAKES:
        text = text.replace(old, new, 1)
    found = problems_of(text)
    missing = [message for *_, message in MISTAKES if not any(problem.startswith(message) for problem in found)]
    assert not missing
    assert len(found) == len(MISTAKES), found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('factory = "mlp_mixer"', 'factory = "mlp_mixr"'), "[models.mixer]: factory: no model 'mlp_mixr'. Did you mean 'mlp_mixer'?"),
        (("[claims.X1]", "colour = 1\n[claims.X1]"), "[quantities]: colour: input should be a valid dictionary"),
        (("schema = 1", "schema = 2"), "[top level]: schema = 2 is not known. Known: 1."),
        (("schema = 1", "schema = 1\ncolour = 3"), "[top level]: no key 'colour'."),
        (("tolerance = 0.0", "tolerance = 0.0\nabove = 1.0"), "[claims.X1]: only one of tolerance, above, below, between"),
        (('measured = "size"\n', ""), "[claims.X1]: nothing decides it"),
        (('measured = "size"', 'measured = "size.real"'), "[claims.X1]: measured: 'size.real': 'size.real' is not allowed: a dot after a name"),
        (("published = 5\n", ""), "[claims.X1]: 'tolerance' needs 'published'"),
        (("[quantities]", "[quantities]\nc = { value = 3 }"), "[quantities.c]: a constant needs 'unit' and 'source'"),
        (("[quantities]", '[quantities]\nspeed = { metric = "fps" }'), "[quantities.speed]: no measure would yield it"),
        (("[measures.static]", '[measures.again]\nmeasure = "static"\nimage_sizes = [32]\nmodels = ["*"]\n[measures.static]'), "[quantities.size]: fits several cases"),
        (('summary = "A small suite."', 'summary = "A small suite."\nplugins = ["nowhere.py"]'), "[plugins]: plug-in 'nowhere.py': no file"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_said(problems_of, change, message):
    found = problems_of(SOUND.replace(*change, 1))
    assert [problem for problem in found if problem.startswith(message)], found


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("looks = [6, 20, 10]", "[rule]: looks must rise, such as [6, 10, 20], not [6, 20, 10]"),
        ("tolerated_pct = 3.0", "[rule]: tolerated_pct 3 must lie below min_effect_pct 2.5"),
        ("alpha = 0.0001", "[rule]: alpha 0.0001 is out of reach of 10 rounds: their least p is 0.00098"),
    ],
)
def test_a_rule_that_no_check_could_follow_is_refused_before_any_check(problems_of, rule, message):
    assert problems_of(f'{SOUND}\n[rule]\nwhy = "a test"\n{rule}\n') == [message]


def test_text_that_is_no_toml_is_located(problems_of):
    assert "is not TOML" in problems_of("schema = = 1")[0]


def test_a_missing_file_offers_the_one_that_is_there(tmp_path):
    (tmp_path / "cifar.toml").write_text(SOUND, encoding="utf-8")
    with pytest.raises(SuiteError, match=r"no such file. Did you mean '.*cifar.toml'"):
        load(tmp_path / "cifer.toml")


def test_two_files_may_not_share_an_id_and_both_files_problems_come_together(tmp_path):
    for name, text in {"a": SOUND, "b": SOUND, "c": "schema = 1"}.items():
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SuiteError) as caught:
        read.load_all([tmp_path / f"{name}.toml" for name in "abc"])
    text = str(caught.value)
    assert "'tiny' is already the id of" in text
    assert "c.toml [top level]: key 'id' is missing" in text


def test_a_plug_in_beside_the_suite_brings_a_model(tmp_path):
    (tmp_path / "my_model.py").write_text(
        "from bench.registry import models\n\n"
        '@models.register("mine_from_a_plug_in")\n'
        "def mine(*, num_classes, image_size, width): ...\n",
        encoding="utf-8",
    )
    text = SOUND.replace('summary = "A small suite."', 'summary = "A small suite."\nplugins = ["my_model.py"]')
    text = text.replace('factory = "mlp_mixer"', 'factory = "mine_from_a_plug_in"')
    path = tmp_path / "x.toml"
    path.write_text(text.replace("depth = 2", "width = 2"), encoding="utf-8")
    assert load(path).suite.models["mixer"].factory == "mine_from_a_plug_in"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SuiteError, match=r"no key 'depth'.* Known: width"):
        load(path)


SUITES = sorted((Path(__file__).parent.parent / "suites").glob("*.toml"))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_suite_of_the_project_is_sound_and_opens_with_what_to_expect(path):
    loaded = load(path)
    assert loaded.suite.id == path.stem
    head = path.read_text(encoding="utf-8").partition("schema = 1")[0]
    assert all(word in head for word in ("Question", "Expect", "Takes"))

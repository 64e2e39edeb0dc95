"""A suite file is checked at the door: every mistake at once, each with file, table, key and what was possible."""

# ruff: noqa: E501
import json
import re
from pathlib import Path

import pytest

from bench.errors import SuiteError
from bench.plan.answers import unanswered
from bench.suite import read
from bench.suite.schema import Suite

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
        (("schema = 1", 'schema = 1\n"<b>" = 3'), "[top level]: no key '<b>'."),
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


# A table of the source, put behind the sound suite.
TABLE = """
[tables.t]
title = "Table 1"
source = "paper"
where = "p. 3"
columns = [{ label = "params" }]
rows = [{ group = "g", label = "Mixer", checks = ["X1"] }]
"""
ONE_CYCLE = 'schedule = { name = "onecycle", pct_start = 0.25, step = "batch" }'

# (what is changed, into what, the only message that may come)
WRONG_VALUES = [
    ('columns = [{ label = "params" }]', "columns = 5", "[tables.t]: columns: input should be a valid list (found 5)"),
    ('rows = [{ group = "g", label = "Mixer", checks = ["X1"] }]', "rows = 5", "[tables.t]: rows: input should be a valid list (found 5)"),
    ('checks = ["X1"]', "checks = 5", "[tables.t.rows.0]: checks: input should be a valid list (found 5)"),
    ('checks = ["X1"]', 'checks = ["X1.²"]', "[tables.t.rows.0]: checks: X1 also says 0 things, not a '²'"),
    ('checks = ["X1"]', 'checks = ["X1", "X1"]', "[tables.t.rows.0]: checks: 2 for 1 columns"),
    ("[claims.X1]", "[claims.X1]\nalso = 5", "[claims.X1]: also: input should be a valid list (found 5)"),
    ("[claims.X1]", "[claims.X1]\nmin_seeds = true", "[claims.X1]: min_seeds: input should be a valid integer (found True)"),
    ("reduced = false", "reduced = false\nrecipe = 5", "[profiles.paper]: recipe: input should be a valid dictionary"),
    ("depth = 2", "width = nan", "[models.mixer]: args: width: nan is not a finite number"),
    ("depth = 2", "width = 2020-01-01", "[models.mixer]: args: width: a date is no argument"),
    ("depth = 2", 'variant = "S/99"', "[models.mixer.args]: variant: no variant 'S/99'."),
    ("depth = 2", "patch_size = 0", "[models.mixer.args]: patch_size: 0 is out of range"),
    ("depth = 2", 'width = "big"', "[models.mixer.args]: width: a whole number is needed, not 'big'"),
    ("depth = 2", "pyramid = [1, true]", "[models.mixer.args]: pyramid: a list of whole numbers is needed"),
    ("published = 5", "published = nan", "[claims.X1]: published: nan is not a finite number"),
    ("[quantities]", '[quantities]\nk = { value = inf, unit = "1", source = "paper" }', "[quantities.k]: value: inf is not a finite number"),
    ('at = "best"', "at = [5, 2]", "[quantities.top1]: at: the lower end comes first, not [5, 2]"),
    ("classes = 10", "classes = 100", "[datasets.full]: classes: 'cifar10' has 10, not 100"),
    ("classes = 10", "classes = 10\nargs = { n_trian = 5 }", "[datasets.full.args]: no key 'n_trian'. Did you mean 'n_train'?"),
    ("classes = 10", "classes = 10\nargs = { n_train = 50001 }", "[datasets.full.args]: n_train: 50001 images asked for, 50000 are there"),
    ("classes = 10", "classes = 10\nargs = { n_test = 0 }", "[datasets.full.args]: n_test: 0 is out of range"),
    ("classes = 10", 'classes = 10\nargs = { train_fraction = "x" }', "[datasets.full.args]: train_fraction: a number is needed, not 'x'"),
    ("classes = 10", "classes = 10\nargs = { train_fraction = 0.0 }", "[datasets.full.args]: train_fraction: 0.0 is out of range: above 0 up to 1"),
    ("classes = 10", 'classes = 10\nargs = { order = "pixel" }', "[datasets.full.args]: order: no 'pixel'. Did you mean 'pixels'?"),
    ('name = "cifar10"', 'name = "image_folder"\nargs = { folde = "x" }', "[datasets.full.args]: no key 'folde'. Did you mean 'folder'?"),
    ('name = "cifar10"', 'name = "synthetic"\nargs = { n_classes = 20 }', "[datasets.full]: classes: 'synthetic' has 20, not 10"),
    ("[measures.static]\n", "[measures.static]\noptions = { depth = 1 }\n", "[measures.static.options]: no key 'depth'. Known: nothing."),
    ("[measures.static]\n", '[measures.timing]\nmodels = ["*"]\noptions = { min_second = 1 }\n[measures.static]\n', "[measures.timing.options]: no key 'min_second'. Did you mean 'min_seconds'?"),
    ("[measures.static]\n", '[measures.side_by_side]\nmodels = ["*"]\n[measures.static]\n', "[measures.side_by_side]: key 'versus' is missing"),
    ("[measures.static]\n", '[measures.static]\nversus = "mixer"\n', "[measures.static]: versus: 'static' looks at one model alone"),
    ('recipes = ["short"]', 'recipes = ["short"]\nseeds = []', "[measures.accuracy]: seeds: list should have at least 1 item"),
    ('recipes = ["short"]', 'recipes = ["short"]\nseeds = [1, 1]', "[measures.accuracy]: seeds: 1 is there twice"),
    ('recipes = ["short"]', 'recipes = ["short"]\nseeds = [0, true]', "[measures.accuracy]: seeds[1]: input should be a valid integer (found True)"),
    ('recipes = ["short"]', 'recipes = ["short"]\nprecision = "float16"', "[measures.accuracy]: precision: recipe 'short' trains in float32"),
    ("lr = 1e-3", "lr = 1e-3, betas = [1.0, 0.9]", "[recipes.short.settings].betas[0]: 1.0 is out of range: below 1"),
    ("lr = 1e-3", 'lr = 1e-3, augment = [{ name = "crop", padding = 32 }]', "[recipes.short.settings].augment[0].crop.padding: 32 moves images of 32 px out of sight"),
    ("lr = 1e-3", 'lr = 1e-3, augment = [{ name = "resized_crop" }]', "[recipes.short.settings].augment[0]: 'resized_crop' cuts image files"),
    ("batch_size = 8", "batch_size = 60000, drop_last = true", "[recipes.short.settings].drop_last: leaves out all 50000 images"),
    # 50,000 images in batches of 25,000, twice: 4 steps, of which a quarter is 1.
    ("batch_size = 8", f"batch_size = 25000, {ONE_CYCLE}", "[recipes.short.settings].schedule.onecycle.pct_start: 0.25 of 4 steps is 1"),
    ("reduced = false", f"reduced = false\nrecipe = {{ batch_size = 25000, {ONE_CYCLE} }}", "[profiles.paper.recipe] on short.schedule.onecycle.pct_start: 0.25 of 4 steps is 1"),
    ("reduced = false", "reduced = false\nrecipe = { epoch = 1 }", "[profiles.paper.recipe]: no key 'epoch'. Did you mean 'epochs'?"),
    ("reduced = false", 'reduced = false\nrecipe = { schedule = { name = "piecewise", points = [[0, 1], [1, 0]] } }', "[profiles.paper.recipe] on short.lr: 0.001 is not the highest of the schedule's points, which is 1"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), WRONG_VALUES, ids=[new for _, new, _ in WRONG_VALUES])
def test_a_value_that_nothing_could_be_done_with_is_refused_once_with_table_and_key(problems_of, old, new, message):
    assert old in SOUND + TABLE
    found = problems_of((SOUND + TABLE).replace(old, new, 1))
    assert [problem.startswith(message) for problem in found] == [True], found


def test_all_these_mistakes_come_together_with_those_of_other_tables(problems_of):
    chosen = [WRONG_VALUES[index] for index in (0, 5, 10, 18, 31)]
    text = SOUND + TABLE
    for old, new, _ in chosen:
        text = text.replace(old, new, 1)
    found = problems_of(text)
    assert [sum(problem.startswith(message) for problem in found) for *_, message in chosen] == [1] * len(chosen), found
    assert len(found) == len(chosen), found


def test_a_profile_does_not_tell_its_recipes_mistakes_again(problems_of):
    wrong = SOUND.replace("lr = 1e-3", "lr = -1").replace("reduced = false", "reduced = false\nrecipe = { epochs = 1 }")
    assert problems_of(wrong) == ["[recipes.short.settings].lr: -1 is out of range: above 0"]


def test_a_suite_without_sources_says_so_for_each_that_names_one(problems_of):
    without = (SOUND + TABLE).replace('[sources.paper]\ntitle = "A paper"\nkind = "paper"\n', "")
    told = [f"[{table}]: source: no source 'paper'. Known: nothing." for table in ("claims.X1", "tables.t")]
    assert problems_of(without) == told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 100_000, "lie too deep in each other"),
        ("a = " + "[" * 100 + "]" * 100, "lie more than 20 deep in each other"),
        (f"[{'.'.join('a' * 5_000)}]", "lie more than 20 deep in each other"),
        ("a = " + "9" * 5_000, "is not TOML"),
        ("# " + "x" * 4_000_000, "4,000,002 bytes are more than any suite has"),
    ],
    ids=["brackets", "lists", "tables", "digits", "bytes"],
)
def test_a_file_that_is_too_deep_or_too_large_is_refused_before_anything_walks_it(problems_of, text, message):
    (told,) = problems_of(text)
    assert message in told


def test_a_plan_that_nobody_could_measure_is_refused(problems_of):
    sizes = f"batch_sizes = {list(range(1, 1001))}\nimage_sizes = {list(range(1, 1001))}"
    (told,) = problems_of(SOUND.replace("[measures.static]\n", f"[measures.static]\n{sizes}\n"))
    assert told == "[measures]: suite 'tiny' asks for 1,000,001 cases, more than the 100,000 of a plan"


def test_a_check_that_wants_seeds_of_what_has_none_says_where_to_write_them(tmp_path, problems_of):
    timed = SOUND.replace("[measures.static]", '[measures.timing]\nmodels = ["*"]\n\n[measures.static]')
    timed = timed.replace("[quantities]", '[quantities]\nspeed = { metric = "latency_s", model = "mixer" }')
    timed = timed.replace('measured = "size"', 'measured = "speed"\nmin_seeds = 3')
    timed = timed.replace('unit = "parameters"', 'unit = "s"')
    assert problems_of(timed) == ["[claims.X1]: min_seeds: [measures.timing] has no seeds: write `seeds = 3` there"]
    path = tmp_path / "seeded.toml"
    path.write_text(timed.replace("[measures.timing]", "[measures.timing]\nseeds = 3"), encoding="utf-8")
    assert load(path)


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


def test_a_plug_in_may_take_its_arguments_by_position_as_well(tmp_path):
    (tmp_path / "by_position.py").write_text(
        "from bench.registry import datasets, measures, models\n\n"
        '@models.register("model_by_position")\ndef net(num_classes, image_size, width=16, *, depth): ...\n\n'
        '@datasets.register("data_by_position")\ndef data(home, share=1.0): ...\n\n'
        '@measures.register("measure_by_position")\ndef look(one, two, often=1): ...\n',
        encoding="utf-8",
    )
    text = SOUND.replace('summary = "A small suite."', 'summary = "A small suite."\nplugins = ["by_position.py"]')
    text = text.replace('factory = "mlp_mixer"', 'factory = "model_by_position"').replace(
        "depth = 2", "width = 2, depth = 1"
    )
    text = text.replace('name = "cifar10"', 'name = "data_by_position"\nargs = { share = 0.5 }')
    text = text.replace(
        "[measures.static]",
        '[measures.measure_by_position]\nmodels = ["*"]\noptions = { often = 2 }\n[measures.static]',
    )
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")
    assert read.load(path).suite.models["mixer"].args == {"width": 2, "depth": 1}
    path.write_text(
        text.replace("share =", "shares =").replace("often =", "oft =").replace("width =", "widht ="), encoding="utf-8"
    )
    with pytest.raises(SuiteError) as caught:
        read.load(path)
    known = [problem.partition("Known: ")[2] for problem in caught.value.problems]
    assert known == ["width, depth.", "share.", "often."]


def test_the_schema_beside_the_suites_is_the_one_of_this_code():
    committed = (Path(__file__).parent.parent / "suites" / "suite.schema.json").read_text(encoding="utf-8")
    assert json.loads(committed) == Suite.model_json_schema()


SUITES = sorted((Path(__file__).parent.parent / "suites").glob("*.toml"))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_suite_of_the_project_is_sound_and_opens_with_what_to_expect(path):
    loaded = load(path)
    assert loaded.suite.id == path.stem
    head = path.read_text(encoding="utf-8").partition("schema = 1")[0]
    assert all(word in head for word in ("Question", "Expect", "Takes"))

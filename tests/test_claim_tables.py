"""A table of a source becomes models, quantities and claims; what is wrong with its rows is told once, and counted."""

import pytest

from bench.errors import SuiteError
from bench.plan.answers import unanswered
from bench.plan.planner import plan
from bench.suite import read
from tests import making

TABLE = """
[claim_tables.sizes]
file = "sizes.csv"
source = "paper"
title = "Sizes"
id = "{model}"
factory = "mlp_mixer"
args = { patch_size = 16, width = "{width}", depth = 1, token_mlp = 4, channel_mlp = 8 }
num_classes = 10
image_size = 32
says = "{model} has {params} k parameters"
printed = "{params} k"
unit = "parameters"
metric = "params"

[measures.static]
models = ["*"]

[profiles.full]
label = "full"
reduced = false
"""
ROWS = "model,width,params,macs\nnet-8,8,6.7,\nnet-16,16,13.3,1\nwide.net,24,,2\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sizes.csv").write_text(ROWS)
    (tmp_path / "many.toml").write_text(making.suite_text(making.PAPER, TABLE))
    return tmp_path


def problems(folder, old: str, new: str) -> list[str]:
    text = (folder / "many.toml").read_text()
    assert old in text
    (folder / "broken.toml").write_text(text.replace(old, new))
    with pytest.raises(SuiteError) as told:
        read.load(folder / "broken.toml", unanswered)
    return [problem.partition("broken.toml ")[2] for problem in told.value.problems]


def test_each_row_is_a_model_a_quantity_and_a_claim_and_an_empty_cell_claims_nothing(folder):
    suite = read.load(folder / "many.toml", unanswered).suite
    assert list(suite.claims) == ["net_8", "net_16"]  # the third row has no number of parameters
    found = suite.claims["net_16"]
    # 13.3 k: half of 0.1 k is 50
    assert (found.says, found.published, found.tolerance) == ("net-16 has 13.3 k parameters", 13_300, 50)
    assert (found.where, found.group) == ("sizes.csv, line 3", "Sizes")
    assert suite.models["net_16"].args["width"] == 16
    assert [case.model for case in plan(suite, "")] == ["net_8", "net_16"]


def test_a_row_may_claim_several_things_of_its_model(folder):
    more = 'also = [{ says = "and {macs} M MACs", printed = "{macs} MMACs", metric = "macs" }]\nmetric = "params"'
    text = (folder / "many.toml").read_text().replace('metric = "params"', more)
    (folder / "more.toml").write_text(text)
    claims = read.load(folder / "more.toml", unanswered).suite.claims
    assert {key: [check.published for check in claim.checks] for key, claim in claims.items()} == {
        "net_8": [6_700],
        "net_16": [13_300, 1e6],
        "wide_net": [2e6],
    }


def test_rows_are_chosen_by_patterns_and_a_limit(folder):
    text = (folder / "many.toml").read_text()
    for more, left in (
        ('only = { model = "*-8" }', ["net_8"]),
        ("limit = 1", ["net_8"]),
        ('only = { width = ["16", "24"] }', ["net_16"]),
    ):
        (folder / "some.toml").write_text(text.replace('title = "Sizes"', more))
        assert list(read.load(folder / "some.toml").suite.claims) == left


def test_another_table_is_another_digest(folder):
    first = read.load(folder / "many.toml").sha256
    (folder / "sizes.csv").write_text(ROWS.replace("6.7", "6.8"))
    assert read.load(folder / "many.toml").sha256 != first


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("{params} k p", "{param} k p", "[claim_tables.sizes]: says: no column 'param'. Did you mean 'params'?"),
        ('"sizes.csv"', '"no.csv"', "[claim_tables.sizes]: file: 'no.csv' cannot be read"),
        ('id = "{model}"', 'id = "x"', "[claim_tables.sizes]: line 3: id: 'x' is already that of line 2"),
        ('unit = "parameters"', "", "[claim_tables.sizes]: line 2: printed: '6.7 k' has no unit"),
        ('"{width}"', '"{model}"', "[claim_tables.sizes]: line 2: width: a whole number is needed, not 'net-8'"),
        ('models = ["*"]', 'models = ["net_8"]', "[claim_tables.sizes]: line 3: no measure would yield it"),
        ('source = "paper"', 'source = "papers"', "[claim_tables.sizes]: line 2: source: no source 'papers'."),
        ('metric = "params"', 'metric = "param"', "[claim_tables.sizes]: metric: no metric 'param'."),
    ],
)
def test_a_mistake_in_a_table_is_told_at_its_table_and_line(folder, old, new, told):
    found = problems(folder, old, new)
    assert any(problem.startswith(told) for problem in found), found


def test_what_is_wrong_with_every_row_is_told_for_three_and_counted(folder):
    lines = [f"net-{width},{width},1.0,1" for width in range(8, 58)]
    (folder / "sizes.csv").write_text("model,width,params,macs\n" + "\n".join(lines))
    found = problems(folder, 'unit = "parameters"', "")
    assert len(found) == 4
    assert found[-1] == "[claim_tables.sizes]: and 47 more rows like these"

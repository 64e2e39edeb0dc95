"""Thousands of claims stay readable: counted by group, the worst in full, every other one as data of the page."""

import json

import pandas
import pytest

from bench import report
from bench.plan.planner import plan
from bench.records.measurement import as_row
from bench.report import many
from bench.suite import read
from bench.verdicts import judge
from tests import making

TABLE = """
[claim_tables.sizes]
file = "sizes.csv"
source = "paper"
title = "Sizes of many nets"
id = "{model}"
factory = "mlp_mixer"
args = { width = "{width}" }
says = "{model} has {params} parameters"
printed = "{params}"
unit = "parameters"
metric = "params"

[measures.static]
models = ["*"]

[profiles.full]
label = "full"
reduced = false
"""
COUNT, WRONG = 200, (7, 150)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    lines = [f"net-{number},{8 + number},{1000 + number}" for number in range(COUNT)]
    (folder / "sizes.csv").write_text("model,width,params\n" + "\n".join(lines))
    (folder / "many.toml").write_text(making.suite_text(making.PAPER, TABLE))
    loaded = read.load(folder / "many.toml")
    rows = [
        making.row(
            "params", 1000.0 + number + 9 * (number in WRONG), case_id=case.id, suite="made", profile="full",
            device="cpu", model=case.model, run_id="run-1",
        )
        for number, case in enumerate(plan(loaded.suite, ""))
    ]  # fmt: skip
    frame = pandas.DataFrame([as_row(row) for row in rows])
    found = judge(loaded.suite, loaded.sha256, frame, suite_path="many.toml")
    return report.build([loaded], found, frame, pandas.DataFrame([as_row(making.environment())]))


def test_the_worst_claims_are_drawn_and_every_other_one_is_data(page):
    (section,) = page.sections
    assert [claim.claim for claim in section.claims[: len(WRONG)]] == ["net_7", "net_150"]
    assert (len(section.claims), section.others) == (many.IN_FULL, COUNT - many.IN_FULL)
    others = json.loads(section.others_json)
    shown = {claim.claim for claim in section.claims} | {line[1] for line in others}
    assert len(shown) == COUNT


def test_groups_are_counted_and_name_their_worst(page):
    (group,) = page.sections[0].groups
    assert (group.name, group.counts) == ("Sizes of many nets", {"contradicted": 2, "reproduced": COUNT - 2})
    assert group.worst == ("net_7", "net_150")
    assert json.loads(report.render_json(page))["groups"][0]["counts"]["contradicted"] == 2
    assert "Sizes of many nets: ✖ 2, ● 198" in report.terminal_summary(page)


def test_a_line_of_data_closes_no_script(page):
    hostile = page.sections[0].claims[:1]
    (line,) = json.loads(many.data_of(hostile))
    assert "<" not in many.data_of([type(hostile[0])(**{**vars(hostile[0]), "claim": "</script>"})])
    assert line[1] == "net_7"


def test_a_figure_shows_the_worst_of_very_many(page):
    worst = many.farthest(page.verdicts)
    assert [each.claim for each in worst[:2]] == ["net_7", "net_150"]
    assert len(worst) == many.FARTHEST
    few = page.verdicts[:10]
    assert many.farthest(few) is few

"""A report has a column and a mark for each machine that read a clock, and a sentence where they disagree."""

import csv
import io
import json
from dataclasses import replace

import pytest

from bench.report import render_csv, render_html, render_json, render_markdown
from bench.report.page import Page
from bench.statistics.intervals import Interval
from bench.verdicts import CheckVerdict
from bench.verdicts.judge import WORDS
from bench.verdicts.machines import Machine, together
from tests import material


def on(check: CheckVerdict, machine: str, word: str, value: float) -> CheckVerdict:
    """The same check as another machine comes to."""
    interval = Interval(value - 0.01, value + 0.01, value, "made", 3)
    return replace(check, machine=machine, machine_id=machine[:4], verdict=word, measured=interval)


@pytest.fixture
def page() -> Page:
    """Two machines that agree on the first check of H16 and disagree on its second."""
    verdicts = {verdict.claim: verdict for verdict in material.verdicts()}
    one, other, *_ = verdicts["H16"].checks
    checks = [
        together(
            [on(one, "EPYC", "answered", 1.1), on(one, "Apple M3", "answered", 1.7)], WORDS, Machine("EPYC", "EPYC")
        ),
        together([on(other, "EPYC", "reproduced", 1.0), on(other, "Apple M3", "contradicted", 1.5)], WORDS, None),
    ]
    verdicts["H16"] = replace(verdicts["H16"], checks=tuple(checks))
    return material.page(verdicts=list(verdicts.values()))


SENTENCE = "Machines disagree: contradicted on Apple M3 (1.500×), reproduced on EPYC (1.000×)."


def test_a_table_has_a_column_for_each_machine(page):
    table = page.sections[0].machines
    assert table.machines == ("Apple M3", "EPYC")
    cells = [[(str(cell.measured), cell.word) for cell in line.cells] for line in table.lines]
    assert cells == [
        [("1.700 ×", "answered"), ("1.100 ×", "answered")],
        [("1.500 ×", "contradicted"), ("1.000 ×", "reproduced")],
    ]
    assert [line.disagree for line in table.lines] == [None, SENTENCE]
    html, (markdown, _) = render_html(page), render_markdown(page, None)
    for text in (html, markdown):
        assert "Machines side by side" in text
        assert SENTENCE in text.replace("\\", "")
    assert '<th scope="col">Apple M3</th><th scope="col">EPYC</th>' in html
    assert "| Apple M3 | EPYC |" in markdown


def test_the_forest_plot_has_a_mark_for_each_machine(page):
    data = list(csv.DictReader(io.StringIO(page.sections[0].forest.csv)))
    assert [row["machine"] for row in data if row["claim"] == "H16"] == ["EPYC", "Apple M3", "Apple M3", "EPYC"]
    assert page.sections[0].forest.svg.count(">on Apple M3<") == 2


def test_json_and_csv_carry_the_machine(page):
    lines = [
        row for row in csv.DictReader(io.StringIO(render_csv(page))) if row["claim"] == "H16" and row["check"] == "1"
    ]
    told = [(row["machine"], row["machine_id"], row["verdict"], row["decides"]) for row in lines]
    assert told == [("Apple M3", "Appl", "contradicted", "True"), ("EPYC", "EPYC", "reproduced", "False")]
    (claim,) = (claim for claim in json.loads(render_json(page))["claims"] if claim["claim"] == "H16")
    assert claim["checks"][1]["machine"] == "Apple M3"
    assert [each["machine"] for each in claim["checks"][1]["elsewhere"]] == ["EPYC"]


def test_a_page_of_one_machine_has_no_such_table():
    assert material.page().sections[0].machines is None

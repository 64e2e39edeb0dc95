"""The words of a report: what is told first, which commands stand in it, and that nothing in it gives a path away."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from bench.report import render_csv, render_html, render_json, render_markdown, terminal_summary, write
from bench.report.charts.bars import counted
from bench.report.charts.forest import forest
from bench.report.charts.superlatives import leading, not_apart
from bench.report.csv_text import csv_text
from bench.report.provenance import Places, in_words, pathless
from bench.statistics.intervals import Interval
from bench.suite.read import LoadedSuite
from bench.verdicts import CheckVerdict, Verdict, findings
from bench.verdicts.findings import other_way

ROOT = Path(__file__).parent.parent


def verdict(claim: str, word: str, point=None, low=None, high=None, half=0.0, **changes) -> Verdict:
    measured = None if point is None else Interval(point - half, point + half, point, "made", 3)
    given = {"unit": "points", "low": low, "high": high, "measured": measured} | changes
    check = CheckVerdict(f"{claim} says", "retrain", word, f"Why {claim}.", **given)
    return Verdict("s", claim, f"{claim} says", "paper", "Table 1", None, word, (check,))


# What is told first


def test_what_lies_farthest_outside_its_band_is_told_first_even_where_too_few_seeds_leave_it_open():
    near = verdict("N", "contradicted", 3.0, -1.0, 1.0, 0.5)  # from 2.5: 1.5 tolerances outside
    far = verdict("F", "contradicted", 9.0, -1.0, 1.0, 0.5)  # from 8.5: 7.5 outside
    few = verdict("O", "inconclusive", -1.17, 4.56, 6.56, 0.5, published=5.56)  # up to -0.67: 5.23 outside
    across = verdict("A", "inconclusive", 1.0, -1.0, 1.0, 0.5)
    holds = verdict("R", "reproduced", 0.0, -1.0, 1.0, 0.5)
    told = findings([across, holds, near, few, far])
    assert [each.claim for each, _ in told] == ["F", "O", "N", "R", "A"]
    assert "Points the other way: −1.17 points where +5.56 points was claimed." in told[1][1]


def test_an_ordering_that_comes_out_the_other_way_says_so():
    below = verdict("B", "inconclusive", -0.5, 0.0, None, 1.0).checks[0]
    assert other_way(below) == "points the other way: −0.50 points where above 0.00 points was claimed"
    assert other_way(replace(below, measured=Interval(0.1, 0.9, 0.5, "made", 3))) is None


def test_the_same_sentence_is_told_once():
    one = verdict("A", "reproduced", 0.0, -1.0, 1.0)
    assert len(findings([one, replace(one, suite="other")])) == 1


def test_a_superlative_stands_only_over_intervals_that_do_not_touch():
    lines = [{"v": 1471, "l": 1400, "h": 1540}, {"v": 1440, "l": 1394, "h": 1492}, {"v": 900, "l": 880, "h": 920}]
    assert [line["v"] for line in leading(lines, "v", "l", "h")] == [1471, 1440]
    assert [line["v"] for line in leading(lines[1:], "v", "l", "h")] == [1440]
    assert not_apart(["A", "B"]) == "A and B cannot be told apart"
    assert not_apart(["A", "B", "C", "D"]) == "A, B and 2 more cannot be told apart"


def test_counts_are_subtracted_only_where_the_suite_sets_one_against_the_other(material):
    other = material.suite("mlp_mixer").suite
    keys = [key for key, claim in other.claims.items() if claim.unit == "parameters" and claim.kind == "recount"][:2]
    made = [
        verdict(key, "reproduced", point, unit="parameters", published=9e6)
        for key, point in zip(keys, (9e6, 4e6), strict=True)
    ]
    made = [replace(each, checks=(replace(each.checks[0], kind="recount"),)) for each in made]
    figure = counted("x", other, made)
    assert "fewer" not in figure.reading
    assert figure.reading == "2 numbers of parameters counted again, 1 of them exactly as published."
    assert "= 9,000,000" not in figure.svg


def test_only_what_was_judged_counts_as_judged():
    made = [verdict("A", "reproduced", 0.0, -1.0, 1.0), *(verdict(f"I{i}", "inconclusive") for i in range(9))]
    assert forest("x", made, {"paper": "A paper"}).reading == (
        "1 of 1 judged claim lies wholly inside the claimed band; 9 are inconclusive."
    )
    assert forest("x", made[1:2], {"paper": "A paper"}).reading == "The claim could not be judged from these rows."


def test_a_case_name_too_long_for_a_line_is_shortened_and_never_broken_in_two():
    long = "accuracy_cifar100/hybrid_interleaved/cifar100/as_run"
    open_ = verdict("A", "not measured")
    open_ = replace(open_, checks=(replace(open_.checks[0], reason=f"Never run: {long}."),))
    svg = forest("x", [open_], {"paper": "A paper"}).svg
    assert "accuracy_cifar100/…/as_run.<" in svg
    assert "hybrid_interleaved/" not in svg


def test_there_is_no_heading_for_nothing(material):
    even = [v for v in material.verdicts() if v.verdict != "inconsistent"]
    page = material.page(verdicts=even)
    for text in (render_html(page), render_markdown(page, "figures")[0]):
        assert "Calculations that do not follow" not in text
        assert "of the sources were checked, and each gives what is printed." in text


# Which commands stand in it


def test_commands_keep_the_store_and_the_data_that_are_not_the_default(material):
    given = ([material.suite()], material.verdicts(), material.rows().iloc[:0], material.environments().iloc[:0])
    from bench.report import build

    page = build(*given, now=material.NOW, places=Places("A b", "images"))
    assert page.command == "bench report suites/cifar_mixers.toml --store 'A b' --format html"
    assert terminal_summary(page).endswith(" --store 'A b' --format html")
    commands = [figure.command for figure in page.sections[0].figures if getattr(figure, "command", None)]
    assert commands
    assert all(command.endswith("--store 'A b' --data images") for command in commands)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("results/store", "results/store"),
        ("/home/alice smith/results", "…/results"),
        ("../secret/store", "…/store"),
        ("C:\\Users\\alice\\store", "…/store"),
        ("s3://key:secret@bucket/store", "s3://bucket/store"),
    ],
)
def test_a_path_of_this_machine_is_cut_down_to_its_name(path, shown):
    assert pathless(path) == shown


def test_no_absolute_path_of_a_suite_or_a_store_stands_on_a_page_or_in_a_row(material, tmp_path):
    loaded = material.suite()
    away = LoadedSuite(loaded.suite, loaded.sha256, tmp_path / "alice" / "suite.toml")
    bad = material.row(
        material.plan(loaded.suite, loaded.sha256, "quick")[0], "params", None, status="failed",
        reason="FileNotFoundError: no file '/home/alice/secret/weights.pt' (p.py:21)",
    )  # fmt: skip
    page = material.page(suites=[away], rows=material.frame([bad]))
    for text in (render_html(page), render_markdown(page, "f")[0], render_json(page), render_csv(page)):
        assert str(tmp_path) not in text
        assert "/home/alice" not in text
    assert "…/weights.pt" in page.failures[0]


# Dates, numbers and cells


def test_a_date_is_english_and_utc_whatever_the_machine_thinks():
    moment = datetime(2026, 3, 5, 1, 7, tzinfo=timezone(timedelta(hours=2)))
    assert in_words(moment) == "4 March 2026, 23:07 UTC"


def test_json_has_a_schema_and_dates_that_programs_read(material):
    content = json.loads(render_json(material.page()))
    assert content["schema"] == 2
    assert datetime.fromisoformat(content["generated"]) == material.NOW
    assert datetime.fromisoformat(content["runs"][0]["date"]) == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_text_cell_begins_as_a_formula_does_and_numbers_stay_numbers(text):
    ((name, number),) = list(csv.reader(io.StringIO(csv_text([{"name": text, "number": -1.5}]), newline="")))[1:]
    assert (name, number) == ("'" + text.replace("\r", "\n"), "-1.5")


def test_the_csv_says_on_how_many_seeds_blocks_and_images_a_number_stands_each_in_its_column(material):
    verdicts = material.verdicts()
    check = verdicts[0].checks[0]
    one = replace(check, samples=check.samples[:1], measured=Interval(70, 80, 75, "Wilson", 256), test_images=256)
    timed = replace(check, samples=tuple(replace(s, seed=None, repeat=i) for i, s in enumerate(check.samples)))
    exact = replace(check, samples=tuple(replace(s, seed=None) for s in check.samples[:1]), indication="a hint")
    verdicts[0] = replace(verdicts[0], checks=(one, timed, exact))
    lines = list(csv.DictReader(io.StringIO(render_csv(material.page(verdicts=verdicts)))))[:3]
    assert [(line["seeds"], line["blocks"], line["test_images"]) for line in lines] == [
        ("1", "", "256"),
        ("", "3", ""),
        ("", "", ""),
    ]
    assert (lines[2]["hint"], lines[0]["run"], lines[0]["commit"]) == ("a hint", "run-1", "4f2a9c1d0b7e")
    assert (lines[0]["device"], lines[0]["which_seeds"]) == ("NVIDIA H200", "0")
    assert "10,000 test images" in lines[0]["tolerance_why"]


def test_the_terminal_names_what_failed_and_every_hint(material):
    hinted = [verdict(f"G{i}", "not measured", indication="quick profile: 40 %") for i in range(6)]
    told = [verdict(f"R{i}", "reproduced", float(i), -9.0, 9.0) for i in range(8)]
    page = replace(material.page(verdicts=[*told, *hinted]), failures=("static/small, run r3, failed: boom",))
    lines = terminal_summary(page).splitlines()
    assert "failed: static/small, run r3, failed: boom" in lines
    assert "hint: G0 quick profile: 40 %" in lines
    assert "hint: and 2 more" in lines
    assert len(lines) <= 25


# Drawn on demand

NOT_DRAWN = """
import sys
from bench.report import render_badge, render_csv, render_github, render_json, render_junit, terminal_summary
from tests import material
page = material.page()
for form in (render_badge, render_csv, render_github, render_json, render_junit, terminal_summary):
    assert form(page)
print([name for name in ("matplotlib", "seaborn") if name in sys.modules])
"""


def test_forms_without_figures_draw_none_and_import_nothing_that_draws():
    done = subprocess.run([sys.executable, "-c", NOT_DRAWN], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("form", ["csv", "json", "junit", "badge", "github"])
def test_a_report_that_shows_no_figure_does_not_draw_one(material, tmp_path, monkeypatch, form):
    monkeypatch.setattr("bench.report.compose._drawn", lambda *_: pytest.fail("drawn for nobody"))
    given = ([material.suite()], material.verdicts(), material.rows(), material.environments())
    assert write(*given, form=form, output=tmp_path / "x", now=material.NOW)

"""The report as Markdown, JSON, CSV, JUnit, terminal summary and file: the same content in each."""

import csv
import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from bench.errors import StoreError
from bench.records.measurement import Environment
from bench.report import (
    FORMS,
    outcomes_of,
    render_badge,
    render_csv,
    render_github,
    render_json,
    render_junit,
    render_markdown,
    terminal_summary,
    write,
)

# Markdown


def test_markdown_has_the_same_order_details_and_images_that_are_there(page):
    text, images = render_markdown(page, "figures")
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads == ["## Findings", "## All claims at a glance", "## Claims", "## Figures", "## What a training costs",
                     "## Calculations that do not follow", "## Environment and provenance"]  # fmt: skip
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert set(shown) == set(images)
    assert text.count("<details>") == text.count("</details>") >= len(page.sections[0].claims)
    assert len(text.encode()) + sum(map(len, images.values())) < 1024**2


def test_every_row_of_a_markdown_table_has_as_many_cells_as_its_head(page):
    text, _ = render_markdown(page, "figures")
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1, block


def test_markdown_uses_no_html_that_github_strips_and_names_stay_text(material):
    text, _ = render_markdown(material.page(**material.hostile()), "figures")
    outside = re.sub(r"^```\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"<(/?[a-z]+)", outside)) <= {"details", "/details", "summary", "/summary", "a", "/a"}
    assert "javascript:" not in outside


def test_the_images_of_markdown_are_whole_pictures_on_white(page):
    _, images = render_markdown(page, "figures")
    for content in images.values():
        root = ElementTree.fromstring(content)
        assert root.get("width")
        assert root[0].get("fill") == "#ffffff"


# The other forms


def test_json_holds_every_number_of_every_verdict(page, material):
    content = json.loads(render_json(page))
    assert content["tally"] == {tile.word: tile.count for tile in page.tiles}
    assert [claim["claim"] for claim in content["claims"]] == [verdict.claim for verdict in material.verdicts()]
    assert content["claims"][0]["checks"][0]["published"] == 76.71
    assert content["rows_sha256"] == page.digest


def test_a_bound_that_is_not_there_is_null_in_json_and_empty_in_csv(material):
    verdicts = material.verdicts()
    check = verdicts[0].checks[0]
    alone = replace(check, measured=replace(check.measured, low=float("-inf"), high=float("inf")))
    page = material.page(verdicts=[replace(verdicts[0], checks=(alone,)), *verdicts[1:]])
    assert json.loads(render_json(page))["claims"][0]["checks"][0]["measured"]["low"] is None
    assert next(csv.DictReader(io.StringIO(render_csv(page))))["measured_low"] == ""


def test_csv_has_one_line_for_each_check(page, material):
    lines = list(csv.DictReader(io.StringIO(render_csv(page))))
    assert len(lines) == sum(len(verdict.checks) for verdict in material.verdicts())
    assert lines[0]["claim"] == "H1"
    assert float(lines[0]["published"]) == 76.71


def test_junit_fails_what_is_contradicted_and_skips_what_is_undecided(page, material):
    root = ElementTree.fromstring(render_junit(page))
    words = [verdict.verdict for verdict in material.verdicts()]
    failed, skipped = {"contradicted", "inconsistent"}, {"not measured", "inconclusive"}
    assert len(root.findall(".//failure")) == sum(word in failed for word in words)
    assert len(root.findall(".//skipped")) == sum(word in skipped for word in words)
    assert len(root.findall(".//testcase")) == len(words)
    assert root.find("testsuite").get("failures") == str(len(root.findall(".//failure")))


def test_every_claim_is_one_outcome_with_the_words_of_the_check_that_decides(page, material):
    outcomes = outcomes_of(page)
    assert [outcome.name for outcome in outcomes] == [verdict.claim for verdict in material.verdicts()]
    h3 = outcomes[2]  # its first check is reproduced, its second inconclusive
    assert (h3.status, h3.word) == ("skipped", "inconclusive")
    assert h3.reason == material.verdicts()[2].checks[1].reason
    assert (h3.group, h3.file) == ("cifar_mixers", "suites/cifar_mixers.toml")
    assert [figure.value for figure in h3.figures] == [check.measured.point for check in material.verdicts()[2].checks]


def test_an_exact_figure_of_an_outcome_has_no_bounds(page):
    h7 = next(outcome for outcome in outcomes_of(page) if outcome.name == "H7")
    assert [(figure.value, figure.low) for figure in h7.figures] == [(147_456, None)]


def test_the_badge_and_the_step_summary_tell_the_tally_of_the_page(page):
    told = {tile.word: tile.count for tile in page.tiles if tile.count}
    message = json.loads(render_badge(page))["message"]
    assert {word: int(count) for count, word in (part.split(" ", 1) for part in message.split(", "))} == told
    assert message in render_github(page)


def test_in_github_actions_the_report_goes_to_the_log_and_the_summary(material, tmp_path, capsys):
    given = ([material.suite()], material.verdicts(), material.rows(), material.environments())
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    assert write(*given, form="github", now=material.NOW, environment=environment) is None
    assert "::error file=suites/cifar_mixers.toml,title=H6%3A inconsistent::" in capsys.readouterr().out
    assert (tmp_path / "summary.md").read_text().startswith("### bench: cifar\\_mixers\n")


def test_the_terminal_summary_has_tiles_findings_and_the_path_in_at_most_25_lines(page):
    lines = terminal_summary(page, "reports/cifar_mixers.html").splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 120
    assert any("7 reproduced" in line for line in lines[:8])  # below the answer and the conditions
    assert any("H10" in line for line in lines)
    assert lines[-1] == "report: reports/cifar_mixers.html"


def test_the_terminal_summary_of_many_long_findings_still_ends_with_the_path(material):
    verdicts = [
        replace(verdict, checks=tuple(replace(check, reason="It is so. " * 60) for check in verdict.checks))
        for verdict in material.verdicts()
    ]
    lines = terminal_summary(material.page(verdicts=verdicts), "x.html").splitlines()
    assert len(lines) <= 25
    assert lines[-1] == "report: x.html"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_written_where_it_was_asked_for(form, material, tmp_path):
    path = tmp_path / "new" / f"page.{form}"
    given = ([material.suite()], material.verdicts(), material.rows(), material.environments())
    assert write(*given, form=form, output=path, now=material.NOW) == path
    assert path.stat().st_size > (50 if form == "badge" else 1000)
    if form == "md":
        for image in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", path.read_text()):
            assert (path.parent / image).is_file()


def test_a_report_that_cannot_be_written_is_an_error_with_its_path(material, tmp_path):
    (tmp_path / "file").write_text("in the way")
    given = ([material.suite()], material.verdicts(), material.rows(), material.environments())
    with pytest.raises(StoreError, match=r"file/page\.json: cannot be written: "):
        write(*given, form="json", output=tmp_path / "file" / "page.json")


def test_every_fact_of_an_environment_that_is_shown_exists():
    from bench.report.provenance import FACTS

    assert FACTS.keys() <= Environment.__dataclass_fields__.keys()


def test_the_command_line_offers_every_form():
    import runner

    offered = next(option for option in runner.report.params if option.name == "form").type.choices
    assert tuple(offered) == FORMS


def test_markdown_that_is_printed_points_at_no_figure_that_is_not_there(page):
    text, images = render_markdown(page, None)
    assert "![" not in text
    assert not images
    assert "Forest plot of" in text


def test_the_command_of_a_run_stands_on_the_page_word_by_word_and_without_a_path():
    """It is one text in the store, and was once taken for its letters."""
    from dataclasses import asdict

    from bench.report.provenance import run
    from tests import making

    stored = "bench run suites/a.toml --only 'static*' --data /home/someone/data"
    shown = run(asdict(making.environment(command=stored))).command
    assert shown == "bench run suites/a.toml --only 'static*' --data …/data"

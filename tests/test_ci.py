"""What CI systems read: every format from one list of outcomes, well-formed, escaped, within the limits it has."""

import io
import json
import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from bench.ci import as_json, badge, benchmark_action, github, junit
from bench.ci.outcome import CiOutcome, OutcomeFigure

PASS = CiOutcome(
    group="ci",
    name="mixer / speed",
    says="as fast as the baseline's commit",
    status="passed",
    word="pass",
    reason="+0.3 % wall time, 6 rounds.",
    line="mixer  wall +0.3 % [−0.9, +1.4]  6 rounds  PASS",
    figures=(OutcomeFigure("wall time, candidate / baseline", 1.003, "ratio", 0.991, 1.014, "lower"),),
    file="suites/ci.toml",
    command="bench check suites/ci.toml --model mixer",
    duration_s=12.5,
)
FAIL = replace(PASS, name="hybrid / static", status="failed", word="regression", reason="blocks.3 has 128 more.")
ERROR = replace(PASS, name="convmixer / speed", status="error", word="not measured", reason="The worker was killed.")
SKIP = replace(PASS, name="mobilevit / speed", status="skipped", word="inconclusive", reason="20 rounds differ.")
FASTER = replace(PASS, name="mixer / faster", word="faster", reason="−8 %.")
ALL = [PASS, FAIL, ERROR, SKIP, FASTER]
# What Jenkins' junit-10.xsd and Surefire's schema both allow: element -> (children, attributes, those that must be).
SCHEMA = {
    "testsuites": ({"testsuite"}, {"name", "time", "tests", "failures", "errors"}, set()),
    "testsuite": (
        {"properties", "testcase"},
        {"name", "tests", "failures", "errors", "skipped", "time"},
        {"name", "tests", "failures", "errors", "skipped", "time"},
    ),
    "properties": ({"property"}, set(), set()),
    "property": (set(), {"name", "value"}, {"name", "value"}),
    "testcase": (
        {"skipped", "error", "failure", "system-out"},
        {"name", "time", "classname"},
        {"name", "time", "classname"},
    ),
    "failure": (set(), {"type", "message"}, {"type"}),
    "error": (set(), {"type", "message"}, {"type"}),
    "skipped": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}
HOSTILE = "a\x00\x1b[31mb\ud800\ufffe & <c> ]]> \"q\" 'r' | é 🙂"


def follow_the_schema(element: ElementTree.Element) -> None:
    children, allowed, needed = SCHEMA[element.tag]
    assert {child.tag for child in element} <= children, element.tag
    assert needed <= set(element.keys()) <= allowed, element.tag
    if time := element.get("time"):
        assert re.fullmatch(r"\d+\.\d{3}", time)
    for child in element:
        follow_the_schema(child)


# JUnit


def test_junit_follows_the_schema_with_the_properties_of_a_suite_before_its_cases():
    root = ElementTree.fromstring(junit.render(ALL))
    follow_the_schema(root)
    assert [child.tag for child in root.find("testsuite")] == ["properties"] + 5 * ["testcase"]


def test_junit_keeps_failed_error_and_skipped_apart_and_counts_each():
    root = ElementTree.fromstring(junit.render(ALL))
    suite = root.find("testsuite")
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["5", "1", "1", "1"]
    assert [root.get(key) for key in ("tests", "failures", "errors")] == ["5", "1", "1"]
    found = {case.get("name").split(":")[0]: [child.tag for child in case] for case in root.iter("testcase")}
    assert found["hybrid / static"] == ["failure", "system-out"]
    assert found["convmixer / speed"] == ["error", "system-out"]
    assert found["mobilevit / speed"] == ["skipped", "system-out"]
    assert found["mixer / speed"] == ["system-out"]


def test_junit_sums_the_time_of_the_cases_and_counts_a_time_not_taken_as_nothing():
    root = ElementTree.fromstring(junit.render([PASS, replace(FAIL, duration_s=None)]))
    assert [case.get("time") for case in root.iter("testcase")] == ["12.500", "0.000"]
    assert root.find("testsuite").get("time") == root.get("time") == "12.500"


def test_junit_says_the_line_the_figures_and_the_command_of_each_case():
    out = ElementTree.fromstring(junit.render([PASS])).findtext(".//system-out").splitlines()
    figure = "wall time, candidate / baseline: 1.003 × [0.991, 1.014]"
    assert out == [PASS.line, PASS.reason, figure, f"again: {PASS.command}"]


def test_a_count_keeps_all_its_digits():
    counted = replace(PASS, figures=(OutcomeFigure("macs", 42_337_536, "macs"),))
    root = ElementTree.fromstring(junit.render([counted]))
    assert root.find(".//property").attrib == {"name": "mixer / speed: macs", "value": "42,337,536 MACs"}


def test_junit_has_one_suite_for_each_group_in_order():
    root = ElementTree.fromstring(junit.render([PASS, replace(FAIL, group="b"), SKIP]))
    assert [(suite.get("name"), suite.get("tests")) for suite in root] == [("ci", "2"), ("b", "1")]


def test_junit_drops_what_xml_cannot_hold_and_keeps_the_rest():
    bad = replace(
        FAIL, group=HOSTILE, name=HOSTILE, says=HOSTILE, word=HOSTILE, reason=HOSTILE, line=HOSTILE, command=HOSTILE
    )
    text = junit.render([bad])
    root = ElementTree.fromstring(text.encode("utf-8"))
    follow_the_schema(root)
    kept = "a[31mb & <c> ]]> \"q\" 'r' | é 🙂"
    assert root.find("testsuite").get("name") == kept
    assert root.findtext(".//system-out").splitlines()[0] == kept


def test_junit_without_outcomes_is_still_a_document():
    root = ElementTree.fromstring(junit.render([]))
    assert (root.tag, root.get("tests"), len(root)) == ("testsuites", "0", 0)


# GitHub


def test_annotations_escape_what_ends_a_property_or_a_line():
    bad = replace(FAIL, file="a,b:c.toml", name="x: y, z", word="100 %", reason="50 %\r\n::error::fake", command=None)
    line = "::error file=a%2Cb%3Ac.toml,title=x%3A y%2C z%3A 100 %25::50 %25%0D%0A::error::fake\n"
    assert github.annotations([bad]) == line


def test_annotations_are_errors_warnings_and_notices_and_nothing_for_a_plain_pass():
    levels = [line.split(" ")[0] for line in github.annotations(ALL).splitlines()]
    assert levels == ["::error", "::error", "::warning", "::notice"]
    assert github.annotations([PASS]) == ""
    assert github.annotations([replace(SKIP, word="not measured")]).startswith("::notice ")


def test_annotations_name_no_file_where_there_is_none():
    assert github.annotations([replace(FAIL, file=None)]).startswith("::error title=hybrid / static%3A regression::")


def test_ten_annotations_of_each_level_are_shown_and_the_rest_is_counted_in_words():
    text = github.annotations([FAIL] * 12 + [SKIP] * 11 + [FASTER] * 10)
    lines = text.splitlines()
    assert [sum(line.startswith(f"::{level} ") for line in lines) for level in ("error", "warning", "notice")] == [
        10
    ] * 3
    assert lines[-1] == "Not annotated, as GitHub shows 10 of a kind: 2 more errors, 1 more warning."
    assert len(lines) == 31


def test_a_finding_is_annotated_before_what_could_not_be_measured():
    text = github.annotations([ERROR] * 10 + [FAIL])
    assert "hybrid" in text.splitlines()[0]


def test_the_summary_is_a_table_whose_rows_have_as_many_cells_as_its_head():
    hostile = replace(FAIL, name="a|b\nc", reason="`d` | <img src=x> [e](javascript:f)", line="")
    table = [line for line in github.summary([*ALL, hostile]).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {5}
    assert len(table) == 2 + 6
    assert "<img" not in "".join(table)
    assert r"\[e\](javascript:f)" in "".join(table)


def test_the_summary_counts_by_word_and_lists_what_failed_first():
    lines = github.summary(ALL).splitlines()
    assert lines[0] == "### bench: ci"
    assert lines[2] == "1 regression, 1 not measured, 1 pass, 1 faster, 1 inconclusive"
    marks = [line[2] for line in lines if line.startswith("|")][2:]
    assert marks == ["❌", "⚠", "⚪", "✅", "✅"]


def test_a_long_summary_stays_under_a_mebibyte_and_says_what_was_cut():
    outcomes = [replace(PASS, reason="é" * 1000)] * 1000 + [FAIL]  # about 2 MB of rows
    text = github.summary(outcomes)
    assert len(text.encode()) < 1024**2
    assert "hybrid / static" in text
    rows = text.count("\n|") - 2
    assert text.endswith(f"Cut here, for a summary has a limit: {1001 - rows} rows more ({1001 - rows} pass).\n")


def test_the_summary_of_nothing_says_so():
    assert "Nothing was judged." in github.summary([])


def test_in_github_actions_both_are_written_where_the_environment_says(tmp_path):
    path, log = tmp_path / "summary.md", io.StringIO()
    path.write_text("from another step\n")
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(path)}
    assert github.publish(ALL, environment, log)
    assert log.getvalue() == github.annotations(ALL)
    assert path.read_text() == f"from another step\n{github.summary(ALL)}\n"


def test_outside_github_actions_nothing_is_written(tmp_path):
    path, log = tmp_path / "summary.md", io.StringIO()
    assert not github.publish(ALL, {"GITHUB_STEP_SUMMARY": str(path)}, log)
    assert (log.getvalue(), path.exists()) == ("", False)


def test_a_summary_that_cannot_be_written_is_told_in_the_log_and_nothing_more(tmp_path):
    log = io.StringIO()
    assert github.publish([FAIL], {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path)}, log)
    assert log.getvalue().splitlines()[-1] == "The step summary could not be written: Is a directory."


@pytest.mark.parametrize("taken", [1024**2 - 900, 1024**2 - 10, 1024**2])
def test_what_a_summary_already_holds_counts_against_its_limit(tmp_path, taken):
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * taken)
    github.publish(ALL * 10, {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(path)}, io.StringIO())
    assert taken <= path.stat().st_size <= 1024**2
    assert path.read_bytes().startswith(b"x" * taken)
    room = 1024**2 - taken
    assert ("Cut here" in path.read_text()) == (room > 500), "what fits is written, and says that it is cut"


# github-action-benchmark, badge, JSON


def test_the_benchmark_lists_hold_ratios_and_counts_by_direction_and_never_a_speed():
    figures = (
        *PASS.figures,
        OutcomeFigure("parameters", 677_898, "parameters"),
        OutcomeFigure("speed-up", 1.9, "ratio", better="higher"),
        OutcomeFigure("of neither direction", 2.0, "ratio"),
        OutcomeFigure("images", 762.0, "images/s", better="higher"),
        OutcomeFigure("latency", 0.02, "s", better="lower"),
        OutcomeFigure("no number", math.nan, "ratio", better="lower"),
    )
    lower = json.loads(benchmark_action.render([replace(PASS, figures=figures)]))
    higher = json.loads(benchmark_action.render([replace(PASS, figures=figures)], "higher"))
    start = "ci / mixer / speed /"
    assert [entry["name"] for entry in lower] == [f"{start} wall time, candidate / baseline", f"{start} parameters"]
    assert [entry["name"] for entry in higher] == [f"{start} speed-up"]
    assert lower[0] == {
        "name": f"{start} wall time, candidate / baseline",
        "unit": "×",
        "value": 1.003,
        "range": "[0.991, 1.014]",
        "extra": f"pass: {PASS.reason}\n{PASS.command}",
    }
    assert "range" not in lower[1]


def test_a_change_in_percent_is_charted_as_the_ratio_that_it_is():
    change = OutcomeFigure("wall_change", 0.5, "%", -0.25, 1.0, "lower")
    (entry,) = json.loads(benchmark_action.render([replace(PASS, figures=(change,))]))
    assert (entry["name"], entry["unit"]) == ("ci / mixer / speed / wall_ratio", "×")
    assert entry["value"] == pytest.approx(1.005)
    assert entry["range"] == "[0.998, 1.010]"


@pytest.mark.parametrize(
    ("outcomes", "message", "colour"),
    [
        ([PASS, PASS], "2 pass", "brightgreen"),
        ([PASS, FAIL, SKIP], "1 regression, 1 pass, 1 inconclusive", "red"),
        ([PASS, ERROR], "1 not measured, 1 pass", "orange"),
        ([SKIP], "1 inconclusive", "lightgrey"),
        ([], "nothing judged", "lightgrey"),
    ],
)
def test_the_badge_has_brief_counts_in_the_colour_of_the_weightiest(outcomes, message, colour):
    assert json.loads(badge.render(outcomes)) == {
        "schemaVersion": 1,
        "label": "bench",
        "message": message,
        "color": colour,
    }


def test_json_holds_everything_raw_and_null_for_what_is_no_number():
    odd = replace(
        PASS, figures=(OutcomeFigure("x", 1 / 3, "ratio", -math.inf, math.nan),), details={"rounds": [0.1, math.nan]}
    )
    content = json.loads(as_json.render([odd, FAIL], {"torch": "2.13.0"}))
    assert content["torch"] == "2.13.0"
    assert content["tally"] == {"passed": 1, "failed": 1}
    assert content["outcomes"][0]["figures"][0] | {"name": "x"} == {
        **{"name": "x", "value": 1 / 3, "unit": "ratio", "low": None, "high": None, "better": None}
    }
    assert content["outcomes"][0]["details"] == {"rounds": [0.1, None]}

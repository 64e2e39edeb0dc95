"""How fast what is drawn from rows is: the report, its forms, what CI reads, two runs side by side.

Templates must cost little beside the figures, and ten times the rows must not cost ten times the time. Every limit is
a ratio of two things done here, one after the other, so that a slow or busy machine fails nothing.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from statistics import median

import pandas as pd
import pytest

from bench.ci import as_json, badge, benchmark_action, github, junit
from bench.ci.outcome import CiOutcome, OutcomeFigure
from bench.records.measurement import as_row
from bench.report import render_html, render_json, render_markdown, terminal_summary
from bench.verdicts.between_runs.compare import compare

OUTCOMES = [
    CiOutcome(
        "ci", f"guard{i} / speed", "as fast as the baseline's commit", ("passed", "failed")[i % 10 == 0],
        ("pass", "regression")[i % 10 == 0], f"+{i / 100:.2f} % [−0.9, +1.4] wall time, 6 rounds.",
        figures=(OutcomeFigure("wall_change", i / 100, "%", -0.9, 1.4, "lower"),), file="suites/ci.toml",
        command=f"bench check suites/ci.toml --only guard{i}",
    )
    for i in range(1000)
]  # fmt: skip


def seconds(action: Callable[[], object]) -> float:
    """Of the processor: what others do meanwhile is not counted."""
    begun = time.process_time()
    action()
    return time.process_time() - begun


def times_as_long(action: Callable[[], object], other: Callable[[], object], turns: int = 5) -> float:
    """How many times as long as the other an action takes: the median of so many pairs, one after the other."""
    return median([seconds(action) / seconds(other) for _ in range(turns)])


def runs_more(material, more: int) -> dict[str, pd.DataFrame]:
    """The rows of the suite, measured by so many runs."""
    once = material.rows()
    names = [material.RUN, *(f"run-{number}" for number in range(2, more + 1))]
    rows = pd.concat([once.assign(run_id=name) for name in names], ignore_index=True)
    known = [material.environment(run_id=name) for name in names]
    return {"rows": rows, "environments": pd.DataFrame([as_row(each) for each in known])}


def test_a_report_of_ten_runs_takes_less_than_four_times_that_of_one(material):
    one, ten = (runs_more(material, more) for more in (1, 10))
    render_html(material.page(**one))  # the first page also finds the fonts
    first, second = (lambda given=given: render_html(material.page(**given)) for given in (one, ten))
    ratio = times_as_long(second, first, 1)
    print(f"\nreport of {len(ten['rows']):,} rows: {ratio:.1f} times that of {len(one['rows']):,}")
    assert len(ten["rows"]) == 10 * len(one["rows"])
    assert ratio < 4


def test_a_form_without_figures_takes_less_than_three_quarters_of_one_with_them(material):
    render_html(material.page())  # finds the fonts
    ratio = times_as_long(lambda: terminal_summary(material.page()), lambda: render_html(material.page()), 3)
    print(f"\nwithout figures {ratio:.2f} times as long as with them")
    assert ratio < 3 / 4


@pytest.mark.parametrize("form", [render_html, render_json, lambda page: render_markdown(page, "figures")])
def test_printing_a_page_takes_less_than_a_quarter_of_making_it(material, page, form):
    form(page)
    ratio = times_as_long(lambda: form(page), lambda: render_html(material.page()), 3)
    print(f"\nprinted in {ratio:.3f} times the time of making it")
    assert ratio < 1 / 4


@pytest.mark.parametrize(
    "form",
    [junit.render, github.annotations, github.summary, benchmark_action.render, badge.render, as_json.render],
    ids=["junit", "annotations", "summary", "benchmark", "badge", "json"],
)
def test_a_thousand_outcomes_are_written_in_the_time_that_their_number_asks_for(form):
    by_number = times_as_long(lambda: form(OUTCOMES), lambda: form(OUTCOMES[:100]), 9)
    plain = times_as_long(lambda: form(OUTCOMES), lambda: json.dumps([asdict(each) for each in OUTCOMES]), 9)
    print(f"\n{by_number:.1f} times as long as a tenth of them, {plain:.2f} times as long as their plain JSON")
    assert by_number < 3 * 10, "what looks at every pair of them takes 100 times as long"
    assert plain < 5


def test_two_runs_of_four_thousand_rows_are_compared_in_less_than_the_time_of_their_page(material):
    rows = material.rows()
    sides = [(as_row(material.environment(run_id=name)), rows.assign(run_id=name)) for name in ("a", "b")]
    found = compare(*sides)
    assert len(rows) > 4000
    assert found.compared
    assert all(each.word in ("equal", "no change shown", "no interval") for each in found.compared), "a run is itself"
    render_html(material.page())  # finds the fonts
    ratio = times_as_long(lambda: compare(*sides), lambda: render_html(material.page()), 2)
    print(f"\ncompared in {ratio:.2f} times the time of the page of one of them")
    assert ratio < 1


def test_the_json_of_many_claims_grows_with_their_number_and_not_faster(page):
    many = replace(page, verdicts=page.verdicts * 20)
    ratio = times_as_long(lambda: render_json(many), lambda: render_json(page), 7)
    print(f"\nJSON of {len(many.verdicts)} claims: {ratio:.1f} times as long as of {len(page.verdicts)}")
    assert len(json.loads(render_json(many))["claims"]) == 20 * len(page.verdicts)
    assert ratio < 2 * 20

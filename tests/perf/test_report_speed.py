"""How fast what is drawn from rows is: the report, its forms, what CI reads, two runs side by side.

Templates must cost little beside the figures, and ten times the rows must not cost ten times the time. Medians by
pytest-benchmark, limits that can fail; the absolute ones are generous, for a shared machine.
"""

import importlib.util
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from bench.ci import as_json, badge, benchmark_action, github, junit
from bench.ci.outcome import Figure, Outcome
from bench.records.measurement import as_row
from bench.report import render_html, render_json, render_markdown, terminal_summary
from bench.verdicts.between_runs.compare import compare

OUTCOMES = [
    Outcome(
        "ci", f"guard{i} / speed", "as fast as the baseline's commit", ("passed", "failed")[i % 10 == 0],
        ("pass", "regression")[i % 10 == 0], f"+{i / 100:.2f} % [−0.9, +1.4] wall time, 6 rounds.",
        figures=(Figure("wall_change", i / 100, "%", -0.9, 1.4, "lower"),), file="suites/ci.toml",
        command=f"bench check suites/ci.toml --only guard{i}",
    )
    for i in range(1000)
]  # fmt: skip


def loaded_material() -> ModuleType:
    spec = importlib.util.spec_from_file_location("material", Path(__file__).parents[1] / "material.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def material() -> ModuleType:
    return loaded_material()


@pytest.fixture(scope="module")
def page(material):
    return material.page()


def seconds(action: Callable[[], object], times: int = 1) -> float:
    """The shortest of so many: what the work takes when nothing disturbs it."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begun)
    return min(taken)


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
    first, second = (seconds(lambda given=given: render_html(material.page(**given))) for given in (one, ten))
    print(f"\nreport of {len(one['rows']):,} rows: {first:.2f} s; of {len(ten['rows']):,}: {second:.2f} s")
    assert len(ten["rows"]) == 10 * len(one["rows"])
    assert second < 4 * first
    assert first < 30


def test_a_form_without_figures_takes_less_than_half_of_one_with_them(material):
    render_html(material.page())  # finds the fonts
    drawn = seconds(lambda: render_html(material.page()), 2)
    told = seconds(lambda: terminal_summary(material.page()), 2)
    print(f"\nwith figures {drawn:.2f} s, without {told:.2f} s: {drawn / told:.1f} times")
    assert told < drawn / 2


@pytest.mark.parametrize("form", [render_html, render_json, lambda page: render_markdown(page, "figures")])
def test_printing_a_page_takes_less_than_a_quarter_of_making_it(benchmark, material, page, form):
    made = seconds(lambda: render_html(material.page()))
    benchmark.pedantic(form, (page,), rounds=5, warmup_rounds=1)
    if benchmark.stats:
        assert benchmark.stats.stats.median < made / 4


@pytest.mark.parametrize(
    "form",
    [junit.render, github.annotations, github.summary, benchmark_action.render, badge.render, as_json.render],
    ids=["junit", "annotations", "summary", "benchmark", "badge", "json"],
)
def test_a_thousand_outcomes_are_written_in_half_a_second(benchmark, form):
    benchmark.pedantic(form, (OUTCOMES,), rounds=5, warmup_rounds=1)
    if benchmark.stats:
        assert benchmark.stats.stats.median < 0.5


def test_two_runs_of_four_thousand_rows_are_compared_in_a_second(benchmark, material):
    rows = material.rows()
    sides = [(as_row(material.environment(run_id=name)), rows.assign(run_id=name)) for name in ("a", "b")]
    found = benchmark.pedantic(compare, tuple(sides), rounds=3, warmup_rounds=1)
    assert len(rows) > 4000
    assert found.compared
    assert all(each.word in ("equal", "no change shown", "no interval") for each in found.compared), "a run is itself"
    if benchmark.stats:
        assert benchmark.stats.stats.median < 1


def test_the_json_of_many_claims_grows_with_their_number_and_not_faster(page):
    many = replace(page, verdicts=page.verdicts * 20)
    first, second = seconds(lambda: render_json(page), 5), seconds(lambda: render_json(many), 3)
    print(
        f"\nJSON of {len(page.verdicts)} claims: {1000 * first:.1f} ms; of {len(many.verdicts)}: {1000 * second:.0f} ms"
    )
    assert len(json.loads(render_json(many))["claims"]) == 20 * len(page.verdicts)
    assert second < 2 * 20 * first

"""Figures: where a check stands, which rows are drawn, and that what comes out is themed, plain and always the same."""

import math
from dataclasses import replace

import pytest

from bench.records import written
from bench.report.charts.accuracy import accuracies
from bench.report.charts.forest import numbers_beside
from bench.report.charts.frames import published_curves, published_of
from bench.report.charts.labels import apart, within
from bench.statistics.intervals import Interval
from bench.verdicts import CheckVerdict, judge
from bench.verdicts.placement import place
from bench.verdicts.selection import fullest, grouped, of, selected


def check(point=None, low=None, high=None, *, half=0.0, published=None, unit="%", **changes):
    measured = None if point is None else Interval(point - half, point + half, point, "made", 3)
    return CheckVerdict(
        "it says", "retrain", "reproduced", "because", unit, published, low=low, high=high, measured=measured, **changes
    )


# How numbers are written


def test_numbers_too_long_for_the_sheet_leave_their_unit_to_the_sentence_beside_them():
    short = check(17_792.0, published=17_500, unit="parameters")
    long = check(129_138_280.0, published=129_000_000, unit="parameters")
    assert numbers_beside(short) == "17,792 parameters, claimed 17,500"
    assert numbers_beside(long) == "129,138,280, claimed 129,000,000"


def test_a_value_and_its_interval_share_digits_and_unit():
    scale = written.scale("s", 0.0421, 0.0433)
    assert (scale.text(0.0421), scale.text(0.0433), scale.unit) == ("42.1", "43.3", "ms")


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (48.2, "%", ("48.20", "%")),
        (88, "%", ("88", "%")),
        (0.7, "nats", ("0.70", "nats")),
        (147_456, "parameters", ("147,456", "parameters")),
        (7.5e18, "flops", ("7.5 × 10¹⁸", "FLOPs")),
        (-5.56, "points", ("−5.56", "points")),
    ],
)
def test_a_published_number_keeps_the_digits_it_was_printed_with(value, unit, shown):
    assert written.published(value, unit) == shown


def test_percent_differ_by_points_and_a_difference_that_rounds_to_zero_has_no_sign():
    assert written.difference_unit("%") == "points"
    scale = written.scale("points", 0.001)
    assert [scale.signed(value) for value in (1.5, -1.5, 0.001, -0.001)] == ["+1.50", "−1.50", "0.00", "0.00"]


def test_a_line_does_not_break_between_a_number_and_its_unit():
    assert written.kept_together("76.71 % of 3 seeds") == "76.71\N{NO-BREAK SPACE}% of 3 seeds"


# Where a check stands


def test_a_number_stands_at_its_distance_from_the_published_value_in_tolerances():
    # published 80 ± 2, measured 81 ± 0.5: (81 - 80) / 2 = 0.5, from (80.5 - 80) / 2 to (81.5 - 80) / 2
    found = place(check(81.0, 78.0, 82.0, half=0.5, published=80.0))
    assert (found.x, found.low, found.high, found.band) == (0.5, 0.25, 0.75, (-1, 1))


def test_an_exact_count_stands_at_zero_or_nowhere():
    assert place(check(17_536, 17_536, 17_536)).x == 0
    assert place(check(17_537, 17_536, 17_536)).x == math.inf


def test_an_ordering_stands_at_its_distance_from_the_edge_in_half_widths_of_its_interval():
    # claimed above 0, measured 3 ± 1.5: the edge is at -1, 3 / 1.5 = 2 half widths to the right of it
    above = place(check(3.0, 0.0, None, half=1.5))
    assert (above.x, above.low, above.high, above.band) == (1.0, 0.0, 2.0, (-1, math.inf))
    # claimed below 0, measured -3 ± 1.5: the edge is at +1, two half widths to the left of it
    below = place(check(-3.0, None, 0.0, half=1.5))
    assert (below.x, below.low, below.high, below.band) == (-1.0, -2.0, 0.0, (-math.inf, 1))


@pytest.mark.parametrize(("point", "half"), [(3.0, 2.9), (3.0, 3.1), (-3.0, 2.9), (-3.0, 3.1)])
def test_an_ordering_lies_inside_its_band_on_the_plot_exactly_when_its_interval_lies_on_the_claimed_side(point, half):
    found = place(check(point, 0.0, None, half=half))
    assert (found.low > -1) == (point - half > 0)
    assert (found.high < -1) == (point + half < 0)


def test_a_single_seed_stands_one_unit_from_the_edge_and_has_no_bounds():
    found = place(check(4.0, 0.0, None, half=math.inf))
    assert (found.x, found.low, found.high) == (0.0, -math.inf, math.inf)


def test_what_was_not_measured_or_has_no_band_has_no_place():
    assert place(check(None, 1.0, 2.0)) is None
    assert place(check(5.0)) is None


def test_names_that_would_touch_are_stacked_around_their_mean():
    # Two at 100 and 104, each 20 high: their mean is 102, so they stand at 92 and 112; 200 is far enough away.
    assert apart([100, 104, 200], [20, 20, 20]) == [92, 112, 200]


def test_stacking_never_lets_two_names_touch():
    heights = [18, 33, 18, 18, 33]
    places = apart([10, 11, 12, 60, 61], heights)
    for i in range(4):
        assert places[i + 1] - places[i] >= (heights[i] + heights[i + 1]) / 2 - 1e-9


def test_names_pushed_back_between_two_bounds_stay_in_order_and_apart():
    # Three of 20 each stacked up to 120, with room from 0 to 90: the highest ends at 90, the others below it.
    assert within([70, 90, 110], [20, 20, 20], 0, 90) == [40, 60, 80]


# Which rows are drawn


def test_rows_get_the_names_of_the_suite_and_a_case_comes_from_its_newest_run(material, suite):
    case = next(case for case in material.plan(suite.suite, suite.sha256, "quick") if case.measure == "static")
    old, new = material.row(case, "params", 1), material.row(case, "params", 2)
    old = replace(old, run_id="run-9", started_at="2026-01-01T00:00:00+00:00")
    found = selected(suite.suite, suite.sha256, material.frame([new, old])).rows
    assert [(each.value, each.case.measure_key, each.case.model) for each in found] == [(2, "static", "mlp_mixer")]


def test_rows_that_failed_or_were_measured_by_an_older_protocol_are_not_drawn(material, suite):
    case = next(case for case in material.plan(suite.suite, suite.sha256, "quick") if case.measure == "static")
    failed = material.row(case, "params", None, status="failed", reason="no memory")
    old = replace(material.row(case, "macs", 5), protocol=0)
    assert selected(suite.suite, suite.sha256, material.frame([failed, old])).rows == ()


def accuracy_rows(material, suite, profile: str, device: str, seeds: tuple[int, ...], top: float) -> list:
    """The last epochs of one model, as rows of so many seeds."""
    planned = material.plan(suite.suite, suite.sha256, profile, device)
    cases = [c for c in planned if c.measure_key == "accuracy" and c.model == "mlp_mixer" and c.seed in seeds]
    return [
        material.row(case, "test_top1_pct", top, epoch=epoch)
        for case in cases
        for epoch in range(1, case.recipe.epochs + 1)
    ]


def test_a_full_profile_is_drawn_before_a_reduced_one_then_most_seeds_then_cuda_as_a_verdict_chooses(material, suite):
    quick = accuracy_rows(material, suite, "quick", "cuda", (0,), 1.0)
    cpu, cuda = (accuracy_rows(material, suite, "paper", device, (0,), 2.0) for device in ("cpu", "cuda"))
    more = accuracy_rows(material, suite, "paper", "cpu", (0, 1), 3.0)

    def device(*found: list) -> set[tuple[str, bool]]:
        rows = selected(suite.suite, suite.sha256, material.frame([row for each in found for row in each])).rows
        return {(each.row.device, each.reduced) for each in fullest(rows)}

    assert device(quick) == {("cuda", True)}
    assert device(quick, cpu) == {("cpu", False)}
    assert device(quick, cpu, cuda) == {("cuda", False)}
    assert device(cuda, more) == {("cpu", False)}


def test_a_bar_shows_the_run_that_the_verdict_took_and_not_a_newer_one_that_failed(material, suite):
    whole = accuracy_rows(material, suite, "paper", "cpu", (0, 1, 2), 80.0)
    later = {"run_id": "run-9", "started_at": "2026-12-01T00:00:00+00:00"}
    broken = [replace(row, value=15.0, **later) for row in whole if row.epoch <= 5]
    ended = [replace(row, value=None, status="failed", reason="killed", epoch=None, **later) for row in broken[:1]]
    frame = material.frame([*whole, *broken, *ended])
    (line,) = accuracies(suite.suite, selected(suite.suite, suite.sha256, frame).rows).to_dict("records")
    judged = {v.claim: v.checks[0] for v in judge(suite.suite, suite.sha256, frame, suite_path="s.toml")}
    assert line["top1_pct"] == judged["H1"].measured.point == 80.0


def test_a_training_that_no_verdict_would_take_is_not_drawn_either(material, suite):
    short = [row for row in accuracy_rows(material, suite, "paper", "cpu", (0,), 80.0) if row.epoch <= 5]
    assert accuracies(suite.suite, selected(suite.suite, suite.sha256, material.frame(short)).rows).empty


def test_a_seed_that_nobody_planned_is_in_no_bar(material, suite):
    rows = accuracy_rows(material, suite, "paper", "cpu", (0, 1, 2), 80.0)
    planned = material.plan(suite.suite, suite.sha256, "paper", "cpu", 5)
    case = next(c for c in planned if c.measure_key == "accuracy" and c.model == "mlp_mixer" and c.seed == 4)
    rows += [material.row(case, "test_top1_pct", 10.0, epoch=e) for e in range(1, case.recipe.epochs + 1)]
    (line,) = accuracies(suite.suite, selected(suite.suite, suite.sha256, material.frame(rows)).rows).to_dict("records")
    assert (line["top1_pct"], line["seeds"]) == (80.0, 3)


def test_a_case_whose_newest_run_failed_is_named_with_run_and_reason(material, suite):
    case = next(c for c in material.plan(suite.suite, suite.sha256, "quick") if c.measure == "static")
    good = material.row(case, "params", 1)
    bad = replace(good, value=None, status="failed", reason="boom", run_id="run-9", started_at="2026-12-01T00:00:00Z")
    found = selected(suite.suite, suite.sha256, material.frame([good, bad]))
    assert [(each.case, each.run_id, each.words) for each in found.failures] == [(case.name, "run-9", "failed: boom")]
    again = replace(good, run_id="run-10", started_at="2026-12-02T00:00:00Z")
    assert selected(suite.suite, suite.sha256, material.frame([good, bad, again])).failures == ()


def test_the_published_accuracy_of_a_model_is_the_one_its_claim_prints(suite):
    found = published_of(suite.suite, "test_top1_pct")
    assert found["cifar10", "as_run", "mlp_mixer"] == suite.suite.claims["H1"].published
    assert found["cifar100", "as_run", "mlp_mixer"] == suite.suite.claims["H4"].published
    assert ("cifar10", "per_epoch", "mlp_mixer") not in found


def test_the_published_curve_ends_where_its_log_does(suite):
    curves, problems = published_curves(suite.suite, suite.path.parent)
    first = curves[0]
    assert (first.epochs[0], first.epochs[-1], first.values[-1]) == (1, 30, suite.suite.claims["H1"].published)
    assert problems == []


def test_a_curve_whose_file_is_missing_is_named_and_the_rest_is_drawn(suite, tmp_path):
    curves, problems = published_curves(suite.suite, tmp_path)
    assert curves == []
    assert len(problems) == len(suite.suite.curves)
    assert "published/hybrid_mixer_curves.csv" in problems[0]


def test_accuracies_are_the_best_epoch_where_the_source_reports_the_best(suite, rows):
    trained = [each for each in of(rows, "test_top1_pct") if each.case.model == "mlp_mixer"]
    trained = [each for each in trained if each.case.measure_key == "accuracy"]
    best = [max(each.value for each in seed) for seed in grouped(trained, lambda each: each.row.seed).values()]
    line = accuracies(suite.suite, trained).iloc[0]
    assert line["at"] == "best epoch"
    assert line["top1_pct"] == pytest.approx(sum(best) / 3)
    assert line["last_epoch_pct"] <= line["best_epoch_pct"]

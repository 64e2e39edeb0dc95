"""Where an interval lies against a band, and how numbers, bands and calculations are worded."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.statistics.intervals import Interval
from bench.suite.claim import Check
from bench.verdicts import bands
from bench.verdicts.bands import Band


def band(**fields) -> Band | None:
    return Band.of(Check.model_validate({"says": "it", "kind": "retrain", **fields}))


TWO_SIDED = Band(10.0, 20.0, "the band 10 to 20")
OTHERS = [Band(10.0, None, "above 10", strict=True), Band(None, 20.0, "below 20", strict=True)]
number = st.floats(-100, 100, allow_nan=False)


def test_a_tolerance_is_a_band_on_both_sides_and_its_edges_lie_inside():
    found = band(published=82.27, unit="%", tolerance=1.0)
    assert (found.low, found.high) == (82.27 - 1.0, 82.27 + 1.0)
    assert found.place(81.27, 83.27) == "inside"
    assert found.place(81.26, 83.27) == "across"
    assert found.place(79.0, 81.26) == "below"
    assert found.place(83.28, 90.0) == "above"


def test_without_a_tolerance_only_the_published_number_itself_lies_inside():
    found = band(published=147_456.0, unit="parameters", kind="recount")
    assert [found.place(count, count) for count in (147_455, 147_456, 147_457)] == ["below", "inside", "above"]


def test_the_last_bits_of_decimal_fractions_decide_nothing():
    assert 82.27 - 76.71 != 5.56
    assert band(published=5.56, unit="points").place(82.27 - 76.71, 82.27 - 76.71) == "inside"


def test_zero_is_neither_above_nor_below_zero():
    above, below = band(above=0.0, kind="ordering"), band(below=0.0, kind="ordering")
    assert (above.place(0.0, 0.0), below.place(0.0, 0.0)) == ("below", "above")
    assert (above.place(-1.0, 0.0), above.place(0.0, 1.0), above.place(1e-9, 1.0)) == ("below", "across", "inside")
    assert (below.place(0.0, 1.0), below.place(-1.0, 0.0), below.place(-1.0, -1e-9)) == ("above", "across", "inside")


def test_an_interval_without_bounds_lies_inside_of_nothing():
    assert {each.place(-math.inf, math.inf) for each in [TWO_SIDED, *OTHERS]} == {"across"}


def test_an_open_question_has_no_band():
    assert band(kind="open", published=3.0, unit="ratio") is None


@given(st.sampled_from([TWO_SIDED, *OTHERS]), number, number, st.floats(0, 50), st.floats(0, 50))
def test_widening_an_interval_can_only_take_a_decision_away(chosen, one, other, left, right):
    low, high = sorted([one, other])
    narrow, wide = chosen.place(low, high), chosen.place(low - left, high + right)
    assert wide in (narrow, "across")


@given(st.sampled_from([TWO_SIDED, *OTHERS]), number, number)
def test_an_interval_is_inside_exactly_when_both_its_ends_are(chosen, one, other):
    low, high = sorted([one, other])
    ends = {chosen.place(low, low), chosen.place(high, high)}
    assert (chosen.place(low, high) == "inside") == (ends == {"inside"})


@pytest.mark.parametrize(
    ("value", "half"), [(5.56, 0.005), (76.7, 0.05), (88, 0.5), (88.0, 0.5), (7.5e18, 0.05e18), (1e-4, 0.5e-4)]
)
def test_half_a_unit_of_the_last_digit_as_written(value, half):
    assert bands.half_unit(value) == pytest.approx(half, rel=1e-12)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"published": 76.71, "unit": "%", "tolerance": 1.0}, "the published 76.71 % (± 1.0 points)"),
        ({"published": 5.56, "unit": "points", "tolerance": 0.005}, "the published 5.56 points (± 0.005 points)"),
        ({"published": 0.55, "unit": "nats", "tolerance": 0.03}, "the published 0.55 nats (± 0.03 nats)"),
        ({"published": 147_456, "unit": "parameters"}, "the published 147,456 parameters"),
        ({"above": 0.0, "unit": "points"}, "above 0 points"),
        ({"published": 3e9, "unit": "macs", "tolerance": 5e7}, "the published 3 GMACs (± 0.05 GMACs)"),
        ({"published": 60e6, "unit": "bytes", "tolerance": 2e6}, "the published 60 MB (± 2 MB)"),
        ({"below": 60e6, "unit": "bytes"}, "below 60 MB"),
        ({"between": [50e6, 70e6], "unit": "bytes"}, "the band 50.0 to 70.0 MB"),
        ({"between": [-0.05, 0.05], "unit": "nats"}, "the band −0.050 to 0.050 nats"),
    ],
)
def test_a_band_in_words(fields, words):
    assert band(**fields).words == words


@pytest.mark.parametrize(
    ("interval", "unit", "words"),
    [
        (Interval(81.7, 82.58, 82.14, "t", 3), "%", "82.14 % (81.70 to 82.58 %, n)"),
        (Interval(-0.3, 1.1, 0.4, "t", 3), "points", "+0.40 points (−0.30 to +1.10 points, n)"),
        (Interval(1.01, 1.08, 1.04, "t", 9), "ratio", "1.040× (1.010 to 1.080×, n)"),
        (Interval(-math.inf, math.inf, 0.55, "t", 1), "nats", "0.550 nats (n, which gives no interval)"),
        (Interval(17.0, 17.0, 17.0, "exact", 1), "parameters", "17 parameters (n)"),
    ],
)
def test_an_interval_in_words(interval, unit, words):
    assert bands.measured(interval, unit, "n") == words


def test_a_difference_of_percentages_is_in_points_and_says_whether_it_is_better():
    assert bands.against(82.27, 80.0, "%", "higher") == "off by −2.27 points: worse than published"
    assert bands.against(82.27, 84.0, "%", "higher") == "off by +1.73 points: better than published"
    assert bands.against(0.55, 0.5, "nats", "lower") == "off by −0.050 nats: better than published"
    assert bands.against(64.0, 32.0, "tokens", "neither") == "off by −32 tokens"


def test_a_count_is_more_or_fewer_and_neither_better_nor_worse():
    assert bands.against(100.0, 101.0, "parameters", "lower") == "off by +1 parameters: more than published"
    assert bands.against(20e6, 19_422_656.0, "parameters", "lower").endswith(": fewer than published")
    assert bands.against(8.8e9, 8.78e9, "flops", "lower") == "off by −20.0 MFLOPs: fewer than published"
    assert bands.against(60e6, 58e6, "bytes", "lower") == "off by −2.00 MB: fewer than published"


def test_a_value_outside_of_its_band_is_never_printed_like_the_published_one():
    wanted = band(published=1.03e9, unit="macs", kind="recount")
    place = wanted.place(1.0342e9, 1.0342e9)
    text = bands.measured(Interval(1.0342e9, 1.0342e9, 1.0342e9, "exact", 1), wanted.unit, "", wanted.references(place))
    assert (text, wanted.says(place)) == ("1.034 GMACs", "above the published 1.03 GMACs")


def test_a_value_beyond_an_edge_is_not_rounded_onto_it():
    wanted = band(published=81.0, unit="%", tolerance=3.0)
    beyond = Interval(84.001, 84.004, 84.002, "t", 3)
    assert bands.measured(beyond, "%", "n", wanted.references("above")) == "84.002 % (84.001 to 84.004 %, n)"
    above = band(above=0.0, unit="points", kind="ordering")
    tiny = Interval(0.001, 0.003, 0.002, "t", 3)
    assert bands.measured(tiny, "points", "n", above.references("inside")) == (
        "+0.002 points (+0.001 to +0.003 points, n)"
    )
    assert wanted.references("inside") == []  # within a tolerance a value may well be the published one


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("gMLP-S has 20 M parameters", "gMLP-S has 20 M parameters."),
        ("resnet50 is slower", "resnet50 is slower."),
        ("small_top1 is not planned", "small_top1 is not planned."),
        ("static/small was never run", "static/small was never run."),
        ("iRMB, a block", "iRMB, a block."),
        ("never run: static/small", "Never run: static/small."),
        ("failed (static/small): no memory", "Failed (static/small): no memory."),
        ("not comparable: threads is 2", "Not comparable: threads is 2."),
        ("contradicted", "Contradicted."),
        ("pre-trained on JFT", "Pre-trained on JFT."),
        ("Is it so?", "Is it so?"),
    ],
)
def test_a_sentence_begins_with_a_capital_but_for_a_name_that_is_written_small(text, sentence):
    assert bands.sentence(text) == sentence


def test_a_calculation_shows_names_then_numbers_then_the_result():
    values = {"H1": 76.71, "H2": 82.27}
    assert bands.calculation("H2 - H1", values, 82.27 - 76.71, "points") == "H2 − H1 = 82.27 − 76.71 = 5.56 points"
    assert bands.calculation("H1", values, 76.71, "%") == "H1 = 76.71 %"
    assert bands.calculation("2 * 3 ** 2", {}, 18.0, "1") == "2 × 3 ^ 2 = 18.0"

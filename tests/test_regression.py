"""The rule of the gate against enumeration, brute force and hand-made rounds with known verdicts."""

import dataclasses
import itertools
import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import SuiteError
from bench.gate.rule import Round, RuleLimits, change, false_alarm_bound, limits, step
from bench.statistics import exact_tests
from bench.suite.guard import Rule

ONE = limits(Rule(why="the design's constants"), 1)

# Twenty rounds of equal code, in percent: small, of both signs, no drift. Wall, and CPU at about half of it.
QUIET_PCT = [0.4, -1.1, 0.9, -0.6, 0.2, -0.3, 1.3, -0.8, 0.7, -1.4]
QUIET_PCT += [0.1, 1.0, -0.2, -0.9, 0.6, 0.3, -1.2, 1.1, -0.5, 0.8]
# The same machine with the default allocator: a process is fast or slow for its whole life.
BROKEN_PCT = [14, -11, 17, 2, 16, -13, 12, 15, -1, 11, -12, 13, 1, 18, -14, 10, 16, -10, 9, 3]


def rounds(walls_pct, times=1.0, cpu=True):
    """Rounds whose wall ratio is (1 + percent / 100) * times, and CPU ratio (1 + percent / 200) * times."""
    return [
        Round(math.log1p(wall / 100) + math.log(times), math.log1p(wall / 200) + math.log(times) if cpu else None)
        for wall in walls_pct
    ]


def walk(first, confirmation, rule=ONE):
    """Ask after every round, as the engine does: the verdict, and how many rounds of each stage it took."""
    for n in range(len(first) + 1):
        if (word := step(first[:n], [], rule)) != "more":
            break
    confirmed = 0
    while word == "confirm" and confirmed < len(confirmation):
        confirmed += 1
        word = step(first[:n], confirmation[:confirmed], rule)
    return word, n, confirmed


# --- the constants ---------------------------------------------------------------------------------------------------


def test_the_rule_is_the_published_one():
    assert RuleLimits(0.01, 0.025, (6, 10, 20), 10, 0.01, 0.05) == ONE
    assert ONE.ceilings == pytest.approx((0.01, 0.02, 0.025))


@pytest.mark.parametrize(("configurations", "level", "confirm"), [
    (1, 0.05, 10), (2, 0.025, 10), (3, 0.05 / 3, 10), (4, 0.0125, 10), (10, 0.005, 10), (25, 0.002, 10),
    (26, 0.05 / 26, 11), (50, 0.001, 11), (400, 0.000125, 14),
])  # fmt: skip
def test_more_configurations_share_one_level_of_the_confirmation(configurations, level, confirm):
    found = limits(Rule(why="x"), configurations)
    assert (found.confirm_alpha, found.confirm) == (pytest.approx(level), confirm)
    assert 0.5**found.confirm <= level / 2  # rounds that all agree, one of the 2^n outcomes, confirm at the first look
    assert configurations * false_alarm_bound(found) == pytest.approx(0.004)  # N times 4 % times 2 * 0.05 / N


def test_the_bound_of_one_configuration_is_the_product_of_two_stages():
    assert false_alarm_bound(ONE) == pytest.approx((2 * 2 * 0.01) * (2 * 2 * 0.05 / 2))
    assert false_alarm_bound(ONE, metrics=1) == pytest.approx((2 * 0.01) * (2 * 0.05 / 2))


@pytest.mark.parametrize(("wrong", "word"), [
    ({"looks": [10, 10, 20]}, "must rise"), ({"tolerated_pct": 2.5}, "below min_effect_pct"),
    ({"alpha": 0.0001}, "out of reach"),
])  # fmt: skip
def test_a_rule_that_cannot_work_is_refused_with_what_is_wrong(wrong, word):
    with pytest.raises(SuiteError, match=word):
        limits(Rule(why="x", **wrong), 1)


# --- the exact test --------------------------------------------------------------------------------------------------


def ways_by_halves(n):
    """How many sign patterns of the ranks 1..n have each sum: all patterns of each half, enumerated, then combined."""

    def enumerated(ranks):
        signs = (numpy.arange(2 ** len(ranks))[:, None] >> numpy.arange(len(ranks))) & 1
        return numpy.bincount(signs @ numpy.array(ranks))

    return numpy.convolve(enumerated(list(range(1, n // 2 + 1))), enumerated(list(range(n // 2 + 1, n + 1))))


def values_with(n, w_plus):
    """Values of sizes 1..n whose positive ranks sum to `w_plus`: take the largest rank that still fits."""
    left, values = w_plus, []
    for rank in range(n, 0, -1):
        values.append(rank if rank <= left else -rank)
        left -= rank if rank <= left else 0
    assert left == 0
    return values


def critical(n, level):
    """The least W+ whose exact p is within the level, by the package's own test."""
    reach = (w for w in range(n * (n + 1) // 2 + 1) if exact_tests.signed_rank(values_with(n, w), "greater").p <= level)
    return next(reach, None)


@pytest.mark.parametrize("n", range(6, 31))
def test_critical_values_agree_with_enumerated_sign_patterns(n):
    ways = ways_by_halves(n)
    assert ways.sum() == 2**n
    tails = ways[::-1].cumsum()[::-1] / 2**n
    for level in (0.05, 0.01, 0.002):
        within = numpy.flatnonzero(tails <= level)
        least = int(within[0]) if len(within) else None
        if least is None:
            assert exact_tests.signed_rank(values_with(n, n * (n + 1) // 2), "greater").p > level
            continue
        assert exact_tests.signed_rank(values_with(n, least), "greater").p == pytest.approx(tails[least])
        assert exact_tests.signed_rank(values_with(n, least - 1), "greater").p > level


@pytest.mark.parametrize(("n", "level", "w", "p"), [
    (10, 0.01, 50, 0.0098), (10, 0.05, 45, 0.042), (10, 0.002, 54, 0.0020), (20, 0.01, 167, 0.0096),
])  # fmt: skip
def test_the_printed_critical_values_hold(n, level, w, p):
    assert critical(n, level) == w
    assert exact_tests.signed_rank(values_with(n, w), "greater").p == pytest.approx(
        p, abs=0.00005 if p < 0.01 else 0.0005
    )


@given(st.lists(st.integers(-40, 40), min_size=1, max_size=20))
def test_the_reported_change_is_the_median_of_all_pair_means(percents):
    logs = [percent / 1000 for percent in percents]
    pairs = [(a + b) / 2 for a, b in itertools.combinations_with_replacement(logs, 2)]
    found = change([Round(value, None) for value in logs], [], ONE)
    seen = logs[: found.rounds]  # what came after the decision does not count
    pairs = [(a + b) / 2 for a, b in itertools.combinations_with_replacement(seen, 2)]
    assert found.wall.point == pytest.approx(100 * (math.exp(numpy.median(pairs)) - 1), abs=1e-9)


@pytest.mark.parametrize("sizes", [
    [10, 9, 8, 7, 6, 5, 4, 3, 2, 1], [3, 3, 3, 3, 3, 3, 3, 3, 3, 3], [40, 2, 2, 3, 50, 60, 1.5, 90, 35, 20],
])  # fmt: skip
def test_whatever_the_sizes_equal_code_is_suspected_and_confirmed_within_the_levels(sizes):
    """Equal code gives every sign pattern of given sizes alike, so all 1,024 patterns are the whole distribution."""
    alone = RuleLimits(0.01, 0.025, (1, 10, 11), 10, 0.01, 0.05)  # the first look sees one round, and half pass
    suspicious = rounds([5] * 10, cpu=False)
    signs = list(itertools.product((1, -1), repeat=10))
    patterns = [rounds([s * size for s, size in zip(each, sizes, strict=True)], cpu=False) for each in signs]
    found = [change(each, [], alone) for each in patterns]
    suspected = sum(each.word == "confirm" and each.wall.point > 0 for each in found)
    confirmed = sum(step(suspicious, each, alone) == "regression" for each in patterns)  # at the first of two looks
    assert 1 <= suspected <= 0.01 * 1024
    assert 1 <= confirmed <= 0.05 / 2 * 1024


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_equal_code_passes_after_six_rounds():
    assert walk(rounds(QUIET_PCT), []) == ("pass", 6, 0)


def test_the_first_look_never_suspects_whatever_the_level():
    """Six rounds that agree have p = 2^-6 = 0.016, within an alpha of 0.05; spent here, it would be a third look."""
    loose = limits(Rule(why="x", alpha=0.05), 1)
    assert step(rounds([5] * 6), [], loose) == "more"
    assert step(rounds([5] * 10), [], loose) == "confirm"


def test_a_suspicion_must_be_sure_beyond_the_tolerated_change_and_not_only_beyond_none():
    """Three of ten below 1 % take the least ranks from W+: 55 - 6 = 49 < 50. All above leave it whole."""
    large = [4.0, 4.1, 4.2, 4.3, 4.4, 4.5, 4.6]
    assert step(rounds([*large, 0.5, 0.6, 0.7], cpu=False), [], ONE) == "more"
    assert step(rounds([*large, 1.5, 1.6, 1.7], cpu=False), [], ONE) == "confirm"


def test_the_first_suspicion_ends_both_searches():
    """Ten rounds whose wall time fell and whose CPU time rose; ten more, never asked for, would raise both."""
    turned = [Round(math.log(0.95), math.log(1.03))] * 10 + [Round(math.log(1.3), math.log(1.3))] * 10
    assert step(turned, rounds([-5] * 10), ONE) == "faster"


def test_five_percent_slower_is_confirmed_after_ten_and_ten_rounds():
    slower = rounds(QUIET_PCT, times=1.05)
    assert walk(slower, slower[10:]) == ("regression", 10, 10)


def test_five_percent_faster_is_confirmed_by_the_same_rule_mirrored():
    faster = rounds(QUIET_PCT, times=1 / 1.05)
    assert walk(faster, faster[10:]) == ("faster", 10, 10)


def test_a_suspicion_that_fresh_rounds_do_not_share_is_not_a_regression():
    assert walk(rounds(QUIET_PCT, times=1.05), rounds(QUIET_PCT)) == ("unconfirmed", 10, 10)
    assert walk(rounds(QUIET_PCT, times=1 / 1.05), rounds(QUIET_PCT, times=1.05)) == ("unconfirmed", 10, 10)


def test_a_broken_allocator_makes_the_check_inconclusive_and_not_red():
    assert walk(rounds(BROKEN_PCT), []) == ("inconclusive", 20, 0)


def test_one_round_that_is_a_third_off_changes_no_verdict():
    worse = [*QUIET_PCT[:2], 35.0, *QUIET_PCT[3:]]
    better = [*QUIET_PCT[:2], -35.0, *QUIET_PCT[3:]]
    assert walk(rounds(worse), []) == ("pass", 6, 0)
    # The largest of ten with the wrong sign leaves W+ = 55 - 10 = 45 < 50; of twenty 210 - 20 = 190 >= 167.
    slower = rounds(better, times=1.05)
    assert walk(slower, rounds(QUIET_PCT, times=1.05)) == ("regression", 20, 10)


def test_without_cpu_times_wall_time_alone_decides():
    assert walk(rounds(QUIET_PCT, cpu=False), []) == ("pass", 6, 0)
    slower = rounds(QUIET_PCT, times=1.05, cpu=False)
    assert walk(slower, slower[10:]) == ("regression", 10, 10)


def test_more_cpu_time_alone_is_never_a_regression_but_with_wall_time_following_it_is():
    only_cpu = [Round(math.log1p(wall / 100), math.log(1.06)) for wall in QUIET_PCT]
    assert walk(only_cpu, only_cpu) == ("inconclusive", 20, 0)
    following = [Round(math.log1p(wall / 100) + math.log(1.015), math.log(1.06)) for wall in QUIET_PCT]
    assert walk(following, following) == ("regression", 10, 10)


def test_a_change_above_the_margin_and_below_the_minimum_effect_passes():
    two = [Round(math.log1p(0.022), math.log1p(0.022))] * 20  # sure to be above 1 %, but below 2.5 %
    assert walk(two, []) == ("pass", 20, 0)


def test_a_slowdown_search_that_has_passed_stays_passed_while_a_speed_up_is_looked_for():
    """Six rounds at -2 % pass and keep the search for a speed-up open; later ones at +6 % must not turn it round."""
    turned = rounds([-2] * 6 + [6] * 14)
    assert step(turned[:6], [], ONE) == "more"
    assert walk(turned, turned[6:16]) == ("pass", 10, 0)


def test_rounds_after_the_decision_do_not_count():
    late = rounds(QUIET_PCT[:6]) + rounds([30] * 14)
    assert step(late, rounds([30] * 10), ONE) == "pass"
    slower = rounds(QUIET_PCT, times=1.05)
    assert step(slower[:10] + rounds([-30] * 10), slower[10:] + rounds([-30] * 9), ONE) == "regression"


def test_fresh_rounds_that_promise_something_are_joined_by_as_many_again():
    """0.025 is asked at each look: W+ >= 47 of ten, W+ >= 158 of twenty.

    The two smallest of ten with the wrong sign leave 55 - 3 = 52, the two largest 55 - 19 = 36; ten more that agree
    make it 210 - 39 = 171.
    """
    assert (critical(10, 0.025), critical(20, 0.025)) == (47, 158)
    suspicious = rounds([5] * 20, cpu=False)
    small = rounds([5.1, 5.2, 5.3, -0.1, 5.4, 5.5, -0.2, 5.6, 5.7, 5.8], cpu=False)
    large = rounds([5.1, 5.2, 5.3, -8.1, 5.4, 5.5, -8.2, 5.6, 5.7, 5.8], cpu=False)
    again = rounds([4.1, 4.2, 4.3, 4.4, 4.5, 4.6, 4.7, 4.8, 4.9, 5.0], cpu=False)
    assert walk(suspicious, small) == ("regression", 10, 10)
    assert walk(suspicious, large + again) == ("regression", 10, 20)
    assert walk(suspicious, large + rounds([-0.3, 0.3] * 5, cpu=False)) == ("unconfirmed", 10, 20)


def test_twelve_rounds_confirm_at_a_level_that_ten_cannot_reach():
    """At 0.05 / 60 the first look has 0.00042: ten rounds that agree reach 2^-10 = 0.00098, twelve 2^-12 = 0.00024."""
    many = limits(Rule(why="x"), 60)
    assert (many.confirm, many.confirm_alpha / 2) == (12, pytest.approx(0.05 / 60 / 2))
    assert walk(rounds([5] * 20), rounds([5] * 12), many) == ("regression", 10, 12)
    ten = dataclasses.replace(many, confirm=10)
    assert walk(rounds([5] * 20), rounds([5] * 20), ten) == ("regression", 10, 20)


# --- bad input -------------------------------------------------------------------------------------------------------


def test_a_round_without_a_finite_ratio_is_refused():
    for wall, cpu in ((math.nan, 0.0), (0.0, math.inf)):
        with pytest.raises(ValueError, match="finite"):
            Round(wall, cpu)


def test_rounds_with_and_without_cpu_times_are_not_mixed():
    with pytest.raises(ValueError, match="2 of 3 rounds have CPU times"):
        step([Round(0, 0), Round(0, None), Round(0, 0)], [], ONE)


def test_no_rounds_are_no_change():
    assert step([], [], ONE) == "more"
    with pytest.raises(ValueError, match="no rounds"):
        change([], [], ONE)


# --- what is reported ------------------------------------------------------------------------------------------------


def test_the_line_gives_both_times_with_their_intervals_and_the_rounds():
    """Six equal rounds but one: the middle of the pair means is the common value, the bounds are least and largest."""
    found = change([Round(math.log1p(p), math.log1p(p / 2)) for p in [0.004] * 4 + [-0.01, 0.01]], [], ONE)
    assert found.line == "wall +0.4 % [-1.0, +1.0]  cpu +0.2 % [-0.5, +0.5]  6 rounds  PASS"
    assert found.reason == "after 6 rounds not more than 1 % slower: wall time +0.4 %, CPU time +0.2 %"


def test_a_confirmed_change_is_reported_from_the_rounds_that_were_not_chosen_for_being_large():
    found = change(rounds([8] * 10, cpu=False), rounds([4] * 10, cpu=False), ONE)
    assert (found.word, found.cpu, found.p_cpu) == ("regression", None, None)
    assert found.wall.point == pytest.approx(4)
    assert found.p_wall == 1 / 2**10
    assert found.line == "wall +4.0 % [+4.0, +4.0]  10 + 10 rounds  REGRESSION"
    assert found.reason == (
        "10 rounds with wall time +8.0 %, and 10 fresh rounds give wall time +4.0 % (p 0.00098, at most 0.025 is asked)"
    )


@pytest.mark.parametrize(("first", "fresh", "words"), [
    ([0.4] * 3, 0, ["unfinished, 3 of 6 rounds: wall time +0.4 %"]),
    ([5] * 10, 4, ["unfinished, 4 of 10 confirmation rounds, after 10 rounds with wall time +5.0 %"]),
    ([-5] * 10, 10, ["10 rounds with wall time -5.0 %", "accept a new baseline"]),
    (BROKEN_PCT, 0, ["after 20 rounds", "above the 2.5 % that would pass", "p at most 0.01"]),
    ([-1.5] * 10, 0, ["after 6 rounds not more than 1 % slower, after 10 not surely faster: wall time -1.5 %"]),
])  # fmt: skip
def test_every_ending_says_why_in_one_sentence_with_its_numbers(first, fresh, words):
    found = change(rounds(first, cpu=False), rounds(first[:fresh], cpu=False), ONE)
    assert [word for word in words if word not in found.reason] == []
    assert "\n" not in found.reason


def test_fewer_than_six_rounds_have_no_bounds_and_say_so():
    assert change([Round(0.0, None)], [], ONE).line == "wall +0.0 % [no bounds]  1 round  UNFINISHED"


# --- properties ------------------------------------------------------------------------------------------------------

# Hundredths of a percent as whole numbers: no sum of them is a rounding error away from a threshold.
hundredths = st.lists(st.integers(-1500, 1500), min_size=20, max_size=20)
MIRRORED = {"regression": "faster", "faster": "regression"}


def made(values, shift=0):
    return [Round((value + shift) / 10_000, (value + shift) / 20_000) for value in values]


@settings(max_examples=60, deadline=None)
@given(hundredths, hundredths)
def test_exchanging_the_sides_mirrors_the_verdict(first, fresh):
    there = walk(made(first), made(fresh))
    back = walk(made([-value for value in first]), made([-value for value in fresh]))
    if "inconclusive" in (there[0], back[0]):  # only a slowdown is inconclusive; a speed-up not shown is a pass
        assert {there[0], back[0]} <= {"inconclusive", "pass"}
    else:
        assert back == (MIRRORED.get(there[0], there[0]), *there[1:])


@settings(max_examples=60, deadline=None)
@given(hundredths, hundredths, st.integers(0, 800))
def test_a_slower_candidate_never_turns_a_regression_into_anything_better(first, fresh, shift):
    """A larger shift can only raise every centre and lower every p; only the first look may already have passed it."""
    alone = RuleLimits(0.01, 0.025, (1, 2, 20), 10, 0.01, 0.05)  # two rounds reach no p of 0.01: the last look decides
    if step(made(first), made(fresh), alone) == "regression":
        assert step(made(first, shift), made(fresh, shift), alone) == "regression"


@settings(max_examples=60, deadline=None)
@given(hundredths, st.floats(1.0, 3.0))
def test_scaling_every_round_up_never_turns_a_suspicion_off(first, factor):
    """Signs and ranks about 0 stay, sizes grow: what the confirmation finds in small it finds in large."""
    slow = made([500] * 10)
    grown = [Round(each.wall * factor, each.cpu * factor) for each in made(first)]
    if step(slow, made(first), ONE) == "regression":
        assert step(slow, grown, ONE) == "regression"


@settings(max_examples=60, deadline=None)
@given(hundredths, hundredths, st.randoms(use_true_random=False))
def test_the_order_of_the_rounds_within_a_look_is_of_no_account(first, fresh, drawn):
    moved = made(first)
    head, middle, tail = moved[:6], moved[6:10], moved[10:]
    for part in (head, middle, tail):
        drawn.shuffle(part)
    assert step([*head, *middle, *tail], made(fresh), ONE) == step(made(first), made(fresh), ONE)

"""Statistics against enumeration, integration and closed forms worked out here, never against themselves."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from bench.statistics import exact_tests, intervals

numbers = st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=30)


@given(numbers)
def test_the_median_has_as_many_values_below_as_above(values):
    middle = intervals.median(values)
    assert sum(value < middle for value in values) <= len(values) / 2
    assert sum(value > middle for value in values) <= len(values) / 2


def test_a_quantile_lies_on_the_line_between_its_neighbours():
    assert intervals.quantile([30, 10, 20], 0.25) == 10 + (20 - 10) * (2 * 0.25)
    assert intervals.quantile([1, 2, 3, 4], 0.5) == (2 + 3) / 2
    assert [intervals.quantile([7, 9], share) for share in (0, 1)] == [7, 9]


def test_the_sample_deviation_divides_by_one_less_than_there_are():
    assert intervals.sample_sd([1, 2, 6]) == math.sqrt(((1 - 3) ** 2 + (2 - 3) ** 2 + (6 - 3) ** 2) / 2)


@pytest.mark.parametrize("probability", [0.001, 0.05, 0.5, 0.9, 0.975, 0.9995])
def test_the_t_quantile_meets_the_closed_forms_of_one_and_two_degrees_of_freedom(probability):
    cauchy = math.tan(math.pi * (probability - 0.5))
    two = (2 * probability - 1) * math.sqrt(2 / (4 * probability * (1 - probability)))
    assert intervals.t_quantile(probability, 1) == pytest.approx(cauchy, abs=1e-9, rel=1e-9)
    assert intervals.t_quantile(probability, 2) == pytest.approx(two, abs=1e-9, rel=1e-9)


@pytest.mark.parametrize("df", [1, 2, 3, 4, 9, 10, 29, 60, 199])
def test_the_t_quantile_leaves_its_probability_under_the_integrated_density(df):
    t = intervals.t_quantile(0.975, df)
    constant = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)
    steps = 20_000
    heights = [constant * (1 + (t * i / steps) ** 2 / df) ** (-(df + 1) / 2) for i in range(steps + 1)]
    simpson = t / steps / 3 * (heights[0] + heights[-1] + 4 * sum(heights[1:-1:2]) + 2 * sum(heights[2:-1:2]))
    assert 0.5 + simpson == pytest.approx(0.975, abs=1e-10)


@pytest.mark.parametrize(
    ("df", "printed"), [(2, 4.303), (4, 2.776), (9, 2.262), (19, 2.093), (30, 2.042), (120, 1.980)]
)
def test_the_t_quantile_rounds_to_the_figures_of_the_printed_tables(df, printed):
    assert round(intervals.t_quantile(0.975, df), 3) == printed


def test_the_mean_of_three_seeds_has_the_interval_of_two_degrees_of_freedom():
    found = intervals.mean_interval([80.0, 81.0, 85.0])
    half = intervals.t_quantile(0.975, 2) * math.sqrt((4 + 1 + 9) / 2) / math.sqrt(3)
    assert (found.low, found.point, found.high) == pytest.approx((82 - half, 82, 82 + half))
    assert found.n == 3
    assert found.bounded


def test_one_seed_alone_has_no_bounds():
    found = intervals.mean_interval([80.0])
    assert (found.low, found.point, found.high) == (-math.inf, 80.0, math.inf)
    assert not found.bounded


def test_the_median_of_six_values_lies_between_the_extremes_in_at_least_95_of_100():
    values = [5.0, 1.0, 4.0, 2.0, 6.0, 3.0]
    # All six on one side of the true median: 2 / 2^6 = 3.1 %. With five values it is 2 / 2^5 = 6.3 %: too often.
    assert (intervals.median_interval(values).low, intervals.median_interval(values).high) == (1, 6)
    assert not intervals.median_interval(values[:5]).bounded
    assert intervals.median_interval(values, confidence=1 - 2 / 2**6).bounded


@pytest.mark.parametrize("n", [6, 9, 20, 101])
def test_the_order_statistics_of_a_median_are_the_tightest_that_still_cover(n):
    def missed(k):
        return 2 * sum(math.comb(n, i) for i in range(k)) / 2**n

    found = intervals.median_interval(list(range(1, n + 1)))
    k = int(found.low)
    assert found.high == n + 1 - k
    assert missed(k) <= 0.05 < missed(k + 1)


def test_ten_thousand_images_at_80_percent_resolve_three_quarters_of_a_point():
    assert intervals.accuracy_resolution(80, 10_000) == pytest.approx(1.959964 * 100 * math.sqrt(0.8 * 0.2 / 10_000))
    assert round(intervals.accuracy_resolution(80, 10_000), 2) == 0.78


def test_wilsons_bounds_are_the_accuracies_that_a_z_test_just_accepts():
    found = intervals.accuracy_interval(82.27, 10_000)
    for bound in (found.low / 100, found.high / 100):
        z = (0.8227 - bound) / math.sqrt(bound * (1 - bound) / 10_000)
        assert abs(z) == pytest.approx(1.959964, rel=1e-6)
    perfect = intervals.accuracy_interval(100, 50)
    assert perfect.low < perfect.high == pytest.approx(100)


def enumerated(values, alternative):
    """The signed-rank p by trying all signs."""
    sizes = [abs(value) for value in values if value != 0]
    ranks = [sum(other < size for other in sizes) + (sum(other == size for other in sizes) + 1) / 2 for size in sizes]
    observed = sum(rank for rank, value in zip(ranks, (v for v in values if v != 0), strict=True) if value > 0)
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product((0, 1), repeat=len(ranks))
    ]
    above = sum(total >= observed for total in sums) / len(sums)
    below = sum(total <= observed for total in sums) / len(sums)
    return {"greater": above, "less": below, "two-sided": min(1, 2 * min(above, below))}[alternative]


@given(
    st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=8), st.sampled_from(["greater", "less", "two-sided"])
)
def test_the_signed_rank_p_counts_every_sign_also_with_ties_and_zeros(values, alternative):
    assert exact_tests.signed_rank(values, alternative).p == pytest.approx(enumerated(values, alternative), abs=1e-15)


def test_ten_pairs_reach_one_percent_at_a_rank_sum_of_fifty():
    # W+ >= 50 leaves at most 5 of the 55 to the negative side; subsets of 1..10 with sum 0, 1, .. 5: 1 1 1 2 2 3.
    found = exact_tests.signed_rank([-5.0, *(float(i) for i in range(1, 11) if i != 5)], "greater")
    assert (found.w_plus, found.n) == (50, 10)
    assert found.p == (1 + 1 + 1 + 2 + 2 + 3) / 2**10


def test_fifty_pairs_all_on_one_side_have_the_smallest_p_there_is():
    assert exact_tests.signed_rank([float(i) for i in range(1, 51)], "greater").p == 2**-50
    assert exact_tests.signed_rank([float(i) for i in range(1, 51)]).p == 2 * 2**-50


def test_differences_that_are_all_zero_say_nothing():
    assert exact_tests.signed_rank([0.0, 0.0]).p == 1


def test_hodges_lehmann_is_the_median_of_all_pair_means():
    # Pair means of 1, 2, 9: 1, 1.5, 5, 2, 5.5, 9; the middle two are 2 and 5.
    assert intervals.hodges_lehmann([1, 2, 9]).point == (2 + 5) / 2
    assert not intervals.hodges_lehmann([1, 2, 9]).bounded


@given(st.lists(st.integers(-40, 40), min_size=6, max_size=12, unique_by=abs))
def test_hodges_lehmann_bounds_are_the_shifts_that_the_signed_rank_test_accepts(values):
    values = [value + index / 1000 for index, value in enumerate(values)]
    found = intervals.hodges_lehmann(values)
    width = found.high - found.low
    inside = [value - (found.low + 1e-6 * (1 + width)) for value in values]
    outside = [value - (found.low - 1e-6 * (1 + width)) for value in values]
    assert exact_tests.signed_rank(outside).p <= 0.05 < exact_tests.signed_rank(inside).p
    mirrored = intervals.hodges_lehmann([-value for value in values])
    assert (mirrored.low, mirrored.point, mirrored.high) == (-found.high, -found.point, -found.low)


def test_mcnemar_counts_how_often_a_fair_coin_is_as_one_sided():
    assert exact_tests.mcnemar(1, 7) == 2 * (1 + 8) / 2**8
    assert exact_tests.mcnemar(7, 1) == exact_tests.mcnemar(1, 7)
    assert exact_tests.mcnemar(0, 0) == exact_tests.mcnemar(5, 5) == 1


def test_a_power_law_without_noise_gives_its_exponent_back():
    sizes = [49.0, 64.0, 196.0, 784.0]
    assert intervals.power_law(sizes, [3 * size**2 for size in sizes]).point == pytest.approx(2)


def test_the_exponents_interval_is_the_t_interval_of_a_regression_slope():
    sizes, noise = [math.exp(i) for i in range(4)], [0.1, -0.1, -0.1, 0.1]
    found = intervals.power_law(sizes, [math.exp(i + e) for i, e in enumerate(noise)])
    # x = 0..3 with Sxx = 5; this noise has no slope and no mean, so SSR = 4 * 0.1^2.
    half = intervals.t_quantile(0.975, 2) * math.sqrt(4 * 0.01 / 2 / 5)
    assert (found.low, found.point, found.high) == pytest.approx((1 - half, 1, 1 + half))
    assert not intervals.power_law(sizes[:2], sizes[:2]).bounded


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf, 1.0]])
@pytest.mark.parametrize(
    "function",
    [
        intervals.mean,
        intervals.median,
        intervals.sample_sd,
        intervals.mean_interval,
        intervals.median_interval,
        exact_tests.signed_rank,
        intervals.hodges_lehmann,
        lambda values: intervals.power_law(values, values),
    ],
)
def test_nothing_and_nan_are_errors_and_never_averaged_away(function, values):
    with pytest.raises(ValueError, match=r"no values|not finite"):
        function(values)


def test_numbers_that_cannot_be_are_refused():
    for wrong in (
        lambda: intervals.quantile([1], 1.5),
        lambda: intervals.sample_sd([1]),
        lambda: intervals.t_quantile(1, 3),
        lambda: intervals.t_quantile(0.9, 0),
        lambda: intervals.accuracy_interval(101, 10),
        lambda: intervals.accuracy_resolution(50, 0),
        lambda: exact_tests.mcnemar(-1, 2),
        lambda: intervals.power_law([1, 2], [1]),
        lambda: intervals.power_law([1, 0], [1, 1]),
        lambda: intervals.power_law([2, 2], [1, 3]),
    ):
        with pytest.raises(ValueError, match=r"."):
            wrong()


# What SciPy gives, where it has the same


@pytest.mark.parametrize("df", [1, 2, 3, 9, 28, 199])
@pytest.mark.parametrize("probability", [0.6, 0.975, 0.9995])
def test_the_t_quantile_is_scipys(df, probability):
    assert intervals.t_quantile(probability, df) == pytest.approx(scipy.stats.t.ppf(probability, df), rel=1e-10)


@pytest.mark.parametrize(("right", "images"), [(0, 10), (3, 7), (804, 1000), (10_000, 10_000)])
def test_the_interval_of_an_accuracy_is_scipys_of_wilson(right, images):
    found = intervals.accuracy_interval(100 * right / images, images)
    theirs = scipy.stats.binomtest(right, images).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((100 * theirs.low, 100 * theirs.high), abs=1e-9)


def test_the_power_law_is_scipys_regression_of_logarithms():
    sizes, costs = [1.0, 2.0, 5.0, 9.0], [3.0, 7.0, 14.0, 40.0]
    found, theirs = intervals.power_law(sizes, costs), scipy.stats.linregress(np.log(sizes), np.log(costs))
    half = theirs.stderr * scipy.stats.t.ppf(0.975, len(sizes) - 2)
    expected = (theirs.slope - half, theirs.slope, theirs.slope + half)
    assert (found.low, found.point, found.high) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("counts", [(0, 0), (1, 9), (12, 5)])
def test_mcnemars_p_is_that_of_scipys_fair_coin(counts):
    n = sum(counts)
    expected = scipy.stats.binomtest(counts[0], n, 0.5).pvalue if n else 1
    assert exact_tests.mcnemar(*counts) == pytest.approx(expected)


def test_statistics_and_the_machine_start_without_scipy_psutil_and_cpuinfo():
    rooms = (
        "bench.statistics.intervals, bench.statistics.exact_tests, bench.machine, bench.gate.power, bench.cost.money"
    )
    code = f"import sys, {rooms}; print({{'scipy', 'psutil', 'cpuinfo', 'torch', 'pandas'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

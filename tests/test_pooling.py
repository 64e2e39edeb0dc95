"""The spread between seeds of several models: against closed forms, by hand, and by simulation."""

import math

import numpy as np
import pytest
import scipy.stats

from bench.statistics import looks, pooling
from bench.statistics.intervals import mean_interval


def one(**values: list[float]) -> dict:
    """Values by seed of single models."""
    return {(model,): dict(enumerate(found)) for model, found in values.items()}


def pairs(**values: list[float]) -> dict:
    """Paired differences of every two models."""
    names = list(values)
    return {
        (a, b): dict(enumerate(np.subtract(values[a], values[b]).tolist()))
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    }


def test_models_that_scatter_alike_have_their_squares_added():
    # Variances 1, 1 and 4 with two degrees of freedom each; those of the others, (2 + 8) / 4.
    found = pooling.pool(("a",), one(a=[1, 2, 3], b=[4, 5, 6], c=[10, 12, 14]))
    assert (found.variance, found.df, found.models) == (2.5, 4, ("b", "c"))
    both = pooling.seed_interval([1.0, 2.0, 3.0], None, others=found)
    # (2 · 1 + 4 · 2.5) / 6 = 2 lies below the pool's own 2.5, which is the least that is taken.
    half = scipy.stats.t.ppf(0.975, 6) * math.sqrt(2.5 / 3)
    assert (both.low, both.high) == pytest.approx((2 - half, 2 + half))


def test_values_that_scatter_more_than_the_pool_widen_it_by_their_share():
    both = pooling.seed_interval([0.0, 2.0, 4.0], None, others=pooling.Pool(1.0, 6, ("b", "c", "d")))
    half = scipy.stats.t.ppf(0.975, 8) * math.sqrt((2 * 4 + 6 * 1) / 8 / 3)
    assert both.high - both.point == pytest.approx(half)
    assert both.method == "95 % Student's t of the mean, spread of 4 models (8 degrees of freedom)"


def test_seeds_that_agree_by_chance_claim_no_less_than_the_pool():
    pool = pooling.Pool(0.09, 4, ("b", "c", "d", "e"))
    found = pooling.seed_interval([75.98, 75.98], 0.83, others=pool)
    assert found.high - found.point == pytest.approx(scipy.stats.t.ppf(0.975, 5) * 0.3 / math.sqrt(2))


def test_two_seeds_that_agree_are_no_surer_than_one():
    found = pooling.seed_interval([75.97, 75.98], 0.83)
    assert found.high - found.low == pytest.approx(2 * 0.83)
    few = pooling.seed_interval([75.97, 75.98], 0.83, others=pooling.Pool(1e-4, 1, ("b",)))
    assert few.high - few.low == pytest.approx(2 * 0.83)  # two degrees of freedom know no spread either


def test_a_model_that_diverges_lets_go_of_the_pool_and_does_not_spoil_it_for_the_others():
    steady = {"b": [0.0, 0.2, 0.1], "c": [5.0, 5.2, 5.3], "d": [7.1, 7.0, 7.3]}
    series = one(a=[10.0, 80.0, 45.0], **steady)
    assert pooling.pool(("a",), series) is None
    found = pooling.pool(("b",), series)
    assert (found.models, found.left_out) == (("c", "d"), ("a",))
    assert found.variance == pytest.approx(np.mean([np.var(steady[model], ddof=1) for model in "cd"]))


def test_unequal_variances_leave_the_pool_fewer_degrees_of_freedom_than_it_has():
    draw = np.random.default_rng(1)
    series = {(f"m{i}",): dict(enumerate(draw.normal(0, sd, 6))) for i, sd in enumerate([0.1, 0.3, 0.6, 0.9, 0.2, 0.5])}
    found = pooling.pool(("m1",), series)
    assert 1 <= found.df < 25 / 2
    alike = {key: dict(enumerate(draw.normal(0, 0.3, 6))) for key in series}
    assert pooling.pool(("m1",), alike).df == 25


def test_smyths_degrees_of_freedom_come_back_from_made_variances():
    draw, d0, d = np.random.default_rng(2), 8.0, 5
    true = 0.04 * d0 / draw.chisquare(d0, 4000)
    made = [pooling.Sums(variance * draw.chisquare(d), d) for variance in true]
    assert pooling._smyth(made) == pytest.approx(d0, rel=0.15)


def test_pairs_of_models_have_the_residuals_of_a_table_of_models_and_seeds():
    values = {"a": [1.0, 2.5, 2.0], "b": [3.0, 3.5, 5.0], "c": [0.0, 1.0, 0.7], "d": [9.0, 9.9, 9.1]}
    table = np.array(list(values.values()))
    rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    mean_square = (rest**2).sum() / (3 * 2)  # (M - 1)(n - 1) degrees of freedom
    found = pooling._sums({key: pooling._of(list(each.values())) for key, each in pairs(**values).items()}, "abcd")
    assert (found.variance, found.df) == (pytest.approx(2 * mean_square), 6)  # of a difference of two
    own = np.var(table[0] - table[1], ddof=1)
    pool = pooling.pool(("a", "b"), pairs(**values))
    assert (pool.variance, pool.df) == (pytest.approx((6 * 2 * mean_square - 2 * own) / 4), 4)


def test_without_another_model_the_seeds_stand_alone():
    assert pooling.pool(("a",), one(a=[1, 2, 3])) is None
    assert pooling.pool(("a",), one(a=[1, 2, 3], b=[4])) is None
    alone, students = pooling.seed_interval([1, 2, 3], None), mean_interval([1, 2, 3])
    assert (alone.low, alone.high, alone.method) == (pytest.approx(students.low), students.high, students.method)


def test_a_pooled_interval_holds_the_mean_as_often_as_it_says():
    draw, missed = np.random.default_rng(3), 0
    for values in draw.normal(0, 1, (2000, 4, 3)):
        series = {(f"m{i}",): dict(enumerate(row)) for i, row in enumerate(values.tolist())}
        found = pooling.seed_interval(values[0].tolist(), None, others=pooling.pool(("m0",), series))
        missed += not found.low <= 0 <= found.high
    assert missed / 2000 < 0.05 + 2 * math.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize(("planned", "first"), [(1, 1), (3, 2), (3, 1), (5, 2), (10, 2)])
def test_all_looks_before_the_last_spend_what_one_look_at_the_end_does(planned, first):
    early = [1 - looks.confidence(n, planned, first) for n in range(first, planned)]
    assert sum(early) == pytest.approx(looks.EARLY if early else 0)
    assert early == sorted(early)
    assert looks.confidence(planned, planned, first) == looks.confidence(planned + 4, planned, first) == 0.95

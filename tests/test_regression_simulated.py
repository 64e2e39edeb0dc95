"""The rule on simulated workers: drift, bursts and processes that are fast or slow for their whole life."""

import math
import random

import pytest

from bench.gate.rule import Round, false_alarm_bound, limits, step
from bench.statistics import exact_tests, intervals
from bench.suite.guard import Rule

ONE = limits(Rule(why="the design's constants"), 1)
TOKEN_S = 0.05


class Machine:
    """A shared computer: its speed drifts over minutes and a neighbour takes a share of it in bursts of seconds."""

    def __init__(self, seed, process_sd):
        self.drawn = random.Random(seed)
        self.process_sd = process_sd
        self.drift = 0.0
        self.burst_left_s = 0.0

    def token(self, log_work):
        """(wall, CPU) seconds of one token, whose quiet time is TOKEN_S * exp(log_work)."""
        gauss = self.drawn.gauss
        self.drift = 0.999 * self.drift + gauss(0, 0.004)  # sd 0.004 / sqrt(1 - 0.999²) = 9 %
        if self.burst_left_s <= 0 and self.drawn.random() < 0.02:
            self.burst_left_s = self.drawn.expovariate(1 / 0.5)
        cpu_s = TOKEN_S * math.exp(log_work + self.drift + gauss(0, 0.01))
        wall_s = cpu_s * (1.6 if self.burst_left_s > 0 else 1.0)
        self.burst_left_s -= wall_s
        return wall_s, cpu_s

    def round(self, log_effect):
        """A fresh pair of processes, six quads ABBA or BAAB, the median log ratio of the twelve pairs."""
        gauss = self.drawn.gauss
        works = [gauss(0, self.process_sd), log_effect + gauss(0, self.process_sd)]
        ratios = []
        for _ in range(6):
            side = self.drawn.randrange(2)
            times = {0: [], 1: []}
            for each in (side, 1 - side, 1 - side, side):
                times[each].append(self.token(works[each]))
            for baseline, candidate in zip(times[0], times[1], strict=True):
                ratios.append([math.log(c / b) for b, c in zip(baseline, candidate, strict=True)])
        return Round(*(intervals.median([ratio[which] for ratio in ratios]) for which in (0, 1)))


def check(draw, rule=ONE):
    """One check with a round drawn whenever the rule asks for it."""
    first, fresh = [], []
    while (word := step(first, fresh, rule)) in ("more", "confirm"):
        (first if word == "more" else fresh).append(draw())
    return word, len(first) + len(fresh)


def test_the_simulated_machine_is_as_noisy_as_it_should_be():
    """Two processes of SD 1.3 % give log ratios of SD 1.3 * sqrt(2) = 1.8 %, and the tokens add some to make 2 %."""
    machine = Machine(seed=1, process_sd=0.013)
    found = [machine.round(0.0) for _ in range(600)]
    assert intervals.sample_sd([each.wall for each in found]) == pytest.approx(0.02, abs=0.003)


def test_equal_code_raises_an_alarm_in_less_than_one_of_a_hundred_checks():
    machine = Machine(seed=2, process_sd=0.013)
    found = [check(lambda: machine.round(0.0)) for _ in range(2000)]
    assert sum(word == "regression" for word, _ in found) < 0.01 * 2000
    assert sum(word == "faster" for word, _ in found) < 0.01 * 2000
    assert intervals.mean([rounds for _, rounds in found]) < 8  # and mostly after the first look


def test_five_percent_is_caught_in_more_than_95_of_a_hundred_checks():
    machine = Machine(seed=3, process_sd=0.013)
    found = [check(lambda: machine.round(math.log(1.05)))[0] for _ in range(300)]
    assert sum(word == "regression" for word in found) > 0.95 * 300


def test_a_speed_up_of_five_percent_is_seen_as_often():
    machine = Machine(seed=4, process_sd=0.013)
    found = [check(lambda: machine.round(-math.log(1.05)))[0] for _ in range(100)]
    assert sum(word == "faster" for word in found) > 0.95 * 100


@pytest.mark.parametrize("noise", ["normal", "cauchy", "two_speeds"])
def test_the_bound_holds_for_noise_of_any_shape_and_size(noise):
    """Normal rounds of SD 30 %, Cauchy rounds, and processes that are one tenth apart or not.

    The bound for one configuration is 0.4 %, so 1,000 checks give at most 4 alarms on the average; 12 would be four
    standard deviations of that, sqrt(4) = 2, too many.
    """
    drawn = random.Random(f"5 {noise}")
    shapes = {
        "normal": lambda: drawn.gauss(0, 0.3),
        "cauchy": lambda: 0.05 * math.tan(math.pi * (drawn.random() - 0.5)),
        "two_speeds": lambda: drawn.choice([-0.1, 0, 0, 0.1]) + drawn.gauss(0, 0.005),
    }

    def draw():
        wall = shapes[noise]()
        return Round(wall, wall / 2 + drawn.gauss(0, 0.01))

    # All rounds at once: what comes after the decision does not count.
    words = [step([draw() for _ in range(20)], [draw() for _ in range(20)], ONE) for _ in range(1000)]
    alarms = sum(word == "regression" for word in words)
    assert alarms <= 1000 * false_alarm_bound(ONE) + 4 * math.sqrt(1000 * false_alarm_bound(ONE))
    assert sum(word == "faster" for word in words) <= 12


def test_a_second_look_at_the_confirmation_catches_more_under_heavy_tails_at_the_same_bound():
    """Five percent among rounds of which one in ten is far off, four models: 0.05 / 4 at once, or half twice."""
    drawn, four = random.Random(7), limits(Rule(why="x"), 4)
    caught = {"two_looks": 0, "one_look": 0}
    for _ in range(150):
        first, fresh = ([heavy(drawn, math.log(1.05)) for _ in range(20)] for _ in range(2))
        caught["two_looks"] += step(first, fresh, four) == "regression"
        suspicious = (
            step(first, [], four) == "confirm" and intervals.hodges_lehmann([each.wall for each in first]).point > 0
        )
        walls = [each.wall for each in fresh[:10]]
        once = exact_tests.signed_rank(walls, "greater").p <= 0.05 / 4 and intervals.hodges_lehmann(
            walls
        ).point > math.log(1.025)
        caught["one_look"] += suspicious and once
    assert caught["two_looks"] > 0.95 * 150
    assert caught["one_look"] < 0.92 * 150


def heavy(drawn, shift):
    """A round of SD 1.4 %, one in ten of which lies some 8 % off to either side."""
    far = drawn.choice((-1, 1)) * drawn.expovariate(1 / 0.08) if drawn.random() < 0.1 else 0.0
    return Round(shift + far + drawn.gauss(0, 0.014), None)


def test_looking_for_speed_ups_adds_no_alarm():
    """Every check that the search for slowdowns alone would pass stays passed, round for round the same."""
    drawn = random.Random(6)
    alarms = {"both": 0, "slower_only": 0}
    for _ in range(1000):
        first = [Round(drawn.gauss(0.01, 0.06), None) for _ in range(20)]
        fresh = [Round(drawn.gauss(0.03, 0.03), None) for _ in range(20)]
        both = step(first, fresh, ONE) == "regression"
        alone = slower_only(first) and step([Round(0.2, None)] * 10, fresh, ONE) == "regression"
        assert alone or not both
        alarms["both"] += both
        alarms["slower_only"] += alone
    assert 10 < alarms["both"] <= alarms["slower_only"]


def slower_only(first):
    """The first stage for slowdowns alone, written out a second time: is the check suspicious?"""
    for n, ceiling in ((6, 0.01), (10, 0.02), (20, 0.025)):
        walls = [each.wall for each in first[:n]]
        centre = intervals.hodges_lehmann(walls).point
        shifted = [wall - math.log(1.01) for wall in walls]
        if n > 6 and centre > math.log(1.025) and exact_tests.signed_rank(shifted, "greater").p <= 0.01:
            return True
        if centre <= math.log(1 + ceiling):
            return False
    return False

"""How often the rule catches a change: counted checks with exact bounds, and checks simulated from rounds or a spread.

Measures nothing. What is simulated says so in its name, and is never counted among measured checks.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.gate.rule import Round, RuleLimits, step

CONFIDENCE = 0.95  # of each one-sided bound
EFFECTS_PCT = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0)
SIZES_PCT = (2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 75.0, 100.0)


@dataclass(frozen=True)
class Count:
    """In how many of some checks a thing happened, and what that bounds its rate to. At least one check."""

    hits: int
    checks: int

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.checks or self.checks < 1:
            raise ValueError(f"{self.hits} of {self.checks} checks is no count")

    @property
    def pct(self) -> float:
        """The share, in percent."""
        return 100 * self.hits / self.checks

    @property
    def at_most_pct(self) -> float:
        """Clopper and Pearson's exact upper bound of the rate: above it, so few hits have a chance under 5 %."""
        return 100 * self._bounds()[1]

    @property
    def at_least_pct(self) -> float:
        """Clopper and Pearson's exact lower bound of the rate."""
        return 100 * self._bounds()[0]

    def _bounds(self) -> tuple[float, float]:
        """Both bounds of the rate, each passed with a chance of 5 %."""
        from scipy.stats import binomtest  # takes a second, and only a self-test asks

        found = binomtest(self.hits, self.checks).proportion_ci(2 * CONFIDENCE - 1, method="exact")
        return float(found.low), float(found.high)


@dataclass(frozen=True)
class Simulated:
    """Checks that were simulated with an effect added: how many ended with a confirmed regression."""

    effect_pct: float
    caught: Count


def resampled(
    pools: Sequence[Sequence[Round]], limits: RuleLimits, *, seed: int, checks: int = 1000,
    effects_pct: Sequence[float] = EFFECTS_PCT,
) -> list[Simulated]:  # fmt: skip
    """Whole checks of rounds drawn with replacement from recorded rounds of equal code, an effect added to every one.

    Args:
        pools: the recorded rounds, one list per subject; a check draws from one of them only, each in its turn.
        checks: how many for every effect.

    Raises:
        ValueError: no pool, or an empty one.
    """
    if not pools or not all(pools):
        raise ValueError("nothing to draw from: every subject needs recorded rounds of equal code")
    found = []
    for effect_pct in effects_pct:
        drawn = random.Random(f"{seed} {effect_pct}")
        shift = math.log1p(effect_pct / 100)
        turns = [_drawer(pools[number % len(pools)], shift, drawn) for number in range(checks)]
        found.append(Simulated(effect_pct, _caught(turns, limits)))
    return found


def least_caught_pct(
    spread: float, limits: RuleLimits, *, seed: int, wanted: float = 0.95, checks: int = 200
) -> float | None:
    """The least size of `SIZES_PCT` that simulated checks catch so often, by wall time; None when not even the largest.

    Args:
        spread: standard deviation of a round's log ratio; the simulated rounds are normal.
        wanted: the share of checks that must end with a confirmed regression.
    """

    def enough(size_pct: float) -> bool:
        drawn = random.Random(seed)  # the same noise for every size, so that a larger one is caught no less often
        shift = math.log1p(size_pct / 100)
        caught = _caught([lambda: Round(drawn.gauss(shift, spread), None)] * checks, limits)
        return caught.hits >= wanted * checks

    low, high = 0, len(SIZES_PCT)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(SIZES_PCT[middle]) else (middle + 1, high)
    return SIZES_PCT[low] if low < len(SIZES_PCT) else None


def _drawer(pool: Sequence[Round], shift: float, drawn: random.Random) -> Callable[[], Round]:
    def draw() -> Round:
        found = drawn.choice(pool)
        return Round(found.wall + shift, None if found.cpu is None else found.cpu + shift)

    return draw


def _caught(turns: Sequence[Callable[[], Round]], limits: RuleLimits) -> Count:
    """How many checks, one for each way to draw a round, end with a confirmed regression."""
    hits = 0
    for draw in turns:
        # All at once: rounds after the decision do not count.
        first = [draw() for _ in range(limits.looks[-1])]
        hits += step(first, [draw() for _ in range(limits.confirm_looks[-1])], limits) == "regression"
    return Count(hits, len(turns))

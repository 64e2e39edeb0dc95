"""How sure an interval has to be that is looked at before all planned seeds are there.

Knows no claims: numbers of seeds in, levels of confidence and numbers of seeds out.

An interval decides a claim wrongly when all of it lies on the wrong side of an edge, which happens at most with half of
what its confidence leaves. At the planned number of seeds the level is 95 %: 2.5 %. All looks before share another
2.5 %, spent by the cube of how far the seeds have come, so that early looks need clear cases. A claim that is looked
at after every seed, and stopped as soon as it is decided, is decided wrongly with at most 5 % in all; one that is
looked at once, at the end, with 2.5 %.
"""

import math

from bench.statistics.intervals import t_quantile

FINAL = 0.95
EARLY = 0.05  # what all looks before the last leave together, two-sided as an interval counts it
_POWER = 3


def confidence(seeds: int, planned: int, first: int = 1) -> float:
    """The level of the interval from that many seeds of those planned, as a share; more seeds than planned are final.

    Args:
        first: the smallest number of seeds that is ever allowed to decide: no look before it counts.

    Raises:
        ValueError: no seed.
    """
    if seeds < 1:
        raise ValueError(f"an interval needs a seed, not {seeds}")
    if seeds >= planned:
        return FINAL
    before, look = max(planned - first, 1), max(seeds - first + 1, 1)
    return 1 - EARLY * ((look / before) ** _POWER - ((look - 1) / before) ** _POWER)


def seeds_until(distance: float, sd: float, df: float, have: int, planned: int, first: int) -> int | None:
    """With how many seeds a value so far from the nearest edge will probably be decided, if its mean stays; None: not
    with those that are planned.

    Args:
        distance: from the mean to the edge, in its unit.
        sd, df: the spread between seeds as `have` seeds and the pool know it; each further seed brings one degree of
            freedom.
    """
    for seeds in range(max(have + 1, first), planned + 1):
        freedom = df + seeds - have
        level = confidence(seeds, planned, first)
        if freedom > 0 and t_quantile((1 + level) / 2, freedom) * sd / math.sqrt(seeds) <= distance:
            return seeds
    return None

"""Two models on the same test images, after their last epoch: which of them was right where the other was wrong.

Decides no claim. It says of one pair of trainings what the test set can tell; another seed is another pair.
"""

from dataclasses import dataclass

import numpy as np

from bench.records.packed import unpacked_bits
from bench.statistics import exact_tests
from bench.statistics.intervals import Interval
from bench.verdicts.evidence import Evidence

RESAMPLES = 10_000


@dataclass(frozen=True)
class Paired:
    """One seed of two models. `first` and `second` are the suite's keys of the models."""

    seed: int
    first: str
    second: str
    images: int
    only_first: int  # images that only the first classified correctly
    only_second: int
    p: float  # McNemar's exact two-sided
    difference: Interval  # accuracy of the first minus that of the second, points; paired bootstrap over the images


def paired(evidence: Evidence) -> tuple[Paired, ...]:
    """Every seed for which exactly two models say which images of one test set they had right."""
    told = {name: right for name, right in evidence.right.items() if right}
    if len(told) != 2:
        return ()
    one, other = told
    if {row.dataset_sha256 for row in evidence.rows[one]} != {row.dataset_sha256 for row in evidence.rows[other]}:
        return ()
    keys = (evidence.rows[one][0].model, evidence.rows[other][0].model)
    seeds = sorted(told[one].keys() & told[other].keys())
    return tuple(_pair(seed, *keys, unpacked_bits(told[one][seed]), unpacked_bits(told[other][seed])) for seed in seeds)


def _pair(seed: int, first: str, second: str, ours: list[bool], theirs: list[bool]) -> Paired:
    only_first = sum(a and not b for a, b in zip(ours, theirs, strict=True))
    only_second = sum(b and not a for a, b in zip(ours, theirs, strict=True))
    p = exact_tests.mcnemar(only_first, only_second)
    difference = bootstrap(only_first, only_second, len(ours), seed)
    return Paired(seed, first, second, len(ours), only_first, only_second, p, difference)


def bootstrap(only_first: int, only_second: int, images: int, seed: int) -> Interval:
    """95 % percentile interval of the difference in points, the images drawn again with replacement.

    A drawn image is one of three kinds, so how many of each are drawn is multinomial: no image need be drawn alone.
    """
    kinds = np.array([only_first, only_second, images - only_first - only_second]) / images
    drawn = np.random.default_rng(seed).multinomial(images, kinds, size=RESAMPLES)
    low, high = np.quantile(100 * (drawn[:, 0] - drawn[:, 1]) / images, [0.025, 0.975])
    point = 100 * (only_first - only_second) / images
    method = f"95 % paired bootstrap of the test images, {RESAMPLES:,} resamples"
    return Interval(float(low), float(high), point, method, images)

"""Exact tests for paired values: Wilcoxon's signed ranks, McNemar's counts.

Knows no files, no frames and no metric names; a list that is empty or holds a NaN is an error, never a number.

McNemar's test is SciPy's binomial distribution. SciPy's signed-rank test is exact only without ties and zeros; this one
counts all signs of the ranks that are there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from bench.statistics.intervals import finite_values, subset_sums

Alternative = Literal["greater", "less", "two-sided"]


@dataclass(frozen=True)
class SignedRank:
    """W+, the sum of the ranks of the positive values; `n` values that are not zero; the exact p."""

    w_plus: float
    n: int
    p: float


def signed_rank(differences: Sequence[float], alternative: Alternative = "two-sided") -> SignedRank:
    """Wilcoxon's signed-rank test of differences that are symmetric about 0 when nothing changed; exact.

    `greater` asks whether they lie above 0. Zeros are left out, as Wilcoxon did; equal sizes share the mean of their
    ranks, and p counts all 2^n signs of those very ranks, so it is exact with ties too. To test against a margin,
    subtract it first. Meant for up to some fifty values: the work grows as n³.
    """
    moved = [value for value in finite_values(differences) if value != 0]
    ranks = _doubled_ranks([abs(value) for value in moved])
    w = sum(rank for rank, value in zip(ranks, moved, strict=True) if value > 0)
    ways = subset_sums(ranks)
    above, below = (Fraction(sum(part), 2 ** len(ranks)) for part in (ways[w:], ways[: w + 1]))
    p = {"greater": above, "less": below, "two-sided": min(Fraction(1), 2 * min(above, below))}[alternative]
    return SignedRank(w / 2, len(moved), float(p))


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact two-sided p: may two models be equally accurate on the same images?

    Args:
        only_first, only_second: how many images only the first, or only the second, classified correctly. Under the
            hypothesis each of them fell to either side by a fair coin: p = 2 P(Bin(b + c, 1/2) <= min(b, c)).
    """
    if min(only_first, only_second) < 0:
        raise ValueError(f"counts of images are not negative: {only_first}, {only_second}")
    from scipy import special

    n = only_first + only_second
    return min(1.0, 2 * float(special.bdtr(min(only_first, only_second), n, 0.5)))


def _doubled_ranks(sizes: Sequence[float]) -> list[int]:
    """Twice the rank of each value, so that the mean rank of ties stays a whole number."""
    ordered = sorted(sizes)
    first = {size: position for position, size in reversed(list(enumerate(ordered, start=1)))}
    last = {size: position for position, size in enumerate(ordered, start=1)}
    return [first[size] + last[size] for size in sizes]

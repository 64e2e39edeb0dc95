"""Lists of numbers in, numbers out: medians, intervals, and exact tests for paired values.

Knows no files, no frames and no metric names; a list that is empty or holds a NaN is an error, never a number.

Distributions are SciPy's: `scipy.special`, imported where it is needed, takes a third of a second to load and
`scipy.stats` five times that, more than all else in the summary after a run. So what only `scipy.stats` has (Wilson's
interval of a proportion, the slope of a regression) is written out in a few lines over those distributions, and tests
hold each to SciPy's. SciPy has no exact interval of a median and no signed-rank test that is exact with ties.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist, fmean, stdev


@dataclass(frozen=True)
class Interval:
    """A point and the interval around it, all three in the unit of the values it was made from.

    `method` says in words how it was made, `n` from how many values. Too few values leave it without bounds (±inf):
    an interval that excludes nothing lets a verdict say "I do not know" by itself.
    """

    low: float
    high: float
    point: float
    method: str
    n: int

    @property
    def bounded(self) -> bool:
        """Whether there were enough values for both bounds."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean, in the unit of the values. Raises ValueError on an empty list or a NaN."""
    return fmean(finite_values(values))


def sample_sd(values: Sequence[float]) -> float:
    """Sample standard deviation, n - 1 in the denominator. Raises ValueError with fewer than two values."""
    known = finite_values(values)
    if len(known) < 2:
        raise ValueError("a standard deviation needs two values")
    return stdev(known)


def quantile(values: Sequence[float], share: float) -> float:
    """The `share` quantile (0 to 1), linear between order statistics: position (n - 1) * share.

    Raises:
        ValueError: an empty list, a NaN, or a share outside 0 to 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a quantile's share lies between 0 and 1, not {share}")
    ordered = sorted(finite_values(values))
    position = (len(ordered) - 1) * share
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the middle two. Raises ValueError on an empty list or a NaN."""
    return statistics.median(finite_values(values))


def t_quantile(probability: float, df: float) -> float:
    """The t below which Student's t falls with that probability; any number of degrees of freedom above 0."""
    if not 0 < probability < 1:
        raise ValueError(f"a probability lies between 0 and 1, not {probability}")
    if df <= 0:
        raise ValueError(f"Student's t needs more than 0 degrees of freedom, not {df}")
    from scipy import special

    return float(special.stdtrit(df, probability))


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's t interval for a mean: mean ± t(df = n - 1) * sd / sqrt(n). One value alone has no bounds.

    For a difference between two models, give the differences of the paired seeds.
    """
    n, point = len(values), mean(values)
    spread = t_quantile((1 + confidence) / 2, n - 1) * sample_sd(values) if n > 1 else math.inf
    half = spread / math.sqrt(n)
    return Interval(point - half, point + half, point, f"{percent(confidence)} Student's t of the mean", n)


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Exact interval of a median from order statistics: [x(k), x(n + 1 - k)], whatever the distribution.

    k is the largest rank with 2 P(Bin(n, 1/2) <= k - 1) <= 1 - confidence. At 95 % it needs six values; fewer leave it
    without bounds.
    """
    ordered = sorted(finite_values(values))
    n = len(ordered)
    k = _rank_within([math.comb(n, i) for i in range(n + 1)], confidence)
    low, high = (ordered[k - 1], ordered[n - k]) if k else (-math.inf, math.inf)
    return Interval(low, high, median(ordered), f"{percent(confidence)} order statistics of the median", n)


def accuracy_interval(accuracy: float, images: int, confidence: float = 0.95) -> Interval:
    """Wilson's interval of an accuracy, in percent, for one model on a test set of that many images.

    (p + z²/2n ± z sqrt(p(1 - p)/n + z²/4n²)) / (1 + z²/n), p as a share.
    """
    p, to = _share(accuracy, images), z(confidence)
    centre = p + to**2 / (2 * images)
    half = to * math.sqrt(p * (1 - p) / images + to**2 / (4 * images**2))
    low, high = ((centre + side * half) / (1 + to**2 / images) * 100 for side in (-1, 1))
    return Interval(low, high, accuracy, f"{percent(confidence)} Wilson on {images} images", images)


def accuracy_resolution(accuracy: float, images: int, confidence: float = 0.95) -> float:
    """What a test set can tell apart, ± points: z sqrt(p(1 - p)/n). 10,000 images at 80 % resolve 0.78 points."""
    p = _share(accuracy, images)
    return 100 * z(confidence) * math.sqrt(p * (1 - p) / images)


def hodges_lehmann(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Hodges and Lehmann's centre: the median of the means of all pairs, each value with itself included.

    The bounds invert the exact signed-rank test: the k-th smallest and largest pair mean. At 95 % they need six values.
    """
    known = finite_values(values)
    pairs = sorted((first + second) / 2 for i, first in enumerate(known) for second in known[i:])
    k = _rank_within(subset_sums(range(1, len(known) + 1)), confidence)
    low, high = (pairs[k - 1], pairs[-k]) if k else (-math.inf, math.inf)
    return Interval(low, high, median(pairs), f"{percent(confidence)} signed-rank, Hodges-Lehmann", len(known))


def power_law(sizes: Sequence[float], costs: Sequence[float], confidence: float = 0.95) -> Interval:
    """The exponent b of cost = a * size^b: least-squares slope of log cost over log size, with its t interval.

    Standard error sqrt(SSR / (n - 2) / Sxx); two points alone have no bounds. The exponent has no unit.

    Raises:
        ValueError: values that are not positive, lists of different length, or fewer than two different sizes.
    """
    if len(sizes) != len(costs):
        raise ValueError(f"{len(sizes)} sizes, but {len(costs)} costs")
    if any(value <= 0 for value in (*finite_values(sizes), *finite_values(costs))):
        raise ValueError("a power law needs positive values")
    x, y = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    x_mean, y_mean, n = mean(x), mean(y), len(x)
    sxx = math.fsum((a - x_mean) ** 2 for a in x)
    if sxx == 0:
        raise ValueError("an exponent needs two different sizes")
    slope = math.fsum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True)) / sxx
    ssr = math.fsum((b - y_mean - slope * (a - x_mean)) ** 2 for a, b in zip(x, y, strict=True))
    half = t_quantile((1 + confidence) / 2, n - 2) * math.sqrt(ssr / (n - 2) / sxx) if n > 2 else math.inf
    return Interval(slope - half, slope + half, slope, f"{percent(confidence)} Student's t of the log-log slope", n)


def finite_values(values: Sequence[float]) -> list[float]:
    """The values as floats. A NaN would sort anywhere and an infinity would swallow the rest, so neither gets in."""
    known = [float(value) for value in values]
    if not known:
        raise ValueError("no values")
    if not all(math.isfinite(value) for value in known):
        raise ValueError(f"values that are not finite: {[value for value in known if not math.isfinite(value)]}")
    return known


def _share(accuracy: float, images: int) -> float:
    if images < 1 or not 0 <= accuracy <= 100:
        raise ValueError(f"{accuracy} % of {images} images is no accuracy")
    return accuracy / 100


def z(confidence: float) -> float:
    """The normal distribution's two-sided quantile: 1.96 at 95 %."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def percent(confidence: float) -> str:
    """`95 %`, `99.4 %`: a level of confidence as it is written."""
    return f"{confidence * 100:.3g} %"


def subset_sums(ranks: Sequence[int]) -> list[int]:
    """How many of the 2^n subsets of the ranks have each sum, for sums 0 to the total; whole numbers, so exact."""
    ways = [1] + [0] * sum(ranks)
    for rank in ranks:
        for total in range(len(ways) - 1, rank - 1, -1):
            ways[total] += ways[total - rank]
    return ways


def _rank_within(ways: Sequence[int], confidence: float) -> int:
    """The largest k such that outcomes 0 to k - 1 of a symmetric distribution hold at most (1 - confidence) / 2."""
    k, tail = 0, 0
    allowed = Fraction(1 - confidence).limit_denominator(10**9) / 2 * sum(ways)
    while tail + ways[k] <= allowed:
        tail += ways[k]
        k += 1
    return k

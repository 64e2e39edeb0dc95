"""Lists of numbers in, numbers out: medians, intervals, and exact tests for paired values.

Knows no files, no frames and no metric names; a list that is empty or holds a NaN is an error, never a number.

Student's t, Wilson's interval and the power law are written out, though SciPy has them: they stand in the summary after
every run, and importing SciPy takes a second, ten times what the rest of the summary's arithmetic does. Tests hold them
to SciPy's.
"""

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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


def t_cdf(t: float, df: int) -> float:
    """P(T <= t) for Student's t with a whole number of degrees of freedom.

    The finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4, theta = atan(t / sqrt(df)): exact, in df / 2 terms.
    """
    if df < 1:
        raise ValueError(f"Student's t needs at least one degree of freedom, not {df}")
    theta = math.atan(t / math.sqrt(df))
    cos2 = math.cos(theta) ** 2
    odd = df % 2 == 1
    term = math.cos(theta) if odd else 1.0
    total = 0.0
    for k in range(1, (df + 1) // 2 if odd else df // 2 + 1):
        total += term
        term *= cos2 * (2 * k / (2 * k + 1) if odd else (2 * k - 1) / (2 * k))
    between = (theta + math.sin(theta) * total) * 2 / math.pi if odd else math.sin(theta) * total
    return (1 + between) / 2


def t_quantile(probability: float, df: int) -> float:
    """The t below which Student's t falls with that probability; by bisection, to 1e-12 of its size."""
    if not 0 < probability < 1:
        raise ValueError(f"a probability lies between 0 and 1, not {probability}")
    if probability < 0.5:
        return -t_quantile(1 - probability, df)
    low, high = 0.0, 1.0
    while t_cdf(high, df) < probability:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, df) < probability else (low, middle)
    return (low + high) / 2


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Student's t interval for a mean: mean ± t(df = n - 1) * sd / sqrt(n). One value alone has no bounds.

    For a difference between two models, give the differences of the paired seeds.
    """
    n, point = len(values), mean(values)
    spread = t_quantile((1 + confidence) / 2, n - 1) * sample_sd(values) if n > 1 else math.inf
    half = spread / math.sqrt(n)
    return Interval(point - half, point + half, point, f"{_percent(confidence)} Student's t of the mean", n)


def seed_interval(values: Sequence[float], resolution: float | None, confidence: float = 0.95) -> Interval:
    """The interval of a mean over seeds: Student's t, but for a spread that the test set is too coarse to see.

    Seeds that agree by chance (on 2,000 images two of sd 0.3 points do in one pair of 23) would give an interval of no
    width. So the spread is not taken below that of the test images: half = max(t sd, resolution) / sqrt(n). It only
    widens, so what Student's t promises still holds.

    Args:
        values: one per seed.
        resolution: what the test set resolves of one value, ± points at that confidence; None where no test set bounds
            the spread, so that equal values leave it unknown: then there are no bounds.
    """
    found = mean_interval(values, confidence)
    half = (found.high - found.low) / 2
    if resolution is None:
        return replace(found, low=-math.inf, high=math.inf) if half == 0 else found
    least = resolution / math.sqrt(found.n)
    if half >= least:
        return found
    name = f"{_percent(confidence)} mean of {found.n} seeds, spread that of the test images"
    return Interval(found.point - least, found.point + least, found.point, name, found.n)


def bootstrap_interval(
    values: Sequence[float],
    seed: int,
    statistic: Callable[[Sequence[float]], float] = median,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of a statistic (the median): its quantiles over resamples drawn with `seed`.

    Too narrow below some ten values, where `median_interval` is exact. Raises ValueError on an empty list or a NaN.
    """
    drawn, known = random.Random(seed), finite_values(values)
    found = [statistic(drawn.choices(known, k=len(known))) for _ in range(resamples)]
    low, high = quantile(found, (1 - confidence) / 2), quantile(found, (1 + confidence) / 2)
    name = f"{_percent(confidence)} bootstrap of the {statistic.__name__}, {resamples} resamples"
    return Interval(low, high, statistic(known), name, len(known))


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Exact interval of a median from order statistics: [x(k), x(n + 1 - k)], whatever the distribution.

    k is the largest rank with 2 P(Bin(n, 1/2) <= k - 1) <= 1 - confidence. At 95 % it needs six values; fewer leave it
    without bounds.
    """
    ordered = sorted(finite_values(values))
    n = len(ordered)
    k = _rank_within([math.comb(n, i) for i in range(n + 1)], confidence)
    low, high = (ordered[k - 1], ordered[n - k]) if k else (-math.inf, math.inf)
    return Interval(low, high, median(ordered), f"{_percent(confidence)} order statistics of the median", n)


def accuracy_interval(percent: float, images: int, confidence: float = 0.95) -> Interval:
    """Wilson's interval of an accuracy, in percent, for one model on a test set of that many images.

    (p + z²/2n ± z sqrt(p(1 - p)/n + z²/4n²)) / (1 + z²/n), p as a share.
    """
    p, z = _share(percent, images), _z(confidence)
    centre = p + z**2 / (2 * images)
    half = z * math.sqrt(p * (1 - p) / images + z**2 / (4 * images**2))
    low, high = ((centre + side * half) / (1 + z**2 / images) * 100 for side in (-1, 1))
    return Interval(low, high, percent, f"{_percent(confidence)} Wilson on {images} images", images)


def accuracy_resolution(percent: float, images: int, confidence: float = 0.95) -> float:
    """What a test set can tell apart, ± points: z sqrt(p(1 - p)/n). 10,000 images at 80 % resolve 0.78 points."""
    p = _share(percent, images)
    return 100 * _z(confidence) * math.sqrt(p * (1 - p) / images)


def hodges_lehmann(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Hodges and Lehmann's centre: the median of the means of all pairs, each value with itself included.

    The bounds invert the exact signed-rank test: the k-th smallest and largest pair mean. At 95 % they need six values.
    """
    known = finite_values(values)
    pairs = sorted((first + second) / 2 for i, first in enumerate(known) for second in known[i:])
    k = _rank_within(subset_sums(range(1, len(known) + 1)), confidence)
    low, high = (pairs[k - 1], pairs[-k]) if k else (-math.inf, math.inf)
    return Interval(low, high, median(pairs), f"{_percent(confidence)} signed-rank, Hodges-Lehmann", len(known))


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
    return Interval(slope - half, slope + half, slope, f"{_percent(confidence)} Student's t of the log-log slope", n)


def finite_values(values: Sequence[float]) -> list[float]:
    """The values as floats. A NaN would sort anywhere and an infinity would swallow the rest, so neither gets in."""
    known = [float(value) for value in values]
    if not known:
        raise ValueError("no values")
    if not all(math.isfinite(value) for value in known):
        raise ValueError(f"values that are not finite: {[value for value in known if not math.isfinite(value)]}")
    return known


def _share(percent: float, images: int) -> float:
    if images < 1 or not 0 <= percent <= 100:
        raise ValueError(f"{percent} % of {images} images is no accuracy")
    return percent / 100


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _percent(confidence: float) -> str:
    return f"{confidence * 100:g} %"


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

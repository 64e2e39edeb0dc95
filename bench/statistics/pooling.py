"""The spread between seeds from several models: pooled where they agree, let go where they do not.

Knows no metric and no claim; values by model and seed come in, and a spread with its degrees of freedom goes out.

Moderated variances after Smyth (2004), as in limma: s² = (d0 s0² + d s²) / (d0 + d). s0² and d0 are those of the other
models. d0 is at most the degrees of freedom that they really have, and only that much where a test finds no difference
between the variances: from three or four models d0 itself cannot be estimated well. SciPy has no such estimate.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.statistics.intervals import Interval, mean, percent, t_quantile, z

Models = tuple[str, ...]
Values = Mapping[int, float]  # by seed

KNOWN = 4.0  # degrees of freedom from which a spread may lie below what the test images resolve
_DIVERGES = 0.01  # how unlikely the variance of another model must be for it to be left out of the pool
_LETS_GO = 0.05  # and that of the model itself, for the pool to say nothing of it
_UNEQUAL = 0.1  # how unlikely equal variances must be for d0 to be estimated


@dataclass(frozen=True)
class Pool:
    """What the other models say of the spread of one: its variance, with how many degrees of freedom, and whose."""

    variance: float
    df: float
    models: Models
    left_out: Models = ()  # other models that scatter far more than the rest


@dataclass(frozen=True)
class Sums:
    """Squares and degrees of freedom of some models."""

    squares: float
    df: float

    @property
    def variance(self) -> float:
        """The squares over their degrees of freedom; 0 without any."""
        return self.squares / self.df if self.df else 0.0


def pool(own: Models, series: Mapping[Models, Values]) -> Pool | None:
    """What the other models say of the spread of `own`; None where they say nothing, or it diverges from them.

    Args:
        own: the model, or the two of a difference.
        series: values by seed, of every model or of every pair of models, `own` among them. Pairs are paired by seed.
    """
    found = {models: sums for models, values in series.items() if (sums := _of(list(values.values()))).df}
    others = tuple(dict.fromkeys(model for models in found for model in models if model not in own))
    kept = _without_diverging(own, others, found)
    here, every = _sums(found, own), _sums(found, (*own, *kept))
    rest = Sums(every.squares - here.squares, every.df - here.df)
    if rest.df <= 0 or rest.squares <= 0:
        return None
    if here.df and _above(here, rest) < _LETS_GO:
        return None
    chosen = _moderated(rest, [sums for models, sums in found.items() if {*own, *kept}.issuperset(models)])
    return Pool(chosen.variance, chosen.df, kept, tuple(model for model in others if model not in kept))


def seed_interval(
    values: Sequence[float], resolution: float | None, confidence: float = 0.95, others: Pool | None = None
) -> Interval:
    """Student's t interval of a mean over seeds, with the spread of the values and of the pool together.

    The spread is never taken below the pool's, so that values that agree by chance claim nothing. Where both together
    have fewer than four degrees of freedom, half the interval is not below what the test images resolve of one value,
    over the root of one seed less than there are: two seeds that agree are no surer than one.

    Args:
        values: one per seed.
        resolution: what the test set resolves of one value, ± at 95 %; None where no test set bounds the spread, so
            that equal values leave it unknown: without a pool there are no bounds then.
        others: what the other models say of the spread.
    """
    n, point = len(values), mean(values)
    spread = together(values, others)
    df = spread.df
    half = t_quantile((1 + confidence) / 2, df) * math.sqrt(spread.variance / n) if df else math.inf
    name = f"{percent(confidence)} Student's t of the mean"
    if others:
        name += f", spread of {_count(others, n > 1)} ({df:.3g} degrees of freedom)"
    if 0 < df < KNOWN and resolution is not None:
        least = resolution * z(confidence) / z(0.95) / math.sqrt(max(n - 1, 1))
        if half < least:
            half, name = least, f"{percent(confidence)} mean of {n} seeds, spread that of the test images"
    elif half == 0:
        half = math.inf
    return Interval(point - half, point + half, point, name, n)


def together(values: Sequence[float], others: Pool | None) -> Sums:
    """The spread of values over seeds and of the pool in one, never below that of the pool alone."""
    own = _of(values)
    if others is None:
        return own
    df = own.df + others.df
    return Sums(max(own.squares + others.df * others.variance, df * others.variance), df)


def _count(others: Pool, with_own: bool) -> str:
    models = len(others.models) + with_own
    return f"{models} models" if models > 1 else "another model"


def _without_diverging(own: Models, others: Models, found: Mapping[Models, Sums]) -> Models:
    """The other models without those whose squares are far above what all the rest would have."""
    kept = list(others)
    while len(kept) > 1:
        every, unlikely = _sums(found, (*own, *kept)), []
        for model in kept:
            rest = _sums(found, (*own, *(each for each in kept if each != model)))
            alone = Sums(every.squares - rest.squares, every.df - rest.df)
            if alone.df > 0 and rest.df > 0 and rest.squares > 0:
                unlikely.append((_above(alone, rest) * len(kept), model))
        worst = min(unlikely, default=(1.0, ""))
        if worst[0] >= _DIVERGES:
            break
        kept.remove(worst[1])
    return tuple(kept)


def _sums(found: Mapping[Models, Sums], models: Iterable[str]) -> Sums:
    """Squares and degrees of freedom that all series of these models have together.

    Pairs of M models share them. Of n seeds they have (M - 1)(n - 1) degrees of freedom together, which the mean of
    their variances has then: so many that a tree of pairs would have which reaches every model once.
    """
    chosen = set(models)
    some = {key: each for key, each in found.items() if chosen.issuperset(key)}
    squares, total = math.fsum(each.squares for each in some.values()), math.fsum(each.df for each in some.values())
    df = total if all(len(key) == 1 for key in some) else _tree({key: each.df for key, each in some.items()})
    return Sums(squares * df / total, df) if total else Sums(0.0, 0.0)


def _of(values: Sequence[float]) -> Sums:
    if len(values) < 2:
        return Sums(0.0, 0.0)
    centre = mean(values)
    return Sums(math.fsum((value - centre) ** 2 for value in values), len(values) - 1)


def _tree(weights: Mapping[Models, float]) -> float:
    """The weight of the heaviest tree over pairs of models (Kruskal)."""
    root: dict[str, str] = {}

    def top(model: str) -> str:
        while (above := root.get(model, model)) != model:
            model = above
        return model

    total = 0.0
    for (one, *others), weight in sorted(weights.items(), key=lambda each: -each[1]):
        for other in others:
            if (a := top(one)) != (b := top(other)):
                root[a] = b
                total += weight
    return total


def _above(one: Sums, other: Sums) -> float:
    """How likely the first variance is to be as large as this, or larger, if both are the same: an F test."""
    from scipy import special

    if not other.variance:
        return 0.0 if one.variance else 1.0
    return float(special.fdtrc(one.df, other.df, one.variance / other.variance))


def _moderated(rest: Sums, each: Sequence[Sums]) -> Sums:
    """The pool's squares with d0 degrees of freedom: all it has, or what Smyth's estimate says of unequal variances."""
    if len(each) < 3 or any(sums.variance == 0 for sums in each) or _bartlett(each) >= _UNEQUAL:
        return rest
    d0 = min(rest.df, max(_smyth(each), 1.0))
    return Sums(rest.variance * d0, d0)


def _bartlett(each: Sequence[Sums]) -> float:
    """Bartlett's p: may all these variances be one?"""
    from scipy import special

    df, squares = math.fsum(s.df for s in each), math.fsum(s.squares for s in each)
    spread = df * math.log(squares / df) - math.fsum(s.df * math.log(s.variance) for s in each)
    correction = 1 + (math.fsum(1 / s.df for s in each) - 1 / df) / (3 * (len(each) - 1))
    return float(special.chdtrc(len(each) - 1, max(spread / correction, 0.0)))


def _smyth(each: Sequence[Sums]) -> float:
    """Smyth's d0: how many degrees of freedom the spread of the log variances leaves to their common part."""
    from scipy import special

    logs = [math.log(s.variance) - float(special.psi(s.df / 2)) + math.log(s.df / 2) for s in each]
    centre = mean(logs)
    excess = math.fsum((log - centre) ** 2 for log in logs) / (len(logs) - 1)
    excess -= mean([float(special.polygamma(1, s.df / 2)) for s in each])
    return math.inf if excess <= 0 else 2 * _inverse_trigamma(excess)


def _inverse_trigamma(value: float) -> float:
    """The x whose trigamma is the value, by Newton's method on its reciprocal, which is nearly a line."""
    from scipy import special

    x = 0.5 + 1 / value
    for _ in range(50):
        now = float(special.polygamma(1, x))
        step = now * (1 - now / value) / float(special.polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x

"""One series of each of two runs becomes a ratio or a difference with its interval, and a word for it.

Counts are equal or different; accuracies are differences paired by seed; blocks of a clock are not paired, so their
interval is made from both medians. Such an interval knows nothing of what changed between the two runs.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.records.metrics import METRICS, depends
from bench.records.written import difference_unit
from bench.statistics import intervals, pooling
from bench.statistics.intervals import Interval
from bench.verdicts.between_runs.series import Apart, Series, SeriesSample, named

Kind = Literal["exact", "seeds", "blocks", "single"]
Word = Literal["equal", "different", "better", "worse", "higher", "lower", "no change shown", "no interval"]

# Both medians lie in their intervals at once with at least 95 %.
_EACH_CONFIDENCE = 0.975
_METHOD = "at least 95 %: order statistics of both medians"


@dataclass(frozen=True)
class Compared:
    """One quantity in both runs. `effect` is second / first, or second - first where `scale` says so.

    `better` says whether the second is the better one; None where neither direction is, or no change is shown.
    """

    metric: str
    what: str
    kind: Kind
    unit: str
    first: float
    second: float
    values: tuple[int, int]  # how many each side stands on
    scale: Literal["ratio", "difference"]
    effect: Interval
    effect_unit: str | None
    word: Word
    better: bool | None
    clocked: bool

    @property
    def changed(self) -> bool:
        """Whether a change is shown: a count that differs, or an interval without "no change" in it."""
        return self.word not in ("equal", "no change shown", "no interval")

    @property
    def moved(self) -> bool:
        """Whether the two differ at all: a change that is shown, or one for which there is no interval to tell."""
        return self.changed or (self.word == "no interval" and self.first != self.second)

    @property
    def size(self) -> float:
        """How large the effect is, whatever its direction: |log ratio|, a difference as a share of the first value."""
        if self.scale == "ratio":
            return abs(math.log(self.effect.point)) if self.effect.point > 0 else math.inf
        return abs(self.effect.point / self.first) if self.first else math.inf * abs(self.effect.point)


def effects(first: Series, second: Series, varying: Sequence[str] = ()) -> Iterator[Compared | Apart]:
    """What two series with equal conditions say, or why they say nothing.

    Args:
        varying: conditions that belong into the name.
    """
    what = named(first, varying)
    if not (first.samples and second.samples):
        yield _by_status(first, second, what)
    elif depends(first.metric) == "data":
        yield from _learned(first, second, what)
    else:
        yield _measured(first, second, what)


def _learned(first: Series, second: Series, what: str) -> Iterator[Compared | Apart]:
    """Differences of the last epoch, and of the best one for an accuracy, seed by seed.

    A seed with an epoch that has no value is left out on both sides: what is not finite is not stepped over.
    """
    if failed := first.failed_seeds | second.failed_seeds:
        yield _by_status(first, second, what)
    curves = [
        {seed: samples for seed, samples in _by_seed(series.samples).items() if seed not in failed}
        for series in (first, second)
    ]
    both = [seed for seed in curves[0] if seed in curves[1]]
    if len(both) < max(map(len, curves)):
        one, other = (", ".join(map(str, sorted(curve, key=str))) or "none" for curve in curves)
        yield Apart((first.metric,), what, "seeds", one, other)
    ends = {seed: tuple(curve[seed][-1].epoch for curve in curves) for seed in both}
    for seed, (end, other_end) in ends.items():
        if end != other_end:
            yield Apart((first.metric,), f"{what}, seed {seed}", "last epoch", str(end), str(other_end))
    both = [seed for seed in both if ends[seed][0] == ends[seed][1]]
    if not both:
        return
    last = [[curve[seed][-1].value for seed in both] for curve in curves]
    yield _paired(first, f"{what}, last epoch", *last)
    if first.unit == "%" and METRICS[first.metric].better == "higher":
        best = [[max(sample.value for sample in curve[seed]) for seed in both] for curve in curves]
        yield _paired(first, f"{what}, best epoch", *best)


def _by_status(first: Series, second: Series, what: str) -> Apart:
    one, other = ((side.failures or ("ok",))[0] for side in (first, second))
    return Apart((first.metric,), what, "status", one, other)


def _by_seed(samples: Sequence[SeriesSample]) -> dict[int | None, list[SeriesSample]]:
    found: dict[int | None, list[SeriesSample]] = {}
    for sample in sorted(samples, key=lambda each: each.epoch or 0):
        found.setdefault(sample.seed, []).append(sample)
    return found


def _paired(series: Series, what: str, first: list[float], second: list[float]) -> Compared:
    differences = [b - a for a, b in zip(first, second, strict=True)]
    if not any(differences):
        effect = Interval(0.0, 0.0, 0.0, "equal in every seed", len(differences))
    else:
        effect = pooling.seed_interval(differences, _resolution(series, first[0], second[0]))
    return _compared(series, what, "seeds", (first, second), "difference", effect)


def _resolution(series: Series, one: float, other: float) -> float | None:
    """What the test images resolve of the difference of two accuracies, ± points at 95 %; None for anything else."""
    images = series.conditions.get("n_test")
    metric = METRICS.get(series.metric)
    if (
        metric is None
        or not metric.on_test_images
        or not images
        or not (metric.possible(one) and metric.possible(other))
    ):
        return None
    return math.hypot(*(intervals.accuracy_resolution(value, int(images)) for value in (one, other))) or None


def _measured(first: Series, second: Series, what: str) -> Compared:
    values = [[sample.value for sample in series.samples] for series in (first, second)]
    clock = first.metric not in METRICS or METRICS[first.metric].timed
    if not clock and len(values[0]) == len(values[1]) == 1:
        return _compared(first, what, "exact", values, *_exact(values[0][0], values[1][0]))
    kind: Kind = "single" if len(values[0]) == len(values[1]) == 1 else "blocks"
    if min(*values[0], *values[1]) <= 0:
        return _compared(first, what, kind, values, "difference", difference_of_medians(*values))
    return _compared(first, what, kind, values, "ratio", ratio_of_medians(*values))


def _exact(a: float, b: float) -> tuple[Literal["ratio", "difference"], Interval]:
    if a == 0 or b == 0:
        return "difference", Interval(b - a, b - a, b - a, "exact", 1)
    return "ratio", Interval(b / a, b / a, b / a, "exact", 1)


def ratio_of_medians(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Median of the second over median of the first, with an interval for values that are not paired.

    The exact order-statistic intervals of both medians at 97.5 % hold together with at least 95 %, whatever the two
    distributions are; the extreme ratios of their ends bound the ratio. Each side needs seven values. Values are
    positive.
    """
    a, b = (intervals.median_interval(values, _EACH_CONFIDENCE) for values in (first, second))
    ends = (b.low / a.high, b.high / a.low) if a.bounded and b.bounded else (-math.inf, math.inf)
    return Interval(*ends, b.point / a.point, _METHOD, min(len(first), len(second)))


def difference_of_medians(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Median of the second less median of the first, bounded as `ratio_of_medians` is; for values of any sign."""
    a, b = (intervals.median_interval(values, _EACH_CONFIDENCE) for values in (first, second))
    return Interval(b.low - a.high, b.high - a.low, b.point - a.point, _METHOD, min(len(first), len(second)))


def _compared(
    series: Series,
    what: str,
    kind: Kind,
    values: Sequence[Sequence[float]],
    scale: Literal["ratio", "difference"],
    effect: Interval,
) -> Compared:
    centre = intervals.mean if kind == "seeds" else intervals.median
    word, better = _word(series.metric, kind, effect, 1.0 if scale == "ratio" else 0.0)
    return Compared(
        metric=series.metric,
        what=what,
        kind=kind,
        unit=series.unit,
        first=centre(values[0]),
        second=centre(values[1]),
        values=(len(values[0]), len(values[1])),
        scale=scale,
        effect=effect,
        effect_unit="ratio" if scale == "ratio" else difference_unit(series.unit),
        word=word,
        better=better,
        clocked=kind in ("blocks", "single"),
    )


def _word(metric: str, kind: Kind, effect: Interval, none: float) -> tuple[Word, bool | None]:
    """The word for an effect, and whether it is to the better; `none` is the value of no change."""
    if effect.low == effect.high == none:
        return "equal", None
    if not effect.bounded:
        return "no interval", None
    if effect.low <= none <= effect.high:
        return "no change shown", None
    better = METRICS[metric].better if metric in METRICS else "neither"
    up = effect.point > none
    good = None if better == "neither" else up == (better == "higher")
    if kind == "exact":
        return "different", good
    if good is None:
        return ("higher" if up else "lower"), None
    return ("better" if good else "worse"), good

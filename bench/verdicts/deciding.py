"""Where an interval lies decides: the word for it, its reason, and how the word came about seed by seed.

Finds no rows and makes no interval: both come in.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.records import written
from bench.records.metrics import METRICS
from bench.statistics import pooling
from bench.statistics.intervals import Interval
from bench.statistics.pooling import Pool
from bench.suite.claim import Check
from bench.suite.schema import Suite
from bench.verdicts import bands
from bench.verdicts.bands import Band, plural
from bench.verdicts.evidence import Evidence
from bench.verdicts.uncertainty import basis

Word = Literal["reproduced", "contradicted", "inconclusive", "inconsistent", "not measured", "answered"]
History = tuple[tuple[int, Word], ...]  # number of seeds, and the word that they give


def decided(
    check: Check, band: Band | None, interval: Interval, evidence: Evidence, needed: int
) -> tuple[Word, Literal["below", "above"] | None, str]:
    """The word, the side of the band when it is the wrong one, and the reason."""
    if band is None:
        return "answered", None, f"Measured {bands.measured(interval, check.unit, basis(evidence))}."
    place = band.place(interval.low, interval.high)
    have, planned = len(evidence.seeds), max(needed, evidence.planned[1])
    stands_on = plural(have, "seed") if evidence.seeds and have < needed else basis(evidence)
    shown = bands.measured(interval, band.unit, stands_on, band.references(place))
    if have < needed:
        so_far = band.says(band.place(interval.point, interval.point))
        return "inconclusive", None, f"{have} of {plural(planned, 'seed')}: {shown} so far, {so_far}."
    reason = f"Measured {shown}, {band.says(place)}"
    if place == "inside":
        return "reproduced", None, f"{reason}."
    if place == "across":
        return "inconclusive", None, f"{reason}."
    if check.published is not None:
        single = evidence.rows.get(check.measured or "")
        better = METRICS[single[0].metric].better if single else "neither"
        reason += f", {bands.against(check.published, interval.point, check.unit, better, check.printed)}"
    return "contradicted", place, f"{reason}."


def history(
    check: Check, band: Band, evidence: Evidence, needed: int, interval_from: Callable[[Evidence], Interval]
) -> History:
    """The word of a check by how many seeds there were, in their order; those beyond the plan come last.

    Every word has the interval that its own seeds give, with the pool as it is known now.
    """
    if evidence.by != "seed" or not evidence.seeds:
        return ()
    every = (*evidence.samples, *evidence.further)
    found = []
    for count in range(max(needed, 1), len(every) + 1):
        some = every[:count]
        part = replace(evidence, samples=some, seeds=tuple(each.seed for each in some if each.seed is not None))
        interval = interval_from(part)
        found.append((count, decided(check, band, interval, part, needed)[0]))
    return tuple(found)


def flip(told: History, seeds: int, planned: int) -> str | None:
    """That the word was another with fewer seeds, or would be with those beyond the plan; None where none was."""
    now = dict(told).get(seeds)
    if now is None:
        return None
    before = [(count, word) for count, word in told if count < seeds and word in ("reproduced", "contradicted")]
    after = [(count, word) for count, word in told if count > seeds]
    parts = [f"with {count} seeds it was {word}" for count, word in before if word != now][-1:]
    if after and after[-1][1] != now:
        parts.append(f"with all {after[-1][0]} seeds, more than the {planned} planned, it would be {after[-1][1]}")
    return f"It flips: {'; '.join(parts)}." if parts else None


@dataclass(frozen=True)
class Spread:
    """How far seeds scatter: the standard deviation in the check's unit, how well it is known, and whose it is."""

    sd: float
    df: float
    words: str


def spread(evidence: Evidence, pool: Pool | None, unit: str | None, suite: Suite) -> Spread | None:
    """How far seeds scatter, in the words of whose spread it is; None where nothing was repeated over seeds."""
    values = [sample.value for sample in evidence.samples]
    if evidence.by != "seed" or not evidence.seeds or (len(values) < 2 and pool is None):
        return None
    found = pooling.together(values, pool)
    sd = math.sqrt(found.variance)
    size = written.amount(sd, written.difference_unit(unit), signed=False)
    told = f"{size} (standard deviation, {plural(round(found.df), 'degree')} of freedom)"
    if pool is None:
        return Spread(sd, found.df, f"{told}, of these seeds alone")
    own = dict.fromkeys(row.model for rows in evidence.rows.values() for row in rows)
    told += f", of {_labels(suite, [*own, *pool.models])}, trained by one recipe on the same data"
    if pool.left_out:
        told += f"; left out, because it scatters far more: {_labels(suite, pool.left_out)}"
    return Spread(sd, found.df, told)


def _labels(suite: Suite, models: Sequence[str]) -> str:
    labels = [suite.models[model].label for model in models]
    return f"{', '.join(labels[:-1])} and {labels[-1]}" if len(labels) > 1 else labels[0]


def way(check: Check, band: Band | None, point: float) -> str | None:
    """Whether a hint points to the side the claim is on; None where only the size would tell."""
    if band is not None and band.strict:
        same = band.place(point, point) == "inside"
    elif check.unit == "points" and check.published:
        same = point * check.published > 0
    else:
        return None
    return "the same way" if same else "the other way"

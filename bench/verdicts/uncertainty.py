"""Samples become an interval: exact for counts, over seeds for what is learned, over processes or blocks for a clock.

Invents no spread: where nothing is known of it, the interval has no bounds and so excludes nothing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bench.records.metrics import METRICS
from bench.statistics import intervals, looks, pooling
from bench.statistics.intervals import Interval
from bench.statistics.pooling import Pool
from bench.suite import expression
from bench.suite.claim import Check
from bench.verdicts.bands import plural
from bench.verdicts.evidence import Evidence
from bench.verdicts.ledger import is_learned

SEEDS = 2  # what a trained value needs unless its check says otherwise: one says nothing of the spread between them


def interval_of(
    text: str,
    constants: Mapping[str, float],
    evidence: Evidence,
    confidence: float = 0.95,
    pool: Pool | None = None,
    new_images: bool = False,
) -> Interval:
    """The interval of an expression. Every sample must be finite.

    Args:
        confidence: of an interval over seeds; timing blocks keep 95 %.
        pool: what other models say of the spread between seeds.
        new_images: whether it is also for other test images of the same kind, and not for these alone.
    """
    values = [sample.value for sample in evidence.samples]
    if evidence.by == "exact":
        return Interval(values[0], values[0], values[0], "exact", 1)
    if evidence.by == "repeat":
        found = intervals.median_interval(values)
        # Another process of the same code may lie outside of blocks of one: they share its memory and cores.
        where = plural(len(values), "process") if _over_processes(evidence) else "within one process"
        return replace(found, method=f"{found.method}, {where}")
    if len(values) == 1 and pool is None:
        return _one_training(text, constants, evidence, values[0], confidence)
    half = half_of_test_images(text, constants, evidence, values[0])
    found = pooling.seed_interval(values, half, confidence, pool)
    return _widened(found, half, confidence) if new_images and half is not None else found


@dataclass(frozen=True)
class SeedRule:
    """How evidence becomes an interval, and how many seeds that takes at least where a check does not say."""

    interval: Callable[[str, Mapping[str, float], Evidence, Pool | None, bool], Interval]
    seeds: int = SEEDS


def at_this_look(
    text: str, constants: Mapping[str, float], evidence: Evidence, pool: Pool | None, new_images: bool
) -> Interval:
    """The interval with the spread of the pool, as sure as the seeds that are there of those planned ask for."""
    first, planned = evidence.planned
    level = looks.confidence(len(evidence.seeds), planned, first) if evidence.seeds else looks.FINAL
    return interval_of(text, constants, evidence, level, pool, new_images)


POOLED = SeedRule(at_this_look)


def basis(evidence: Evidence) -> str:
    """What an interval stands on, in words: `3 seeds`, `2 of 3 seeds`, `20 blocks`; nothing for a count."""
    if evidence.by == "exact":
        return ""
    if evidence.by == "repeat":
        return plural(len(evidence.samples), "process" if _over_processes(evidence) else "block")
    if not evidence.seeds:
        return plural(images_of(evidence), "test image")
    n, (_, planned) = len(evidence.seeds), evidence.planned
    return plural(n, "seed") if n >= planned else f"{n} of {plural(planned, 'seed')}"


def _over_processes(evidence: Evidence) -> bool:
    """Whether each sample is a process of its own, as `timing` has them, and not a block of one."""
    return bool(evidence.cases) and all(case.measure == "timing" for case in evidence.cases)


def resolution(evidence: Evidence) -> float | None:
    """What the test set can tell apart in the coarsest of the accuracies, ± points at 95 %; None without any."""
    return max((half for half in _resolutions(evidence).values()), default=None)


def seeds_needed(check: Check, learned: bool, least: int = SEEDS) -> int:
    """How many seeds a verdict takes at least, given whether anything in it is learned."""
    usual = least if check.kind == "retrain" or (check.kind == "ordering" and learned) else 1
    return check.min_seeds or usual


def nothing_trained(evidence: Evidence) -> bool:
    """Whether it is of fixed weights on a fixed test set: there is no other seed, and the same images again give the
    same value."""
    return evidence.by == "seed" and not evidence.seeds and all(case.recipe is None for case in evidence.cases)


def _widened(found: Interval, half: float, confidence: float) -> Interval:
    """The interval for other test images too: seeds and images are independent, so their halves add as squares."""
    both = math.hypot((found.high - found.low) / 2, half * intervals.z(confidence) / intervals.z(0.95))
    return replace(found, low=found.point - both, high=found.point + both, method=f"{found.method}, for new images")


def _one_training(
    text: str, constants: Mapping[str, float], evidence: Evidence, point: float, confidence: float
) -> Interval:
    """What the number of test images leaves open, for want of other seeds; of a loss it says nothing.

    A lone accuracy gets Wilson's interval, an expression of accuracies what `half_of_test_images` gives.
    """
    half = half_of_test_images(text, constants, evidence, point)
    if half is None:
        return Interval(-math.inf, math.inf, point, f"{intervals.percent(confidence)} Student's t of the mean", 1)
    if text.strip() in evidence.rows:
        return intervals.accuracy_interval(point, images_of(evidence), confidence)
    half *= intervals.z(confidence) / intervals.z(0.95)
    images = plural(images_of(evidence), "test image")
    method = f"{intervals.percent(confidence)} resolution of {images}, one training"
    return Interval(point - half, point + half, point, method, 1)


def half_of_test_images(text: str, constants: Mapping[str, float], evidence: Evidence, point: float) -> float | None:
    """What the test images resolve of one training's value, ± in its unit; None where anything else was learned.

    Each accuracy is moved by its resolution in turn, and the changes add as independent ones do: sqrt(a² + b²) for a
    difference.
    """
    halves = _resolutions(evidence)
    learned = {name for name, rows in evidence.rows.items() if is_learned(rows[0].metric)}
    if not learned or learned - halves.keys():
        return None
    moved = 0.0
    for name in learned:
        value = evidence.inputs[name]
        assert isinstance(value, float), name
        result = expression.evaluate(text, {**constants, **evidence.inputs, name: value + halves[name]})
        moved += (result - point) ** 2 if isinstance(result, float) else math.inf
    return math.sqrt(moved)


def _resolutions(evidence: Evidence) -> dict[str, float]:
    """Accuracy by accuracy, ± points; a curve of them has none of its own."""
    found = {}
    for name, rows in evidence.rows.items():
        value, images = evidence.inputs.get(name), rows[0].n_test
        if METRICS[rows[0].metric].on_test_images and isinstance(value, float) and images:
            found[name] = intervals.accuracy_resolution(value, int(images)) or _all_or_none(value, int(images))
    return found


def _all_or_none(percent: float, images: int) -> float:
    """Where every image is right, or none, p(1 - p) is zero: then half of Wilson's interval, which is not."""
    wilson = intervals.accuracy_interval(percent, images)
    return (wilson.high - wilson.low) / 2


def images_of(evidence: Evidence) -> int:
    """Images of the smallest test set among the quantities."""
    return int(min((rows[0].n_test for rows in evidence.rows.values() if rows[0].n_test), default=0))

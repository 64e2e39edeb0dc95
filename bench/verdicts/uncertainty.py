"""Samples become an interval: exact for counts, over seeds for what is learned, over blocks for what is timed.

Invents no spread: where nothing is known of it, the interval has no bounds and so excludes nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from bench.records.metrics import METRICS
from bench.statistics import intervals
from bench.statistics.intervals import Interval
from bench.suite import expression
from bench.suite.claim import Check
from bench.verdicts.bands import plural
from bench.verdicts.evidence import Evidence
from bench.verdicts.ledger import is_learned

SEEDS = 3  # what a trained value needs unless its check says otherwise


def interval_of(text: str, constants: Mapping[str, float], evidence: Evidence) -> Interval:
    """The interval of an expression. Every sample must be finite."""
    values = [sample.value for sample in evidence.samples]
    if evidence.by == "exact":
        return Interval(values[0], values[0], values[0], "exact", 1)
    if evidence.by == "repeat":
        found = intervals.median_interval(values)
        # Another process of the same code may lie outside: memory and cores that it is given are not in these blocks.
        return replace(found, method=f"{found.method}, within one process")
    if len(values) > 1:
        return intervals.seed_interval(values, _half(text, constants, evidence, values[0]))
    return _one_training(text, constants, evidence, values[0])


def basis(evidence: Evidence) -> str:
    """What an interval stands on, in words: `3 seeds`, `20 blocks`; nothing for a count."""
    if evidence.by == "exact":
        return ""
    if evidence.by == "repeat":
        return plural(len(evidence.samples), "block")
    return plural(len(evidence.seeds), "seed") if evidence.seeds else f"{plural(images_of(evidence), 'test image')}"


def resolution(evidence: Evidence) -> float | None:
    """What the test set can tell apart in the coarsest of the accuracies, ± points at 95 %; None without any."""
    return max((half for half in _resolutions(evidence).values()), default=None)


def seeds_needed(check: Check, learned: bool) -> int:
    """How many seeds a verdict takes, given whether anything in it is learned."""
    usual = SEEDS if check.kind == "retrain" or (check.kind == "ordering" and learned) else 1
    return check.min_seeds or usual


def _one_training(text: str, constants: Mapping[str, float], evidence: Evidence, point: float) -> Interval:
    """What the number of test images leaves open, for want of other seeds; of a loss it says nothing.

    A lone accuracy gets Wilson's interval, an expression of accuracies what `_half` gives.
    """
    half = _half(text, constants, evidence, point)
    if half is None:
        return intervals.mean_interval([point])
    if text.strip() in evidence.rows:
        return intervals.accuracy_interval(point, images_of(evidence))
    images = plural(images_of(evidence), "test image")
    return Interval(point - half, point + half, point, f"95 % resolution of {images}, one training", 1)


def _half(text: str, constants: Mapping[str, float], evidence: Evidence, point: float) -> float | None:
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

"""Which figures a suite has, in the order of the page.

Draws nothing itself: `forest.py`, `accuracy.py`, `curves.py` and `bars.py` do.
"""

from collections.abc import Sequence

import pandas as pd

from bench import accuracy, bars, curves, forest
from bench.figures import Absent, Figure
from bench.frames import PublishedCurve
from bench.spec import Suite
from bench.verdicts import Verdict


def forest_of(suite: Suite, verdicts: Sequence[Verdict]) -> Figure | Absent:
    """The signature figure: every claim of the suite on one axis."""
    return forest.forest(f"{suite.id}-forest", verdicts, {key: source.title for key, source in suite.sources.items()})


def figures_of(
    suite: Suite, found: pd.DataFrame, published: Sequence[PublishedCurve], verdicts: Sequence[Verdict]
) -> list[Figure | Absent]:
    """The figures below the claim table; a figure that lacks its rows says so in one line.

    Args:
        found: the suite's rows as `frames.named` gives them.
        published: the curves that the suite quotes.
    """
    measured = {measure.measure or key for key, measure in suite.measures.items()}
    trained = [key for key, measure in suite.measures.items() if (measure.measure or key) == "accuracy"]
    figures: list[Figure | Absent] = []
    if "accuracy" in measured:
        figures.append(accuracy.accuracy_bars(f"{suite.id}-accuracy", suite, found))
        figures += [curves.learning_curves(f"{suite.id}-curves-{key}", suite, found, published, key) for key in trained]
    if "timing" in measured and "accuracy" in measured:
        figures.append(curves.speed_over_accuracy(f"{suite.id}-speed", suite, found))
    if "side_by_side" in measured:
        figures.append(bars.time_ratios(f"{suite.id}-ratios", suite, found))
    if any(check.kind == "recount" and check.unit == "parameters" for v in verdicts for check in v.checks):
        figures.append(bars.counted(f"{suite.id}-parameters", verdicts))
    return figures

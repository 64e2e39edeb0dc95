"""Which figures a suite has, in the order of the page.

Draws nothing itself: the files beside it do, one per kind of figure.
"""

from collections.abc import Sequence

from bench.plan.planner import models_of
from bench.report.charts import accuracy, bars, curves, forest, hardware, studies, weights
from bench.report.charts.figure import Absent, Figure
from bench.report.charts.forest import TITLE
from bench.report.charts.frames import PublishedCurve, trained_models, trainings
from bench.report.many import farthest
from bench.suite.schema import Suite
from bench.verdicts import Verdict
from bench.verdicts.selection import Selected


def forest_of(suite: Suite, verdicts: Sequence[Verdict]) -> Figure | Absent:
    """The signature figure: every claim of the suite on one axis; of very many those that lie farthest out."""
    titles = {key: source.title for key, source in suite.sources.items()}
    shown = farthest(verdicts)
    title = TITLE if len(shown) == len(verdicts) else f"The {len(shown)} worst of {len(verdicts):,} claims at a glance"
    return forest.forest(f"{suite.id}-forest", shown, titles, title)


def figures_of(
    suite: Suite, found: Sequence[Selected], published: Sequence[PublishedCurve], verdicts: Sequence[Verdict]
) -> list[Figure | Absent]:
    """The figures below the claim table; a figure that lacks its rows says so in one line.

    Args:
        found: the rows that speak for the suite.
        published: the curves that the suite quotes.
    """
    measured = {measure.measure or key for key, measure in suite.measures.items()}
    figures: list[Figure | Absent] = []
    if "accuracy" in measured:
        figures.append(accuracy.accuracy_bars(f"{suite.id}-accuracy", suite, found))
        for dataset, recipe in _curves_of(suite):
            name = f"{suite.id}-curves-{dataset}-{recipe}"
            figures.append(curves.learning_curves(name, suite, found, published, dataset, recipe))
    if weights.has_pictures(suite, found):
        figures.append(weights.filters(f"{suite.id}-filters", suite, found))
        figures.append(weights.mixing(f"{suite.id}-mixing", suite, found))
    if _timed_and_trained(suite):
        figures.append(curves.speed_over_accuracy(f"{suite.id}-speed", suite, found))
    if "side_by_side" in measured:
        figures.append(bars.time_ratios(f"{suite.id}-ratios", suite, found))
    if hardware.published_times(suite, published):
        figures.append(hardware.epoch_times(f"{suite.id}-epochs", suite, found, published))
    if studies.grid_of(suite):
        figures.append(studies.heat_map(f"{suite.id}-grid", suite, found, published))
    if studies.sized(suite):
        figures.append(studies.scaling(f"{suite.id}-scaling", suite, found))
    if any(check.kind == "recount" and check.unit == "parameters" for v in verdicts for check in v.checks):
        figures.append(bars.counted(f"{suite.id}-parameters", suite, farthest(verdicts)))
    return figures


def _timed_and_trained(suite: Suite) -> bool:
    timed = [measure for key, measure in suite.measures.items() if (measure.measure or key) == "timing"]
    trained = {model for each in trainings(suite) for model in trained_models(suite, *each)}
    return any(model in trained for measure in timed for model in models_of(suite, measure))


def _curves_of(suite: Suite) -> list[tuple[str, str]]:
    """The trainings on data of which the suite quotes a curve; the first one where it quotes none."""
    asked = list(trainings(suite))
    quoted = {curve.dataset for curve in suite.curves.values()}
    return [each for each in asked if each[0] in quoted] or asked[:1]

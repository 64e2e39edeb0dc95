"""Whether what a suite evaluates fits together: weights, their models, the data sets, and what asks for them.

Opens no file of weights and no data.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from bench.errors import near
from bench.suite.draft import UNREAD, Draft
from bench.suite.schema import MeasureTable

EVALUATE = "evaluate"  # the measure that takes published weights


def evaluation_problems(draft: Draft) -> Iterator[str]:
    """What is wrong with weights and with the measures and quantities that name them."""
    for key, table in draft.suite.weights.items():
        for field, value, known in (
            ("model", table.model, draft.known("models")),
            ("source", table.source, draft.known("sources")),
        ):
            if value not in (None, UNREAD) and known is not None and value not in known:
                yield f"[weights.{key}]: {field}: no {field} '{value}'.{near(str(value), known)}"
    known = draft.known("weights")
    for key, measure in draft.suite.measures.items():
        if known is not None and draft.sound("measures", key):
            yield from _measure_problems(draft, key, measure, known)
    for key, quantity in draft.suite.quantities.items():
        if known is not None and quantity.weights not in (None, UNREAD, *known):
            yield f"[quantities.{key}]: weights: no weights '{quantity.weights}'.{near(str(quantity.weights), known)}"


def _measure_problems(draft: Draft, key: str, measure: MeasureTable, known: list[str]) -> Iterator[str]:
    for pattern in measure.weights:
        if pattern != UNREAD and not any(fnmatchcase(each, pattern) for each in known):
            yield f"[measures.{key}]: weights: no weights match '{pattern}'.{near(pattern, known)}"
    if (measure.measure or key) != EVALUATE:
        return
    if not measure.datasets:
        yield f"[measures.{key}]: key 'datasets' is missing: '{EVALUATE}' needs a test set"
    if measure.recipes:
        yield f"[measures.{key}]: recipes: '{EVALUATE}' trains nothing; how images are prepared stands in [weights.…]"
    whose = {table.model for table in draft.suite.weights.values()}
    unread = set(known) - set(draft.suite.weights)
    for model in measure.models:
        if model in draft.suite.models and model not in whose and not unread:
            mend = f"write [weights.x] with model = '{model}'"
            yield f"[measures.{key}]: models: no weights are of model '{model}': {mend}"

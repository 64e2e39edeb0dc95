"""What there is to choose from, as rows for `bench list`: suites, models, data sets, measures, metrics, claims.

Reads suites and the registry's names only, so that a list appears at once.
"""

from collections.abc import Callable, Sequence

from bench.records.metrics import METRICS
from bench.registry import Registry, datasets, evaluations, measures, models
from bench.suite.arguments import parameters
from bench.suite.read import LoadedSuite

Row = dict[str, object]


def suites(loaded: Sequence[LoadedSuite]) -> list[Row]:
    """One row per suite: id, file, number of claims, profiles (the default one first), question."""
    return [
        {
            "suite": each.suite.id,
            "file": str(each.path),
            "claims": len(each.suite.claims),
            "profiles": ", ".join(sorted(each.suite.profiles, key=lambda key: key != each.suite.default_profile)),
            "question": each.suite.question,
        }
        for each in loaded
    ]


def claims(loaded: Sequence[LoadedSuite]) -> list[Row]:
    """One row per claim, each id once: suite, id, kind, published value, unit, source, place, and what it says."""
    return [
        {
            "suite": each.suite.id,
            "claim": key,
            "kind": claim.kind,
            "value": claim.published,
            "unit": claim.unit,
            "source": claim.source,
            "where": claim.where,
            "says": claim.says,
        }
        for each in loaded
        for key, claim in each.suite.claims.items()
    ]


def _names(registry: Registry) -> Callable[[Sequence[LoadedSuite]], list[Row]]:
    def rows(_: Sequence[LoadedSuite]) -> list[Row]:
        return [
            {registry.kind: name, "arguments": ", ".join(parameters(registry, name) or {}) or None}
            for name in registry.names()
        ]

    return rows


def metrics(_: Sequence[LoadedSuite]) -> list[Row]:
    """One row per metric of the table: unit, the measure that yields it, what it depends on, protocol, meaning."""
    names = ("unit", "measure", "depends", "protocol", "meaning")
    return [{"metric": m.name, **{name: getattr(m, name) for name in names}} for m in METRICS.values()]


ROWS: dict[str, Callable[[Sequence[LoadedSuite]], list[Row]]] = {
    "suites": suites,
    "claims": claims,
    "models": _names(models),
    "datasets": _names(datasets),
    "measures": _names(measures),
    "evaluations": _names(evaluations),
    "metrics": metrics,
}

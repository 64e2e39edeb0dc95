"""The hardware that claims name for a speed: which cases are to be measured on it.

Knows no machine: whether there is such hardware, and where, is told elsewhere.
"""

from collections.abc import Iterable

from bench.plan.case import Case
from bench.plan.planner import selected_by
from bench.records.metrics import METRICS
from bench.suite import expression
from bench.suite.schema import Suite

_CLOCK_UNITS = {"s", "images/s"}


def named(suite: Suite, cases: Iterable[Case]) -> dict[str, dict[str, list[str]]]:
    """Case id -> patterns of device names -> the claims that want its speed on such a device, in the suite's order."""
    planned = [case for case in cases if case.suite == suite.id]
    found: dict[str, dict[str, list[str]]] = {}
    for key, claim in suite.claims.items():
        for check in claim.checks:
            if check.hardware is None or check.measured is None:
                continue
            for name in expression.names(check.measured):
                quantity = suite.quantities.get(name)
                if quantity is None or quantity.metric is None or not _clocked(quantity.metric):
                    continue
                for case in selected_by(quantity, planned):
                    claims = found.setdefault(case.id, {}).setdefault(check.hardware, [])
                    claims += [key] if key not in claims else []
    return found


def _clocked(metric: str) -> bool:
    return METRICS[metric].depends == "machine" or METRICS[metric].unit in _CLOCK_UNITS

"""Questions that no case of a suite answers, or that several answer differently.

Asks only suites whose parts fit; measures nothing.
"""

from collections.abc import Iterator
from dataclasses import replace

from bench.errors import UsageError
from bench.plan.case import Case
from bench.plan.planner import comes_of, plan, selected_by
from bench.records.metrics import METRICS
from bench.suite import expression
from bench.suite.schema import Suite


def unanswered(suite: Suite) -> Iterator[str]:
    """Each such question, in the words of a suite's problems."""
    try:
        planned = {profile: plan(suite, "", profile) for profile in suite.profiles}
    except UsageError as error:
        yield f"[measures]: {error}"
        return
    yield from _unseeded(suite, [case for cases in planned.values() for case in cases])
    for key, quantity in suite.quantities.items():
        if quantity.metric is None:
            continue
        found = [selected_by(quantity, cases) for cases in planned.values()]
        if not any(found):
            every = [case for cases in planned.values() for case in cases]
            able = sorted({case.measure_key for case in every if comes_of(case, quantity.metric)})
            where = ", ".join(able) or "none"
            yield f"[quantities.{key}]: no measure would yield it; '{quantity.metric}' comes from: {where}"
        for cases in found:
            differing = {replace(case, seed=None).id: case.name for case in cases}
            if len(differing) > 1:
                several = ", ".join(differing.values())
                yield f"[quantities.{key}]: fits several cases, say which by more keys: {several}"
                break


def _unseeded(suite: Suite, cases: list[Case]) -> Iterator[str]:
    """Checks that ask for several seeds of what is measured without any. Counts depend on the model alone."""
    for key, claim in suite.claims.items():
        for number, check in enumerate(claim.checks):
            if check.min_seeds is None or check.measured is None:
                continue
            used = [suite.quantities[name] for name in expression.names(check.measured) if name in suite.quantities]
            found = {
                case.measure_key: case
                for quantity in used
                if quantity.metric and METRICS[quantity.metric].measure != "static"
                for case in selected_by(quantity, cases)
            }
            where = f"claims.{key}.also.{number - 1}" if number else f"claims.{key}"
            for measure, case in found.items():
                if case.seed is None:
                    mend = f"[measures.{measure}] has no seeds: write `seeds = {check.min_seeds}` there"
                    yield f"[{where}]: min_seeds: {mend}"

"""Questions that no case of a suite answers, or that several answer differently.

Asks only suites whose parts fit; measures nothing.
"""

from collections.abc import Iterator
from dataclasses import replace

from bench.plan.planner import plan, selected_by, yields
from bench.suite.schema import Suite


def unanswered(suite: Suite) -> Iterator[str]:
    """Each such question, in the words of a suite\'s problems."""
    planned = {profile: plan(suite, "", profile) for profile in suite.profiles}
    for key, quantity in suite.quantities.items():
        if quantity.metric is None:
            continue
        found = [selected_by(quantity, cases) for cases in planned.values()]
        if not any(found):
            every = [case for cases in planned.values() for case in cases]
            able = sorted({case.measure_key for case in every if yields(case.measure, quantity.metric)})
            where = ", ".join(able) or "none"
            yield f"[quantities.{key}]: no measure would yield it; '{quantity.metric}' comes from: {where}"
        for cases in found:
            differing = {replace(case, seed=None).id: case.name for case in cases}
            if len(differing) > 1:
                several = ", ".join(differing.values())
                yield f"[quantities.{key}]: fits several cases, say which by more keys: {several}"
                break

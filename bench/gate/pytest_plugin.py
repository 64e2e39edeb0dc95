"""A pytest fixture for a project's own tests: `bench_check("mixer")` fails when that guard's model has changed.

Imports nothing but pytest until a test calls it, and moves no baseline.
"""

import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SUITE = "suites/ci.toml"
MOST_TOLD = 8  # differences that a failed test shows; the command that it ends with shows all


@pytest.fixture
def bench_check(request: pytest.FixtureRequest) -> Callable[..., list[Any]]:
    """A function that checks one guard of a suite as `bench check` does.

    `bench_check(guard, suite="suites/ci.toml", baseline=None, speed=False, device="auto", seed=None)`: paths are
    relative to pytest's root folder; `baseline` is the file beside the suite when not given. The counts, shapes and
    types must equal the committed baseline exactly. Speed is compared with the baseline's commit only when it is asked
    for; what that leaves undecided is a warning. It returns the outcomes.
    """

    def check(
        guard: str,
        suite: str | Path = SUITE,
        *,
        baseline: str | Path | None = None,
        speed: bool = False,
        device: str = "auto",
        seed: int | None = None,
    ) -> list[Any]:
        from bench.errors import BenchError

        root = request.config.rootpath
        try:
            outcomes = _outcomes(guard, root / suite, root / baseline if baseline else None, speed, device, seed)
        except BenchError as error:
            problem = f"bench_check({guard!r}) could not be done: {error}"
        else:
            problem = _judged(guard, outcomes)
        if problem:
            pytest.fail(problem, pytrace=False)
        return outcomes

    return check


def _outcomes(guard: str, suite: Path, baseline: Path | None, speed: bool, device: str, seed: int | None) -> list[Any]:
    from bench.gate import baseline as kept
    from bench.gate import check as gate
    from bench.plan.answers import unanswered
    from bench.suite.read import load

    loaded = load(suite, unanswered)
    keys = gate.select(loaded.suite, [guard])
    accepted = kept.read(baseline or kept.path_of(suite), suite)
    outcomes = gate.static_part(loaded, keys, accepted)
    if speed:
        from bench.execution.conditions import choose_device
        from bench.gate.speed import Wish, speed_part

        drawn = random.SystemRandom().randrange(2**32) if seed is None else seed
        outcomes += speed_part(loaded, keys, accepted, Wish(choose_device(device), drawn))
    return outcomes


def _judged(guard: str, outcomes: list[Any]) -> str:
    """What fails the test, empty when nothing does; what was skipped becomes a warning."""
    for outcome in outcomes:
        if outcome.status == "skipped":
            warnings.warn(pytest.PytestWarning(f"{outcome.name}: {outcome.word}: {outcome.reason}"), stacklevel=3)
    wrong = [outcome for outcome in outcomes if outcome.status in ("failed", "error") or outcome.word == "new"]
    lines = []
    for outcome in wrong:
        told = outcome.details.get("differences") or [outcome.reason]
        more = [f"and {len(told) - MOST_TOLD} more"] if len(told) > MOST_TOLD else []
        again = f"again: {outcome.command}"
        lines += [f"{outcome.name}: {outcome.word}", *(f"  {each}" for each in (*told[:MOST_TOLD], *more, again))]
    return "\n".join([f"bench_check({guard!r})", *lines]) if lines else ""

"""A pytest fixture for a project's own tests: `bench_check("mixer")` fails when that guard's model has changed.

Imports nothing but pytest until a test calls it, and moves no baseline.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.ci.outcome import CiOutcome

SUITE = "suites/ci.toml"
MOST_TOLD = 8  # differences that a failed test shows; the command that it ends with shows all


@pytest.fixture
def bench_check(request: pytest.FixtureRequest) -> "Callable[..., list[CiOutcome]]":
    """bench_check(guard, suite="suites/ci.toml", speed=False): a guard's model is what was accepted, by counts alone.

    `bench_check(guard, suite="suites/ci.toml", baseline=None, speed=False, device="auto", seed=None)`: paths are
    relative to pytest's root folder; `baseline` is the file beside the suite when not given. The counts, shapes and
    types must equal the committed baseline exactly. Speed is compared with the baseline's commit only when it is asked
    for; what that leaves undecided is a warning, and speed that cannot be measured fails. It returns the outcomes.
    """

    def check(
        guard: str,
        suite: str | Path = SUITE,
        *,
        baseline: str | Path | None = None,
        speed: bool = False,
        device: str = "auto",
        seed: int | None = None,
    ) -> "list[CiOutcome]":
        from bench.errors import BenchError
        from bench.gate.check import run
        from bench.gate.wish import CheckWish, drawn

        root = request.config.rootpath
        kept = root / baseline if baseline else None
        wish = CheckWish(kept, speed, device, drawn() if seed is None else seed)
        try:
            # Notes are printed: pytest shows them beside a test that fails.
            outcomes = run(root / suite, [guard], wish, say=lambda note: print(f"note: {note}"))
        except BenchError as error:
            problem = f"bench_check({guard!r}) could not be done: {error}"
        else:
            problem = _judged(guard, outcomes)
        if problem:
            pytest.fail(problem, pytrace=False)
        return outcomes

    return check


def _judged(guard: str, outcomes: "Sequence[CiOutcome]") -> str:
    """What fails the test, empty when nothing does; what was skipped becomes a warning."""
    for outcome in outcomes:
        if outcome.status == "skipped":
            warnings.warn(pytest.PytestWarning(f"{outcome.name}: {outcome.word}: {outcome.reason}"), stacklevel=3)
    wrong = [outcome for outcome in outcomes if outcome.status in ("failed", "error") or outcome.word == "new"]
    lines = []
    for outcome in wrong:
        told = list(outcome.differences) or [outcome.reason]
        more = [f"and {len(told) - MOST_TOLD} more"] if len(told) > MOST_TOLD else []
        again = f"again: {outcome.command}"
        lines += [f"{outcome.name}: {outcome.word}", *(f"  {each}" for each in (*told[:MOST_TOLD], *more, again))]
    return "\n".join([f"bench_check({guard!r})", *lines]) if lines else ""

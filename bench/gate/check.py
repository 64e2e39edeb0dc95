"""The check of a suite's guards: counts exactly, speed beside the baseline's code, as one list of outcomes.

Decides no single comparison itself: what equals what is `facts`' work, what is slower `rule`'s.
"""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from bench.ci.outcome import CiOutcome, OutcomeFigure
from bench.errors import MeasurementError, NothingSelected, SuiteError
from bench.execution.conditions import choose_device
from bench.gate.baseline import Accepted, Baseline, Facts, path_of, read
from bench.gate.facts import case_of, config_of, differences, facts
from bench.gate.origin import foreign
from bench.gate.speed import Wish, not_measured, speed_part
from bench.gate.wish import CheckWish
from bench.git import uncommitted
from bench.plan.answers import unanswered
from bench.suite.guard import Rule
from bench.suite.read import LoadedSuite, load
from bench.suite.schema import Suite

STATIC, SPEED = "static", "speed"
MOST_TOLD, MOST_LISTED = 3, 12  # differences that a reason and a terminal hold; the details hold all

# 1: what was found holds whatever else failed. 3: something could not be measured. 4: only under --strict.
REGRESSION, COULD_NOT_MEASURE, NOT_SURE = 1, 3, 4


def select(suite: Suite, patterns: Sequence[str]) -> list[str]:
    """The guards whose key matches one of the patterns, in the suite's order; all when there is no pattern.

    Raises:
        NothingSelected: the suite has no guards, or none matches.
    """
    if not suite.guards:
        raise NothingSelected(f"suite '{suite.id}' has no guards: [guards.…] says what `bench check` looks at")
    kept = [key for key in suite.guards if not patterns or any(fnmatchcase(key, pattern) for pattern in patterns)]
    if not kept:
        raise NothingSelected(f"no guard matches {' '.join(patterns)}. There are: {', '.join(suite.guards)}")
    return kept


def notes(suite: Suite, baseline: Baseline, dirty: bool | None) -> list[str]:
    """What a reader of the result should know beside it: uncommitted changes, a rule or guards other than accepted."""
    found = ["uncommitted changes: the working tree is checked, not its last commit"] if dirty else []
    for name, value in rule_of(suite).items():
        if value != (accepted := baseline.rule.get(name, value)):
            found.append(f"[rule] {name} is {value}, and {accepted} was accepted")
    gone = [key for key in baseline.models if key not in suite.guards]
    return found + [f"{key} is in the baseline and guarded no more" for key in gone]


def rule_of(suite: Suite) -> dict[str, Any]:
    """The numbers of the suite's rule, the defaults where it has none."""
    return (suite.rule or Rule(why="the defaults")).model_dump(exclude={"why"})


def exit_code(outcomes: Iterable[CiOutcome], strict: bool) -> int:
    """0 when nothing is wrong, 1 for a regression, 3 when something could not be measured, 4 when strict and unsure.

    A regression wins over what could not be measured: it is true whatever else failed, and running the same again,
    which may mend the other, would not mend it.
    """
    seen = {outcome.status for outcome in outcomes}
    if "failed" in seen:
        return REGRESSION
    if "error" in seen:
        return COULD_NOT_MEASURE
    return NOT_SURE if strict and "skipped" in seen else 0


def run(
    suite: Path, only: Sequence[str], wish: CheckWish, *,
    say: Callable[[str], None] = lambda note: None, progress: Callable[[str, int], None] = lambda key, rounds: None,
) -> list[CiOutcome]:  # fmt: skip
    """The outcomes of a suite's guards against its baseline, guard by guard, its counts before its speed.

    Args:
        only: patterns of the guards' keys; none: all.
        say: is told what a reader should know beside the outcomes, as soon as it is known.
        progress: is told of a guard's key and its number of rounds, after each round.

    Raises:
        SuiteError, UsageError: the suite, the baseline file or the wish is wrong.
        NothingSelected: no guard is left to check.
    """
    loaded = _loaded(suite)
    keys = select(loaded.suite, only)
    accepted = read(wish.baseline or path_of(suite), suite)
    for note in notes(loaded.suite, accepted, dirty(suite)):
        say(note)
    outcomes = static_part(loaded, keys, accepted)
    if wish.speed:
        asked = Wish(
            choose_device(wish.device), wish.seed, baseline=wish.baseline, ref=wish.ref, ref_python=wish.ref_python,
            inject_pct=wish.inject_pct, progress=progress, say=say,
        )  # fmt: skip
        outcomes += speed_part(loaded, keys, accepted, asked)
    return sorted(outcomes, key=lambda outcome: keys.index(key_of(outcome)))


def _loaded(suite: Path) -> LoadedSuite:
    try:
        return load(suite, unanswered)
    except SuiteError as error:
        if suite.exists():
            raise
        hint = f"{error}\nanother suite is named: bench check MY.toml, or in a test bench_check(GUARD, suite='MY.toml')"
        raise SuiteError([hint]) from error


def dirty(suite: Path) -> bool | None:
    """Whether the suite's repository has uncommitted changes; None where there is no repository to ask."""
    try:
        return bool(uncommitted(suite.absolute().parent))
    except MeasurementError:
        return None


# The static part


def static_part(loaded: LoadedSuite, keys: Sequence[str], baseline: Baseline) -> list[CiOutcome]:
    """One outcome per guard: what its model is now, against what was accepted.

    Where code of the project is loaded that is not the working tree's, no count says anything: all are errors.
    """
    found = [_static_outcome(loaded, key, baseline.models.get(key)) for key in keys]
    strange = foreign(loaded.path)  # asked last: building the models is what loads their code
    return [_static(loaded, key, "error", "error", f"{key}: {strange}") for key in keys] if strange else found


def _static_outcome(loaded: LoadedSuite, key: str, accepted: Accepted | None) -> CiOutcome:
    case = case_of(loaded.suite, key)
    try:
        now = facts(case)
    except MeasurementError as error:
        return _static(loaded, key, "error", "error", f"{key} {error}")
    if accepted is None:
        return _static(loaded, key, "passed", "new", f"not in the baseline yet: {described(now)}", now)
    found = differences(now, config_of(case), accepted)
    if not found:
        return _static(loaded, key, "passed", "pass", described(now), now)
    more = f"; and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
    reason = f"{key}: {'; '.join(found[:MOST_TOLD])}{more}"
    return _static(loaded, key, "failed", "regression", reason, now, found)


def _static(
    loaded: LoadedSuite, key: str, status: str, word: str, reason: str,
    now: Facts | None = None, found: Sequence[str] = (),
) -> CiOutcome:  # fmt: skip
    guard = loaded.suite.guards[key]
    figures = () if now is None else (
        OutcomeFigure("params", now.params, "parameters"), OutcomeFigure("macs", now.macs_per_image, "macs"),
    )  # fmt: skip
    return CiOutcome(
        loaded.suite.id, f"{key} / {STATIC}", guard.why, status, word, reason,  # type: ignore[arg-type]
        line=not_measured(STATIC, key, reason) if status == "error" else f"static {word.upper()}",
        differences=tuple(found),
        figures=figures,
        file=str(loaded.path),
        command=f"bench check {loaded.path} --only {key} --static-only",
        details={"differences": list(found), "facts": now.model_dump() if now else None},
    )  # fmt: skip


def described(now: Facts) -> str:
    """A model's facts in one line."""
    return (
        f"{now.params:,} parameters, {now.macs_per_image:,} MACs per image, {_by(now.input)} -> {_by(now.output)} "
        f"{now.dtype}"
    )


def _by(shape: Sequence[object]) -> str:
    return " x ".join(str(size) for size in shape)


# What a person reads


def lines(outcomes: Sequence[CiOutcome]) -> list[str]:
    """One line per guard, its parts side by side; below it how one differs from what was accepted."""
    keys = list(dict.fromkeys(key_of(outcome) for outcome in outcomes))
    width = max(map(len, keys), default=0)
    found = []
    for key in keys:
        parts = [outcome for outcome in outcomes if key_of(outcome) == key]
        told = [outcome.line or outcome.reason for outcome in parts]
        if len(parts) == 1 and parts[0].status == "passed":
            told.append(parts[0].reason)
        found.append("  ".join([key.ljust(width), *told]))
        for outcome in parts:
            told_already = outcome.status in ("passed", "error")  # an error's line holds its reason
            below = list(outcome.differences) or ([] if told_already else [outcome.reason])
            more = [f"and {len(below) - MOST_LISTED} more, all of them in --json"] if len(below) > MOST_LISTED else []
            found += [f"{' ' * width}  {each}" for each in [*below[:MOST_LISTED], *more]]
    return found


def key_of(outcome: CiOutcome) -> str:
    """The guard that an outcome is about."""
    return outcome.name.partition(" / ")[0]


def summary(outcomes: Sequence[CiOutcome], code: int) -> str:
    """The last line: how many guards, and what kind of thing was found."""
    count = len({key_of(outcome) for outcome in outcomes})
    failed = [outcome.name for outcome in outcomes if outcome.status == "failed"]
    errors = [outcome.name for outcome in outcomes if outcome.status == "error"]
    unsure = [outcome.name for outcome in outcomes if outcome.status == "skipped"]
    parts = [
        f"{words}: {', '.join(names)}"
        for words, names in (("regression", failed), ("not measured", errors), ("undecided", unsure))
        if names
    ]
    return f"{count} guarded, {'; '.join(parts) or 'no regression'} (exit code {code})"

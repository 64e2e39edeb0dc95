"""The speed part of a check: which code each guard is compared with, and what came of it as outcomes.

Times nothing itself and knows no threshold: `throughput` measures, `bench.regression` decides. Reads no stored speed.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import git
from bench.ci.outcome import Figure, Outcome, Status
from bench.errors import MeasurementError, UsageError
from bench.gate import rule, selftest, trees
from bench.gate.baseline import Baseline
from bench.gate.pairs.compare import Side, Speed, Subject, compare, values
from bench.gate.rule import Change, Limits
from bench.git import relative_to_root
from bench.plan.case import plain
from bench.statistics.intervals import Interval, median
from bench.suite.read import LoadedSuite
from bench.suite.schema import Rule

STATUS: dict[str, Status] = {
    "pass": "passed", "unconfirmed": "passed", "faster": "passed", "regression": "failed", "inconclusive": "skipped",
}  # fmt: skip
# No code to compare with, for a reason that lies in how this copy was made; a missing commit lies in the baseline.
ABSENT = (git.NoGit, git.NotARepository, git.ShallowClone)


@dataclass(frozen=True)
class Wish:
    """How speed is to be compared. `required`: code that cannot be had is an error, not something to skip.

    `progress` is told of a guard's key and its number of rounds after each.
    """

    device: str
    seed: int
    required: bool = False
    ref: str | None = None
    ref_python: Path | None = None
    inject_pct: float = 0.0
    progress: Callable[[str, int], None] = lambda key, rounds: None


def speed_part(loaded: LoadedSuite, keys: Sequence[str], baseline: Baseline, wish: Wish) -> list[Outcome]:
    """One outcome for each of these guards that asks for its speed; those of one commit are measured together.

    Raises:
        UsageError: no such interpreter.
        SuiteError: a rule that no number of rounds can follow.
    """
    guards = loaded.suite.guards
    asked = [key for key in keys if guards[key].throughput]
    limits = rule.limits(loaded.suite.rule or Rule(why="the defaults"), len(asked))
    python = _interpreter(wish.ref_python)
    commits = {key: wish.ref or (baseline.commit_of(key) if key in baseline.models else None) for key in asked}
    found = [
        _outcome(loaded, key, "passed", "new", f"{key}: not in the baseline yet, so there is nothing to compare with")
        for key, commit in commits.items()
        if commit is None
    ]
    for commit in dict.fromkeys(filter(None, commits.values())):
        group = [key for key in asked if commits[key] == commit]
        found += _compared(loaded, group, commit, python, limits, wish)
    return found


def equal_code(
    loaded: LoadedSuite, keys: Sequence[str], commit: str, wish: Wish, checks: Mapping[float, int],
    record: Callable[[selftest.Check], None] | None,
) -> tuple[list[selftest.Check], Limits]:  # fmt: skip
    """Checks of a commit against itself, some of them slowed on purpose: slowdown in percent -> how many of each guard.

    Raises:
        MeasurementError: the commit's code cannot be had, or no check could be measured.
    """
    folder = loaded.path.absolute().parent
    limits = rule.limits(loaded.suite.rule or Rule(why="the defaults"), len(keys))
    subjects = [subject(loaded, key, folder) for key in keys]
    with trees.side_by_side(folder, commit, commit) as sides:
        found = selftest.self_test(
            compare, subjects, Side(sides.baseline), Side(sides.candidate), limits,
            seed=wish.seed, record=record or (lambda check: None), checks=checks, device=wish.device,
            progress=lambda key, rounds, _: wish.progress(key, rounds),
        )  # fmt: skip
    if all(check.failure is not None for check in found):
        raise MeasurementError(f"no check could be measured: {found[0].failure}")
    return found, limits


def _interpreter(path: Path | None) -> str:
    """The program as a path that holds from any folder. A link stays one: it is how a virtual environment is known."""
    if path is None:
        return sys.executable
    found = shutil.which(path)
    if found is None:
        raise UsageError(f"--ref-python: no program {path}")
    return os.path.abspath(found)


def _compared(
    loaded: LoadedSuite, keys: Sequence[str], commit: str, python: str, limits: Limits, wish: Wish
) -> Iterator[Outcome]:
    """The guards of one commit, or for each the reason why its code cannot be run."""
    folder = loaded.path.absolute().parent
    try:
        subjects = [subject(loaded, key, folder) for key in keys]
        with trees.side_by_side(folder, commit) as sides:
            speeds = compare(
                subjects, Side(sides.baseline, python), Side(sides.candidate), limits,
                device=wish.device, seed=wish.seed, inject_pct=wish.inject_pct,
                progress=lambda key, rounds, _: wish.progress(key, rounds),
            )  # fmt: skip
    except MeasurementError as error:
        skipped = isinstance(error, ABSENT) and not wish.required
        word, status = ("skipped", "skipped") if skipped else ("error", "error")
        for key in keys:
            yield _outcome(loaded, key, status, word, f"baseline code not available: {error}")  # type: ignore[arg-type]
        return
    for speed in speeds:
        yield told(loaded, speed, commit, limits, wish)


def subject(loaded: LoadedSuite, key: str, folder: Path) -> Subject:
    """A guard as both trees are to build it. A plug-in file is named relative to the trees' root."""
    guard = loaded.suite.guards[key]
    model = loaded.suite.models[guard.model]
    plugins = [relative_to_root(folder, Path(name)) if name.endswith(".py") else name for name in loaded.suite.plugins]
    return Subject(
        key, model.factory, model.args, model.num_classes, model.image_size, guard.batch_size, guard.threads,
        guard.precision, guard.layout, tuple(plugins),
    )  # fmt: skip


def told(loaded: LoadedSuite, speed: Speed, commit: str, limits: Limits, wish: Wish) -> Outcome:
    """What came of one guard. A model that only the baseline's code lacks is new, and no failure."""
    key = speed.subject.key
    details = {
        "commit": commit, "device": wish.device, "seed": wish.seed, "limits": asdict(limits), "speed": speed.as_json(),
    }  # fmt: skip
    if speed.failure is not None:
        if (speed.failed_side, speed.failed_stage) == ("baseline", "lookup"):
            reason = f"{key}: commit {commit[:12]} has no such model, so there is nothing to compare with"
            return _outcome(loaded, key, "passed", "new", reason, speed=speed, details=details)
        where = {"baseline": f"in the baseline, commit {commit[:12]}", "candidate": "in the working tree"}
        at = where.get(speed.failed_side or "", "on this machine")
        reason = f"{key}: could not be timed {at}: {speed.failure}"
        return _outcome(loaded, key, "error", "error", reason, speed=speed, details=details)
    change = rule.change(values(speed.rounds), values(speed.confirmation), limits)
    details["change"] = asdict(change)
    return _outcome(
        loaded, key, STATUS[change.word], change.word, f"{key}: {change.reason}",
        speed=speed, change=change, details=details,
    )  # fmt: skip


def _outcome(
    loaded: LoadedSuite, key: str, status: Status, word: str, reason: str, *,
    speed: Speed | None = None, change: Change | None = None, details: dict[str, object] | None = None,
) -> Outcome:  # fmt: skip
    return Outcome(
        loaded.suite.id, f"{key} / speed", loaded.suite.guards[key].why, status, word, reason,
        line=change.line if change else f"speed {SHOWN.get(word, word.upper())}",
        figures=tuple(_figures(speed, change)) if speed and change else (),
        file=str(loaded.path),
        command=f"bench check {loaded.path} --only {key} --throughput",
        duration_s=speed.seconds if speed else None,
        details=plain(details or {}),
    )  # fmt: skip


SHOWN = {"error": "NOT MEASURED"}


def _figures(speed: Speed, change: Change) -> Iterator[Figure]:
    """Both changes with their intervals, and the images per second that were seen on the way."""
    for name, seen in (("wall", change.wall), ("cpu", change.cpu)):
        if seen is not None:
            yield _change_figure(name, seen)
    yield Figure("images_per_s", images_per_s(speed), "images/s", better="higher")


def _change_figure(name: str, seen: Interval) -> Figure:
    low, high = (seen.low, seen.high) if seen.bounded else (None, None)
    return Figure(f"{name}_change", seen.point, "%", low, high, better="lower")


def images_per_s(speed: Speed) -> float:
    """What this code reached in the median token of all rounds, on this machine and now."""
    batch = speed.subject.batch_size
    return median(
        [
            batch * record.forwards_per_token / wall_s
            for record in (*speed.rounds, *speed.confirmation)
            for wall_s in record.candidate.wall_s
        ]
    )

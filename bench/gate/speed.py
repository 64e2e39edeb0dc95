"""The speed part of a check: which code each guard is compared with, and what came of it as outcomes.

Times nothing itself and knows no threshold: `pairs` measures, `rule` decides. Reads no stored speed.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from bench.ci.outcome import CiOutcome, OutcomeFigure, Status
from bench.errors import MeasurementError, UsageError
from bench.gate import rule, selftest, trees
from bench.gate.baseline import Baseline, path_of
from bench.gate.basis import Basis, basis
from bench.gate.pairs import layout
from bench.gate.pairs.compare import Side, Speed, Subject, compare, values
from bench.gate.pairs.messages import ForwardCounts
from bench.gate.pairs.rounds import Name
from bench.gate.rule import Change, RuleLimits
from bench.git import full_name, relative_to_root, top_level
from bench.plan.case import plain
from bench.statistics.intervals import Interval, median
from bench.suite.guard import Rule
from bench.suite.read import LoadedSuite

STATUS: dict[str, Status] = {
    "pass": "passed", "unconfirmed": "passed", "faster": "passed", "regression": "failed", "inconclusive": "skipped",
}  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """How speed is to be compared.

    `baseline` is the baseline file, default the one beside the suite. `progress` is told of a guard's key and its
    number of rounds after each, `say` what a reader should know beside the outcomes.
    """

    device: str
    seed: int
    baseline: Path | None = None
    ref: str | None = None
    ref_python: Path | None = None
    inject_pct: float = 0.0
    progress: Callable[[str, int], None] = lambda key, rounds: None
    say: Callable[[str], None] = lambda note: None


def speed_part(loaded: LoadedSuite, keys: Sequence[str], baseline: Baseline, wish: Wish) -> list[CiOutcome]:
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
        found += _compared(loaded, group, commit, baseline, python, limits, wish)
    return found


def equal_code(
    loaded: LoadedSuite, keys: Sequence[str], commit: str, wish: Wish, checks: Mapping[float, int],
    record: Callable[[selftest.SelfTestCheck], None] | None,
) -> tuple[list[selftest.SelfTestCheck], RuleLimits]:  # fmt: skip
    """Checks of a commit against itself, some of them slowed on purpose: slowdown in percent -> how many of each guard.

    Raises:
        MeasurementError: the commit's code cannot be had, or no check could be measured.
    """
    folder = loaded.path.absolute().parent
    limits = rule.limits(loaded.suite.rule or Rule(why="the defaults"), len(keys))
    subjects = [subject(loaded, key, folder) for key in keys]
    root = top_level(folder)
    with trees.side_by_side(folder, commit, commit) as sides:
        found = selftest.self_test(
            compare, subjects, _side(loaded, sides.baseline, root), _side(loaded, sides.candidate, root), limits,
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
    loaded: LoadedSuite,
    keys: Sequence[str],
    commit: str,
    baseline: Baseline,
    python: str,
    limits: RuleLimits,
    wish: Wish,
) -> Iterator[CiOutcome]:
    """The guards of one commit, or for each the reason why its code cannot be run."""
    folder = loaded.path.absolute().parent
    try:
        root = top_level(folder)
        known = Basis(full_name(root, commit)) if wish.ref else _basis(loaded, root, keys[0], baseline, wish)
        if known.note:
            wish.say(known.note)
        subjects = [subject(loaded, key, folder) for key in keys]
        with trees.side_by_side(folder, known.commit) as sides:
            speeds = compare(
                subjects, _side(loaded, sides.baseline, root, python), _side(loaded, sides.candidate, root), limits,
                device=wish.device, seed=wish.seed, inject_pct=wish.inject_pct,
                progress=lambda key, rounds, _: wish.progress(key, rounds),
                refuse=partial(_miscounted, baseline) if known.counts_asked else lambda subject, counts: None,
            )  # fmt: skip
    except MeasurementError as error:
        for key in keys:
            reason = f"{key}: baseline code not available: {error}. Counts alone: --static-only"
            yield _outcome(loaded, key, "error", "error", reason)
        return
    for speed in speeds:
        yield told(loaded, speed, known.commit, limits, wish)


def _basis(loaded: LoadedSuite, root: Path, key: str, baseline: Baseline, wish: Wish) -> Basis:
    return basis(root, baseline.commit_of(key), baseline.tree_of(key), wish.baseline or path_of(loaded.path))


def _side(loaded: LoadedSuite, tree: Path, root: Path, python: str = sys.executable) -> Side:
    return Side(tree, python, layout.of(tree, root, loaded.path))


def subject(loaded: LoadedSuite, key: str, folder: Path) -> Subject:
    """A guard as both trees are to build it. A plug-in file is named relative to the trees' root.

    Raises:
        MeasurementError: a plug-in file lies outside of the repository, which holds no other state of it.
    """
    guard = loaded.suite.guards[key]
    model = loaded.suite.models[guard.model]
    plugins = [relative_to_root(folder, Path(name)) if name.endswith(".py") else name for name in loaded.suite.plugins]
    for name in plugins:
        if Path(name).is_absolute():
            raise MeasurementError(
                f"the plug-in …/{Path(name).name} lies outside of the repository, so its code would be compared with "
                "itself: move it inside"
            )
    return Subject(
        key, model.factory, model.args, model.num_classes, model.image_size, guard.batch_size, guard.threads,
        guard.precision, guard.layout, tuple(plugins),
    )  # fmt: skip


def told(loaded: LoadedSuite, speed: Speed, commit: str, limits: RuleLimits, wish: Wish) -> CiOutcome:
    """What came of one guard. A model that only the baseline's code lacks is new, and no failure."""
    key = speed.subject.key
    details = {
        "commit": commit, "device": wish.device, "seed": wish.seed, "limits": asdict(limits), "speed": speed.as_json(),
    }  # fmt: skip
    if speed.failure is not None:
        if (speed.failed_side, speed.failed_stage) == ("baseline", "lookup"):
            reason = f"{key}: commit {commit[:12]} has no such model, so there is nothing to compare with"
            return _outcome(loaded, key, "passed", "new", reason, speed=speed, details=details)
        return _outcome(
            loaded, key, "error", "error", f"{key}: {_failure(speed, commit)}", speed=speed, details=details
        )
    change = rule.change(values(speed.rounds), values(speed.confirmation), limits)
    details["change"] = asdict(change)
    return _outcome(
        loaded, key, STATUS[change.word], change.word, f"{key}: {change.reason}",
        speed=speed, change=change, details=details,
    )  # fmt: skip


def _failure(speed: Speed, commit: str) -> str:
    where = {"baseline": f"in the baseline, commit {commit[:12]}", "candidate": "in the working tree"}
    if speed.failed_stage == "origin":
        tree = "the baseline's tree" if speed.failed_side == "baseline" else "the copy of the working tree"
        said = (speed.failure or "").removeprefix(f"{speed.failed_side}: ")
        return f"{said}, not from {tree}, so both sides would run the same code"
    if speed.failed_stage == "counts":
        return f"the accepted commit is gone, and {commit[:12]} {speed.failure}: accept a new baseline"
    return f"could not be timed {where.get(speed.failed_side or '', 'on this machine')}: {speed.failure}"


def _miscounted(baseline: Baseline, model: Subject, counts: Mapping[Name, ForwardCounts]) -> str | None:
    """How the model of the baseline's side differs from the accepted one, where it does."""
    there, accepted = counts["baseline"], baseline.models[model.key]
    pairs = (
        ("parameters", there["params"], accepted.params),
        ("trainable parameters", there["trainable"], accepted.trainable),
        ("elements in buffers", there["buffers"], accepted.buffers),
    )
    wrong = [f"has {seen:,} {name}, the baseline {asked:,}" for name, seen, asked in pairs if seen != asked]
    return wrong[0] if wrong else None


def _outcome(
    loaded: LoadedSuite, key: str, status: Status, word: str, reason: str, *,
    speed: Speed | None = None, change: Change | None = None, details: dict[str, object] | None = None,
) -> CiOutcome:  # fmt: skip
    return CiOutcome(
        loaded.suite.id, f"{key} / speed", loaded.suite.guards[key].why, status, word, reason,
        line=change.line if change else not_measured("speed", key, reason) if status == "error" else "speed NEW",
        figures=tuple(_figures(speed, change)) if speed and change else (),
        file=str(loaded.path),
        command=f"bench check {loaded.path} --only {key}",
        duration_s=speed.seconds if speed else None,
        details=plain(details or {}),
    )  # fmt: skip


def not_measured(part: str, key: str, reason: str) -> str:
    """The line of a part of which nothing is known, with the reason in it."""
    return f"{part} NOT MEASURED: {reason.removeprefix(f'{key}: ')}"


def _figures(speed: Speed, change: Change) -> Iterator[OutcomeFigure]:
    """Both changes with their intervals, and the images per second that were seen on the way."""
    for name, seen in (("wall", change.wall), ("cpu", change.cpu)):
        if seen is not None:
            yield _change_figure(name, seen)
    yield OutcomeFigure("images_per_s", images_per_s(speed), "images/s", better="higher")


def _change_figure(name: str, seen: Interval) -> OutcomeFigure:
    low, high = (seen.low, seen.high) if seen.bounded else (None, None)
    return OutcomeFigure(f"{name}_change", seen.point, "%", low, high, better="lower")


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

"""A new baseline from the code that is committed here: the only way in which a baseline moves.

Refuses a tree with uncommitted changes, since a commit must say what was accepted, and measures no speed.
"""

from collections.abc import Iterator, Mapping

from bench.errors import MeasurementError, UsageError, near
from bench.gate.baseline import Accepted, Baseline, LastSeen, noting
from bench.gate.check import rule_of
from bench.gate.facts import case_of, config_of, facts
from bench.gate.origin import foreign
from bench.suite.read import LoadedSuite


def accept(
    loaded: LoadedSuite, old: Baseline | None, *, commit: str, today: str, reason: str, tree: str | None = None,
    model: str | None = None,
    seen: Mapping[str, LastSeen] | None = None,
) -> Baseline:  # fmt: skip
    """The baseline with what all guarded models are now, or only `model`, which then carries its own commit.

    Args:
        old: the baseline that stands; None where there is none.
        commit: the full id of the commit that is checked out.
        tree: the name of its tree.
        today: the date that the file shows, as 2026-11-21.
        seen: speeds to note beside the models, for people.

    Raises:
        UsageError: no such guard, or one model alone where there is no baseline yet.
        MeasurementError: a model does not build, or its code is not the working tree's.
    """
    if not reason.strip():
        raise UsageError("--reason is empty: it tells a reviewer why the baseline moves")
    if model is None:
        models = {key: _accepted(loaded, key, seen) for key in loaded.suite.guards}
        _of_the_working_tree(loaded)
        return Baseline(
            schema=1, baseline_commit=commit, baseline_tree=tree, updated=today, reason=reason,
            rule=rule_of(loaded.suite), models=models,
        )  # fmt: skip
    if model not in loaded.suite.guards:
        raise UsageError(f"--model: no guard '{model}'.{near(model, list(loaded.suite.guards))}")
    if old is None:
        raise UsageError("--model: there is no baseline yet to which one model could be added. Leave it out")
    moved = {"commit": commit, "tree": tree, "updated": today, "reason": reason}
    own = _accepted(loaded, model, seen).model_copy(update=moved)
    _of_the_working_tree(loaded)
    order = [key for key in (*loaded.suite.guards, *old.models) if key in old.models or key == model]
    return old.model_copy(update={"models": {key: own if key == model else old.models[key] for key in order}})


def _accepted(loaded: LoadedSuite, key: str, seen: Mapping[str, LastSeen] | None) -> Accepted:
    case = case_of(loaded.suite, key)
    try:
        now = facts(case)
    except MeasurementError as error:
        raise MeasurementError(f"{key} {error}. The baseline stays as it is") from error
    return noting(Accepted(**dict(now), config=config_of(case)), (seen or {}).get(key))


def _of_the_working_tree(loaded: LoadedSuite) -> None:
    """Raise MeasurementError where the models that were counted are not those of the commit."""
    if strange := foreign(loaded.path):
        raise MeasurementError(f"{strange}. The baseline stays as it is")


def changes(old: Baseline | None, new: Baseline) -> Iterator[str]:
    """Old and new values, one line for everything that moved."""
    before = old.models if old else {}
    for name, value in new.rule.items() if old else ():
        if value != (was := old.rule.get(name) if old else None):
            yield f"[rule]  {name}  {_shown(was)} -> {_shown(value)}"
    for key, model in new.models.items():
        if (commit := new.commit_of(key)) != (there := old.commit_of(key) if old and key in before else None):
            yield f"{key}  commit  {there[:12] if there else 'none'} -> {commit[:12]}"
        for name in ("params", "trainable", "buffers", "macs_per_image", "input", "output", "dtype", "counter"):
            value, was = getattr(model, name), getattr(before[key], name) if key in before else None
            if value != was:
                yield f"{key}  {name}  {_shown(was)} -> {_shown(value)}"
    for key in before:
        if key not in new.models:
            yield f"{key}  guarded no more"


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else str(value)

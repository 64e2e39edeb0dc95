"""`bench check`: the guards' counts and speed, told to people and to CI.

Decides nothing: the gate does.
"""

import os
import secrets
import sys
from pathlib import Path
from typing import Any

import click

from bench import files
from bench.commands.loading import load
from bench.errors import UsageError

COULD_NOT_MEASURE = 3


# The gate


def check(
    suite: Path, *, baseline: Path | None, only: tuple[str, ...], static_only: bool, throughput: bool, **speed: Any
) -> list[Any]:
    """The outcomes of a suite's guards against its baseline; what a reader should know beside them is said first."""
    from bench.gate import baseline as kept
    from bench.gate import check as gate

    if static_only and throughput:
        raise UsageError("--static-only and --throughput: one leaves speed out, the other asks for it")
    (loaded,) = load([suite])
    keys = gate.select(loaded.suite, only)
    accepted = kept.read(baseline or kept.path_of(suite), suite)
    for note in gate.notes(loaded.suite, accepted, dirty(suite)):
        click.echo(f"note: {note}", err=True)
    outcomes = gate.static_part(loaded, keys, accepted)
    if not static_only:
        outcomes += timed(loaded, keys, accepted, required=throughput, **speed)
    return sorted(outcomes, key=lambda outcome: keys.index(gate.key_of(outcome)))


def timed(
    loaded: Any, keys: list[str], accepted: Any, *, device: str, seed: int | None, required: bool, ref: str | None,
    **options: Any,
) -> list[Any]:  # fmt: skip
    """The outcomes of the guards' speed. A commit that was asked for by name has to be there."""
    from bench.commands import terminal
    from bench.execution.conditions import choose_device
    from bench.gate.speed import Wish, speed_part

    seed = secrets.randbelow(2**32) if seed is None else seed
    with terminal.say.status("starting") as status:
        wish = Wish(
            choose_device(device), seed, required=required or ref is not None, ref=ref,
            progress=lambda key, rounds: status.update(f"{key}: {rounds} rounds"), **options,
        )  # fmt: skip
        return speed_part(loaded, keys, accepted, wish)


def self_test(
    suite: Path, times: int, inject_pct: float, *, baseline: Path | None, only: tuple[str, ...], device: str,
    seed: int | None, ref: str | None, record: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Check equal code so often, and code that is slowed on purpose, and say what a check can see here."""
    import json

    from bench.commands import terminal
    from bench.execution.conditions import choose_device
    from bench.gate import baseline as kept
    from bench.gate import check as gate
    from bench.gate import selftest
    from bench.gate.speed import Wish, equal_code

    (loaded,) = load([suite])
    keys = gate.select(loaded.suite, only)
    commit = ref or kept.read(baseline or kept.path_of(suite), suite).baseline_commit
    seed = secrets.randbelow(2**32) if seed is None else seed
    half = max(1, times // 2)
    checks = {0.0: times} | dict.fromkeys([inject_pct] if inject_pct else [3.0, 5.0, 10.0], half)
    with terminal.say.status("starting") as status:
        wish = Wish(choose_device(device), seed, progress=lambda key, rounds: status.update(f"{key}: {rounds} rounds"))
        found, limits = equal_code(loaded, keys, commit, wish, checks, selftest.appending(record) if record else None)
    told = selftest.summary(found, limits, seed=seed)
    click.echo("\n".join(selftest.lines(told)), err=as_json)
    if as_json:
        click.echo(json.dumps({"summary": told.as_json(), "checks": [each.as_json() for each in found]}))
    return COULD_NOT_MEASURE if told.failures else 0


def noise() -> Any:
    """What `bench check` could see on this machine now, as a finding of the doctor; takes about 12 seconds."""
    import bench
    from bench.commands import terminal
    from bench.execution.doctor import Finding
    from bench.gate import selftest
    from bench.gate.pairs.compare import Side, compare
    from bench.gate.rule import limits
    from bench.suite.schema import Rule

    here = Side(Path(bench.__file__).parent.parent)
    with terminal.say.status("timing pairs of equal processes"):
        rule = limits(Rule(why="the defaults"), 1)
        found = selftest.brief(compare, here, rule, seed=secrets.randbelow(2**32))
    steady = found.least_caught_pct is not None and found.least_caught_pct <= 5
    return Finding("gate", "good" if steady else "noisy", found.says)


def dirty(suite: Path) -> bool | None:
    """Whether the suite's repository has uncommitted changes; None where there is no repository to ask."""
    from bench.errors import MeasurementError
    from bench.git import uncommitted

    try:
        return bool(uncommitted(suite.absolute().parent))
    except MeasurementError:
        return None


def tell(outcomes: list[Any], *, strict: bool, as_json: bool, github: bool, files: dict[str, Path | None]) -> int:
    """Lines for people, then every form that was asked for; the exit code."""
    from bench.ci import as_json as json_form
    from bench.ci import badge, benchmark_action, junit
    from bench.ci.github import publish
    from bench.gate import check as gate

    code = gate.exit_code(outcomes, strict)
    for line in [*gate.lines(outcomes), gate.summary(outcomes, code)]:
        click.echo(line, err=as_json)
    if as_json:
        click.echo(json_form.render(outcomes, {"exit_code": code, "environment": this_machine()}), nl=False)
    forms = {"junit": junit.render, "benchmark_json": benchmark_action.render, "badge": badge.render}
    for form, path in files.items():
        if path is not None:
            write(path, forms[form](outcomes))
    publish(outcomes, {**os.environ, "GITHUB_ACTIONS": "true"} if github else os.environ, sys.stderr)
    return code


def this_machine() -> dict[str, Any]:
    """What a reader of a check has to know about where it ran: no host name, no user name, no path."""
    from bench import git, machine

    state = git.code_state(Path(__file__).parents[1])
    return {
        "cpu": machine.cpu_model(), "cores": machine.cores(), "os": machine.os_name(), "load": machine.load(),
        "packages": machine.packages(), "bench_commit": state.commit, "bench_dirty": state.dirty,
    }  # fmt: skip


def write(path: Path, text: str) -> None:
    """A file that was asked for, its folder made where it is missing. Raises StoreError."""
    files.write_text(path, text)

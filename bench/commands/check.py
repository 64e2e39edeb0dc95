"""`bench check`: the guards' counts and speed, told to people and to CI.

Decides nothing: the gate does.
"""

import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench import files
from bench.commands.loading import load
from bench.gate.wish import CheckWish, SelfTestWish

if TYPE_CHECKING:
    from rich.status import Status

    from bench.ci.outcome import CiOutcome
    from bench.execution.doctor import Finding

COULD_NOT_MEASURE = 3


# The gate


def check(suite: Path, only: Sequence[str], wish: CheckWish) -> "list[CiOutcome]":
    """The outcomes of a suite's guards against its baseline; what there is to know beside them is said on the way."""
    from bench.gate import check as gate

    def say(note: str) -> None:
        click.echo(f"note: {note}", err=True)

    if not wish.speed:
        return gate.run(suite, only, wish, say=say)
    with timing() as status:
        return gate.run(
            suite, only, wish, say=say, progress=lambda key, rounds: status.update(f"{key}: {rounds} rounds")
        )


@contextmanager
def timing() -> "Iterator[Status]":
    """A line that says how far the rounds are, and goes away at the end."""
    from bench.commands import terminal

    with terminal.say.status("starting") as status:
        yield status


def self_test(suite: Path, only: Sequence[str], wish: CheckWish, asked: SelfTestWish, *, as_json: bool) -> int:
    """Check equal code so often, and code that is slowed on purpose, and say what a check can see here."""
    import json

    from bench.execution.conditions import choose_device
    from bench.gate import baseline as kept
    from bench.gate import check as gate
    from bench.gate import selftest
    from bench.gate.speed import Wish, equal_code

    (loaded,) = load([suite])
    keys = gate.select(loaded.suite, only)
    commit = wish.ref or kept.read(wish.baseline or kept.path_of(suite), suite).baseline_commit
    half = max(1, asked.times // 2)
    slowed = [asked.slowed_pct] if asked.slowed_pct else [3.0, 5.0, 10.0]
    checks = {0.0: asked.times} | dict.fromkeys(slowed, half)
    record = selftest.appending(asked.record) if asked.record else None
    with timing() as status:
        how = Wish(
            choose_device(wish.device), wish.seed, progress=lambda key, rounds: status.update(f"{key}: {rounds} rounds")
        )
        found, limits = equal_code(loaded, keys, commit, how, checks, record)
    told = selftest.summary(found, limits, seed=wish.seed)
    click.echo("\n".join(selftest.lines(told)), err=as_json)
    if as_json:
        click.echo(json.dumps({"summary": told.as_json(), "checks": [each.as_json() for each in found]}))
    return COULD_NOT_MEASURE if told.failures else 0


def noise() -> "Finding":
    """What `bench check` could see on this machine now, as a finding of the doctor; takes about 12 seconds."""
    import bench
    from bench.commands import terminal
    from bench.execution.doctor import Finding
    from bench.gate import selftest
    from bench.gate.pairs.compare import Side, compare
    from bench.gate.rule import limits
    from bench.suite.guard import Rule

    here = Side(Path(bench.__file__).parent.parent)
    with terminal.say.status("timing pairs of equal processes"):
        rule = limits(Rule(why="the defaults"), 1)
        found = selftest.brief(compare, here, rule, seed=secrets.randbelow(2**32))
    steady = found.least_caught_pct is not None and found.least_caught_pct <= 5
    return Finding("gate", "good" if steady else "noisy", found.says)


def tell(
    outcomes: "Sequence[CiOutcome]", *, strict: bool, as_json: bool, github: bool, files: Mapping[str, Path | None]
) -> int:
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


def this_machine() -> dict[str, object]:
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

"""What the commands do, step by step: load, plan, measure, store, judge, summarise.

Calls both wings and lets them meet only through rows; imports each inside the step that needs it, so that a light
command stays light.
"""

import os
import secrets
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from bench.errors import BenchError, NothingJudged, NothingSelected, StoreError, UsageError

COULD_NOT_MEASURE = 3


def load(paths: tuple[Path, ...] | list[Path]) -> list[Any]:
    """The suites of these files, or every problem in them."""
    from bench.suitefile import load_all

    return load_all(list(paths))


def known_suites() -> list[Path]:
    """The suite files in `suites/`."""
    found = sorted(Path("suites").glob("*.toml"))
    if not found:
        raise NothingSelected("no suite named, and none in the folder 'suites' here")
    return found


def suites_with_rows(store: str) -> list[Any]:
    """The suites of `suites/` that claim something and have rows in a store; all that claim something when none has."""
    from bench.store import Store

    found = claiming(load(known_suites()))
    known = Store(store).suites()
    return [each for each in found if each.suite.id in known] or found


def claiming(loaded: list[Any]) -> list[Any]:
    """The suites that claim something: one of guards alone has nothing to report."""
    found = [each for each in loaded if each.suite.claims]
    if not found:
        raise NothingSelected("nothing to report: no suite here claims anything. Guards are for `bench check`")
    return found


def measured(loaded: list[Any], *, store: str, dry_run: bool, force: bool, **options: Any) -> bool:
    """Plan, measure and store; whether every case got its values (absent data is no failure)."""
    from bench import console
    from bench.store import Store

    opened = Store(store)
    context, environment = conditions(options["device"], options["threads"], options["data"], opened.scratch_dir)
    cases = planned(loaded, context.device, options["profile"], options["seeds"], options["only"])
    here = (environment.device_name, environment.threads)
    done = {} if force else opened.finished(cases, *here, environment.torch)
    console.show_plan(cases, done, *here)
    todo = [case for case in cases if case.id not in done]
    return dry_run or not todo or stored(todo, context, environment, opened)


def conditions(device: str, threads: int | None, data: Path | None, scratch: Path | None) -> tuple[Any, Any]:
    """Fix what can be fixed before anything is measured: what measures are given, and the record of it."""
    from bench.context import Context
    from bench.environment import choose_device, fix_conditions, record
    from bench.execute import new_run
    from bench.machine import cores

    context = Context(choose_device(device), threads or cores(), data, scratch)
    fix_conditions(context.device, context.threads)
    run_id, started_at = new_run()
    return context, record(run_id, started_at, context, " ".join(["bench", *sys.argv[1:]]))


def planned(loaded: list[Any], device: str, profile: str | None, seeds: int | None, only: tuple[str, ...]) -> list[Any]:
    """The selected cases of all suites, a question that several ask only once."""
    from bench.plan import plan, select

    cases = [case for each in loaded for case in plan(each.suite, each.sha256, profile, device, seeds)]
    if not cases:
        raise NothingSelected("nothing to measure here. A suite of guards alone is for `bench check`")
    return select(list({case.id: case for case in reversed(cases)}.values())[::-1], only)


def stored(cases: list[Any], context: Any, environment: Any, store: Any) -> bool:
    """Measure the cases one by one and append the rows of each as soon as it ends."""
    from dataclasses import replace

    from bench import progress
    from bench.execute import execute

    store.append_environment(environment)
    complete = True
    with progress.following(cases, context.threads) as follower:
        for outcome in execute(follower.announcing(cases), replace(context, progress=follower.step), environment):
            store.append(outcome.rows)
            context.forget(outcome.case.id)
            follower.end(outcome)
            complete = complete and not outcome.failed
    return complete


def rows_of(store: str) -> tuple[Any, Any]:
    """Every row and every environment of the store."""
    from bench.store import Store

    opened = Store(store)
    return opened.load(), opened.environments()


def judged(loaded: list[Any], rows: Any) -> list[Any]:
    """The verdicts on all claims of the suites."""
    from bench.verdicts import judge

    return [verdict for each in loaded for verdict in judge(each.suite, each.sha256, rows, suite_path=str(each.path))]


def summarise(loaded: list[Any], verdicts: list[Any], rows: Any, environments: Any) -> None:
    """The tiles and findings, on standard output."""
    from bench.report import build, terminal_summary

    click.echo(terminal_summary(build(loaded, verdicts, rows, environments)))


def exit_code(verdicts: list[Any], strict: bool) -> int:
    """0 when all judged claims hold, 1 when one is contradicted, 4 under --strict when none was judged."""
    from bench import verdicts as judging

    code = judging.exit_code(verdicts)
    if strict and not judging.judged_any(verdicts):
        raise NothingJudged("no claim could be judged: no comparable rows. `bench report` says why for each")
    return code


# The gate


def check(
    suite: Path, *, baseline: Path | None, only: tuple[str, ...], static_only: bool, throughput: bool, **speed: Any
) -> list[Any]:
    """The outcomes of a suite's guards against its baseline; what a reader should know beside them is said first."""
    from bench import baseline as kept
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
    from bench import console
    from bench.environment import choose_device
    from bench.gate.speed import Wish, speed_part

    seed = secrets.randbelow(2**32) if seed is None else seed
    with console.say.status("starting") as status:
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

    from bench import baseline as kept
    from bench import console
    from bench.environment import choose_device
    from bench.gate import check as gate
    from bench.gate import selftest
    from bench.gate.speed import Wish, equal_code

    (loaded,) = load([suite])
    keys = gate.select(loaded.suite, only)
    commit = ref or kept.read(baseline or kept.path_of(suite), suite).baseline_commit
    seed = secrets.randbelow(2**32) if seed is None else seed
    half = max(1, times // 2)
    checks = {0.0: times} | dict.fromkeys([inject_pct] if inject_pct else [3.0, 5.0, 10.0], half)
    with console.say.status("starting") as status:
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
    from bench import console
    from bench.environment import Finding
    from bench.gate import selftest
    from bench.gate.throughput import Side, compare
    from bench.regression import limits
    from bench.spec import Rule

    here = Side(Path(bench.__file__).parent.parent)
    with console.say.status("timing pairs of equal processes"):
        rule = limits(Rule(why="the defaults"), 1)
        found = selftest.brief(compare, here, rule, seed=secrets.randbelow(2**32))
    steady = found.least_caught_pct is not None and found.least_caught_pct <= 5
    return Finding("gate", "good" if steady else "noisy", found.says)


def dirty(suite: Path) -> bool | None:
    """Whether the suite's repository has uncommitted changes; None where there is no repository to ask."""
    from bench.errors import MeasurementError
    from bench.gate.repository import uncommitted

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
    from bench import machine

    state = machine.code_state(Path(__file__).parent)
    return {
        "cpu": machine.cpu_model(), "cores": machine.cores(), "os": machine.os_name(), "load": machine.load(),
        "packages": machine.packages(), "bench_commit": state.commit, "bench_dirty": state.dirty,
    }  # fmt: skip


def write(path: Path, text: str) -> None:
    """A file that was asked for, its folder made where it is missing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


@contextmanager
def a_bug_is_no_finding() -> Iterator[None]:
    """End with 3 where Python would end with 1: a check that broke has found nothing. The traceback is printed."""
    broke = True
    try:
        yield
        broke = False
    except (BenchError, click.ClickException, click.exceptions.Exit, click.Abort, SystemExit, KeyboardInterrupt):
        broke = False
        raise
    finally:
        if broke:
            traceback.print_exc()
            raise SystemExit(COULD_NOT_MEASURE)


# The baseline


def accept(suite: Path, file: Path | None, reason: str, model: str | None, seen: Path | None, today: str) -> None:
    """Make what is committed here the baseline, and print what moved."""
    from bench import baseline as kept
    from bench.gate import accept as gate
    from bench.gate.repository import head, uncommitted

    (loaded,) = load([suite])
    path, folder = file or kept.path_of(suite), suite.absolute().parent
    commit = head(folder)
    if changed := uncommitted(folder, apart_from=path):
        shown = ", ".join(changed[:5]) + (", …" if len(changed) > 5 else "")
        raise UsageError(f"a baseline is a commit, and there are uncommitted changes: {shown}. Commit them first")
    old = kept.read(path, suite) if path.exists() else None
    speeds = kept.seen_in(seen) if seen else None
    new = gate.accept(loaded, old, commit=commit, today=today, reason=reason, model=model, seen=speeds)
    kept.write(new, path)
    for line in gate.changes(old, new):
        click.echo(line)
    click.echo(f"{path} is written; commit it alone, so that it is reviewed like code", err=True)


def show_baseline(suite: Path, file: Path | None, as_json: bool) -> None:
    """The baseline as a table: what was accepted, when and why; a speed only with the words that it is not compared."""
    from bench import baseline as kept
    from bench.console import table

    path = file or kept.path_of(suite)
    accepted = kept.read(path, suite)
    if as_json:
        click.echo(kept.render(accepted), nl=False)
        return
    click.echo(f"{path}: commit {accepted.baseline_commit[:12]}, {accepted.updated}: {accepted.reason}", err=True)
    table(kept.rows(accepted), as_json=False)

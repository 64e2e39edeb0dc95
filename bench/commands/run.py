"""`bench run`: plan, measure, store, judge, summarise.

Calls both wings and lets them meet only through rows.
"""

import sys
from pathlib import Path
from typing import Any

import click

from bench.errors import NothingJudged, NothingSelected


def measured(loaded: list[Any], *, store: str, dry_run: bool, force: bool, **options: Any) -> bool:
    """Plan, measure and store; whether every case got its values (absent data is no failure)."""
    from bench.commands import terminal
    from bench.store import Store

    opened = Store(store)
    context, environment = conditions(options["device"], options["threads"], options["data"], opened.scratch_dir)
    cases = planned(loaded, context.device, options["profile"], options["seeds"], options["only"])
    here = (environment.device_name, environment.threads)
    done = {} if force else opened.finished(cases, *here, environment.torch)
    terminal.show_plan(cases, done, *here)
    todo = [case for case in cases if case.id not in done]
    return dry_run or not todo or stored(todo, context, environment, opened)


def conditions(device: str, threads: int | None, data: Path | None, scratch: Path | None) -> tuple[Any, Any]:
    """Fix what can be fixed before anything is measured: what measures are given, and the record of it."""
    from bench.execution.conditions import choose_device, fix_conditions, record
    from bench.execution.context import Context
    from bench.execution.executor import new_run
    from bench.machine import cores

    context = Context(choose_device(device), threads or cores(), data, scratch)
    fix_conditions(context.device, context.threads)
    run_id, started_at = new_run()
    return context, record(run_id, started_at, context, " ".join(["bench", *sys.argv[1:]]))


def planned(loaded: list[Any], device: str, profile: str | None, seeds: int | None, only: tuple[str, ...]) -> list[Any]:
    """The selected cases of all suites, a question that several ask only once."""
    from bench.plan.planner import plan, select

    cases = [case for each in loaded for case in plan(each.suite, each.sha256, profile, device, seeds)]
    if not cases:
        raise NothingSelected("nothing to measure here. A suite of guards alone is for `bench check`")
    return select(list({case.id: case for case in reversed(cases)}.values())[::-1], only)


def stored(cases: list[Any], context: Any, environment: Any, store: Any) -> bool:
    """Measure the cases one by one and append the rows of each as soon as it ends."""
    from dataclasses import replace

    from bench.commands import bars
    from bench.execution.executor import execute

    store.append_environment(environment)
    complete = True
    with bars.following(cases, context.threads) as follower:
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

"""`bench run`: plan, measure, store, judge, summarise.

Calls both wings and lets them meet only through rows.
"""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from bench.errors import NothingJudged, NothingSelected


def measured(loaded: list[Any], *, store: str, dry_run: bool, force: bool, **options: Any) -> bool:
    """Plan, measure and store; whether every case got its values (absent data is no failure)."""
    from bench.commands import loading, provenance, terminal
    from bench.data import present
    from bench.registry import load_plugins
    from bench.store import Store

    opened = Store(store)
    code = loading.today(loaded, store)
    context, environment = conditions(
        options["device"], options["threads"], options["data"], opened.scratch_dir, provenance.of_suites(loaded)
    )
    cases = planned(loaded, code, context.device, options["profile"], options["seeds"], options["only"])
    here = (environment.device_name, environment.threads)
    known = partial(present.sha256, data_dir=context.data_dir, read=not dry_run)
    done, again = opened.standing(cases, *here, environment.torch, code, known)
    done, again = ({}, {}) if force else (done, again)
    terminal.show_plan(cases, done, *here, again=again)
    todo = [case for case in cases if case.id not in done]
    if dry_run or not todo:
        return True
    for each in loaded:
        load_plugins(each.suite.plugins, each.path.parent)  # only here does a stranger's code run
    opened.append_code(found for case in todo if (found := code[case.suite].of(case)))
    return stored(todo, context, environment, opened)


def conditions(
    device: str, threads: int | None, data: Path | None, scratch: Path | None, suites: Any = None
) -> tuple[Any, Any]:
    """Fix what can be fixed before anything is measured: what measures are given, and the record of it.

    Args:
        suites: the git state of the suites' repository, a `CodeState`.
    """
    from bench.execution.conditions import choose_device, fix_conditions, record
    from bench.execution.context import Context
    from bench.execution.executor import new_run
    from bench.machine import cores

    context = Context(choose_device(device), threads or cores(), data, scratch)
    fix_conditions(context.device, context.threads)
    run_id, started_at = new_run()
    environment = record(run_id, started_at, context, " ".join(["bench", *sys.argv[1:]]), suites)
    if environment.git_note and environment.git_note != getattr(suites, "note", None):
        click.echo(f"bench: the commit of bench is not recorded: {environment.git_note}", err=True)
    return context, environment


def planned(
    loaded: list[Any], code: Any, device: str, profile: str | None, seeds: int | None, only: tuple[str, ...]
) -> list[Any]:
    """The selected cases of all suites with the code behind them, a question that several ask only once."""
    from bench.plan.planner import plan, select

    cases = [case for each in loaded for case in plan(each.suite, each.sha256, profile, device, seeds)]
    cases = [
        replace(case, code_sha256=found.sha256 if (found := code[case.suite].of(case)) else None) for case in cases
    ]
    if not cases:
        raise NothingSelected("nothing to measure here. A suite of guards alone is for `bench check`")
    return select(list({case.id: case for case in reversed(cases)}.values())[::-1], only)


def stored(cases: list[Any], context: Any, environment: Any, store: Any) -> bool:
    """Measure the cases one by one and append the rows of each as soon as it ends."""
    from bench.commands import bars
    from bench.data import present
    from bench.execution.executor import execute

    store.append_environment(environment)
    complete = True
    with bars.following(cases, context.threads) as follower:
        for outcome in execute(follower.announcing(cases), replace(context, progress=follower.step), environment):
            store.append(outcome.rows)
            present.learn(outcome.case, outcome.rows, context.data_dir)
            context.forget(outcome.case.id)
            follower.end(outcome)
            complete = complete and not outcome.failed
    return complete


def rows_of(store: str) -> tuple[Any, Any]:
    """Every row and every environment of the store."""
    from bench.store import Store

    opened = Store(store)
    rows, environments = opened.load(), opened.environments()
    torches = environments.set_index("run_id")["torch"]
    return rows.assign(torch=rows["torch"].fillna(rows["run_id"].map(torches))), environments


def judged(loaded: list[Any], rows: Any, today: Any) -> list[Any]:
    """The verdicts on all claims of the suites, by today's code of each."""
    from bench.verdicts import judge

    return [
        verdict
        for each in loaded
        for verdict in judge(each.suite, each.sha256, rows, suite_path=str(each.path), today=today[each.suite.id])
    ]


def shown(loaded: list[Any], rows: Any, today: Any) -> Any:
    """The rows that figures may show: none that other code than today's made."""
    from bench.verdicts import current

    for each in loaded:
        rows = current(each.suite, each.sha256, rows, today[each.suite.id])
    return rows


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

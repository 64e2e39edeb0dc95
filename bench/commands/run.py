"""`bench run`: plan, measure, store, judge, summarise.

Calls both wings and lets them meet only through rows.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from bench.commands.wish import RunWish
from bench.errors import NothingJudged, NothingSelected
from bench.plan.case import Case
from bench.plan.staleness import Today
from bench.suite.read import LoadedSuite

if TYPE_CHECKING:
    from bench.execution.executor import Executor, Outcome
    from bench.execution.workers import Workers
    from bench.git import CodeState
    from bench.records.measurement import Environment
    from bench.report.provenance import Places
    from bench.store import Store
    from bench.store.store import Rows
    from bench.verdicts import Verdict
    from bench.verdicts.machines import Here


def measured(loaded: Sequence[LoadedSuite], wish: RunWish) -> "tuple[bool, Here | None]":
    """Plan, measure and store; whether every case got its values (absent data is no failure), and on which machine.

    There is no such machine where several had a part in it.
    """
    from bench.execution.signals import ending_cleanly
    from bench.execution.workers import starting

    if wish.until:
        from bench.commands import until

        until.refused(loaded, wish)
    with ending_cleanly(), ExitStack() as ending:
        workers = None if wish.in_process or wish.on else ending.enter_context(closing(starting()))
        from bench.commands import loading, provenance, terminal  # in this time, the workers' imports go on
        from bench.store import Store

        store, code, suites = Store(wish.store), loading.today(loaded, wish.store), provenance.of_suites(loaded)
        chosen = executor(loaded, wish, store, suites, code, workers, ending)
        ending.callback(chosen.close)
        note_of_bench(chosen, suites)
        cases = planned(loaded, code, chosen.environment.device, wish)
        done, again = standing(cases, chosen, store, code, wish)
        traced([case for case in cases if case.id not in done])
        terminal.show_plan(cases, done, chosen.environment.device_name, chosen.environment.threads, again=again)
        todo = [case for case in cases if case.id not in done]
        terminal.say_lines(chosen.foretell(todo))
        if wish.until:

            def now() -> "list[Verdict]":
                here = machine_of([chosen.environment])
                return judged(loaded, rows_of(wish.store)[0], loading.today(loaded, wish.store), here=here)

            if wish.dry_run:
                for line in until.forecast(until.asks(loaded, todo, now(), wish), chosen.environment.threads):
                    terminal.say.print(line, soft_wrap=True, markup=False)
        if wish.dry_run or not todo:
            return True, machine_of([chosen.environment])
        if wish.in_process:
            imported(loaded)
        store.append_code(found for case in todo if (found := code[case.suite].of(case)))
        measure = partial(stored, chosen=chosen, store=store, code=code, wish=wish)
        if not wish.until:
            return measure(todo)
        ended = until.measured(loaded, todo, now, measure, wish)
        heres = {here for _, here in ended} or {machine_of([chosen.environment])}
        return all(complete for complete, _ in ended), heres.pop() if len(heres) == 1 else None


def executor(
    loaded: Sequence[LoadedSuite], wish: RunWish, store: "Store", suites: "CodeState", code: Mapping[str, Today],
    workers: "Workers | None", ending: ExitStack,
) -> "Executor":  # fmt: skip
    """What measures: a process per case here, this process, or the nodes of a cluster. Nobody else knows which."""
    if wish.on:
        from bench.commands import many

        return many.cluster(loaded, wish, store, suites, code, ending)
    if workers is None:
        return in_process(loaded, wish, store, suites)
    return processes(loaded, wish, store, suites, workers)


def traced(cases: Sequence[Case]) -> None:
    """Trace the models of long trainings, unless an earlier run has: what the plan says of their length needs it."""
    from bench.plan.forecast import untraced

    if missing := untraced(cases):
        from bench.prediction import asking

        asking.keep(missing)


def imported(loaded: Sequence[LoadedSuite]) -> None:
    """Run the plug-ins of the suites here; a worker runs those of its case."""
    from bench.registry import load_plugins

    for each in loaded:
        load_plugins(each.suite.plugins, each.path.parent)


def note_of_bench(chosen: "Executor", suites: "CodeState") -> None:
    """Say aloud why git would not tell the commit of bench itself."""
    note = chosen.environment.git_note
    if note and note != suites.note:
        click.echo(f"bench: the commit of bench is not recorded: {note}", err=True)


def processes(
    loaded: Sequence[LoadedSuite], wish: RunWish, store: "Store", suites: "CodeState", workers: "Workers"
) -> "Executor":
    """A process per case, within the limits that were asked for."""
    from bench.execution.limits import Limits
    from bench.execution.messages import Recording
    from bench.execution.outcome import new_run
    from bench.execution.process_executor import ProcessExecutor

    command = ["bench", *sys.argv[1:]]
    asked = Recording(*new_run(), command, wish.device, wish.threads, suites, wish.machine_name)
    plugins = {each.suite.id: [(name, str(each.path.parent)) for name in each.suite.plugins] for each in loaded}
    limits = Limits(wish.jobs, wish.time_limit_s)
    if wish.memory_limit_bytes is not None:
        limits.memory_bytes = wish.memory_limit_bytes
    return ProcessExecutor(workers, asked, (wish.data, store.scratch_dir), plugins, limits)


def in_process(loaded: Sequence[LoadedSuite], wish: RunWish, store: "Store", suites: "CodeState") -> "Executor":
    """Fix the conditions of this process, and measure in it."""
    from bench.execution.conditions import choose_device, fix_conditions, record
    from bench.execution.context import Context
    from bench.execution.executor import InProcess, new_run
    from bench.execution.locks import locks_in
    from bench.machine import cores
    from bench.source import tracing

    context = Context(choose_device(wish.device), wish.threads or cores(), wish.data, store.scratch_dir)
    fix_conditions(context.device, context.threads)
    environment = record(*new_run(), context, ["bench", *sys.argv[1:]], suites, wish.machine_name)
    traces = {
        each.suite.id: tracing.of(each.suite.plugins, each.path.parent, [wish.data, context.folder])
        for each in loaded
        if each.suite.plugins
    }
    return InProcess(context, environment, locks_in(store.scratch_dir), traces)


def planned(loaded: Sequence[LoadedSuite], code: Mapping[str, Today], device: str, wish: RunWish) -> list[Case]:
    """The selected cases of all suites with the code behind them, a question that several ask only once."""
    from bench.plan.planner import plan, select

    cases = [
        replace(case, beside=str(each.path.parent.resolve()) if case.measure == "command" else None)
        for each in loaded
        for case in plan(each.suite, each.sha256, wish.profile, device, wish.seeds)
    ]
    cases = [
        replace(case, code_sha256=found.sha256 if (found := code[case.suite].of(case)) else None) for case in cases
    ]
    if not cases and not any(each.suite.claims for each in loaded):
        raise NothingSelected("nothing to measure here. A suite of guards alone is for `bench check`")
    if not cases and not (wish.only or wish.exclude):
        return []  # claims that arithmetic decides are judged like any other
    return select(list({case.id: case for case in reversed(cases)}.values())[::-1], wish.only, wish.exclude)


def standing(
    cases: Sequence[Case], chosen: "Executor", store: "Store", code: Mapping[str, Today], wish: RunWish
) -> tuple[dict[str, str], dict[str, str]]:
    """The cases that are finished, id -> when; and of the others those that were measured, id -> why again."""
    from bench.data import present

    if wish.force:
        return {}, {}
    known = partial(present.sha256, data_dir=wish.data, read=not wish.dry_run)
    return stands(cases, chosen, store, code, known)


def stands(
    cases: Sequence[Case],
    chosen: "Executor",
    store: "Store",
    code: Mapping[str, Today],
    data: Callable[[Case], str | None] = lambda case: None,
) -> tuple[dict[str, str], dict[str, str]]:
    """As `standing`, whatever was wished: a case is finished that is so under one of the conditions it may meet."""
    asked: dict[tuple[tuple[str, int, str], tuple[str | None, str | None]], list[Case]] = {}
    for case in cases:
        for here in chosen.environments(case):
            conditions = (here.device_name, here.threads, here.torch), (here.machine, here.machine_name)
            asked.setdefault(conditions, []).append(case)
    found = [store.standing(those, *here, code, data, [machine]) for (here, machine), those in asked.items()]
    done = {key: when for each, _ in found for key, when in each.items()}
    return done, {key: why for _, each in found for key, why in each.items() if key not in done}


def machine_of(environments: "Iterable[Environment]") -> "Here | None":
    """The machine that these environments are of, where it is one and known."""
    from bench.verdicts.machines import Here

    found = {(each.machine, each.machine_name) for each in environments}
    (machine, name), *others = found
    return None if others or machine is None else Here(machine, name)


def stored(
    cases: Sequence[Case], chosen: "Executor", store: "Store", code: Mapping[str, Today], wish: RunWish
) -> "tuple[bool, Here | None]":
    """Measure the cases and append the rows of each as soon as it ends."""
    from bench.commands import bars
    from bench.data import present
    from bench.execution.context import Context

    met: dict[str | None, Environment] = {}  # the environments of this run that are in the store, by their ids
    context, complete = Context(scratch_dir=store.scratch_dir), True
    with bars.following(cases, chosen.environment.threads) as follower:
        for ended in chosen.execute(cases, follower, wanted(chosen, store, code)):
            outcome = with_reads(ended, store, code)
            environment = outcome.environment or chosen.environment
            if environment.environment_id not in met:
                store.append_environment(environment)
                met[environment.environment_id] = environment
            store.append(outcome.rows)
            if not outcome.elsewhere:
                present.learn(outcome.case, outcome.rows, wish.data)
            if outcome.complete:  # otherwise the next run goes on with what is kept
                context.forget(outcome.case.id)
            follower.end(outcome)
            complete = complete and not outcome.failed
    return complete, machine_of(met.values() or [chosen.environment])


def with_reads(outcome: "Outcome", store: "Store", code: Mapping[str, Today]) -> "Outcome":
    """The outcome, its rows with the fingerprint that also holds what the case was seen to read; the store has it."""
    found = code[outcome.case.suite].with_reads(outcome.case, outcome.reads) if outcome.reads else None
    if found is None or found.sha256 == outcome.case.code_sha256:
        return outcome
    store.append_code([found])
    return replace(outcome, rows=[replace(row, code_sha256=found.sha256) for row in outcome.rows])


def wanted(chosen: "Executor", store: "Store", code: Mapping[str, Today]) -> Callable[[Case], bool]:
    """Whether a case that another run had in hand meanwhile has still no values."""
    return lambda case: not stands([case], chosen, store, code)[0]


def rows_of(store: str) -> "tuple[Rows, Rows]":
    """Every row and every environment of the store."""
    from bench.store import Store

    opened = Store(store)
    return opened.with_conditions(opened.load()), opened.environments()


def judged(
    loaded: Sequence[LoadedSuite],
    rows: "Rows",
    today: Mapping[str, Today],
    places: "Places | None" = None,
    here: "Here | None" = None,
) -> "list[Verdict]":
    """The verdicts on all claims of the suites, by today's code of each.

    Args:
        places: those of store and data, for the commands in the verdicts.
        here: the machine whose clocks decide; without one, the strongest verdict of all.
    """
    from bench.report.provenance import suite_file
    from bench.verdicts import judge

    more = places.of_run() if places else ()
    return [
        verdict
        for each in loaded
        for verdict in judge(
            each.suite,
            each.sha256,
            rows,
            suite_path=suite_file(each),
            today=today[each.suite.id],
            options=more,
            here=here,
        )
    ]


def shown(loaded: Sequence[LoadedSuite], rows: "Rows", today: Mapping[str, Today]) -> "Rows":
    """The rows that figures may show: none that other code than today's made."""
    from bench.verdicts import current

    for each in loaded:
        rows = current(each.suite, each.sha256, rows, today[each.suite.id])
    return rows


def summarise(
    loaded: Sequence[LoadedSuite],
    verdicts: "Sequence[Verdict]",
    rows: "Rows",
    environments: "Rows",
    places: "Places | None" = None,
) -> None:
    """The tiles and findings, on standard output."""
    from bench.report import build, terminal_summary

    click.echo(terminal_summary(build(list(loaded), list(verdicts), rows, environments, places=places)))


def exit_code(verdicts: "Sequence[Verdict]", strict: bool) -> int:
    """0 when all judged claims hold, 1 when one is contradicted, 4 under --strict when none was judged."""
    from bench import verdicts as judging

    code: int = judging.exit_code(list(verdicts))
    if strict and not judging.judged_any(list(verdicts)):
        raise NothingJudged("no claim could be judged: no comparable rows. `bench report` says why for each")
    return code

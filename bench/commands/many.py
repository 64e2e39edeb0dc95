"""`bench run --on`: a run on the nodes of a cluster, chosen in the place of one on this machine.

Measures nothing; what is said here of nodes goes to standard error alone, and into no row.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands import terminal
from bench.commands.wish import RunWish
from bench.errors import UsageError
from bench.execution.cluster.session import Session, address_of
from bench.plan.case import Case
from bench.plan.named_hardware import named
from bench.plan.staleness import Today
from bench.suite.read import LoadedSuite

if TYPE_CHECKING:
    from bench.execution.cluster.node import Settings
    from bench.execution.cluster.nodes import Counted, Kind
    from bench.execution.cluster.ray_executor import RayExecutor
    from bench.git import CodeState
    from bench.store import Store

_PLUGINS_ALONE = "cpu"  # the files that cases need are the same on any device


def cluster(
    loaded: Sequence[LoadedSuite],
    wish: RunWish,
    store: "Store",
    suites: "CodeState",
    code: Mapping[str, Today],
    ending: ExitStack,
) -> "RayExecutor":
    """The executor of a cluster whose nodes have said their conditions.

    Args:
        ending: what is opened here is closed with it.

    Raises:
        UsageError: Ray is not there, nobody answers, or no node can run such a case.
        MeasurementError: no node can measure at all.
    """
    from bench.commands.run import planned
    from bench.data import present
    from bench.execution.cluster import nodes, travel
    from bench.execution.cluster.ray_executor import RayExecutor

    if wish.in_process:
        raise UsageError("--in-process and --on: one measures in this process, the other on the nodes of a cluster")
    address = address_of(str(wish.on))
    travelling = None
    if address is not None:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="bench-travel-")))
        files = {path for each in loaded for path in _files(each, planned([each], code, _PLUGINS_ALONE, wish), code)}
        travelling = travel.packed(folder, files)
    with ExitStack() as failing:
        session = Session(address, travelling)
        failing.callback(session.close)
        found = nodes.counted(session.ray)
        settings = _settings(loaded, wish, store, suites, found, travels=travelling is not None, ending=ending)
        names = nodes.Names()
        able, problems = nodes.surveyed(session.ray, found, settings, names)
        for problem in problems:
            click.echo(f"bench: {problem}; nothing is sent there", err=True)
        cases = planned(loaded, code, able[0].environment.device, wish)
        wanted = {key: value for each in loaded for key, value in named(each.suite, cases).items()}
        chosen = RayExecutor(
            session,
            able,
            names,
            settings,
            hardware=lambda case: list(wanted.get(case.id, ())),
            parts=lambda case: parts.parts if (parts := code[case.suite].of(case)) else (),
            data=lambda case: present.sha256(case, wish.data, read=False),
        )
        failing.pop_all()
    _tell(chosen.kinds, wanted)
    return chosen


def _files(loaded: LoadedSuite, cases: Sequence[Case], code: Mapping[str, Today]) -> list[Path]:
    return [loaded.path, *code[loaded.suite.id].files(cases)]


def _settings(
    loaded: Sequence[LoadedSuite], wish: RunWish, store: "Store", suites: "CodeState", found: "Sequence[Counted]",
    *, travels: bool, ending: ExitStack,
) -> "Settings":  # fmt: skip
    from bench.execution.cluster import nodes, travel
    from bench.execution.cluster.node import Settings
    from bench.execution.messages import Recording
    from bench.execution.outcome import new_run
    from bench.remote import as_variables

    device, threads = nodes.device_and_threads(found, wish.device, wish.threads, wish.jobs)
    run_id, started_at = new_run()
    name = None if travels else wish.machine_name  # several machines do not have one name
    asked = Recording(run_id, started_at, ["bench", *sys.argv[1:]], device, threads, suites, name)
    plugins = {
        each.suite.id: [(name, str(each.path.parent.absolute())) for name in each.suite.plugins or [""] if name]
        for each in loaded
    }
    here = store.scratch_dir
    scratch = here.absolute() if isinstance(here, Path) and not wish.dry_run else None
    return Settings(
        asked,
        plugins,
        data=None if wish.data is None else str(wish.data.absolute()),
        scratch=None if scratch is None else str(scratch),
        token=_token(scratch, run_id, ending) if scratch is not None else "",
        kept=(str(wish.store), as_variables(store.options)) if "://" in wish.store and not wish.dry_run else None,
        time_limit_s=wish.time_limit_s,
        memory_limit_bytes=wish.memory_limit_bytes,
        home=str(Path.cwd()) if travels else None,
        code=travel.code_columns(suites) if travels else None,
    )


def _token(scratch: Path, run_id: str, ending: ExitStack) -> str:
    """A file by which a node sees that its folder is this one."""
    token = scratch / f"shared-{run_id}"
    scratch.mkdir(parents=True, exist_ok=True)
    token.touch()
    ending.callback(token.unlink, missing_ok=True)
    return token.name


def _tell(kinds: "Sequence[Kind]", wanted: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """The nodes by kind, and the hardware that claims name and nobody has."""
    from bench.execution.cluster.demand import is_named

    for kind in kinds:
        there = kind.environment
        cards = f", {kind.nodes[0].counted.gpus} cards" if kind.nodes[0].counted.gpus else ""
        many = f"{len(kind.nodes)} node{'s' * (len(kind.nodes) > 1)}"
        terminal.say_lines([f"{many} of {there.device_name}, {kind.cpus} processors{cards}, torch {there.torch}"])
    missing: dict[str, list[str]] = {}
    for patterns in wanted.values():
        for pattern, claims in patterns.items():
            if not any(is_named(kind, pattern) for kind in kinds):
                missing.setdefault(pattern, []).extend(key for key in claims if key not in missing.get(pattern, ()))
    for pattern, claims in missing.items():
        click.echo(
            f"bench: no node has the hardware {pattern} of {', '.join(claims)}: no speed will count there", err=True
        )

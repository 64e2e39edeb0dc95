"""Somebody else's code as a case: run its command, keep its log, and read its numbers where the suite says.

Measures nothing inside it: what the command writes is taken at its word, only its seconds are ours.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine
from bench.errors import DataAbsent, MeasurementError
from bench.execution.context import Context, Progress
from bench.measures.instruments import foreign_home, foreign_run
from bench.measures.instruments.foreign_results import NotThere, Results
from bench.plan.case import Case
from bench.records.measurement import Reading
from bench.registry import measures
from bench.suite.command import SECONDS, size

TAIL_LINES, TAIL_CHARACTERS = 30, 4_000  # of a log, on its row
_ERROR_LINES = 8


@measures.register("command")
def command(
    case: Case,
    context: Context,
    *,
    run: Sequence[str],
    read: Mapping[str, Mapping[str, Any]],
    sources: Sequence[str | Mapping[str, str]] = (),
    environment: str | None = None,
    needs: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
) -> Iterator[Reading]:
    """Run the command and yield its seconds, then what is read of each metric.

    Its log goes to the folder `logs` of the store; its last lines are the detail of `command_s`. A command that ends
    with another code than 0 is one reading without a value, whose reason ends with the last lines of its errors.

    Raises:
        DataAbsent: it needs data, and there is none.
        MeasurementError: its environment or its sources cannot be made, or there is no such program.
    """
    if lacking := _lacking(needs or {}, context):
        yield Reading(SECONDS, None, status="skipped", reason=lacking)
        return
    beside = Path(case.beside or ".").resolve()
    with _folder(case, context) as folder:
        out = folder / "out"
        out.mkdir()
        python = foreign_home.python(beside / environment, context.folder) if environment else None
        home = foreign_home.checkout(sources, beside, folder / "code", context.folder) or beside
        words = _told(run, case, context, out, values or {})
        log = _log(case, context, folder)
        context.progress(Progress(0, 1, note="running"))
        begun = datetime.now(UTC).timestamp()
        start, clock = context.clock(), context.clock
        ended = foreign_run.run(words, home, foreign_run.surroundings(context, python), log)
        seconds = clock() - start
        detail = _detail(log, context)
        if ended.code != 0:
            yield Reading(SECONDS, None, status="failed", reason=_failure(ended, context), detail=detail)
            return
        yield Reading(SECONDS, seconds, detail=detail)
        results = Results(out, home, log, begun)
        for metric, where in read.items():
            try:
                yield from results.readings(metric, where)
            except NotThere as error:
                yield Reading(metric, None, status="failed", reason=str(error))


def _lacking(needs: Mapping[str, Any], context: Context) -> str | None:
    """What is needed and not here."""
    device, memory, data = needs.get("device"), needs.get("memory"), needs.get("data", ())
    if device is not None and device != context.device:
        return f"needs a {device} device, and this run is on {context.device}"
    if memory is not None and size(memory) > machine.usable_bytes() > 0:
        return f"needs {memory} of memory, and {machine.usable_bytes() / 2**30:.1f} GiB may be used here"
    if data and context.data_dir is None:
        return f"needs data ({', '.join(data)}): say where with --data DIR"
    for name in data:
        assert context.data_dir is not None
        if not (context.data_dir / name).exists():
            return f"needs '{name}' in the folder of --data, and it is not there"
    return None


@contextmanager
def _folder(case: Case, context: Context) -> Iterator[Path]:
    """An empty folder of the case's own."""
    if context.folder is None:
        with tempfile.TemporaryDirectory(prefix="bench-command-") as name:
            yield Path(name)
        return
    folder = (context.folder / case.id / "command").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder


def _told(run: Sequence[str], case: Case, context: Context, out: Path, values: Mapping[str, Any]) -> list[str]:
    """The words of the command with everything filled in."""
    known = {**values, "out": out, "device": context.device, "threads": context.threads}
    for name in ("seed", "dataset", "batch_size", "image_size"):
        if (value := getattr(case, name)) is not None:
            known[name] = value
    if context.data_dir is not None:
        known["data"] = context.data_dir.resolve()
    shown = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in known.items()}
    try:
        return [part.format_map(shown) for part in run]
    except KeyError as error:
        (name,) = error.args
        if name == "data":
            raise DataAbsent("the command reads data: say where with --data DIR") from error
        raise MeasurementError(f"the command asks for {{{name}}}, and this case has none") from error


def _log(case: Case, context: Context, folder: Path) -> Path:
    """Where the log is kept: in the store, and where there is no folder, for as long as the case runs."""
    if context.folder is None:
        return folder / "log"
    kept = context.folder.parent / "logs"
    kept.mkdir(parents=True, exist_ok=True)
    return kept.resolve() / f"{case.id}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.log"


def _detail(log: Path, context: Context) -> str:
    """The log's name in the store and its last lines, without paths."""
    lines = foreign_run.last_lines(foreign_run.tail_of(log), TAIL_LINES)
    tail = "\n".join(_plain(line, context) for line in lines)[-TAIL_CHARACTERS:]
    return json.dumps({"log": f"logs/{log.name}", "tail": tail}, ensure_ascii=False)


def _failure(ended: foreign_run.RunEnd, context: Context) -> str:
    how = f"ended with exit code {ended.code}" if ended.code > 0 else f"died by signal {-ended.code}"
    lines = foreign_run.last_lines(ended.errors or ended.printed, _ERROR_LINES)
    return f"the command {how}" + (f": {' | '.join(_plain(line.strip(), context) for line in lines)}" if lines else "")


def _plain(line: str, context: Context) -> str:
    return machine.sentence_without_paths(line, context.data_dir).encode(errors="replace").decode()

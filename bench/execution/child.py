"""A worker: one process, one question. It fixes its conditions, measures, and says what it finds as it finds it.

Stores nothing and knows no limit: the run that started it does. Started by `workers`, as a fork or anew.
"""

import faulthandler
import importlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import torch  # for the forks of a server: imported once, here

from bench import machine
from bench.errors import BenchError, MeasurementError, UsageError
from bench.execution import messages
from bench.execution.conditions import choose_device, fix_conditions, record
from bench.execution.context import Context, Progress
from bench.execution.executor import Stop, pathless, stream
from bench.execution.messages import Imported, Job, Recording
from bench.execution.outcome import without_value
from bench.execution.processes import as_line
from bench.execution.server import Pipe, die_with_parent, preloadable, serve
from bench.records.measurement import Reading
from bench.records.metrics import METRICS, declare
from bench.registry import load_plugin
from bench.source import tracing

assert torch

TELLING_S = 0.25  # between two words on progress: who listens takes a little time from a core
_BUILT_IN = frozenset(METRICS)


def main() -> None:
    """Be one worker, or serve forks of one. Never returns: a worker ends with its answer."""
    if "--serve" in sys.argv:
        with suppress(ImportError):  # what torch imports when it is told to be deterministic, which takes seconds
            importlib.import_module("torch._inductor.config")
        control = socket.socket(fileno=os.dup(0))
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        reader, writer = serve(control)
    else:
        reader, writer = _own_pipe()
    faulthandler.enable(all_threads=False)
    _killed_before_others()
    for stream_ in (sys.stdout, sys.stderr):
        if hasattr(stream_, "reconfigure"):
            stream_.reconfigure(line_buffering=True, errors="backslashreplace")
    answer(reader, writer)
    for stream_ in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream_.flush()
    os._exit(0)  # nothing is worth tearing down


def answer(reader: BinaryIO, writer: BinaryIO) -> None:
    """Answer the one question that comes through the pipe."""
    global _speaker
    _speaker = os.getpid()
    asked = messages.question(reader.readline())
    threading.Thread(target=_end_with, args=(reader,), daemon=True).start()
    if isinstance(asked, Recording):
        _say(writer, _conditions(asked))
        return
    try:
        _measure(asked, writer)
    except KeyboardInterrupt as error:  # a measure raised it: a terminal reaches no worker
        reason = f"{type(error).__name__}: {error}".removesuffix(": ")
        _say(writer, messages.answered(Stop(without_value(asked.case, "failed", reason))))


def _own_pipe() -> Pipe:
    """Standard input and output; what a model prints goes to standard error instead."""
    die_with_parent(os.getppid())
    writer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return sys.stdin.buffer, writer


def _conditions(asked: Recording) -> bytes:
    try:
        context = Context(choose_device(asked.device), asked.threads or machine.cores())
        fix_conditions(context.device, context.threads)
        about = (asked.run_id, asked.started_at, context, asked.command, asked.suites, asked.machine_name)
        return messages.recorded(record(*about))
    except UsageError as error:
        return as_line({"refused": str(error)})


def _measure(job: Job, writer: BinaryIO) -> None:
    case, around = job.case, job.surroundings
    told: set[str] = set()
    before = set(sys.modules)
    context = Context(
        device=around.device,
        threads=around.threads,
        data_dir=around.data,
        scratch_dir=around.scratch,
        progress=Telling(writer),
        turn=job.turn,
    )
    trace = traced(job.plugins, context)
    context = replace(context, read=trace.digest) if trace else context
    try:
        for each in job.metrics:
            declare(each)
        for name, beside in job.plugins:
            load_plugin(name, Path(beside))
        fix_conditions(around.device, around.threads)
    except BaseException as error:  # a plug-in is code that may end in any way
        reason = pathless(
            f"{type(error).__name__}: {error}" if not isinstance(error, BenchError) else str(error), context
        )
        _say(writer, messages.answered(Stop(without_value(case, "failed", reason))))
        return
    for item in stream(case, context, through=(KeyboardInterrupt,)):
        for read in trace.fresh() if trace else ():
            _say(writer, messages.answered(read))
        if isinstance(item, Stop):
            fresh = [name for name in sys.modules if name not in before and preloadable(name)]
            _say(writer, messages.answered(Imported(fresh)))
        if isinstance(item, Reading) and (metric := messages.unknown_to_others(item, _BUILT_IN, told)):
            _say(writer, messages.answered(metric))
        _say(writer, messages.answered(item))


def traced(plugins: Sequence[tuple[str, str]], context: Context) -> tracing.Trace | None:
    """What listens to the files that the project of these plug-ins reads; nothing where there are none."""
    if not plugins:
        return None
    return tracing.of([name for name, _ in plugins], Path(plugins[0][1]), [context.data_dir, context.folder])


class Telling:
    """Progress to the run: each new epoch, and otherwise a few words a second."""

    def __init__(self, writer: BinaryIO):
        self._writer = writer
        self._last, self._epoch = -TELLING_S, -1

    def __call__(self, progress: Progress) -> None:
        """Say it, unless something was said a moment ago."""
        now, epoch = time.perf_counter(), progress.newest_epoch or 0
        if epoch == self._epoch and now - self._last < TELLING_S:
            return
        self._last, self._epoch = now, epoch
        _say(self._writer, messages.answered(progress))


_speaker: int | None = None  # the process that was asked


def _say(writer: BinaryIO, line: bytes) -> None:
    """Say it to the run. A copy that a model has forked and that came this far, like the one that was asked, ends."""
    if _speaker not in (None, os.getpid()):
        os._exit(0)
    try:
        writer.write(line)
        writer.flush()
    except OSError as error:
        raise MeasurementError("the run is gone") from error


def _end_with(reader: BinaryIO) -> None:
    """End when the run hangs up: nothing else comes through the pipe."""
    with suppress(OSError, ValueError):
        reader.read()
    with suppress(OSError, AttributeError):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _killed_before_others() -> None:
    """When memory runs out, the system ends this process and not the run that will tell of it (Linux)."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")

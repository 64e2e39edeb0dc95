"""One side of the gate's stopwatch: builds a tree's model and times its forward passes, token by token, on request.

Run as a file by `processes.py` and imported by nobody: so both trees are timed by these lines, whatever lines they
bring. Compares nothing, and takes nothing from its own package but the files `own_tree.py` and `parameters.py`, which
need no other, and, for a tree without one, the registry of models.

It speaks JSON, one object per line. First comes a job; then, for every `{"forwards": n}`, the seconds of one token: n
forward passes. `worker.py` alone is one worker on its standard streams. `worker.py --serve` forks a worker for every
pipe that it is handed: torch is imported once, and what is forked has run nothing yet.
"""

import gc
import importlib
import importlib.util
import json
import math
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import torch

if TYPE_CHECKING:
    from bench.gate.pairs.messages import ForwardCounts, PairJob, Ready, Token
    from bench.gate.pairs.own_tree import OwnTree

try:
    import resource
except ImportError:  # Windows counts no page faults
    resource = None  # type: ignore[assignment]

Call = Callable[[], object]
Times = tuple[float, float | None]  # wall and CPU seconds; no CPU seconds on CUDA

BENCH = Path(__file__).resolve().parents[2]  # the package that this file came with
REGISTRY = Path("bench", "registry.py")
PADDING = "BENCH_PADDING"
LEAST_WARM_UPS, MOST_WARM_UPS, STEADY_FAULTS = 3, 10, 16
SHORTEST_TOKEN_S = 0.02
PAGE_BYTES, MOST_RESERVED_BYTES = 4096, 2**29
# A processor clock that ticks slower than this (Windows: 16 ms) cannot tell two tokens apart.
COARSEST_CPU_CLOCK_S = 1e-4
MOST_REASON = 2000  # characters of an error that are passed on


def from_file(path: Path) -> ModuleType:
    """A file of the package that this one came with, which is on no path, as a module."""
    found = importlib.util.spec_from_file_location(f"bench_worker_{path.stem}", path)
    assert found is not None, path
    assert found.loader is not None, path
    module = sys.modules[found.name] = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


own_tree: Any = from_file(Path(__file__).with_name("own_tree.py"))
parameters: Any = from_file(BENCH / "measures" / "instruments" / "parameters.py")
stage = "start"  # what is being done, for the reason of a failure


def main() -> None:
    """Be one worker, or serve forks of one. The worker never returns: it ends with its pipe."""
    reader, writer = forked_pipe() if "--serve" in sys.argv else own_pipe()
    sys.excepthook = lambda kind, error, trace: refuse(writer, kind, error, trace)
    work(reader, writer)
    os._exit(0)  # nothing is worth tearing down


def own_pipe() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output; what a model prints goes to standard error instead."""
    writer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return sys.stdin.buffer, writer


def forked_pipe() -> tuple[BinaryIO, BinaryIO]:
    """Serve on the socket that is standard input. Returns in every fork, with the fork's own pipe to the tool.

    A message with a descriptor asks for a worker on it, `{"end": pid, "grace_s": seconds}` for the end of one.
    """
    control = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    gc.freeze()  # a collection in a worker does not touch, and so copy, what all of them share
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 4096, 1)
        if not message:
            os._exit(0)
        if not descriptors:
            control.sendall(line({"code": ended(**json.loads(message))}))
            continue
        child = os.fork()
        if child == 0:
            control.close()
            pipe = socket.socket(fileno=descriptors[0])
            return pipe.makefile("rb"), pipe.makefile("wb")
        os.close(descriptors[0])
        control.sendall(line({"pid": child, "threads": threads_now()}))


def ended(end: int, grace_s: float) -> int:
    """The exit code of a fork, which is killed unless it ends by itself within `grace_s`.

    It is reaped here and nowhere else: until the tool asks, its process id cannot come to mean another process.
    """
    until = time.monotonic() + grace_s
    while grace_s and time.monotonic() < until:
        pid, status = os.waitpid(end, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(end, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(end, 0)[1])


def refuse(writer: BinaryIO, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tell the tool what went wrong at which stage, leave the traceback on standard error, and end."""
    sys.__excepthook__(kind, error, trace)
    sys.stderr.flush()
    # The registry imports a model's file when it is asked for it: only its own words mean that there is no such model.
    at = "build" if stage == "lookup" and kind.__name__ != "UsageError" else stage
    reason = f"{kind.__name__}: {error}"
    if isinstance(error, own_tree.FromElsewhere):
        at, reason = "origin", str(error)
    answer(writer, {"failed": at, "reason": f"{reason}{own_tree.not_in_git(error, own)}"[:MOST_REASON]})
    os._exit(1)


own: "OwnTree | None" = None  # finds what the tree brings; None for a tree that is no state of a repository


def work(reader: BinaryIO, writer: BinaryIO) -> None:
    """Build and warm up what the job asks for, then time tokens until the tool closes the pipe."""
    global stage
    getattr(os, "register_at_fork", dict)(after_in_child=writer.close)  # a model's copy of itself has nothing to say
    job: PairJob = json.loads(reader.readline())
    # Moves everything that follows by a random number of bytes: above all what is free in the heap now.
    padding = bytearray(2**20 + len(os.environ.setdefault(PADDING, "." * job["padding_bytes"])))
    placed = on_cores(job["cores"])
    fix_conditions(job["threads"])
    before = None if job["build_only"] else set(sys.modules)
    call, counts = forward(job)
    refuse_strangers(job, before)
    stage = "forward"
    timed = timer(job["device"], job["inject_pct"])
    before = set(sys.modules)
    gc.collect()
    gc.disable()
    with torch.inference_mode():
        faults, forward_s = ([], 0.0) if job["build_only"] else warm_up(call, timed)
        refuse_strangers(job, before)  # what a first forward imports
        ready: Ready = {
            "warm_up_faults": faults, "forward_s": forward_s, "torch": torch.__version__, "cores": placed,
            "counts": counts,
        }  # fmt: skip
        answer(writer, ready)
        while asked := reader.readline():
            answer(writer, token(call, json.loads(asked)["forwards"], timed))
    del padding


def on_cores(asked: list[int]) -> list[int]:
    """Stay on these cores, and say which they are; with none, or where that is forbidden, the system places us: none.

    Threads inherit the cores of the one that starts them, so this comes before torch starts any.
    """
    try:
        if asked:
            os.sched_setaffinity(0, asked)
    except OSError:  # a sandbox that does not let a process choose, or a core that went away
        return []
    return asked


def fix_conditions(threads: int) -> None:
    """Seeds, threads, and float32 that means float32, as a run of the bench has them."""
    random.seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")


def forward(job: "PairJob") -> tuple[Call, "ForwardCounts"]:
    """One inference call of the tree's model on a batch of noise that already lies on the device, and what it has."""
    global stage, own
    tree, origin = Path(job["tree"]), job["origin"]
    if origin is not None:
        own = own_tree.prefer(tree, Path(origin["repository"]), origin["roots"], origin["named"])
    else:
        sys.path[:0] = [str(tree)]
    os.chdir(tree)
    stage = "plug-ins"
    registry = registry_of(tree)
    for plugin in job["plugins"]:
        registry.load_plugin(plugin, tree)
    stage = "lookup"
    factory = registry.models.get(job["factory"])
    stage = "build"
    _, colon, tail = job["factory"].partition(":")
    sizes = {"num_classes": job["num_classes"], "image_size": job["image_size"]}
    model = factory(*([tail] if colon else []), **sizes, **job["args"])
    precision = getattr(torch, job["precision"])
    placed: dict[str, Any] = {
        "device": job["device"],
        "memory_format": torch.channels_last if job["layout"] == "channels_last" else torch.contiguous_format,
    }
    counts = counted(model, job["image_size"])
    model = parameters.cast(model, precision).to(**placed).eval()
    shape = (job["batch_size"], 3, job["image_size"], job["image_size"])
    batch = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype=precision, **placed)
    return lambda: model(batch), counts


def counted(model: torch.nn.Module, image_size: int) -> "ForwardCounts":
    """Its parameters and the elements of its buffers. Lazy layers see an image first, which gives them their sizes."""
    if any(map(torch.nn.parameter.is_lazy, (*model.parameters(), *model.buffers()))):
        with torch.no_grad():
            model.eval()(torch.zeros(1, 3, image_size, image_size))
    return {
        "params": parameters.real_numbers(model.parameters()),
        "trainable": parameters.real_numbers(each for each in model.parameters() if each.requires_grad),
        "buffers": parameters.real_numbers(model.buffers()),
    }


def refuse_strangers(job: "PairJob", before: set[str] | None) -> None:
    """Raise FromElsewhere where code of the project is loaded that is not this tree's. `before`: what was looked at."""
    if own is not None and job["origin"] is not None:
        spared = None if (Path(job["tree"]) / REGISTRY).is_file() else BENCH
        repository, name = Path(job["origin"]["repository"]), job["origin"]["name"]
        own_tree.refuse(own, repository, name, spared=spared, since=before)


def registry_of(tree: Path) -> Any:
    """The tree's own `bench.registry`; where it brings none, the one that this file came with."""
    if not (tree / REGISTRY).is_file():
        found = importlib.util.spec_from_file_location(
            "bench", BENCH / "__init__.py", submodule_search_locations=[str(BENCH)]
        )
        assert found is not None, BENCH
        assert found.loader is not None, BENCH
        sys.modules["bench"] = importlib.util.module_from_spec(found)
        found.loader.exec_module(sys.modules["bench"])
    return importlib.import_module("bench.registry")


def timer(device: str, inject_pct: float) -> Callable[[Call, int], Times]:
    """What times so many calls. With `inject_pct`, every token really works for that share of its time more."""
    timed = on_cuda if device == "cuda" else on_cpu
    return lambda call, count: timed(call, count, inject_pct / 100)


def on_cpu(call: Call, count: int, inject: float) -> Times:
    """Wall and CPU seconds of the calls. The injected work spins on one core, by the time that core has worked."""
    wall, cpu, own = time.perf_counter(), time.process_time(), time.thread_time()
    for _ in range(count):
        call()
    if inject:
        until = own + (time.thread_time() - own) * (1 + inject)
        while time.thread_time() < until:
            pass
    return time.perf_counter() - wall, time.process_time() - cpu


def on_cuda(call: Call, count: int, inject: float) -> Times:
    """Seconds between two events around the calls on their stream; injected work holds the second one back."""
    begun, called, ended = (torch.cuda.Event(enable_timing=True) for _ in range(3))
    torch.cuda.synchronize()
    begun.record()
    for _ in range(count):
        call()
    if inject:
        called.record()
        called.synchronize()
        until = time.perf_counter() + begun.elapsed_time(called) / 1000 * inject
        while time.perf_counter() < until:
            pass
    ended.record()
    ended.synchronize()
    return begun.elapsed_time(ended) / 1000, None  # events count milliseconds


def warm_up(call: Call, timed: Callable[[Call, int], Times]) -> tuple[list[int], float]:
    """At least 3 forwards and until one faults in fewer than 16 pages, at most 10: the faults of each, and the seconds
    that one takes then.
    """
    faults: list[int] = []
    fastest = math.inf
    while len(faults) < LEAST_WARM_UPS or (faults[-1] >= STEADY_FAULTS and len(faults) < MOST_WARM_UPS):
        before = minor_faults()
        fastest = min(fastest, timed(call, 1)[0])
        faults.append(minor_faults() - before)
        if len(faults) == 1:
            reserve(faults[0])
    if fastest < SHORTEST_TOKEN_S:  # a single short call is mostly its own overhead
        count = math.ceil(SHORTEST_TOKEN_S / max(fastest, 1e-6))
        fastest = timed(call, count)[0] / count
    return faults, fastest


def reserve(pages: int) -> None:
    """Touch four times as many pages at the end of the heap as the first forward did, and give them back to the heap.

    A small object that settles beside a freed activation makes the next one look for a new place, which would be
    faulted in amid the timing. Before glibc 2.38 that happens to every aligned block, some times over.
    """
    touched = b"\x01" * min(4 * pages * PAGE_BYTES, MOST_RESERVED_BYTES)
    del touched


def token(call: Call, count: int, timed: Callable[[Call, int], Times]) -> "Token":
    """The seconds and the page faults of one token."""
    before = minor_faults()
    wall, cpu = timed(call, count)
    coarse = time.get_clock_info("process_time").resolution > COARSEST_CPU_CLOCK_S
    return {"wall_s": wall, "cpu_s": None if coarse else cpu, "faults": minor_faults() - before}


def minor_faults() -> int:
    """Page faults of this process that needed no disk; 0 where the system does not count them."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt if resource else 0


def threads_now() -> int | None:
    """Threads of this process: only one may live when it forks. None where the system does not say."""
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else None


def answer(writer: BinaryIO, message: Mapping[str, Any]) -> None:
    """Say it to the tool, at once."""
    writer.write(line(message))
    writer.flush()


def line(message: Mapping[str, Any]) -> bytes:
    """A message as it goes through the pipe."""
    return json.dumps(message).encode() + b"\n"


if __name__ == "__main__":
    main()

"""One round: a fresh pair of processes, their tokens interleaved A B B A or B A A B, and the ratio that comes of it.

Judges nothing and discards nothing: every time of every token stays in the record.
"""

import hashlib
import math
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from bench import machine
from bench.execution.processes import WorkerFailed, deadline
from bench.gate.pairs.layout import Project
from bench.gate.pairs.messages import ForwardCounts, PairJob, Ready, Token, Where
from bench.gate.pairs.processes import PairWorker
from bench.gate.rule import Round
from bench.plan.case import plain
from bench.statistics.intervals import median

Name = Literal["baseline", "candidate"]
SIDES: tuple[Name, Name] = ("baseline", "candidate")  # A and B

ORDERS = ("ABBA", "BAAB")
TOKEN_S = 0.025  # the least that a token takes: far above a clock's tick, and below what disturbs a machine
ENOUGH_S, ENOUGH_QUADS = 2.0, 6
LONGEST_S, LEAST_QUADS = 6.0, 3
SURE = 0.02  # a standard error beyond which a round goes on: about what fresh pairs of processes differ by anyway
# Models that need longer than that for three quads get it: so many times what their warm-up promised.
SLOW_MODEL = 1.5
MOST_PADDING_BYTES = 4096


@dataclass(frozen=True)
class Subject:
    """A model as a tree builds it, and how it is run. `plugins` are module names, or paths relative to the tree."""

    key: str
    factory: str
    args: Mapping[str, Any]
    num_classes: int
    image_size: int
    batch_size: int
    threads: int = 1
    precision: str = "float32"
    layout: str = "contiguous"
    plugins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Side:
    """The code on one side, the interpreter that runs it, and the repository that the code is a state of.

    Without a `project` nobody asks where what is loaded comes from: the tree is then all there is.
    """

    tree: Path
    python: str = sys.executable
    project: Project | None = None


@dataclass(frozen=True)
class Times:
    """What one side's worker gave: a time for each token, in order; `cpu_s` is None where only wall time counts."""

    wall_s: tuple[float, ...]
    cpu_s: tuple[float, ...] | None
    faults_per_forward: float  # minor page faults while timed
    warm_up_faults: tuple[int, ...]  # one for each forward before that
    padding_bytes: int
    torch: str


@dataclass(frozen=True)
class RoundRecord:
    """A round with all that it was made from. `seed` repeats its orders and paddings."""

    value: Round
    baseline: Times
    candidate: Times
    order: tuple[str, ...]  # of each quad, A the baseline
    started_first: Name
    forwards_per_token: int
    load: float | None  # processes that wanted a core, when it ended
    seed: int
    seconds: float
    cores: tuple[int, ...] = ()  # on which both sides ran; empty where the system placed them


class Void(Exception):
    """A round with fewer than three quads: no evidence, and to be repeated."""


def seed_of(seed: int, *parts: object) -> int:
    """The seed of one round: another one for every key, number and attempt."""
    return int.from_bytes(hashlib.sha256(repr((seed, *parts)).encode()).digest()[:6])


def job(subject: Subject, side: Side, device: str, inject_pct: float, *, build_only: bool = False) -> PairJob:
    """What a side's worker is told to build, in plain JSON types."""
    origin: Where | None = None
    if side.project is not None:
        roots, named = list(side.project.roots), dict(side.project.named)
        origin = {
            "repository": str(side.project.repository), "roots": roots, "named": named, "name": side.project.name,
        }  # fmt: skip
    return {
        "tree": str(side.tree), "origin": origin, "plugins": list(subject.plugins), "factory": subject.factory,
        "args": plain(subject.args), "num_classes": subject.num_classes, "image_size": subject.image_size,
        "batch_size": subject.batch_size, "threads": subject.threads, "precision": subject.precision,
        "layout": subject.layout, "device": device, "inject_pct": inject_pct, "build_only": build_only, "cores": [],
        "padding_bytes": 0,
    }  # fmt: skip


def measure(
    launch: Callable[[Name, int], PairWorker],
    jobs: Mapping[Name, PairJob],
    seed: int,
    limit_s: float,
    clock: Callable[[], float],
) -> RoundRecord:
    """Start both sides in random order, time their quads, end both.

    Args:
        launch: starts the worker of a side, with that many bytes of padding.
        jobs: what each side is to build.
        limit_s: for the whole round; whoever is late then is killed.

    Raises:
        WorkerFailed: a side refused, died or was late.
        Void: there was no time for three quads.
    """
    draw, begun = random.Random(seed), clock()
    cores = shared_cores(jobs["baseline"], draw)
    workers: dict[Name, PairWorker] = {}
    ready: dict[Name, Ready] = {}
    padding: dict[Name, int] = {}
    with within(limit_s, workers):
        for name in draw.sample(SIDES, 2):
            padding[name] = draw.randrange(MOST_PADDING_BYTES)
            workers[name] = launch(name, padding[name])
            asked: PairJob = {**jobs[name], "cores": cores, "padding_bytes": padding[name]}
            ready[name] = cast(Ready, workers[name].ask(asked))
        forwards = forwards_per_token([each["forward_s"] for each in ready.values()])
        order, tokens = quads(workers, forwards, draw, budget_s(ready, forwards), clock)
    a, b = (times(tokens[name], ready[name], forwards, padding[name]) for name in SIDES)
    took, first, on = clock() - begun, next(iter(ready)), tuple(ready["candidate"]["cores"])
    return RoundRecord(value(a, b), a, b, order, first, forwards, machine.load(), seed, took, on)


def shared_cores(asked: PairJob, draw: random.Random) -> list[int]:
    """As many cores as the job has threads, the same for both sides; none where there is nothing to choose.

    A virtual core is as fast as what its physical core does for others lets it be. Left to the system, each side stays
    on a core of its own for seconds, and a round compares two cores: its value then varied by 5 to 9 % where it varies
    by 1 to 2 % when both sides take turns on one core.
    """
    usable = machine.usable_cores()
    if asked["device"] != "cpu" or len(usable) <= asked["threads"]:
        return []
    return sorted(draw.sample(usable, asked["threads"]))


def build(name: Name, launch: Callable[[Name, int], PairWorker], asked: PairJob, limit_s: float) -> ForwardCounts:
    """Build the model of one side in a worker that then ends: what it has. Raises WorkerFailed where that fails."""
    workers: dict[Name, PairWorker] = {}
    with within(limit_s, workers):
        workers[name] = launch(name, 0)
        return cast(Ready, workers[name].ask(asked))["counts"]


@contextmanager
def within(limit_s: float, workers: dict[Name, PairWorker]) -> Iterator[None]:
    """Kill the workers when the time is over, and close them at the end. A death for lateness says that it was one."""
    try:
        with deadline(limit_s, lambda: [worker.kill() for worker in list(workers.values())]) as late:
            try:
                yield
            except WorkerFailed as failed:
                if late.is_set() and failed.stage == "lost":
                    raise WorkerFailed(failed.side, "lost", f"no answer within {limit_s:g} s") from failed
                raise
    finally:
        with ExitStack() as closing:
            for worker in workers.values():
                closing.callback(worker.close)


def forwards_per_token(forward_s: Sequence[float]) -> int:
    """So many that a token of the faster side takes 25 ms; the same number on both sides."""
    return max(1, math.ceil(TOKEN_S / max(min(forward_s), 1e-6)))


def budget_s(ready: Mapping[Name, Ready], forwards: int) -> float:
    """Seconds for the quads of a round: 6, or what three quads of a slow model take, by its warm-up."""
    quad_s = sum(2 * forwards * each["forward_s"] for each in ready.values())
    return max(LONGEST_S, SLOW_MODEL * LEAST_QUADS * quad_s)


def quads(
    workers: Mapping[Name, PairWorker], forwards: int, draw: random.Random, longest_s: float, clock: Callable[[], float]
) -> tuple[tuple[str, ...], dict[Name, list[Token]]]:
    """The order of every quad, and each side's tokens. One worker runs while the other waits at its pipe.

    Ends after 2 s with at least 6 quads if the pairs agree well enough by then, or after `longest_s`. Whether they do
    is the same question with the sides exchanged, so equal code still gives values that are symmetric about 0.

    Raises:
        Void: there was no time for three quads.
    """
    order: list[str] = []
    tokens: dict[Name, list[Token]] = {name: [] for name in SIDES}
    begun = clock()
    while (spent := clock() - begun) < longest_s and (
        spent < ENOUGH_S or len(order) < ENOUGH_QUADS or error_of(log_ratios(*map(wall_s, tokens.values()))) > SURE
    ):
        order.append(draw.choice(ORDERS))
        for letter in order[-1]:
            name = SIDES["AB".index(letter)]
            tokens[name].append(cast(Token, workers[name].ask({"forwards": forwards})))
    if len(order) < LEAST_QUADS:
        raise Void(f"{len(order)} of at least {LEAST_QUADS} quads within {longest_s:.1f} s")
    return tuple(order), tokens


def wall_s(tokens: Sequence[Token]) -> tuple[float, ...]:
    """The wall time of one side's tokens, in order."""
    return tuple(each["wall_s"] for each in tokens)


def error_of(values: Sequence[float]) -> float:
    """The standard error of a median, by the median distance from it, so that a few wild pairs do not count twice.

    For normal values 1.4826 distances are a standard deviation, and a median's error is sqrt(pi / 2) that of a mean.
    """
    centre = median(values)
    spread = 1.4826 * median([abs(each - centre) for each in values])
    return math.sqrt(math.pi / 2) * spread / math.sqrt(len(values))


def times(tokens: Sequence[Token], ready: Ready, forwards: int, padding_bytes: int) -> Times:
    """One side's tokens as they are kept."""
    cpu = tuple(each["cpu_s"] for each in tokens if each["cpu_s"] is not None)
    return Times(
        wall_s=wall_s(tokens),
        cpu_s=cpu if len(cpu) == len(tokens) else None,
        faults_per_forward=sum(each["faults"] for each in tokens) / (forwards * len(tokens)),
        warm_up_faults=tuple(ready["warm_up_faults"]),
        padding_bytes=padding_bytes,
        torch=ready["torch"],
    )


def value(baseline: Times, candidate: Times) -> Round:
    """log(candidate / baseline), the median over the pairs of neighbouring tokens, for wall and for CPU time.

    A quad holds two pairs, and in each the n-th token of one side stands beside the n-th of the other.
    """
    cpu = None
    if baseline.cpu_s and candidate.cpu_s:
        cpu = median(log_ratios(baseline.cpu_s, candidate.cpu_s))
    return Round(median(log_ratios(baseline.wall_s, candidate.wall_s)), cpu)


def log_ratios(baseline_s: Sequence[float], candidate_s: Sequence[float]) -> list[float]:
    """log(candidate / baseline), pair by pair."""
    return [math.log(b / a) for a, b in zip(baseline_s, candidate_s, strict=True)]

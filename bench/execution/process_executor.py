"""One process per case: it may exit, crash, hang or take all memory, and its case alone has failed.

Measures nothing itself. Nothing else runs while a case with a clock does.
"""

import os
import queue
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.errors import MeasurementError, UsageError
from bench.execution import messages
from bench.execution.context import Context, Progress, Turn
from bench.execution.executor import Stop, Watcher, pathless
from bench.execution.limits import Limits, Memory, ended_by, needs_quiet, not_beside_others
from bench.execution.locks import Pending, locks_in
from bench.execution.messages import Imported, Job, Recording, Surroundings
from bench.execution.outcome import Measured, Outcome, outcome, without_value
from bench.execution.processes import can_fork
from bench.execution.workers import CannotStart, Event, Forking, Starting, Worker, Workers
from bench.plan.case import Case
from bench.records.measurement import CodePart, DataFacts, Environment, Reading, Status
from bench.records.metrics import METRICS, Metric, declared, register
from bench.remote import RemotePath

MOST_HEARD = 10_000  # words in a row, then somebody looks at the clock again
GRACE_S = 5.0  # for a worker that is done, or was killed, to be gone
MOST_TOLD, MOST_TOLD_BYTES = 20, 2**16  # the last lines of what a case printed are passed on

Plugins = Mapping[str, Sequence[tuple[str, str]]]  # suite -> its plug-ins, each with the folder beside which it is


@dataclass
class Hand:
    """A case in hand: what it has yielded so far, and what became of its worker."""

    case: Case
    worker: Worker
    started: datetime
    begun: float
    limit_s: float | None
    company: bool = False  # whether another case ran meanwhile
    facts: DataFacts | None = None
    readings: list[Reading] = field(default_factory=list)
    imported: list[str] = field(default_factory=list)
    reads: list[CodePart] = field(default_factory=list)
    turn: Turn = field(default=Turn(alone=False))
    stop: Stop | None = None
    killed: tuple[Status, str] | None = None  # by us, and why
    kill_at: float | None = None  # when what should be gone by then is not waited for any longer
    hung_up: bool = False
    ended: bool = False
    code: int | None = None


class ProcessExecutor:
    """Cases in, outcomes out, each from a process of its own. `close` it, so that nothing is left running."""

    def __init__(
        self,
        workers: Workers,
        asked: Recording,
        folders: tuple[Path | None, Path | RemotePath | None],
        plugins: Plugins,
        limits: Limits,
    ):
        """Ask a worker for its conditions; the others will have the same.

        Args:
            workers: what starts them, as `starting` gives it.
            folders: of the data and of what is kept between runs.

        Raises:
            UsageError: there is no such device. MeasurementError: no worker can be started.
        """
        self._workers, self._plugins, self._limits = workers, plugins, limits
        self.environment = self._conditions(asked)
        if not can_fork(self.environment.device) and isinstance(workers, Forking):
            self._workers = Starting(workers)
        data, scratch = (None if folder is None else str(folder) for folder in folders)
        options = dict(folders[1].options) if isinstance(folders[1], RemotePath) else None
        self._around = Surroundings(self.environment.device, self.environment.threads, data, scratch, options)
        self._context = Context(self._around.device, self._around.threads, *folders)
        self.locks = locks_in(folders[1])
        self._imported: list[str] = []  # by workers, that the next ones may be spared

    def close(self) -> None:
        """End every worker."""
        self._workers.close()

    def environments(self, case: Case) -> list[Environment]:
        """Those of every worker."""
        return [self.environment]

    def foretell(self, cases: Sequence[Case]) -> list[str]:
        """Nothing: they are measured here."""
        return []

    def execute(self, cases: Sequence[Case], watcher: Watcher, wanted: Callable[[Case], bool]) -> Iterator[Outcome]:
        """Measure the cases; the rows of each are handed over as soon as it ends."""
        self._imported += [f"bench.measures.{case.measure}" for case in cases]
        pending, hands = Pending(cases, self.locks, watcher, wanted), dict[int, Hand]()
        while pending or hands:
            lost = self._fill(pending, hands, watcher)
            self._hear(hands, watcher)
            for hand in list(hands.values()):
                self._look_after(hand)
            gone = [hands.pop(hand.worker.number) for hand in list(hands.values()) if _gone(hand)]
            done = [hand for hand in gone if not self._goes_on(hand, hands, watcher)]
            for found in (*lost, *(self._outcome(hand, watcher) for hand in done)):
                with self.locks.releasing(found.case.id):
                    yield found

    def _conditions(self, asked: Recording) -> Environment:
        """What a worker records of itself, as every worker of this run is started."""
        worker = self._workers.start(messages.asked(asked))
        told: dict[str, object] = {}
        code: int | None = None
        happened: set[str] = set()
        while True:
            event = self._workers.events.get()
            told = event.message or told
            code = event.code if event.kind == "ended" else code
            happened.add(event.kind)
            if {"ended", "hung up"} <= happened:
                break
        worker.close()
        if "refused" in told:
            raise UsageError(str(told["refused"]))
        if "environment" not in told:
            raise MeasurementError(f"no worker could say what its conditions are: it {ended_by(code)}")
        found = told["environment"]
        assert isinstance(found, dict)
        return Environment(**found)

    def _ready(self, hands: Mapping[int, Hand]) -> bool:
        """Whether workers can be started: what each would import for itself is imported, and forks are safe.

        A server that got a second thread by that is given up, once nothing runs that it has forked.
        """
        self._workers.preload(self._imported)
        self._imported = []
        if isinstance(self._workers, Forking) and not self._workers.single_threaded:
            if hands:
                return False
            self._workers = Starting(self._workers)
        return True

    def _fill(self, pending: Pending, hands: dict[int, Hand], watcher: Watcher) -> list[Outcome]:
        """Start what may run beside what runs; the cases whose worker could not be started."""
        lost = []
        while len(hands) < self._limits.jobs:
            alone = any(not_beside_others(hand.case) for hand in hands.values())
            ready = not alone and pending and self._ready(hands)
            case = None if not ready else pending.take(lambda case: not hands or not not_beside_others(case))
            if case is None:
                break
            watcher.begin(case)
            started, begun = datetime.now(UTC), time.monotonic()
            try:
                worker = self._worker(case, Turn(alone=False))
            except CannotStart as error:
                found = Measured(None, [without_value(case, "failed", pathless(str(error), self._context))], False)
                lost.append(outcome(case, self.environment, found, started, time.monotonic() - begun))
                break
            limit_s = self._limits.time_limit_s(case, self._around.threads)
            hands[worker.number] = Hand(case, worker, started, begun, limit_s)
            for hand in hands.values():
                hand.company = hand.company or len(hands) > 1
        return lost

    def _worker(self, case: Case, turn: Turn) -> Worker:
        plugins = [(name, beside) for name, beside in self._plugins.get(case.suite, ())]
        return self._workers.start(messages.asked(Job(case, plugins, self._around, declared(), turn)))

    def _goes_on(self, hand: Hand, hands: dict[int, Hand], watcher: Watcher) -> bool:
        """Start the next process of a case whose measure asks for one: what a clock says varies with the process."""
        if hand.stop is None or not hand.stop.once_more or hand.killed:
            return False
        spent_s = time.monotonic() - hand.begun
        turn = Turn(hand.turn.number + 1, spent_s, alone=False)
        self._imported, hand.imported = [*self._imported, *hand.imported], []
        try:
            self._ready(hands)
            worker = self._worker(hand.case, turn)
        except CannotStart as error:
            hand.stop = Stop(without_value(hand.case, "failed", pathless(str(error), self._context)))
            return False
        self._let_go(hand, watcher)
        kept = replace(hand, worker=worker, turn=turn, stop=None, kill_at=None, hung_up=False, ended=False, code=None)
        hands[worker.number] = kept
        return True

    def _let_go(self, hand: Hand, watcher: Watcher) -> None:
        _pass_on(hand, watcher)
        self._imported += hand.imported
        self._limits.forget(hand.worker.pid)
        hand.worker.close()

    def _hear(self, hands: dict[int, Hand], watcher: Watcher) -> None:
        """Whatever the workers said, after a moment's wait for the first word."""
        try:
            event = self._workers.events.get(timeout=Pending.PATIENCE_S)
            for _ in range(MOST_HEARD):
                if event.number in hands:  # a worker that nobody waits for any longer may still say something
                    _heard(hands[event.number], event, watcher)
                event = self._workers.events.get_nowait()
        except queue.Empty:
            return

    def _look_after(self, hand: Hand) -> None:
        """Kill the worker that is done, late or too big; stop waiting for one that will not go."""
        now = time.monotonic()
        if hand.stop is None and hand.killed is None and not hand.ended:
            hand.killed = self._limits.exceeded(hand.limit_s, now - hand.begun, self._memory(hand))
        if hand.kill_at is None and (hand.stop or hand.killed or hand.hung_up or hand.ended):
            hand.kill_at = now + GRACE_S
        if hand.killed or (hand.kill_at is not None and now > hand.kill_at - GRACE_S / 2 and not hand.ended):
            hand.worker.kill()
        if hand.kill_at is not None and now > hand.kill_at:
            hand.hung_up = hand.ended = True

    def _memory(self, hand: Hand) -> Memory:
        return self._limits.memory(hand.worker.pid)

    def _outcome(self, hand: Hand, watcher: Watcher) -> Outcome:
        """The rows of a case whose worker is gone, and why it went where it did not say so itself."""
        early = hand.stop.early if hand.stop else without_value(hand.case, *self._death(hand))
        # The seconds of a training that had company are no property of the training.
        kept = [each for each in hand.readings if not (hand.company and needs_quiet(METRICS[each.metric]))]
        found = Measured(hand.facts, [*kept, *([early] if early else [])], early is None, tuple(hand.reads))
        self._let_go(hand, watcher)
        return outcome(hand.case, self.environment, found, hand.started, time.monotonic() - hand.begun)

    def _death(self, hand: Hand) -> tuple[Status, str]:
        return hand.killed or ("failed", ended_by(hand.code))


def _gone(hand: Hand) -> bool:
    return hand.ended and hand.hung_up


def _heard(hand: Hand, event: Event, watcher: Watcher) -> None:
    if event.kind == "ended":
        hand.ended, hand.code = True, event.code
    elif event.kind == "hung up":
        hand.hung_up = True
    elif event.message is not None:
        item = messages.item(event.message)
        if isinstance(item, Progress):
            watcher.step(hand.case, item)
        elif isinstance(item, DataFacts):
            hand.facts = item
        elif isinstance(item, Reading):
            hand.readings.append(item)
        elif isinstance(item, Imported):
            hand.imported = item.names
        elif isinstance(item, CodePart):
            hand.reads.append(item)
        elif isinstance(item, Stop):
            hand.stop = item
        elif isinstance(item, Metric) and item.name not in METRICS:
            register(item)


def _pass_on(hand: Hand, watcher: Watcher) -> None:
    """What the case printed, its last lines."""
    size = hand.worker.said.seek(0, os.SEEK_END)
    hand.worker.said.seek(max(0, size - MOST_TOLD_BYTES))
    lines = hand.worker.said.read().decode(errors="replace").splitlines()
    left_out = [f"… {len(lines) - MOST_TOLD} lines before these"] if len(lines) > MOST_TOLD else []
    if lines:
        watcher.said(hand.case, "\n".join([*left_out, *lines[-MOST_TOLD:]]))

"""The executor of a cluster: cases go out, rows come back, and what is lost on the way goes out again.

Measures nothing itself and knows no node by its name in the network.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.execution.cluster.demand import Demand, allowed, demand, is_count, is_named
from bench.execution.cluster.flights import Flight, Flights, Lost, Task, on_node
from bench.execution.cluster.kept import Kept
from bench.execution.cluster.node import Errand, Found, Settings
from bench.execution.cluster.nodes import Kind, Names, Node, kinds
from bench.execution.cluster.outlook import outlook, told
from bench.execution.cluster.session import Session
from bench.execution.executor import Watcher
from bench.execution.limits import needs_quiet
from bench.execution.locks import Pending, locks_in
from bench.execution.outcome import Measured, Outcome, outcome, without_value
from bench.plan.case import Case, plain
from bench.plan.forecast import seconds
from bench.records.measurement import CodePart, Environment, canonical_json
from bench.records.metrics import METRICS, register
from bench.remote import RemotePath, is_remote

MOST_DEATHS = 2  # of its worker: then it is the case that kills them
MOST_LOSSES = 5  # of its node: a case that has brought down so many is not given another
PATIENCE_S = 0.25


@dataclass
class History:
    """What befell a case before the attempt in hand."""

    deaths: int = 0
    losses: int = 0
    why: str = ""

    @property
    def note(self) -> str | None:
        """What its rows say of it."""
        told = [f"{self.losses} of its nodes lost" if self.losses > 1 else "its node was lost"] if self.losses else []
        told += ["its worker died once"] if self.deaths else []
        return f"begun again elsewhere: {', '.join(told)}" if told else None


class RayExecutor:
    """Cases in, outcomes out, from the nodes of a cluster. `close` it, so that nothing is left running."""

    def __init__(
        self,
        session: Session,
        nodes: Sequence[Node],
        names: Names,
        settings: Settings,
        *,
        hardware: Callable[[Case], Sequence[str]] = lambda case: (),
        parts: Callable[[Case], Sequence[CodePart]] = lambda case: (),
        data: Callable[[Case], str | None] = lambda case: None,
        task: Task = on_node,
    ):
        """Take over a session whose nodes have said their conditions.

        Args:
            hardware: patterns of device names that claims name for a case.
            parts: what the code of a case is made of here.
            data: the digest of its images, where that is known here.
            task: what runs on a node.
        """
        self._session, self._names, self._settings = session, names, settings
        self._hardware, self._parts, self._data = hardware, parts, data
        self._task = task
        self.kinds = kinds(nodes)
        self.locks = locks_in(_claimed_at(settings))
        self._kept = None if settings.kept is None else Kept(*settings.kept)
        self._flights: Flights | None = None
        self._digests: dict[str, str] = {}

    @property
    def environment(self) -> Environment:
        """The conditions on the most frequent kind of node, where clocks are read that name no hardware."""
        return self.kinds[0].environment

    def environments(self, case: Case) -> list[Environment]:
        """The conditions of each kind of node that may have the case."""
        if self.demand(case).alone:
            return [allowed(self.kinds, self.pattern(case))[0].environment]
        return [kind.environment for kind in self.kinds]

    def pattern(self, case: Case) -> str | None:
        """The first hardware that claims name for a case and that a node has."""
        named = (each for each in self._hardware(case) if any(is_named(kind, each) for kind in self.kinds))
        return next(named, None)

    def foretell(self, cases: Sequence[Case]) -> list[str]:
        """Cases for each kind of node, when the last is about done, and what all nodes cost until then."""
        demands = self._demands(cases)
        ordered = self._ordered(cases, demands)
        return told(outlook(ordered, {case.id: demands[id(case)] for case in ordered}, self.kinds))

    def demand(self, case: Case) -> Demand:
        """What a case asks for here."""
        return demand(case, self.kinds, self.pattern(case))

    def close(self) -> None:
        """End what runs, and leave the cluster."""
        if self._flights is not None:
            self._flights.close()
        self._session.close()

    def execute(self, cases: Sequence[Case], watcher: Watcher, wanted: Callable[[Case], bool]) -> Iterator[Outcome]:
        """Send the cases out, clocks first and then what takes longest; hand over the rows of each as it ends."""
        self._flights = flights = Flights(self._session.ray, self._settings, self._task)
        demands = self._demands(cases)
        pending = Pending(self._ordered(cases, demands), self.locks, watcher, wanted)
        histories: dict[str, History] = {}
        again: list[Errand] = []
        landed: deque[tuple[Flight, Found | Lost]] = deque()
        while pending or len(flights) or again or landed:
            # Between any two cases whose rows are stored, so that no node waits until all are.
            landed += flights.landed(0.0 if landed else PATIENCE_S)
            self._send(pending, again, demands)
            self._tell(watcher)
            if not landed:
                continue
            flight, found = landed.popleft()
            history = histories.setdefault(flight.errand.case.id, History())
            ended = self._ended(flight, found, history, watcher)
            if ended is None:
                again.append(flight.errand)
                continue
            with self.locks.releasing(ended.case.id):
                histories.pop(ended.case.id)
                yield ended
            if self._kept is not None and ended.complete:
                self._kept.forget(ended.case.id)

    def _demands(self, cases: Sequence[Case]) -> dict[int, Demand]:
        """What each case asks for; equal demands are one object."""
        known: dict[Demand, Demand] = {}
        asked = ((case, self.demand(case)) for case in cases)
        return {id(case): known.setdefault(each, each) for case, each in asked}

    def _ordered(self, cases: Sequence[Case], demands: Mapping[int, Demand]) -> list[Case]:
        """Clocks, then what takes longest or nobody knows how long, and counts in the gaps between the others' ends."""
        threads = self.environment.threads

        def place(case: Case) -> tuple[bool, bool, float]:
            length = seconds(case, threads)
            return not demands[id(case)].alone, is_count(case), -(math.inf if length is None else length)

        return sorted(cases, key=place)

    def _send(self, pending: Pending, again: list[Errand], demands: Mapping[int, Demand]) -> None:
        flights = self._flights
        assert flights is not None
        for errand in list(again):
            anew = demand(errand.case, self._left(), self.pattern(errand.case))
            if flights.room_for(anew):
                again.remove(errand)
                flights.send(errand, anew)
        while pending:
            room: dict[int, bool] = {}  # asked once for all cases that want the same

            def fits(case: Case, room: dict[int, bool] = room) -> bool:
                asked = demands[id(case)]
                if id(asked) not in room:
                    room[id(asked)] = flights.room_for(asked)
                return room[id(asked)]

            case = pending.take(fits)
            if case is None:
                return
            flights.send(Errand(case, tuple(self._parts(case))), demands[id(case)])

    def _left(self) -> list[Kind]:
        """The kinds of nodes of which one lives."""
        assert self._flights is not None
        living = self._flights.living
        left = [Kind(tuple(node for node in kind.nodes if node.counted.id in living)) for kind in self.kinds]
        return [kind for kind in left if kind.nodes] or self.kinds

    def _tell(self, watcher: Watcher) -> None:
        assert self._flights is not None
        for flight, news in self._flights.news():
            self._begin(flight, watcher)
            if news.kind == "step":
                watcher.step(flight.errand.case, news.about)

    def _begin(self, flight: Flight, watcher: Watcher) -> None:
        if not flight.told:
            flight.told = True
            watcher.begin(flight.errand.case, self._names.of(flight.node or ""))

    def _ended(self, flight: Flight, found: Found | Lost, history: History, watcher: Watcher) -> Outcome | None:
        """The outcome of a case; None where it is to be tried once more."""
        if isinstance(found, Found):
            self._begin(flight, watcher)  # the word of it may still be on its way
            for metric in found.metrics:
                if metric.name not in METRICS:
                    register(metric)
            if found.said:
                watcher.said(flight.errand.case, found.said)
            there = replace(found.outcome, elsewhere=not self._session.local)
            return self._noted(self._same_data(self._alone(there, flight)), history)
        history.deaths += found.what == "worker"
        history.losses += found.what == "node"
        where = self._names.of(flight.node) if flight.node else "a node"
        if history.deaths < MOST_DEATHS and history.losses < MOST_LOSSES:
            why = f"{where} is gone" if found.what == "node" else f"{found.reason} on {where}"
            watcher.lose(flight.errand.case, why)
            return None
        deaths, losses = f"killed its worker {history.deaths} times", f"lost {history.losses} nodes"
        return self._failed(flight, f"{deaths if found.what == 'worker' else losses}: {found.reason}")

    def _failed(self, flight: Flight, reason: str) -> Outcome:
        early = Measured(None, [without_value(flight.errand.case, "failed", reason)], False)
        return outcome(flight.errand.case, self._environment_of(flight), early, datetime.now(UTC), 0.0)

    def _environment_of(self, flight: Flight) -> Environment:
        nodes = (node for kind in self.kinds for node in kind.nodes)
        return next((node.environment for node in nodes if node.counted.id == flight.node), self.environment)

    def _alone(self, found: Outcome, flight: Flight) -> Outcome:
        """Without the seconds of a training that may have had company: they are no property of the training."""
        assert self._flights is not None
        there = self._flights.met.get(flight.node or "")
        whole = there is not None and flight.demand.cpus >= there.cpus
        if flight.demand.alone or whole or is_count(found.case):
            return found
        rows = [row for row in found.rows if row.metric not in METRICS or not needs_quiet(METRICS[row.metric])]
        return replace(found, rows=rows)

    def _same_data(self, found: Outcome) -> Outcome:
        """A failed row in place of values from other images than all other nodes have under that name."""
        digest = next((row.dataset_sha256 for row in found.rows if row.dataset_sha256), None)
        if digest is None:
            return found
        case = found.case
        key = canonical_json({"name": case.dataset, "args": plain(case.dataset_args)})
        known = self._digests.setdefault(key, self._data(case) or digest)
        if known == digest:
            return found
        reason = f"other images of '{case.dataset}' on this node than elsewhere: {digest[:12]}, not {known[:12]}"
        early = Measured(None, [without_value(case, "failed", reason)], False)
        begun = datetime.fromisoformat(found.rows[0].started_at)
        failed = outcome(case, found.environment or self.environment, early, begun, found.duration_s)
        return replace(failed, elsewhere=found.elsewhere)

    def _noted(self, found: Outcome, history: History) -> Outcome:
        if history.note is None:
            return found
        return replace(found, rows=[replace(row, note=history.note) for row in found.rows])


def _claimed_at(settings: Settings) -> Path | RemotePath | None:
    """Where it is written down which case is in whose hands."""
    if settings.kept is not None and is_remote(settings.kept[0]):
        return RemotePath(f"{settings.kept[0]}/scratch", settings.kept[1])
    return None if settings.scratch is None else Path(settings.scratch)

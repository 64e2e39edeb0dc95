"""The attempts that are on their way: sent within what the cluster can take, and what became of each.

Measures nothing and stores nothing. An attempt that was lost is told as such; whoever sent it decides on another.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Literal

from bench.errors import MeasurementError
from bench.execution.cluster.board import Board, News, telling
from bench.execution.cluster.demand import Demand
from bench.execution.cluster.node import Errand, Found, Settings, measure
from bench.execution.cluster.nodes import Counted, counted, why

# Of what the nodes hold, so much more may be sent: a node that is done finds the next case waiting.
AHEAD = 1.25
LOOK_S = 5.0  # between two looks at which nodes live

Task = Callable[[int, Errand, Settings, Any], Found]


@dataclass(frozen=True)
class Lost:
    """An attempt that came to nothing: its `node` is gone, or its `worker` died while the node lives on."""

    what: Literal["node", "worker"]
    reason: str


@dataclass
class Flight:
    """One attempt at a case, and where it began; whoever watches is told of that once."""

    errand: Errand
    demand: Demand
    node: str | None = None
    told: bool = False


def on_node(number: int, errand: Errand, settings: Settings, actor: Any) -> Found:
    """One attempt, as a task of Ray."""
    import ray

    found = measure(errand, settings, telling(ray, actor, number))
    return replace(found, node=ray.get_runtime_context().get_node_id())


class Flights:
    """Sends attempts and hands over what became of them.

    Args:
        task: what runs on a node; another one where a cluster is only played.
    """

    def __init__(self, ray: ModuleType, settings: Settings, task: Task):
        self._ray, self._settings = ray, settings
        self._board = Board(ray)
        self._task = ray.remote(max_retries=0)(task)
        self._refs: dict[Any, int] = {}
        self._flights: dict[int, Flight] = {}
        self._numbers = itertools.count()
        self._looked = -LOOK_S
        self.living: dict[str, Counted] = {}
        self.met: dict[str, Counted] = {}  # those that are gone too
        self._look()

    def __len__(self) -> int:
        return len(self._flights)

    def room_for(self, demand: Demand) -> bool:
        """Whether Ray has too little to do to keep all nodes busy, were this not sent."""
        nodes = self._able(demand)
        if not demand.nodes:
            load = sum(_share(flight.demand, nodes) for flight in self._flights.values())
        else:
            there = [flight.demand for flight in self._flights.values() if flight.demand.nodes == demand.nodes]
            load = sum(_share(each, nodes) for each in there)
        return bool(nodes) and (load <= 1 or load + _share(demand, nodes) <= AHEAD)

    def send(self, errand: Errand, demand: Demand) -> None:
        """Let Ray find a node for it."""
        number = next(self._numbers)
        task = self._task.options(**demand.options())
        self._refs[task.remote(number, errand, self._settings, self._board.actor)] = number
        self._flights[number] = Flight(errand, demand)

    def news(self) -> Iterator[tuple[Flight, News]]:
        """What nodes have told since the last look of attempts that are still on their way."""
        for news in self._board.news():
            flight = self._flights.get(news.attempt)
            if flight is not None:
                flight.node = news.node
                yield flight, news

    def landed(self, patience_s: float) -> list[tuple[Flight, Found | Lost]]:
        """The attempts that have come to an end, all at once, after a moment's wait for the first.

        Raises:
            MeasurementError: Ray cannot prepare what a node needs, or no node is left.
        """
        ended = []
        if not self._refs:
            time.sleep(patience_s)
        elif self._ray.wait(list(self._refs), timeout=patience_s)[0]:
            for ref in self._ray.wait(list(self._refs), num_returns=len(self._refs), timeout=0)[0]:
                flight, found = self._flights.pop(self._refs.pop(ref)), self._found(ref)
                flight.node = found.node if isinstance(found, Found) else flight.node
                ended.append((flight, found))
        if time.monotonic() - self._looked > LOOK_S:
            self._look()
            ended += self._stranded()
        return ended

    def close(self) -> None:
        """End what is on its way."""
        for ref in self._refs:
            with suppress(self._ray.exceptions.RayError, ValueError):
                self._ray.cancel(ref, force=True)
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._board.actor)

    def _found(self, ref: Any) -> Found | Lost:
        errors = self._ray.exceptions
        try:
            found: Found = self._ray.get(ref)
        except errors.RuntimeEnvSetupError as error:
            raise MeasurementError(f"a node cannot be prepared: {why(error)}") from error
        except (errors.NodeDiedError, errors.LocalRayletDiedError, errors.TaskUnschedulableError) as error:
            self._look()
            return Lost("node", why(error))
        except errors.ObjectLostError as error:  # its node went after it was done
            self._look()
            return Lost("node", why(error))
        except errors.OutOfMemoryError:
            return Lost("worker", "the memory of its node ran low")
        except errors.WorkerCrashedError:
            return Lost("worker", "its worker died")
        except errors.RayError as error:
            return Lost("worker", why(error))
        return found

    def _look(self) -> None:
        """Which nodes there are now."""
        self._looked = time.monotonic()
        self.living = {each.id: each for each in counted(self._ray)}
        self.met |= self.living
        if not self.living:
            raise MeasurementError("no node of the cluster is left")

    def _stranded(self) -> Iterator[tuple[Flight, Lost]]:
        """What waits for nodes that are gone: Ray would let it wait for ever."""
        for ref, number in list(self._refs.items()):
            flight = self._flights[number]
            if flight.node is None and not self._able(flight.demand):
                self._ray.cancel(ref, force=True)
                del self._refs[ref], self._flights[number]
                yield flight, Lost("node", "no node that could take it is left")

    def _able(self, demand: Demand) -> list[Counted]:
        """The living nodes that could run it."""
        return [
            each
            for each in self.living.values()
            if (not demand.nodes or each.id in demand.nodes) and each.cpus >= demand.cpus and each.gpus >= demand.gpus
        ]


def _share(demand: Demand, nodes: Sequence[Counted]) -> float:
    """What part of these nodes it takes, by whatever it takes most of."""
    parts = [demand.cpus / sum(each.cpus for each in nodes)] if nodes else [0.0]
    if demand.gpus and (cards := sum(each.gpus for each in nodes)):
        parts.append(demand.gpus / cards)
    if memory := sum(each.memory_bytes for each in nodes):
        parts.append(demand.memory_bytes / memory)
    return max(parts)

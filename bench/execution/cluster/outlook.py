"""What a cluster at hand will about do with a run: cases for each kind of node, when it will be done, what that costs.

An estimate for a plan, by the same order in which cases are sent. Sends none.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.execution.cluster.demand import Demand
from bench.execution.cluster.nodes import Kind
from bench.plan.case import Case
from bench.plan.forecast import seconds, usd
from bench.records.written import duration


@dataclass(frozen=True)
class Share:
    """What one kind of nodes will about have to do."""

    kind: Kind
    cases: int
    busy_s: float  # of all its nodes together


@dataclass(frozen=True)
class Outlook:
    """The run on the cluster: `makespan_s` from its first case to the end of its last, `usd` by the price table."""

    shares: tuple[Share, ...]
    makespan_s: float
    usd: float | None  # for all nodes until the last case is done; None where one has no price
    unknown: int  # cases whose length nobody knows, taken for no time


@dataclass
class Free:
    """What a node has left at a moment of the play."""

    kind: Kind
    id: str
    cpus: int
    gpus: int
    cases: int = 0
    busy_s: float = 0.0


def outlook(cases: Sequence[Case], demands: Mapping[str, Demand], kinds: Sequence[Kind]) -> Outlook:
    """Play the run through.

    Args:
        cases: in the order in which they are sent.
        demands: case id -> what it asks for.
    """
    nodes = [Free(kind, node.counted.id, kind.cpus, node.counted.gpus) for kind in kinds for node in kind.nodes]
    waiting: dict[Demand, list[float]] = {}
    unknown = 0
    for case in cases:
        length = seconds(case, kinds[0].environment.threads)
        unknown += length is None
        waiting.setdefault(demands[case.id], []).append(length or 0.0)
    end = _played(nodes, {asked: lengths[::-1] for asked, lengths in waiting.items()})
    shares = [
        Share(kind, sum(node.cases for node in there), sum(node.busy_s for node in there))
        for kind in kinds
        if (there := [node for node in nodes if node.kind is kind])
    ]
    prices = [usd(end * len(kind.nodes), kind.environment.device_name) for kind in kinds]
    known = [price for price in prices if price is not None]
    return Outlook(tuple(shares), end, sum(known) if len(known) == len(prices) else None, unknown)


def told(found: Outlook) -> list[str]:
    """The same in lines."""
    lines = [
        f"on {len(share.kind.nodes)} x {share.kind.environment.device_name}: {share.cases} cases,"
        f" {duration(share.busy_s)} of work"
        for share in found.shares
    ]
    unknown = f", without {found.unknown} of unknown length" if found.unknown else ""
    price = f", about ${found.usd:,.2f}" if found.usd is not None else ""
    return [*lines, f"all of them done after about {duration(found.makespan_s)}{unknown}{price}"]


def _played(nodes: Sequence[Free], waiting: dict[Demand, list[float]]) -> float:
    """The moment at which the last of them is done; equal demands go in their order, last one first."""
    now, running, number = 0.0, list[tuple[float, int, Free, Demand]](), 0
    while any(waiting.values()) or running:
        for asked, lengths in waiting.items():
            while lengths and (node := _place(nodes, asked)) is not None:
                length, number = lengths.pop(), number + 1
                node.cpus, node.gpus = node.cpus - asked.cpus, node.gpus - asked.gpus
                node.cases, node.busy_s = node.cases + 1, node.busy_s + length
                heapq.heappush(running, (now + length, number, node, asked))
        if not running:  # what is left fits on no node
            return now
        now, _, node, asked = heapq.heappop(running)
        node.cpus, node.gpus = node.cpus + asked.cpus, node.gpus + asked.gpus
    return now


def _place(nodes: Sequence[Free], asked: Demand) -> Free | None:
    """The node with most room of those that can take it."""
    able = (
        node
        for node in nodes
        if node.cpus >= asked.cpus and node.gpus >= asked.gpus and (not asked.nodes or node.id in asked.nodes)
    )
    return max(able, key=lambda node: node.cpus, default=None)

"""The nodes of a cluster as they are now: what Ray counts on each, and the conditions that a process there meets.

Chooses none of them for a case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from bench.errors import MeasurementError, UsageError
from bench.execution.cluster import node as on_node
from bench.execution.cluster.node import Settings
from bench.records.measurement import Environment

ANSWER_S = 180.0  # for a node to fetch what travels, to import torch and to say its conditions
_SHARE_OF_A_CARD = 0.01  # enough to see it


@dataclass(frozen=True)
class Counted:
    """A node as Ray counts it."""

    id: str
    cpus: int
    gpus: int
    memory_bytes: int


@dataclass(frozen=True)
class Node:
    """A node that can measure, and its conditions."""

    counted: Counted
    environment: Environment


@dataclass(frozen=True)
class Kind:
    """Nodes that are alike: what is measured on one of them may stand beside what is measured on another."""

    nodes: tuple[Node, ...]

    @property
    def environment(self) -> Environment:
        """The conditions of its first node."""
        return self.nodes[0].environment

    @property
    def cpus(self) -> int:
        """Of each of its nodes."""
        return self.nodes[0].counted.cpus

    @property
    def ids(self) -> tuple[str, ...]:
        """Of its nodes, as Ray calls them."""
        return tuple(node.counted.id for node in self.nodes)


class Names:
    """How nodes are called in what is printed: `node 1`, `node 2`, in the order in which they were met."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def of(self, node: str) -> str:
        """The name of a node, the same for as long as the run lasts."""
        return f"node {self._numbers.setdefault(node, len(self._numbers) + 1)}"


def counted(ray: ModuleType) -> list[Counted]:
    """The nodes that live and run anything, in a fixed order. A head without processors is none of them."""
    living = [each for each in ray.nodes() if each["Alive"] and each["Resources"].get("CPU", 0) >= 1]
    living.sort(key=lambda each: ("node:__internal_head__" not in each["Resources"], each["NodeID"]))
    return [
        Counted(
            each["NodeID"],
            int(each["Resources"]["CPU"]),
            int(each["Resources"].get("GPU", 0)),
            int(each["Resources"].get("memory", 0)),
        )
        for each in living
    ]


def device_and_threads(found: Sequence[Counted], device: str, threads: int | None, jobs: int) -> tuple[str, int]:
    """The device of a run's cases, and how many threads each of them has.

    Unless told otherwise, a case has all processors of the smallest node, or its share where `jobs` go side by side.

    Raises:
        UsageError: no node can run a case so.
    """
    chosen = ("cuda" if any(each.gpus for each in found) else "cpu") if device == "auto" else device
    fit = [each for each in found if chosen == "cpu" or each.gpus]
    if not fit:
        raise UsageError(f"--device {chosen}: none of the {len(found)} nodes of the cluster has one")
    smallest, largest = min(each.cpus for each in fit), max(each.cpus for each in fit)
    if threads is not None and threads > largest:
        raise UsageError(f"--threads {threads}: the largest node of the cluster has {largest} processors")
    return chosen, threads or max(1, smallest // jobs)


def surveyed(
    ray: ModuleType, found: Sequence[Counted], settings: Settings, names: "Names"
) -> tuple[list[Node], list[str]]:
    """The nodes that can measure under these settings, and in words what is wrong with the others.

    Raises:
        MeasurementError: no node can.
    """
    device, threads = settings.asked.device, settings.asked.threads or 1
    fit = [each for each in found if each.cpus >= threads and (device == "cpu" or each.gpus)]
    ask = ray.remote(max_retries=0)(on_node.conditions)
    refs = {_asked(ask, each, device).remote(settings): each for each in fit}
    ready = ray.wait(list(refs), num_returns=len(refs), timeout=ANSWER_S)[0]
    nodes, problems = [], []
    for ref, each in refs.items():
        name = names.of(each.id)
        if ref not in ready:
            problems.append(f"{name} has not answered in {ANSWER_S:g} s")
            ray.cancel(ref, force=True)
            continue
        try:
            nodes.append(Node(each, ray.get(ref)))
        except ray.exceptions.RayError as error:
            problems.append(f"{name}: {why(error)}")
    if not nodes:
        raise MeasurementError(f"no node of the cluster can measure: {'; '.join(problems) or 'there is none'}")
    return nodes, problems


def _asked(ask: Any, found: Counted, device: str) -> Any:
    card = _SHARE_OF_A_CARD if device == "cuda" else 0
    return ask.options(num_cpus=0, num_gpus=card, label_selector={"ray.io/node-id": found.id})


def kinds(nodes: Sequence[Node]) -> list[Kind]:
    """The nodes by what makes them alike, the most frequent kind first; among equals the one with more processors."""
    found: dict[object, list[Node]] = {}
    for node in nodes:
        there = node.environment
        conditions = (there.device_name, there.cpu, there.threads, there.torch, there.machine, there.machine_name)
        alike = (*conditions, node.counted.cpus, node.counted.gpus)
        found.setdefault(alike, []).append(node)
    return sorted((Kind(tuple(each)) for each in found.values()), key=lambda kind: (-len(kind.nodes), -kind.cpus))


def why(error: Exception) -> str:
    """An error of Ray in one line: that of our own code in its words, without Ray's account of how it came here."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[0] if lines else type(cause).__name__

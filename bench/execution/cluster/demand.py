"""What a case asks of a cluster: processors, one card, memory, and which nodes may have it.

Sends nothing anywhere: Ray finds the node.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from bench.execution.cluster.nodes import Kind
from bench.execution.limits import not_beside_others
from bench.plan.case import Case
from bench.plan.forecast import memory_bytes
from bench.records.metrics import METRICS


@dataclass(frozen=True)
class Demand:
    """What Ray is asked for. `nodes`: only these may have it, all where there is none; `alone`: nobody else of ours."""

    cpus: int
    gpus: int
    memory_bytes: int
    nodes: tuple[str, ...] = ()
    alone: bool = False

    def options(self) -> dict[str, Any]:
        """The same as options of a task of Ray."""
        found: dict[str, Any] = {"num_cpus": self.cpus, "num_gpus": self.gpus, "memory": self.memory_bytes}
        if self.nodes:
            found["label_selector"] = {"ray.io/node-id": f"in({','.join(self.nodes)})"}
        return found


def demand(case: Case, kinds: Sequence[Kind], hardware: str | None = None) -> Demand:
    """What a case asks for on a cluster of these kinds of nodes.

    A clock has all processors of its node, so that Ray puts nothing else of ours beside it; and since clocks are
    compared with each other, those without a hardware of their own all go to one kind of node, the first one.

    Args:
        hardware: pattern of the device names on which a claim wants it.
    """
    fit = allowed(kinds, hardware)
    alone = hardware is not None or not_beside_others(case)
    card = int(case.device == "cuda")
    most = max(node.counted.memory_bytes for kind in fit for node in kind.nodes)
    memory = min(memory_bytes(case), most)
    if alone:
        return Demand(fit[0].cpus, card, memory, fit[0].ids, alone=True)
    cpus = 1 if is_count(case) else kinds[0].environment.threads
    return Demand(cpus, card, memory)


def allowed(kinds: Sequence[Kind], hardware: str | None) -> list[Kind]:
    """The kinds of nodes that are what a claim names; all of them where it names nothing or nobody has it."""
    return [kind for kind in kinds if hardware and is_named(kind, hardware)] or list(kinds)


def is_named(kind: Kind, hardware: str) -> bool:
    """Whether a kind of nodes is the hardware that a claim names, as its verdict will ask."""
    return fnmatch(kind.environment.device_name.lower(), hardware.lower())


def is_count(case: Case) -> bool:
    """Whether everything that is said of a case follows from its model, so that one processor is as good as many."""
    metrics = [metric for metric in METRICS.values() if metric.measure == case.measure]
    return bool(metrics) and all(metric.depends == "model" for metric in metrics)

"""How well a large cluster is kept busy: made cases that sleep, on nodes that are slots of one machine.

    python -m tests.perf.many_machines --nodes 100 --cases 2000 --seconds 15

Ray, the executor, its progress and the store are real; only what a node does is not, for it would need its processors.
No test: it takes as long as it is told to.
"""

import argparse
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from bench.execution.cluster.board import telling
from bench.execution.cluster.node import Found, Settings
from bench.execution.cluster.nodes import Counted, Names, Node, counted
from bench.execution.cluster.ray_executor import RayExecutor
from bench.execution.cluster.session import Session
from bench.execution.messages import Recording
from bench.execution.outcome import Measured, outcome
from bench.records.measurement import Reading
from bench.store import Store
from tests import making

HERE = making.environment(threads=1, device_name="made", device="cpu")


def sleeps(number, errand, settings, actor):
    """A task that does what a node would, but for the measuring."""
    import ray

    telling(ray, actor, number)("began", None)
    started, length = datetime.now(UTC), errand.case.options["seconds"]
    time.sleep(length)
    found = outcome(errand.case, HERE, Measured(None, [Reading("params", 1.0)], complete=True), started, length)
    return Found(found, node=ray.get_runtime_context().get_node_id())


class Nobody:
    """Watches and says nothing."""

    def __getattr__(self, name):
        return lambda *_: None


def played(nodes: int, cases: int, seconds: float, folder: Path) -> dict[str, float]:
    """Seconds from the first case to the stored end of the last, and what the driver held meanwhile."""
    from ray.cluster_utils import Cluster

    small = {"num_cpus": nodes, "memory": nodes * 2**30, "include_dashboard": False, "object_store_memory": 200 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=small)
    session = Session(cluster.address)
    (there,) = counted(session.ray)
    settings = Settings(Recording("run-1", making.NOW, [], "cpu", 1), {})
    slots = Node(Counted(there.id, nodes, 0, there.memory_bytes), HERE)
    executor = RayExecutor(session, [slots], Names(), settings, task=sleeps)
    try:
        _warm(session.ray, nodes)
        return _measured(executor, cases, seconds, Store(folder / "store"))
    finally:
        executor.close()
        cluster.shutdown()


def _measured(executor: RayExecutor, cases: int, seconds: float, store: Store) -> dict[str, float]:
    made = [making.case("static", seed=number, options={"seconds": seconds}) for number in range(cases)]
    held, stored, begun = [], 0.0, time.perf_counter()
    for found in executor.execute(made, Nobody(), lambda case: True):
        before = time.perf_counter()
        store.append(found.rows)
        stored += time.perf_counter() - before
        held.append(psutil.Process().memory_info().rss / 2**20)
    took, rows = time.perf_counter() - begun, len(store.load(["case_id"]))
    assert rows == cases, rows
    tenth = max(1, cases // 10)
    return {
        "makespan_s": took,
        "stored_s": stored,
        "mib_after_a_tenth": max(held[:tenth]),
        "mib_at_the_end": max(held[-tenth:]),
    }


def _warm(ray, nodes: int) -> None:
    """Let Ray start its processes, as a cluster that runs already has."""
    sleep = ray.remote(num_cpus=1)(lambda: time.sleep(5))
    ray.get([sleep.remote() for _ in range(nodes)])


def main() -> None:
    asked = argparse.ArgumentParser()
    for name, kind in (("nodes", int), ("cases", int), ("seconds", float)):
        asked.add_argument(f"--{name}", type=kind, required=True)
    wish = asked.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as folder:
        found = played(wish.nodes, wish.cases, wish.seconds, Path(folder))
    ideal = -(-wish.cases // wish.nodes) * wish.seconds
    over = found["makespan_s"] / ideal - 1
    each = (found["makespan_s"] - ideal) / -(-wish.cases // wish.nodes)
    print(f"{wish.cases} cases of {wish.seconds:g} s on {wish.nodes} slots: {found['makespan_s']:.1f} s")
    print(f"ideal {ideal:.1f} s, {over:+.2%}; {each * 1e3:.0f} ms a case, {each / 30:.2%} of a case of 30 s")
    print(f"storing took {found['stored_s'] / wish.cases * 1e3:.0f} ms a case, beside what ran")
    print(f"driver: {found['mib_after_a_tenth']:.0f} MiB after a tenth, {found['mib_at_the_end']:.0f} at the end")


if __name__ == "__main__":
    main()

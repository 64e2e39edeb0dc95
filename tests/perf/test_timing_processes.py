"""Intervals of repeated measurements overlap where they cover several processes; those of one process often do not.

Measures the same model again and again in both ways, in turns, and prints which pairs of intervals are disjoint. Also
what a process per case costs, as a ratio. What another busy process does to a machine, no interval covers.
"""

import itertools
import json
import os
import statistics
import time
from contextlib import closing
from dataclasses import replace

from bench.execution.limits import Limits
from bench.execution.messages import Recording
from bench.execution.process_executor import ProcessExecutor
from bench.execution.workers import starting
from bench.plan.case import Case
from bench.statistics.intervals import Interval, median_interval
from tests.making import case
from tests.test_process_per_case import Silent

MIXER = {"patch_size": 4, "width": 128, "depth": 8, "token_mlp": 64, "channel_mlp": 256}
REPEATS = int(os.environ.get("BENCH_PERF_REPEATS", "5"))  # 5 measurements make 10 pairs
TIMED = case("timing", model_args=MIXER, num_classes=10, image_size=32, batch_size=16)
ASKED = Recording("r", "2026-11-25T00:00:00+00:00", ["bench"], "cpu", 1)


def executor() -> ProcessExecutor:
    return ProcessExecutor(starting(), ASKED, (None, None), {}, Limits())


def rows(running: ProcessExecutor, asked: Case) -> list:
    (outcome,) = running.execute([asked], Silent(), lambda case: True)
    assert outcome.problem is None
    return [row for row in outcome.rows if row.metric == "latency_s"]


def disjoint(intervals: list[Interval]) -> int:
    pairs = itertools.combinations(intervals, 2)
    return sum(one.high < other.low or other.high < one.low for one, other in pairs)


def test_intervals_over_processes_hold_the_next_measurement_more_often_than_those_of_one():
    found: dict[str, list[Interval]] = {"blocks of one process": [], "seven processes": []}
    with closing(executor()) as running:
        for _ in range(REPEATS):
            (one,) = rows(running, replace(TIMED, options={"processes": 1, "blocks": 20}))
            found["blocks of one process"].append(median_interval(json.loads(one.detail)))
            found["seven processes"].append(median_interval([row.value for row in rows(running, TIMED)]))
    pairs = REPEATS * (REPEATS - 1) // 2
    for name, intervals in found.items():
        shown = ", ".join(f"[{1000 * each.low:.1f}, {1000 * each.high:.1f}]" for each in intervals)
        print(f"\n{name}: {disjoint(intervals)} of {pairs} pairs are disjoint: {shown} ms", end="")
    print()
    assert disjoint(found["seven processes"]) <= disjoint(found["blocks of one process"])


def test_a_process_per_case_costs_a_share_of_what_the_cases_take():
    asked = [case(model_args=MIXER | {"depth": depth}, num_classes=10, image_size=32) for depth in range(1, 13)]
    asked = [replace(each, name=f"c{number}") for number, each in enumerate(asked)]
    found: dict[str, list[float]] = {"one process": [], "a process per case": []}
    from bench.execution.context import Context
    from bench.execution.executor import execute

    with closing(executor()) as running:
        environment = running.environment
        for turn in range(4):
            for name in found:
                begun = time.perf_counter()
                if name == "one process":
                    outcomes = list(execute(asked, Context(threads=1), environment))
                else:
                    outcomes = list(running.execute(asked, Silent(), lambda case: True))
                assert all(outcome.problem is None for outcome in outcomes)
                if turn:  # the first of each imports
                    found[name].append(time.perf_counter() - begun)
    one, each = (statistics.median(seconds) for seconds in found.values())
    more_ms = 1000 * (each - one) / len(asked)
    print(f"\na process per case: {each / one:.2f} times one process, {more_ms:.0f} ms a case more")
    assert each < 5 * one

"""Timing with a clock of our own: what is a block, what is a row, and that a ratio follows from the seconds."""

import gc
import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.benchmark import Timer

from bench.errors import MeasurementError
from bench.execution.context import Context, OnceMore, Turn
from bench.measures.instruments import stopwatch
from bench.measures.side_by_side import side_by_side
from bench.measures.timing import timing
from bench.plan.case import Case
from bench.registry import measures, models
from bench.statistics.intervals import median
from tests import making


class Clock:
    """Seconds that pass only when a model says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


class Sleeper(nn.Module):
    """Takes `per_call + per_image * B` seconds of CLOCK, `warm` times as long on its first two calls."""

    def __init__(self, per_call: float, per_image: float, warm: float, sees: Callable[[torch.Tensor], None]):
        super().__init__()
        self.seconds, self.warm, self.sees = (per_call, per_image), warm, sees
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sees(x)
        self.calls += 1
        slower = self.warm if self.calls <= 2 else 1
        CLOCK.now += slower * (self.seconds[0] + self.seconds[1] * len(x))
        return x


SEEN: list[dict] = []


@models.register("sleeper")
def sleeper(*, num_classes: int, image_size: int, per_call: float = 0.0, per_image: float = 0.0, warm: float = 1.0):
    def sees(x: torch.Tensor) -> None:
        state = {
            "grad": torch.is_grad_enabled(),
            "inference": x.is_inference(),
            "gc": gc.isenabled(),
            "name": per_image,
        }
        SEEN.append(state | {"training": model.training, "shape": tuple(x.shape)})

    model = Sleeper(per_call, per_image, warm, sees)
    return model


def case(batch_size: int | None = 4, **args) -> Case:
    return making.case("timing", "sleeper", model_args=args, num_classes=2, image_size=4, batch_size=batch_size)


def context() -> Context:
    SEEN.clear()
    return Context(clock=CLOCK)


def values(readings, metric: str, part: str | None = None) -> list[float]:
    return [reading.value for reading in readings if (reading.metric, reading.part) == (metric, part)]


def test_latency_is_seconds_of_one_call_and_fps_is_batch_over_latency():
    rows = list(timing(case(4, per_image=0.010), context(), min_seconds=1.0))
    assert values(rows, "latency_s") == pytest.approx([4 * 0.010] * len(values(rows, "latency_s")))
    assert values(rows, "fps") == pytest.approx([4 / (4 * 0.010)] * len(values(rows, "fps")))
    assert values(rows, "latency_p50_s") == values(rows, "latency_p95_s") == pytest.approx([0.040])


def blocks_of(rows) -> list[float]:
    return next(json.loads(row.detail) for row in rows if row.metric == "latency_s")


def test_a_process_is_a_row_that_keeps_its_blocks_and_all_processes_fill_the_time_asked_for():
    rows = list(timing(case(1, per_image=0.010), context(), min_seconds=7.0, processes=7))
    assert [row.repeat for row in rows] == [0] * 4
    calls = 8  # the smallest power of two with calls * 10 ms >= 60 ms
    assert blocks_of(rows) == pytest.approx([0.010] * 13)  # 12 * 80 ms < 7 s / 7 <= 13 * 80 ms
    assert calls * 0.010 >= stopwatch.BLOCK_S > calls / 2 * 0.010


def test_a_slow_model_gets_two_blocks_once_its_time_is_up():
    rows = list(timing(case(1, per_call=20.0), context(), max_seconds=30.0))
    assert len(blocks_of(rows)) == 2


@pytest.mark.parametrize(
    ("turn", "again"),
    [
        (Turn(0), True), (Turn(5, 29.0), True), (Turn(6, 29.0), False),  # seven of them, from 0 to 6
        (Turn(0, 31.0), True), (Turn(1, 31.0), False),  # of a slow model two, however long they take
    ],
)  # fmt: skip
def test_each_process_asks_for_the_next_until_there_are_seven_or_the_time_is_up(turn, again):
    def ended():
        asked = yield from timing(case(1, per_image=0.010), replace(context(), turn=turn))
        said.append(asked)

    said = []
    assert {row.repeat for row in ended()} == {turn.number}
    assert said == [OnceMore() if again else None]


def test_warm_up_is_not_timed():
    rows = list(timing(case(1, per_call=0.1, warm=50.0), context()))
    assert max(values(rows, "latency_s")) == pytest.approx(0.1)


def test_warm_up_goes_on_until_two_neighbours_agree():
    seconds = iter([9.0, 1.2, 0.11, 0.10, 0.10, 0.10])
    taken = []
    stopwatch.warm_up(lambda: None, lambda call, count: taken.append(next(seconds)) or taken[-1], limit_s=60)
    assert taken == [9.0, 1.2, 0.11, 0.10, 0.10]


def test_models_run_in_eval_and_inference_mode_without_garbage_collection():
    assert gc.isenabled()
    list(timing(case(3, per_image=0.1), context()))
    assert gc.isenabled()
    assert {(seen["grad"], seen["inference"], seen["gc"], seen["training"]) for seen in SEEN} == {
        (False, True, False, False)
    }
    assert {seen["shape"] for seen in SEEN} == {(3, 3, 4, 4)}


def test_garbage_collection_comes_back_after_a_failure():
    with pytest.raises(ZeroDivisionError), stopwatch.undisturbed():
        raise ZeroDivisionError
    assert gc.isenabled()


def versus(**args) -> dict:
    return {"factory": "sleeper", "args": args, "num_classes": 2, "image_size": 4}


def test_a_ratio_is_time_of_the_model_over_time_of_the_other():
    rows = list(side_by_side(case(2, per_image=0.03), context(), versus=versus(per_image=0.02), min_seconds=1.0))
    assert values(rows, "time_ratio") == pytest.approx([0.03 / 0.02] * len(values(rows, "time_ratio")))
    assert values(rows, "latency_s") == pytest.approx([2 * 0.03] * len(values(rows, "time_ratio")))
    assert values(rows, "latency_s", "versus") == pytest.approx([2 * 0.02] * len(values(rows, "time_ratio")))


def test_blocks_are_interleaved_a_b_b_a():
    list(side_by_side(case(1, per_image=0.2), context(), versus=versus(per_image=0.1), pairs=4, min_seconds=0))
    # One call fills a block, so the last eight calls are the four pairs: A B, B A, A B, B A.
    assert [seen["name"] for seen in SEEN[-8:]] == [0.2, 0.1, 0.1, 0.2, 0.2, 0.1, 0.1, 0.2]


def test_drift_of_the_machine_cancels_in_the_ratio():
    readings = side_by_side(case(1, per_image=0.2), Context(clock=lambda: CLOCK.now**1.1), versus=versus(per_image=0.1))
    ratios = values(list(readings), "time_ratio")
    assert median(ratios) == pytest.approx(2, rel=0.02)


def test_with_a_sweep_each_model_runs_at_its_own_best_batch_and_the_ratio_is_per_image():
    # A: 1 s per call + 0.1 s per image, so the largest batch is best: (1 + 0.8) / 8 s per image.
    # B: no cost per call, so every batch gives 0.3 s per image and the first is kept.
    ours, theirs = case(None, per_call=1.0, per_image=0.1), versus(per_image=0.3)
    rows = list(side_by_side(ours, context(), versus=theirs, best_batch=[2, 8]))
    assert values(rows, "fps", "batch 2") == pytest.approx([2 / (1 + 2 * 0.1)])
    assert values(rows, "fps", "batch 8") == pytest.approx([8 / (1 + 8 * 0.1)])
    assert values(rows, "fps", "versus batch 8") == pytest.approx([1 / 0.3])
    assert values(rows, "time_ratio")[0] == pytest.approx((1 + 0.8) / 8 / 0.3)


def test_a_sweep_in_which_nothing_fits_says_so(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(stopwatch, "forward", full)
    with pytest.raises(MeasurementError, match=r"none of the batch sizes \[1, 2\] fits"):
        list(side_by_side(case(None), context(), versus=versus(), best_batch=[1, 2]))


def test_on_cuda_blocks_are_counted_by_events_in_milliseconds_and_single_calls_wait_for_the_device(monkeypatch):
    order: list[str] = []

    class Event:
        def __init__(self, *, enable_timing: bool):
            assert enable_timing

        def record(self) -> None:
            order.append("record")

        def synchronize(self) -> None:
            order.append("wait for event")

        def elapsed_time(self, end: "Event") -> float:
            return 250.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: order.append("wait"))
    assert stopwatch.timer("cuda", CLOCK)(lambda: order.append("call"), 2) == 0.250
    assert order == ["wait", "record", "call", "call", "record", "wait for event"]
    order.clear()
    stopwatch.latency_timer("cuda", CLOCK)(lambda: order.append("call"), 1)
    assert order == ["wait", "call", "wait"]


def test_both_measures_are_found_by_name():
    assert measures.get("timing") is timing
    assert measures.get("side_by_side") is side_by_side
    assert not {name for name in measures.names() if name.startswith("_")}


@models.register("some_products")
def some_products(*, num_classes: int, image_size: int):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, 512), nn.GELU(), nn.Linear(512, num_classes))


def test_real_seconds_agree_with_torchs_own_timer_within_a_factor_that_noise_allows():
    """In seconds of this thread, which other work on the machine does not touch. The strict one is in tests/perf."""
    threads = torch.get_num_threads()
    asked = making.case("timing", "some_products", num_classes=10, image_size=32, batch_size=16)
    try:
        torch.set_num_threads(1)
        ours = values(list(timing(asked, Context(clock=time.thread_time), min_seconds=0.1)), "latency_s")
        with torch.inference_mode():
            timer = Timer("call()", timer=time.thread_time, globals={"call": stopwatch.forward(asked)})
            theirs = timer.blocked_autorange(min_run_time=0.1)
    finally:
        torch.set_num_threads(threads)
    assert 0.5 < median(ours) / theirs.median < 2  # seconds, not milliseconds; per call, not per block

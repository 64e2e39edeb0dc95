"""What our timing adds to one tiny forward pass: nearly nothing beside the plain loop somebody would write.

Blocks of both alternate and are compared pair by pair, so that what disturbs the machine disturbs both alike.
"""

import time

import torch

from bench.execution.conditions import fix_conditions
from bench.measures.instruments import stopwatch
from bench.measures.instruments.model import build, images
from bench.plan.case import Case
from bench.statistics.intervals import median, median_interval

TINY = {"patch_size": 16, "width": 8, "depth": 1, "token_mlp": 4, "channel_mlp": 8}
PAIRS = 40
AT_MOST = 1.1
CASE = Case(
    "tiny", "s", "0", "quick", "timing", "tiny", "mlp_mixer",
    model_args=TINY, num_classes=10, image_size=32, batch_size=1,
)  # fmt: skip


def plain(count: int) -> float:
    """Seconds of so many calls, as a script without bench would take them."""
    begun = time.perf_counter()
    with torch.inference_mode():
        for _ in range(count):
            MODEL(BATCH)
    return time.perf_counter() - begun


MODEL, BATCH = build(CASE).eval(), images(CASE)


def test_our_loop_takes_at_most_a_tenth_longer_than_a_plain_one():
    fix_conditions("cpu", 1)
    timed = stopwatch.timer("cpu", time.perf_counter)
    with stopwatch.undisturbed():
        call = stopwatch.forward(CASE)
        stopwatch.warm_up(call, timed)
        count = stopwatch.calls_per_block(call, timed, 0.02)
        ratios = []
        for number in range(PAIRS):
            if number % 2:
                theirs = plain(count)
                ratios.append(timed(call, count) / theirs)
            else:
                ratios.append(timed(call, count) / plain(count))
    found = median_interval(ratios)
    print(f"\nours / plain loop = {found.point:.3f} [{found.low:.3f}, {found.high:.3f}], blocks of {count} calls")
    assert found.point < AT_MOST


def test_one_tiny_forward_takes_no_longer_than_a_hundred_linear_layers_of_its_size():
    """It has some thirty operators, each of which takes about as long as torch needs to start one."""
    fix_conditions("cpu", 1)
    timed = stopwatch.timer("cpu", time.thread_time)
    layer, features = torch.nn.Linear(TINY["width"], TINY["channel_mlp"]).eval(), torch.zeros(1, 4, TINY["width"])
    with stopwatch.undisturbed(), torch.inference_mode():
        call = stopwatch.forward(CASE)
        assert call().shape == (1, 10)
        stopwatch.warm_up(call, timed)
        ratios = [timed(call, 50) / timed(lambda: layer(features), 50) for _ in range(PAIRS)]
    print(f"\none tiny forward: {median(ratios):.1f} linear layers")
    assert median(ratios) < 100


def test_building_a_tiny_model_and_its_batch_costs_under_a_hundred_forwards():
    fix_conditions("cpu", 1)
    timed = stopwatch.timer("cpu", time.thread_time)
    with stopwatch.undisturbed():
        call = stopwatch.forward(CASE)
        stopwatch.warm_up(call, timed)
        ratios = [timed(lambda: stopwatch.forward(CASE), 1) / (timed(call, 10) / 10) for _ in range(PAIRS)]
    print(f"\nbuilding it: {median(ratios):.1f} forwards")
    assert median(ratios) < 100

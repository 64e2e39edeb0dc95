"""The learning rate of every batch, as a closed form of the recipe. Knows no optimiser and keeps no state.

Without state there is nothing to save in a checkpoint and nothing that a resumed run could get wrong.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

from bench.suite.recipe import Constant, Cosine, OneCycle, Piecewise, Recipe


def learning_rate(recipe: Recipe, batch: int, batches_per_epoch: int) -> float:
    """The rate that batch number `batch` (from 0, over all epochs) is trained with.

    A warm-up rises in a straight line from 0 and reaches `lr` with its last batch; the schedule begins after it. With
    `step = "epoch"` the schedule moves once an epoch, as a torch scheduler does that is stepped after each epoch.
    """
    schedule = recipe.schedule
    warmup = round(schedule.warmup_epochs * batches_per_epoch)
    if batch < warmup:
        return recipe.lr * (batch + 1) / warmup
    unit = 1 if schedule.step == "batch" else batches_per_epoch
    total = (recipe.epochs * batches_per_epoch - warmup) // unit
    return _RATES[type(schedule)](recipe.lr, schedule, (batch - warmup) // unit, total)


def _constant(lr: float, schedule: Constant, step: int, total: int) -> float:
    return lr


def _cosine(lr: float, schedule: Cosine, step: int, total: int) -> float:
    """Loshchilov & Hutter 2017, equation 5 without restarts: beyond t_max the rate rises again, as torch's does."""
    t_max = schedule.t_max or max(total, 1)
    low = schedule.eta_min
    return low + (lr - low) * (1 + math.cos(math.pi * step / t_max)) / 2


def _piecewise(lr: float, schedule: Piecewise, step: int, total: int) -> float:
    """Straight lines between the points. Per batch at (step + 1) / total, as the published ConvMixer code."""
    place = (step + 1 if schedule.step == "batch" else step) / max(total, 1)
    points = schedule.points
    for (left, low), (right, high) in itertools.pairwise(points):
        if place <= right:
            return low + (high - low) * (place - left) / (right - left)
    return points[-1][1]


def _onecycle(lr: float, schedule: OneCycle, step: int, total: int) -> float:
    """torch's OneCycleLR with cosine annealing and two phases; the momentum is left alone.

    Where torch divides by zero, a rise or a fall that has no width, the rate is at its end at once.
    """
    first = lr / schedule.div_factor
    turn = schedule.pct_start * total - 1
    if step <= turn:
        return _between(first, lr, _share(step, turn))
    return _between(lr, first / schedule.final_div_factor, _share(step - turn, total - 1 - turn))


def _share(done: float, width: float) -> float:
    return min(done / width, 1.0) if width > 0 else 1.0


def _between(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


_RATES: dict[type, Callable[[float, Any, int, int], float]] = {
    Constant: _constant,
    Cosine: _cosine,
    Piecewise: _piecewise,
    OneCycle: _onecycle,
}

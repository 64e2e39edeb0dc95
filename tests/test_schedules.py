"""Schedules: the closed forms follow torch's schedulers batch by batch, and the published loop where torch has none."""

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from bench.suite.recipe import Recipe
from bench.training.schedules import learning_rate

LR, EPOCHS, BATCHES = 3e-3, 30, 7


def recipe(**schedule):
    return Recipe.from_mapping(
        {"epochs": EPOCHS, "batch_size": 128, "optimizer": "adamw", "lr": LR, "schedule": schedule}
    )


def ours(**schedule):
    checked = recipe(**schedule)
    return [learning_rate(checked, batch, BATCHES) for batch in range(EPOCHS * BATCHES)]


def torchs(make, per):
    """The rate that a torch scheduler sets for every batch when stepped after each batch or after each epoch."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    scheduler, rates = make(optimizer), []
    for batch in range(1, EPOCHS * BATCHES + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (per == "batch" or batch % BATCHES == 0) and batch < EPOCHS * BATCHES:
            scheduler.step()
    return rates


@pytest.mark.parametrize("step", ["batch", "epoch"])
def test_a_cosine_with_t_max_30_is_torchs_stepped_per_batch_or_per_epoch(step):
    expected = torchs(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=30), step)
    assert ours(name="cosine", step=step, t_max=30) == pytest.approx(expected, abs=LR * 1e-9)


def test_stepped_per_batch_with_t_max_30_the_rate_swings_between_its_peak_and_zero():
    rates = ours(name="cosine", step="batch", t_max=30)
    assert rates[0] == rates[60] == rates[120] == LR
    assert rates[30] == rates[90] == 0.0
    assert rates[15] == pytest.approx(LR / 2)


def test_without_t_max_a_cosine_spans_the_whole_training():
    assert ours(name="cosine", step="epoch") == ours(name="cosine", step="epoch", t_max=EPOCHS)
    assert ours(name="cosine", step="batch") == ours(name="cosine", step="batch", t_max=EPOCHS * BATCHES)


def test_onecycle_is_torchs():
    expected = torchs(
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, max_lr=LR, total_steps=EPOCHS * BATCHES), "batch"
    )
    assert ours(name="onecycle", step="batch") == pytest.approx(expected, abs=LR * 1e-9)


def test_piecewise_is_the_published_interpolation_over_epochs():
    points = [[0, 0], [0.4, LR], [0.8, LR / 20], [1, 0]]
    at, heights = [0, EPOCHS * 2 // 5, EPOCHS * 4 // 5, EPOCHS], [0, LR, LR / 20, 0]
    expected = [
        np.interp(epoch + (batch + 1) / BATCHES, at, heights) for epoch in range(EPOCHS) for batch in range(BATCHES)
    ]
    assert ours(name="piecewise", step="batch", points=points) == pytest.approx(expected, abs=LR * 1e-9)


def test_a_warm_up_rises_to_the_peak_and_the_schedule_begins_after_it():
    rates = ours(name="cosine", step="epoch", warmup_epochs=2)
    assert rates[: 2 * BATCHES] == pytest.approx([LR * (batch + 1) / (2 * BATCHES) for batch in range(2 * BATCHES)])
    assert rates[2 * BATCHES :] == pytest.approx(
        [LR * (1 + np.cos(np.pi * epoch / (EPOCHS - 2))) / 2 for epoch in range(EPOCHS - 2) for _ in range(BATCHES)]
    )


def test_a_constant_stays():
    assert set(ours(name="constant")) == {LR}


@pytest.mark.parametrize(("pct_start", "epochs"), [(0.25, 4), (0.1, 10), (1.0, 3), (1.0, 1), (0.3, 1)])
def test_a_one_cycle_whose_rise_or_fall_has_no_width_divides_by_nothing(pct_start, epochs):
    one = recipe(name="onecycle", pct_start=pct_start).model_copy(update={"epochs": epochs})
    rates = [learning_rate(one, batch, BATCHES) for batch in range(epochs * BATCHES)]
    assert all(0 < rate <= LR for rate in rates)
    # 0.25 × 4 - 1 = 0 and 0.1 × 10 - 1 = 0: the peak is where the training begins.
    assert (rates[0] == LR) == (pct_start * epochs == 1)

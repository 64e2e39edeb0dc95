"""A loss that is not finite: its rows say where it began, accuracy stays, and no verdict is reached over the gap."""

import math
from datetime import UTC, datetime

import pandas
import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.data.synthetic import synthetic
from bench.execution.context import Context
from bench.execution.executor import execute
from bench.models.conv_mixer import conv_mixer
from bench.plan.planner import plan
from bench.records.measurement import Measurement, as_row, columns
from bench.registry import models
from bench.suite.recipe import Recipe
from bench.training import loop
from bench.training.batches import ImageSource, prepared
from bench.training.causes import first_cause
from bench.training.loop import train
from bench.verdicts import judge
from tests import making

LEAST = {"epochs": 2, "batch_size": 16, "optimizer": "adamw", "lr": 1e-3}
DATA = {"n_train": 72, "n_test": 40, "image_size": 8, "n_classes": 4}
LARGEST = 65504.0  # of float16


def small_mixer():
    torch.manual_seed(7)
    return conv_mixer(num_classes=4, image_size=8, width=8, depth=2, patch_size=2, kernel_size=3)


def overflows_in_training():
    """The weights of the first layer do not fit into float16."""
    network = small_mixer()
    nn.init.constant_(network.patch_embedding.conv.weight, 2 * LARGEST)
    return network


def overflows_in_evaluation():
    """One BatchNorm's running variance stays 0: in evaluation it multiplies by 1 / sqrt(1e-5) = 316 and 1,000 more."""
    network = small_mixer()
    norm = network.blocks[1].depthwise.norm
    norm.momentum = 0.0
    nn.init.zeros_(norm.running_var)
    nn.init.constant_(norm.weight, 1000.0)
    return network


for _factory in (overflows_in_training, overflows_in_evaluation):
    models.register(_factory.__name__)(lambda *, num_classes, image_size, make=_factory: make())


def curve(network, **changes):
    recipe = Recipe.from_mapping(LEAST | changes)
    return list(train(network, synthetic(**DATA), recipe, seed=5, context=Context()))


def cause(network, images, labels):
    return first_cause(network, images, lambda logits: functional.cross_entropy(logits.float(), labels))


# Training and evaluation


def test_weights_that_do_not_fit_into_float16_are_named_in_training():
    for point in curve(overflows_in_training(), precision="float16"):
        assert (point.bad_batches, point.batches) == (math.ceil(72 / 16), 5)
        assert point.train_cause.startswith("patch_embedding.conv (float16 ")
        assert f"largest weight {2 * LARGEST:.2g}" in point.train_cause
        assert point.train_loss is None
        assert 0 <= point.train_top1_pct <= 100


def test_an_overflow_in_evaluation_alone_leaves_the_training_loss():
    for point in curve(overflows_in_evaluation(), precision="float16"):
        assert point.train_loss is not None
        assert (point.test_loss, point.train_cause) == (None, None)
        assert 0 < point.bad_images <= point.images == 40
        assert point.test_cause.startswith("blocks.1.depthwise.norm (float16 overflow, largest input ")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_network_is_finite_where_the_exponent_is_wider(precision):
    for point in curve(overflows_in_evaluation(), precision=precision):
        assert None not in (point.train_loss, point.test_loss)
        assert (point.train_cause, point.test_cause, point.bad_images) == (None, None, 0)


class Fuse(nn.Module):
    """A network whose logits become infinite in training when an image as bright as `limit` is in the batch."""

    def __init__(self, inner, limit):
        super().__init__()
        self.inner = inner
        self.limit = limit

    def forward(self, images):
        blown = self.training and bool(images.mean((1, 2, 3)).max() >= self.limit)
        return self.inner(images) * (math.inf if blown else 1.0)


def fused(**recipe):
    """A network that fails in exactly one batch of the first epoch, and holds all that an epoch depends on."""
    dataset, settings = synthetic(**DATA), Recipe.from_mapping(LEAST | recipe)
    source = ImageSource.of(dataset.train_images, dataset.train_labels, "cpu")
    epoch = prepared(source, settings, dataset.mean, dataset.std, seed=5, epoch=1)
    limit = max(float(batch.mixed.images.mean((1, 2, 3)).max()) for batch in epoch)
    return Fuse(nn.Sequential(nn.Dropout(0.2), small_mixer()), limit)


def test_looking_for_the_cause_changes_no_bit_of_the_training(monkeypatch):
    looked, blind = fused(), fused()
    curve_of_looked = curve(looked, precision="float16", clip_norm=1.0)
    monkeypatch.setattr(loop, "_train_cause", lambda *_: "not looked for")
    curve_of_blind = curve(blind, precision="float16", clip_norm=1.0)
    # float16 leaves out the step of the bad batch, so the training goes on.
    assert [point.test_loss for point in curve_of_looked] == [point.test_loss for point in curve_of_blind]
    for one, other in zip(looked.state_dict().values(), blind.state_dict().values(), strict=True):
        assert torch.equal(one, other)
        assert one.isfinite().all()


def test_the_batch_is_met_again_with_the_weights_and_masks_of_its_own_step(monkeypatch):
    met = []
    step, cause = loop.step, loop._train_cause

    def remembered(setting, batch, lr):
        before = [parameter.detach().clone() for parameter in setting.model.parameters()]
        loss, hits = step(setting, batch, lr)
        met.append((batch.mixed.images, before, bool(loss.isfinite())))
        return loss, hits

    def compared(setting, epoch, bad, packed):
        images, before, finite = met[(epoch - 1) * 5 + bad]
        assert not finite
        assert bad > 0

        def look(model, batch, loss):
            assert torch.equal(batch, images)
            assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))
            return "looked"

        monkeypatch.setattr(loop, "first_cause", look)
        monkeypatch.setattr(loop, "step", step)
        found = cause(setting, epoch, bad, packed)
        monkeypatch.setattr(loop, "step", remembered)
        return found

    monkeypatch.setattr(loop, "step", remembered)
    monkeypatch.setattr(loop, "_train_cause", compared)
    recipe = {"precision": "float16", "mixup": 0.2, "schedule": {"name": "onecycle", "step": "batch"}}
    assert curve(fused(**recipe), **recipe)[0].train_cause == "looked"


def test_after_a_float32_training_has_diverged_the_weights_are_named():
    first, second = curve(fused(), precision="float32")
    assert first.train_cause.startswith("the model (float32 overflow, largest input ")
    assert second.bad_batches == second.batches
    assert second.train_cause == "inner.1.patch_embedding.conv.weight, which was not finite before"
    assert first.test_cause == second.test_cause == second.train_cause


# One batch


def test_a_residual_that_overflows_is_the_input_of_the_next_layer():
    class Doubled(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.after = nn.Identity(), nn.Flatten()

        def forward(self, images):
            return self.after(self.inner(images) + images)

    images = torch.full((2, 1, 1, 2), 3e38)
    assert cause(Doubled(), images, torch.zeros(2).long()) == "input of after"


def test_logits_that_are_finite_and_too_far_apart_are_the_losss_own():
    images = torch.tensor([[-3e38, 3e38]])
    told = cause(nn.Sequential(nn.Identity()), images, torch.zeros(1).long())
    assert told == "the loss of finite logits (float32 overflow, largest logit 3e+38)"


def test_a_model_without_parts_is_named_as_a_whole_and_a_sound_one_is_not_blamed():
    class Plain(nn.Module):
        def forward(self, images):
            return images * 10

    labels = torch.zeros(1).long()
    told = cause(Plain(), torch.tensor([[1.0, 3e38]]), labels)
    assert told == "the model (float32 overflow, largest input 3e+38)"
    assert cause(Plain(), torch.ones(1, 2), labels) == "not seen again when the batch was repeated"


def test_no_hook_stays_behind():
    network = small_mixer()
    cause(network, torch.randn(2, 3, 8, 8), torch.zeros(2).long())
    assert not any(module._forward_hooks for module in network.modules())


# Rows and verdicts


def suite(factory):
    recipe = LEAST | {"precision": "float16"}
    return making.suite(
        models={"mixer": {"factory": factory, "label": "Mixer", "image_size": 8}},
        datasets={"made": {"name": "synthetic", "label": "made", "classes": 4, "args": DATA}},
        recipes={"run": {"label": "as run", "settings": recipe}},
        measures={"accuracy": {"models": ["*"], "datasets": ["made"], "recipes": ["run"]}},
        profiles={"paper": {"label": "paper", "reduced": False, "default": True}},
        quantities={
            "losses": {"metric": "test_loss", "model": "mixer", "at": "all"},
            "top1": {"metric": "test_top1_pct", "model": "mixer"},
        },
        claims={
            "loss": making.claim(kind="open", measured="mean(losses)", unit="nats"),
            "top1": making.claim(kind="open", measured="top1", unit="%"),
        },
    )


def measured(suite):
    cases = plan(suite, "0" * 64, "paper", "cpu")
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return [row for outcome in execute(cases, Context(), making.environment(), now=lambda: now) for row in outcome.rows]


def test_rows_carry_epoch_and_cause_and_the_verdict_refuses_the_mean_and_keeps_the_accuracy():
    made = suite("overflows_in_evaluation")
    rows = measured(made)
    losses = [row for row in rows if row.metric == "test_loss"]
    assert [(row.epoch, row.value, row.status) for row in losses] == [(1, None, "failed"), (2, None, "failed")]
    for row in losses:
        assert f"of 40 test images of epoch {row.epoch}; first: blocks.1.depthwise.norm (float16 overflow" in row.reason
    accuracies = [row for row in rows if row.metric == "test_top1_pct"]
    assert [(row.epoch, row.status) for row in accuracies] == [(1, "ok"), (2, "ok")]
    frame = pandas.DataFrame([as_row(row) for row in rows], columns=list(columns(Measurement)))
    loss, top1 = judge(made, "0" * 64, frame, suite_path="made.toml")
    assert loss.checks[0].measured is None
    assert "first: blocks.1.depthwise.norm" in loss.checks[0].reason
    assert top1.checks[0].measured.point == accuracies[-1].value


def test_a_network_that_says_nan_is_right_on_no_image():
    """The argmax of NaN is class 0: without a look at the logits, every image of class 0 would be right."""

    class Nan(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(float("nan")))

        def forward(self, images):
            return self.weight * images.flatten(1)[:, :4]

    last = curve(Nan())[-1]
    assert last.test_loss is None
    assert (last.train_top1_pct, last.test_top1_pct) == (0.0, 0.0)

"""A recorded step is the step itself, replayed; and an epoch on a GPU never makes the host wait."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from bench.data.embedded import cifar10_sample
from bench.execution.context import Context
from bench.suite.recipe import Recipe
from bench.training import loop
from bench.training.batches import Batch, ImageSource, prepared
from bench.training.mixing import Mixed
from bench.training.recorded import StepRecorder, blank, fill, recordable

AUGMENT = [
    {"name": "flip"},
    {"name": "crop", "padding": 4},
    {"name": "rotation", "degrees": 15},
    {"name": "color_jitter", "brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0.02},
    {"name": "rand_augment", "n": 2, "m": 9},
    {"name": "erasing", "p": 0.5},
]
SETTINGS = {"epochs": 2, "batch_size": 64, "optimizer": "adamw", "lr": 3e-3, "augment": AUGMENT}
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a CUDA device")


def a_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 32), nn.GELU(), nn.Dropout(0.2), nn.Linear(32, 10))


@pytest.fixture(scope="module")
def dataset():
    return cifar10_sample(n_train=64 * 9 + 10, n_test=100)


@pytest.mark.parametrize("drop_last", [False, True])
def test_how_many_batches_are_augmented_at_once_changes_no_bit(dataset, drop_last):
    recipe = Recipe.from_mapping(SETTINGS | {"drop_last": drop_last, "mixup": 0.2})
    source = ImageSource.of(dataset.train_images, dataset.train_labels, "cpu")
    told = [
        list(prepared(source, recipe, dataset.mean, dataset.std, seed=3, epoch=1, together=together))
        for together in (1, 4)
    ]
    assert [len(batch.labels) for batch in told[0]] == [64] * 9 + [10] * (not drop_last)
    for alone, grouped in zip(*told, strict=True):
        assert torch.equal(alone.labels, grouped.labels)
        assert torch.equal(alone.mixed.images, grouped.mixed.images)
        assert alone.mixed.share == grouped.mixed.share


@pytest.mark.parametrize(
    ("changed", "device", "recorded"),
    [
        ({}, "cuda", True),
        ({}, "cpu", False),
        ({"precision": "bfloat16"}, "cuda", True),
        ({"precision": "float16"}, "cuda", False),
        ({"mixup": 0.2}, "cuda", False),
        ({"cutmix": 1.0}, "cuda", False),
    ],
)
def test_only_steps_that_are_always_the_same_kernels_are_recorded(changed, device, recorded):
    assert recordable(Recipe.from_mapping(SETTINGS | changed), device) is recorded


def kept_step(step, batch):
    """What a graph is to its caller: the step with what it has in memory of its own. Works on any device."""
    kept = blank(batch)

    def replay(given):
        fill(kept, given)
        return step(kept)

    return replay


def forgetful(step, batch):
    """A recording that lost the batch: it goes on with the one that it was made with."""
    kept = blank(batch)
    return lambda given: step(kept)


def impatient(step, batch):
    """A recording that updates twice."""
    return lambda given: (step(given), step(given))[0]


def impossible(step, batch):
    step(batch)
    raise RuntimeError("operation not permitted when stream is capturing\nfurther lines")


def steps_of(record) -> tuple[list[float], list[torch.Tensor], list[str]]:
    """Eight steps of a small net with dropout and BatchNorm: losses, weights, and which steps were run or replayed."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.BatchNorm1d(16), nn.Dropout(0.2), nn.Linear(16, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    told = []

    def step(batch):
        told.append("step")
        loss = nn.functional.cross_entropy(model(batch.mixed.images), batch.labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach(), torch.tensor(0)

    recorder = StepRecorder(step, 8, model, optimizer, record) if record else step
    batches = [Batch(torch.arange(8), Mixed(torch.randn(8, 3, 4, 4), torch.arange(8), 1.0)) for _ in range(8)]
    losses = [float(recorder(batch)[0]) for batch in batches]
    return losses, [value.clone() for value in model.state_dict().values()], told


def test_a_recording_that_does_what_the_step_does_is_used_from_the_fourth_step_on():
    losses, weights, told = steps_of(kept_step)
    plain_losses, plain_weights, _ = steps_of(None)
    assert losses == plain_losses
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(weights, plain_weights, strict=True))
    assert len(told) == 3 + 2 + 4  # the fourth both ways


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (forgetful, "moved the weights"),
        (impatient, "moved the weights"),
        (impossible, "operation not permitted when stream is capturing$"),
    ],
)
def test_a_recording_that_does_something_else_is_not_used_and_nothing_is_lost(record, reason):
    with pytest.warns(UserWarning, match=reason):
        losses, weights, _ = steps_of(record)
    plain_losses, plain_weights, _ = steps_of(None)
    assert losses == plain_losses
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(weights, plain_weights, strict=True))


def curve(dataset, recipe: Recipe, monkeypatch, *, recorded: bool) -> tuple[list[float | None], dict]:
    with monkeypatch.context() as patch:
        if not recorded:
            patch.setattr(loop, "recordable", lambda recipe, device: False)
        model = a_net().cuda()
        results = list(loop.train(model, dataset, recipe, seed=0, context=Context(device="cuda")))
        return [result.train_loss for result in results], {k: v.cpu() for k, v in model.state_dict().items()}


@needs_cuda
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"optimizer": "sgd", "lr": 0.1},
        {"clip_norm": 1.0, "schedule": {"name": "cosine", "step": "batch"}},
        {"precision": "bfloat16"},
    ],
)
def test_a_replayed_training_ends_like_one_whose_steps_are_run(dataset, monkeypatch, changed):
    recipe = Recipe.from_mapping(SETTINGS | {"epochs": 3} | changed)
    losses, weights = curve(dataset, recipe, monkeypatch, recorded=True)
    plain_losses, plain_weights = curve(dataset, recipe, monkeypatch, recorded=False)
    assert losses == pytest.approx(plain_losses, rel=1e-4)
    for name, values in weights.items():
        assert torch.allclose(values, plain_weights[name], rtol=1e-3, atol=1e-4), name


@needs_cuda
def test_dropout_draws_anew_at_every_replay(dataset):
    # One batch over and over, no learning: only the masks can change the loss.
    recipe = Recipe.from_mapping({"epochs": 8, "batch_size": 64, "optimizer": "sgd", "lr": 0.0, "weight_decay": 0.0})
    one = replace(dataset, train_images=dataset.train_images[:64], train_labels=dataset.train_labels[:64])
    results = list(loop.train(a_net().cuda(), one, recipe, seed=0, context=Context(device="cuda")))
    losses = [result.train_loss for result in results]
    assert len(set(losses)) == len(losses)


def test_preparing_an_epoch_reads_no_value_of_the_device(dataset):
    # A tensor on "meta" has a shape and no values, so whoever asks for one is found out, without a GPU.
    recipe = Recipe.from_mapping(SETTINGS)
    images = torch.empty(*dataset.train_images.shape, dtype=torch.uint8, device="meta")
    source = ImageSource(images, torch.empty(len(images), dtype=torch.int64, device="meta"), "meta")
    batches = list(prepared(source, recipe, dataset.mean, dataset.std, seed=0, epoch=1, together=4))
    assert [tuple(batch.mixed.images.shape) for batch in batches] == [(64, 3, 32, 32)] * 9 + [(10, 3, 32, 32)]
    assert {each.device.type for batch in batches for each in (batch.labels, batch.mixed.images)} == {"meta"}


@needs_cuda
def test_an_epoch_on_a_gpu_never_makes_the_host_wait(dataset):
    recipe = Recipe.from_mapping(SETTINGS)
    source = ImageSource.of(dataset.train_images, dataset.train_labels, "cuda")
    list(prepared(source, recipe, dataset.mean, dataset.std, seed=0, epoch=1, together=4))
    torch.cuda.set_sync_debug_mode("error")
    try:
        batches = list(prepared(source, recipe, dataset.mean, dataset.std, seed=0, epoch=2, together=4))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(batches) == 10

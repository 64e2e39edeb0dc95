"""Training: the loop does what a recipe says; the same seed gives the same bits; nothing odd is averaged away."""

import gc
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.errors import MeasurementError
from bench.execution.context import Context, Progress
from bench.suite.recipe import Recipe
from bench.training import augment
from bench.training.batches import derive
from bench.training.dropout import Stream
from bench.training.loop import train
from bench.training.schedules import learning_rate

LEAST = {"epochs": 2, "batch_size": 16, "optimizer": "adamw", "lr": 3e-3}


def model(dropout=0.0):
    torch.manual_seed(11)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 16), nn.GELU(), nn.Dropout(dropout), nn.Linear(16, 4))


def recipe(**changes):
    return Recipe.from_mapping(LEAST | changes)


def run(dataset, changes=None, *, seed=5, network=None, context=None):
    network = network or model(dropout=0.2)
    curve = list(train(network, dataset, recipe(**(changes or {})), seed=seed, context=context or Context()))
    return network, curve


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def what_was_learned(curve):
    return [(point.train_loss, point.train_top1_pct, point.test_loss, point.test_top1_pct) for point in curve]


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(dataset):
    changes = {"augment": [{"name": "flip"}, {"name": "crop", "padding": 1}, {"name": "erasing"}], "mixup": 0.2}
    one, curve = run(dataset, changes)
    torch.manual_seed(999)  # whatever happened in the process before must not matter
    same, same_curve = run(dataset, changes)
    other, _ = run(dataset, changes, seed=6)
    assert torch.equal(weights(one), weights(same))
    assert what_was_learned(curve) == what_was_learned(same_curve)
    assert not torch.equal(weights(one), weights(other))


class Noisy(nn.Module):
    """Draws from torch's global generator, as stochastic depth does."""

    def forward(self, x):
        return x + 0.1 * torch.randn_like(x) if self.training else x


def test_layers_that_draw_for_themselves_follow_the_seed_too(dataset):
    trained = []
    for before in (1, 2):
        network = nn.Sequential(Noisy(), model())
        torch.manual_seed(before)
        trained.append(weights(run(dataset, network=network)[0]))
    assert torch.equal(*trained)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_dropout_draws_from_a_sequence_of_its_own_for_every_seed_epoch_and_part(dataset, monkeypatch, threads):
    seeds, before = [], torch.get_num_threads()
    monkeypatch.setattr("bench.training.dropout.Stream", lambda seed: seeds.append(seed) or Stream(seed))
    torch.set_num_threads(threads)
    for seed in (1, 2):
        run(dataset, seed=seed)
    torch.set_num_threads(before)
    assert len(set(seeds)) == len(seeds) == 2 * LEAST["epochs"] * threads


def test_training_leaves_the_callers_random_state_alone(dataset):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 4, bias=False))
    torch.set_rng_state(before)
    run(dataset, network=network)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("adamw", lambda p: torch.optim.AdamW(p, lr=1.0, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.05)),
        ("adam", lambda p: torch.optim.Adam(p, lr=1.0, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.05)),
        ("sgd", lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.7, weight_decay=0.05)),
    ],
)
def test_an_epoch_is_the_plain_loop_written_out(dataset, name, reference):
    changes = {
        "optimizer": name,
        "epochs": 1,
        "betas": [0.8, 0.99],
        "eps": 1e-6,
        "momentum": 0.7,
        "weight_decay": 0.05,
        "schedule": {"name": "cosine", "step": "batch", "t_max": 3},
        "label_smoothing": 0.1,
        "clip_norm": 0.5,
    }
    trained, curve = run(dataset, changes, network=model())
    plain = model()
    optimizer = reference(plain.parameters())
    order = torch.randperm(72, generator=torch.Generator().manual_seed(derive(5, 1, "images")))
    images = augment.augment(torch.from_numpy(dataset.train_images), (), (), dataset.mean, dataset.std)
    labels = torch.from_numpy(dataset.train_labels)
    total = 0.0
    for batch, rows in enumerate(order.split(16)):
        optimizer.param_groups[0]["lr"] = learning_rate(recipe(**changes), batch, math.ceil(72 / 16))
        loss = functional.cross_entropy(plain(images[rows]), labels[rows], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        optimizer.step()
        total += loss.item() * len(rows)
    assert torch.allclose(weights(trained), weights(plain), atol=1e-5)
    assert curve[0].train_loss == pytest.approx(total / 72, rel=1e-4)


def test_drop_last_leaves_out_the_rest_that_is_no_whole_batch(dataset):
    calls = []
    context = Context(progress=lambda told: calls.append((told.done, told.total)))
    run(dataset, {"epochs": 1}, context=context)
    assert calls[-1] == (math.ceil(72 / 16), 5)
    run(dataset, {"epochs": 1, "drop_last": True}, context=context)
    assert calls[-1] == (72 // 16, 4)


def test_a_training_without_a_single_batch_says_why(dataset):
    with pytest.raises(MeasurementError, match="drop_last leaves out all 72 images: a batch has 100"):
        run(dataset, {"drop_last": True, "batch_size": 100})


def test_progress_tells_the_epoch_and_the_last_test_accuracy(dataset):
    told = []
    _, curve = run(dataset, context=Context(progress=told.append))
    an_epoch = math.ceil(72 / 16)
    assert told[0] == Progress(1, 2 * an_epoch, epoch=1, epochs=2)
    first, second = ({"newest_epoch": result.epoch, "newest_pct": result.test_top1_pct} for result in curve)
    assert told[-2] == Progress(2 * an_epoch, 2 * an_epoch, epoch=2, epochs=2, **first)
    assert told[-1] == Progress(2 * an_epoch, 2 * an_epoch, epoch=2, epochs=2, **second)


def test_the_test_loss_is_the_mean_over_images_also_when_batches_differ(dataset):
    network, curve = run(dataset)
    images = augment.augment(torch.from_numpy(dataset.test_images), (), (), dataset.mean, dataset.std)
    labels = torch.from_numpy(dataset.test_labels)
    with torch.no_grad():
        logits = network.eval()(images)
    assert curve[-1].test_loss == pytest.approx(float(functional.cross_entropy(logits, labels)), rel=1e-5)
    assert curve[-1].test_top1_pct == pytest.approx(100 * float((logits.argmax(1) == labels).float().mean()))


def test_epochs_are_timed_by_the_contexts_clock_without_their_evaluation(dataset):
    ticks = iter(range(100))
    _, curve = run(dataset, context=Context(clock=lambda: float(next(ticks))))
    assert [(point.epoch_s, point.train_fps) for point in curve] == [(1.0, 72.0)] * 2


class Explodes(nn.Module):
    """Logits of one class become infinite in evaluation for images whose label-free mean is above zero."""

    def __init__(self):
        super().__init__()
        self.inner = model()

    def forward(self, images):
        logits = self.inner(images)
        bad = (images.mean((1, 2, 3)) > 0) & (not self.training)
        return torch.where(bad[:, None], torch.full_like(logits, math.nan), logits)


def test_a_loss_that_is_not_finite_is_counted_and_not_averaged(dataset):
    _, curve = run(dataset, network=Explodes())
    images = augment.augment(torch.from_numpy(dataset.test_images), (), (), dataset.mean, dataset.std)
    bad = int((images.mean((1, 2, 3)) > 0).sum())
    assert 0 < bad < 40
    assert (curve[-1].test_loss, curve[-1].bad_images) == (None, bad)
    assert curve[-1].train_loss is not None
    assert curve[-1].bad_batches == 0


def test_a_diverged_training_counts_its_batches(dataset):
    _, curve = run(dataset, {"optimizer": "sgd", "lr": 1e38, "epochs": 1})
    assert curve[0].train_loss is None
    assert 0 < curve[0].bad_batches <= 5


@pytest.mark.parametrize(("precision", "bits"), [("bfloat16", 8), ("float16", 11)])
def test_half_precision_trains_float32_weights_close_to_float32(dataset, precision, bits):
    changes = {"optimizer": "sgd", "lr": 0.1, "clip_norm": 1.0}
    plain, plain_curve = run(dataset, changes, network=model())
    half, half_curve = run(dataset, changes | {"precision": precision}, network=model())
    assert half[1].weight.dtype == torch.float32
    assert not torch.equal(weights(plain), weights(half))
    # So many bits has a factor: losses agree to a few parts in 2**bits.
    assert half_curve[-1].train_loss == pytest.approx(plain_curve[-1].train_loss, rel=8 / 2**bits)


def test_gradients_too_small_for_float16_are_scaled_and_still_move_the_weights(dataset):
    # The smallest float16 is 2**-24: without a scale, what comes back through a factor of 2**-20 is mostly zero.
    class Faint(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(192, 4)

        def forward(self, images):
            return self.inner(images.flatten(1)) * 2.0**-20

    torch.manual_seed(1)
    network = Faint()
    before = network.inner.weight.detach().clone()
    run(dataset, {"precision": "float16", "optimizer": "sgd", "lr": 2.0**20, "epochs": 1}, network=network)
    moved = (network.inner.weight != before).float().mean()
    assert moved > 0.99
    assert network.inner.weight.isfinite().all()


def test_a_model_learns_what_can_be_learned(dataset):
    _, curve = run(dataset, {"epochs": 15}, network=model())
    assert curve[-1].test_top1_pct > 90
    assert [point.epoch for point in curve] == list(range(1, 16))


def test_lazily_decoded_images_train_to_the_same_bits(dataset):
    class Lazy:
        def __init__(self, images):
            self.images, self.shape = images, images.shape

        def __len__(self):
            return len(self.images)

        def __getitem__(self, rows):
            assert isinstance(rows, np.ndarray)
            return self.images[rows]

    lazy = replace(dataset, train_images=Lazy(dataset.train_images), test_images=Lazy(dataset.test_images))
    assert torch.equal(weights(run(dataset)[0]), weights(run(lazy)[0]))


def test_nothing_piles_up_from_epoch_to_epoch(dataset):
    living = []
    for _ in train(model(dropout=0.2), dataset, recipe(epochs=4), seed=5, context=Context()):
        gc.collect()
        living.append(sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects()))
    assert living[0] == living[-1]


def test_a_seed_is_derived_for_each_purpose():
    assert len({derive(seed, epoch, what) for seed in (0, 1) for epoch in (1, 2) for what in ("layers", "images")}) == 8
    assert all(0 <= derive(seed) < 2**63 for seed in range(50))


class Turned(nn.Module):
    """Images through a complex layer, whose sizes are what is learned from."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(11)
        self.turn, self.head = nn.Linear(192, 8, dtype=torch.complex64), nn.Linear(8, 4)

    def forward(self, images):
        return self.head(self.turn(images.flatten(1).to(torch.complex64)).abs())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_a_complex_weight_learns_with_both_its_halves(dataset, optimizer, precision):
    trained, before = Turned(), Turned().turn.weight
    changes = {"optimizer": optimizer, "precision": precision, "clip_norm": 1.0}
    curve = run(dataset, changes, network=trained)[1]
    weight = trained.turn.weight.detach()
    assert weight.dtype == torch.complex64
    assert (weight.real - before.real).abs().min() > 0
    assert (weight.imag - before.imag).abs().min() > 0
    assert curve[-1].train_loss < curve[0].train_loss

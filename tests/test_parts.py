"""A batch in parts gives the gradient of the whole batch, the same bits every time, and only where that is so."""

import threading

import pytest
import torch
from torch import nn

from bench.execution.context import Context
from bench.measures.instruments.model import call_factory
from bench.models.hybrid_mixer import hybrid_mixer
from bench.suite.recipe import Recipe
from bench.training.batches import Batch, ImageSource, prepared
from bench.training.dropout import Stream, Streams
from bench.training.loop import train
from bench.training.parts import Parts, divisible, split, total
from bench.training.step import loss_of

SIZES = {"patch_size": 4, "width": 16, "depth": 2, "token_mlp": 8, "channel_mlp": 24}
LEAST = {"epochs": 2, "batch_size": 16, "optimizer": "adamw", "lr": 3e-3}


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def mixer(dropout=0.0, seed=11):
    torch.manual_seed(seed)
    return call_factory("mlp_mixer", num_classes=4, image_size=8, **SIZES, dropout=dropout)


def images(count=8):
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def gradients(model):
    return [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


# The gradient


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("recipe", [{}, {"mixup": 0.4, "label_smoothing": 0.1}, {"cutmix": 1.0}, {"batch_size": 13}])
def test_parts_give_loss_gradient_and_hits_of_the_whole_batch(dataset, count, recipe):
    settings, model = Recipe.from_mapping(LEAST | recipe), mixer()
    source = ImageSource.of(dataset.train_images, dataset.train_labels, "cpu")

    def forward(batch):
        logits = model(batch.mixed.images)
        return loss_of(settings, batch, logits), (logits.detach().argmax(1) == batch.labels).sum()

    for batch in prepared(source, settings, dataset.mean, dataset.std, seed=5, epoch=1):
        model.zero_grad()
        loss, right = forward(batch)
        loss.backward()
        whole = gradients(model)
        parts = Parts(count, forward, model)
        with parts.at_work(Streams(range(count))):
            found, hits = parts(batch)
        assert torch.allclose(found, loss.detach(), rtol=1e-5)
        assert not found.requires_grad
        assert hits == right
        for one, other in zip(gradients(model), whole, strict=True):
            assert torch.allclose(one, other, rtol=1e-4, atol=1e-7)


def test_parts_are_all_of_a_batch_in_order_and_nearly_equal(dataset):
    batch = one_batch(dataset, 13)
    pieces = split(batch, 4)
    assert [len(piece.labels) for piece in pieces] == [4, 3, 3, 3]
    assert torch.equal(torch.cat([piece.mixed.images for piece in pieces]), batch.mixed.images)
    assert torch.equal(torch.cat([piece.labels for piece in pieces]), batch.labels)
    assert [len(piece.labels) for piece in split(one_batch(dataset, 1), 4)] == [1]


def one_batch(dataset, size) -> Batch:
    source = ImageSource.of(dataset.train_images, dataset.train_labels, "cpu")
    return next(prepared(source, Recipe.from_mapping(LEAST | {"batch_size": size}), [0] * 3, [1] * 3, seed=0, epoch=1))


def test_a_weight_that_only_some_parts_use_or_none_keeps_what_backward_would_leave(dataset):
    class Fork(nn.Module):
        """Two weights that get one and the same tensor as gradient, and one that nothing uses."""

        def __init__(self):
            super().__init__()
            self.one, self.other, self.idle = (nn.Parameter(torch.ones(4)) for _ in range(3))

        def forward(self, images):
            return images.mean((1, 2, 3))[:, None] + (self.one + self.other)

    model, batch = Fork(), one_batch(dataset, 8)
    settings = Recipe.from_mapping(LEAST)

    def forward(batch):
        return loss_of(settings, batch, model(batch.mixed.images)), torch.tensor(0)

    forward(batch)[0].backward()
    whole = model.one.grad.clone()
    model.zero_grad()
    parts = Parts(2, forward, model)
    with parts.at_work(Streams([0, 1])):
        parts(batch)
    assert torch.allclose(model.one.grad, whole)
    assert torch.allclose(model.other.grad, whole)
    assert model.idle.grad is None


def test_the_total_goes_from_first_to_last_and_leaves_its_terms_alone():
    terms = [torch.tensor([1e8]), torch.tensor([-1e8]), torch.tensor([1.0])]
    assert total(terms).item() == 1.0
    assert [term.item() for term in terms] == [1e8, -1e8, 1.0]
    assert total([None, terms[2], None]).item() == 1.0
    assert total([None, None]) is None


def test_an_error_in_a_part_reaches_the_caller_and_threads_are_as_before(dataset):
    def forward(batch):
        raise RuntimeError(f"out of something on {torch.get_num_threads()} thread")

    parts = Parts(2, forward, mixer())
    batch = one_batch(dataset, 8)
    with pytest.raises(RuntimeError, match="out of something on 1 thread"), parts.at_work(Streams([0, 1])):
        parts(batch)
    assert torch.get_num_threads() == 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]


# Dropout


def test_every_part_draws_from_its_own_stream_whichever_thread_works_on_it():
    streams, drawn = Streams([7, 8]), {}

    def draw(part):
        streams.turn_to(part)
        drawn[part] = streams.draw(100)

    for part in (1, 0):
        thread = threading.Thread(target=draw, args=(part,))
        thread.start()
        thread.join()
    assert torch.equal(drawn[0], Stream(7).draw(100))
    assert torch.equal(drawn[1], Stream(8).draw(100))
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(streams.draw(5), Stream(7).draw(105)[100:])  # who never said draws from the first


# Which models


class Strange(nn.Module):
    """A Mixer with something done to its images or its logits that goes beyond a single image."""

    def __init__(self, **kinds):
        super().__init__()
        self.inner, self.seen = mixer(), 0
        self.kinds = kinds
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, batch):
        if "centred" in self.kinds:
            batch = batch - batch.mean(0)
        if "draws" in self.kinds:
            batch = batch * (torch.rand(len(batch), 1, 1, 1) < 0.9)
        if "writes" in self.kinds:
            self.seen = object()
        if "counts" in self.kinds:
            self.calls += 1
        if "refuses" in self.kinds and len(batch) < 8:
            raise ValueError("eight images, please")
        return self.inner(batch) * (torch.nan if "breaks" in self.kinds else 1)


@pytest.mark.parametrize("above", [8, 16, 31])
def test_a_model_that_only_looks_beyond_an_image_in_large_batches_is_found_with_a_whole_batch(above):
    class Crowded(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = mixer()

        def forward(self, batch):
            return self.inner(batch - batch.mean(0) if len(batch) > above else batch)

    batch = images(64)
    assert divisible(Crowded(), batch[:8], 2)
    assert not divisible(Crowded(), batch, 2)
    assert not divisible(Crowded(), batch, 4)


@pytest.mark.parametrize("kind", ["centred", "draws", "writes", "counts", "refuses", "breaks"])
def test_a_model_that_looks_beyond_an_image_is_not_divisible(kind):
    assert divisible(Strange(), images())
    assert not divisible(Strange(**{kind: True}), images())


def test_a_mixer_is_divisible_and_what_normalises_over_the_batch_is_not():
    assert divisible(mixer(dropout=0.5), images())
    assert not divisible(hybrid_mixer(num_classes=4, image_size=8, **SIZES), images())
    untracked = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), mixer())
    assert not divisible(untracked, images())
    assert divisible(nn.Sequential(nn.GroupNorm(1, 3), mixer()), images())


def test_finding_out_leaves_no_trace():
    model = nn.Sequential(Strange(counts=True, draws=True), nn.Dropout(0.5)).train()
    model[0].inner.eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes, random = [module.training for module in model.modules()], torch.get_rng_state()
    divisible(model, images())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert not gradients(model)


# Whole trainings


def trained(dataset, model, threads=2, seed=5, keep=None, **recipe):
    torch.set_num_threads(threads)
    settings = Recipe.from_mapping(LEAST | recipe)
    curve = list(train(model, dataset, settings, seed=seed, context=Context(), keep=keep))
    assert torch.get_num_threads() == threads
    return torch.cat([weight.detach().flatten() for weight in model.parameters()]), curve


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("threads", [2, 3, 4])
def test_the_same_seed_gives_the_same_bits_whatever_thread_is_first(dataset, threads, precision):
    # Parts of 6, 5 and 5 images too: what a matrix product of odd size gives depends on how many threads share it.
    runs = [trained(dataset, mlp(), threads=threads, precision=precision, epochs=3) for _ in range(8)]
    for weights, curve in runs[1:]:
        assert torch.equal(weights, runs[0][0])
        assert [point.train_loss for point in curve] == [point.train_loss for point in runs[0][1]]
    other, _ = trained(dataset, mlp(), threads=threads, seed=6, precision=precision, epochs=3)
    assert not torch.equal(other, runs[0][0])


def mlp():
    torch.manual_seed(11)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.GELU(), nn.Dropout(0.2), nn.Linear(16, 4))


def test_without_dropout_parts_train_as_whole_batches_do(dataset):
    # SGD, because AdamW divides a gradient near zero by its own size, and so shows rounding as a whole step.
    sgd = {"optimizer": "sgd", "lr": 0.05, "clip_norm": 1.0}
    one, alone = trained(dataset, mixer(), threads=1, **sgd)
    two, beside = trained(dataset, mixer(), threads=2, **sgd)
    assert torch.allclose(one, two, atol=1e-5)
    assert not torch.equal(one, trained(dataset, mixer(), threads=1, **{**sgd, "lr": 0.04})[0])
    assert [point.train_top1_pct for point in alone] == [point.train_top1_pct for point in beside]
    assert alone[-1].train_loss == pytest.approx(beside[-1].train_loss, rel=1e-5)


def test_a_training_taken_up_again_ends_with_the_same_bits(dataset, tmp_path):
    whole, _ = trained(dataset, mixer(dropout=0.2), epochs=3)
    model, file = mixer(dropout=0.2), tmp_path / "training.pt"
    stopped = train(model, dataset, Recipe.from_mapping(LEAST | {"epochs": 3}), seed=5, context=Context(), keep=file)
    next(stopped)
    stopped.close()
    again, curve = trained(dataset, mixer(dropout=0.2, seed=99), keep=file, epochs=3)
    assert torch.equal(again, whole)
    assert len(curve) == 3


def test_batch_statistics_are_those_of_the_whole_batch(dataset, monkeypatch):
    class Watched(nn.BatchNorm2d):
        def forward(self, grid):
            if self.training:
                sizes.append(len(grid))
            return super().forward(grid)

    sizes = []
    trained(dataset, nn.Sequential(Watched(3), mixer()), epochs=1)
    assert sizes == [16, 16, 16, 16, 8]


def test_a_model_that_is_not_divisible_draws_what_it_drew_on_one_thread(dataset, monkeypatch):
    seeds = {1: [], 2: []}
    for threads, drawn in seeds.items():
        monkeypatch.setattr(
            "bench.training.dropout.Stream", lambda seed, drawn=drawn: drawn.append(seed) or Stream(seed)
        )
        model = hybrid_mixer(num_classes=4, image_size=8, **SIZES, dropout=0.2)
        trained(dataset, model, threads=threads)
    assert seeds[1] == seeds[2]
    assert len(seeds[1]) == LEAST["epochs"]


def test_the_cause_of_a_loss_is_looked_for_in_the_part_where_it_was(dataset):
    """A layer that fails on one mask alone: only who meets that part with that mask can name it."""

    class Fuse(nn.Module):
        """Infinite where a row of 128 numbers, half of them dropped, has kept exactly `limit`."""

        def forward(self, x):
            kept = (x != 0).sum(1).tolist()
            found.setdefault(len(kept), set()).update(kept)
            return x * (torch.inf if limit in kept else 1.0)

    def model():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 128), nn.Dropout(0.5), Fuse(), nn.Linear(128, 4))

    limit, found = None, {}
    trained(dataset, model(), epochs=1, batch_size=15)
    limit = max(found[7] - found[8])  # batches of 15 are parts of 8 and 7 images
    (point,) = trained(dataset, model(), epochs=1, batch_size=15)[1]
    assert point.bad_batches >= 1
    assert point.train_cause.startswith("3 (float32 overflow")

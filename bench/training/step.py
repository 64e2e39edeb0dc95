"""One update of the weights, and the only optimiser: forward, backward, step; whole, in parts, or replayed.

Knows nothing of epochs, curves or checkpoints.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.execution.context import Context
from bench.suite.recipe import Recipe
from bench.training import augment, batches
from bench.training.batches import Batch, ImageSource, derive
from bench.training.dropout import Streams, bulk_dropout
from bench.training.parts import MOST, Parts, divisible
from bench.training.recorded import StepRecorder, recordable

TOGETHER = 16  # batches that a GPU augments at once


@dataclass(frozen=True)
class Setting:
    """What stays the same over a training."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler  # idle but for float16
    recipe: Recipe
    train: ImageSource
    test: ImageSource
    mean: Sequence[float]
    std: Sequence[float]
    data_sha256: str
    seed: int
    context: Context
    layout: torch.memory_format
    recorder: StepRecorder | None = None  # replays the update; None: each one is run
    parts: Parts | None = None  # threads that share a batch; None: they share every operator
    code_sha256: str | None = None  # the source of the model, as far as it is known

    def autocast(self) -> AbstractContextManager[Any]:
        """Float32 weights, matrix products in half precision, where the recipe asks for it."""
        return autocast(self.recipe.precision, self.context.device)

    def prepared(self, epoch: int) -> Iterator[Batch]:
        """The training batches of an epoch."""
        # Image files are decoded on the host, batch by batch, while the device works on the one before.
        together = TOGETHER if self.context.device == "cuda" and isinstance(self.train.images, Tensor) else 1
        return batches.prepared(
            self.train, self.recipe, self.mean, self.std, seed=self.seed, epoch=epoch, together=together
        )

    def tested(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Test images float32 (B, 3, H, W), normalised and not augmented, in the layout that is trained in; labels."""
        images, labels = self.test.batch(rows)
        values = augment.augment(images, (), (), self.mean, self.std)
        return values.contiguous(memory_format=self.layout), labels


def autocast(precision: str, device: str) -> AbstractContextManager[Any]:
    """Matrix products in half precision where `precision` is one."""
    kind = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision)
    if kind is None:
        return nullcontext()
    # What is cached would be shared by all threads, and the first to be done would clear it.
    return torch.autocast(device, dtype=kind, cache_enabled=device != "cpu")


def optimizer_of(model: nn.Module, recipe: Recipe, device: str) -> torch.optim.Optimizer:
    """All parameters in one group: the published code decays every weight, norms and biases too."""
    real = real_alone(model)
    recorded = recordable(recipe, device) and real
    # A recording reads the rate from the device's memory; as a number it would stay what it was.
    lr = torch.tensor(recipe.lr, device=device) if recorded else recipe.lr
    shared: dict[str, Any] = {"lr": lr, "weight_decay": recipe.weight_decay, "fused": real}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=recipe.momentum, **shared)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[recipe.optimizer]
    made: torch.optim.Optimizer = kind(
        model.parameters(), betas=recipe.betas, eps=recipe.eps, capturable=recorded, **shared
    )
    return made


def real_alone(model: nn.Module) -> bool:
    """Whether no weight is complex: torch's fused optimisers take none that is."""
    return not any(weight.is_complex() for weight in model.parameters())


def parts_of(setting: Setting) -> Parts | None:
    """A part of every batch for each thread, where that gives the same gradient."""
    count = torch.get_num_threads()
    if setting.context.device != "cpu" or setting.recipe.precision == "float16" or not 1 < count <= MOST:
        return None
    # As many as in a batch, over again where the test set has fewer; each of another brightness, so that parts with the
    # same images are not alike.
    images, _ = setting.tested(torch.arange(setting.recipe.batch_size) % len(setting.test))
    unlike = images * torch.linspace(1, 0.5, len(images), dtype=images.dtype).view(-1, 1, 1, 1)
    alone = divisible(setting.model, unlike, count)
    return Parts(count, partial(_forward, setting), setting.model) if alone else None


@contextmanager
def randomness(setting: Setting, epoch: int) -> Iterator[None]:
    """What layers draw in an epoch follows from the seed alone, and the caller's random state stays as it is."""
    cpu, parts = setting.context.device == "cpu", setting.parts
    seeds = [derive(setting.seed, epoch, "dropout")]
    seeds += [derive(setting.seed, epoch, "dropout", part) for part in range(1, parts.count if parts else 1)]
    streams = Streams(seeds)
    # A GPU draws its masks fast enough by itself.
    layers = bulk_dropout(setting.model, streams) if cpu else nullcontext()
    at_work = parts.at_work(streams) if parts else nullcontext()
    with torch.random.fork_rng(devices=[] if cpu else [torch.cuda.current_device()]), layers, at_work:
        torch.manual_seed(derive(setting.seed, epoch, "layers"))  # what else draws: stochastic depth, GPU dropout
        yield


def step(setting: Setting, batch: Batch, lr: float) -> tuple[Tensor, Tensor]:
    """One update at a learning rate: mean loss of the batch and how many images were right, both detached scalars."""
    for group in setting.optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr
    return setting.recorder(batch) if setting.recorder else update(setting, batch)


def update(setting: Setting, batch: Batch) -> tuple[Tensor, Tensor]:
    """One update: forward, backward, optimiser. Waits for the device only in float16."""
    setting.optimizer.zero_grad(set_to_none=True)
    if setting.parts:
        loss, right = setting.parts(batch)
    else:
        loss, right = _forward(setting, batch)
        setting.scaler.scale(loss).backward()
    if setting.recipe.clip_norm is not None:
        setting.scaler.unscale_(setting.optimizer)
        nn.utils.clip_grad_norm_(setting.model.parameters(), setting.recipe.clip_norm)
    setting.scaler.step(setting.optimizer)
    setting.scaler.update()
    return loss.detach(), right


def _forward(setting: Setting, batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean loss of the batch, with its graph, and how many images were right."""
    with setting.autocast():
        logits = setting.model(batch.mixed.images.contiguous(memory_format=setting.layout)).float()
        loss = loss_of(setting.recipe, batch, logits)
    found = logits.detach()  # the argmax of NaN is class 0: what is not finite is not right
    return loss, ((found.argmax(1) == batch.labels) & found.isfinite().all(1)).sum()


def met(setting: Setting, batch: Batch) -> Iterator[Batch]:
    """What the model meets of a batch in one update, each with the masks that it has there."""
    yield from setting.parts.one_by_one(batch) if setting.parts else (batch,)


def loss_of(recipe: Recipe, batch: Batch, logits: Tensor) -> Tensor:
    """Mean cross-entropy of float32 logits, of both labels where images are mixed."""
    loss = functional.cross_entropy(logits, batch.labels, label_smoothing=recipe.label_smoothing)
    if batch.mixed.share < 1:
        other = functional.cross_entropy(logits, batch.mixed.labels, label_smoothing=recipe.label_smoothing)
        loss = batch.mixed.share * loss + (1 - batch.mixed.share) * other
    return loss

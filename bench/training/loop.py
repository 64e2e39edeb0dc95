"""The only loop with an optimiser: a model, a data set and a recipe in, a learning curve out.

Knows no model by name, keeps no best epoch and smooths nothing: every epoch is reported as it was, a loss that is not
finite included.
"""

import hashlib
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from bench.context import Context
from bench.data import Dataset
from bench.errors import MeasurementError
from bench.recipes import Recipe
from bench.training import augment, checkpoint, mixing
from bench.training.dropout import Stream, bulk_dropout
from bench.training.schedules import learning_rate

EVALUATION_BATCH = 500


@dataclass(frozen=True)
class EpochResult:
    """One point of the curve. A loss is None when it was not finite somewhere; a count says how often."""

    epoch: int  # from 1
    train_loss: float | None  # nats per image, as trained: augmented, dropout on, label smoothing included
    train_top1_pct: float
    test_loss: float | None  # plain cross-entropy in nats
    test_top1_pct: float
    epoch_s: float  # training alone, without evaluation
    train_fps: float
    bad_batches: int = 0  # training batches whose loss was not finite
    bad_images: int = 0  # test images whose loss was not finite


@dataclass(frozen=True)
class Source:
    """One split, on the device where it is used; images that are decoded lazily stay where they are."""

    images: Any  # Tensor uint8 (N, H, W, 3), or a lazy sequence of arrays
    labels: Tensor  # int64 (N,)
    device: str

    @classmethod
    def of(cls, images: Any, labels: np.ndarray, device: str) -> "Source":
        """A split as a `Dataset` has it; an array goes to the device as a whole."""
        kept = torch.from_numpy(images).to(device) if isinstance(images, np.ndarray) else images
        return cls(kept, torch.from_numpy(np.asarray(labels, np.int64)).to(device), device)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (B, H, W, 3) and int64 (B,) on the device."""
        there = rows.to(self.device)
        if isinstance(self.images, Tensor):
            return self.images[there], self.labels[there]
        return torch.from_numpy(self.images[rows.numpy()]).to(self.device), self.labels[there]


@dataclass(frozen=True)
class Setting:
    """What stays the same over a training."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    recipe: Recipe
    train: Source
    test: Source
    mean: Sequence[float]
    std: Sequence[float]
    data_sha256: str
    seed: int
    context: Context
    layout: torch.memory_format

    @property
    def batches(self) -> int:
        """Batches of one epoch."""
        whole, rest = divmod(len(self.train), self.recipe.batch_size)
        return whole if self.recipe.drop_last else whole + (rest > 0)

    def autocast(self) -> AbstractContextManager[Any]:
        """Float32 weights, matrix products in bfloat16, where the recipe asks for it."""
        wanted = self.recipe.precision == "bfloat16"
        return torch.autocast(self.context.device, dtype=torch.bfloat16, enabled=wanted)


def train(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    context: Context,
    layout: torch.memory_format = torch.contiguous_format,
    keep: Path | None = None,
) -> Iterator[EpochResult]:
    """Train `model` in place, epoch by epoch, on `context.device`.

    Everything random follows from `seed` and the number of the epoch, so that the same seed on the same machine gives
    the same bits, wherever a run is taken up again. The initial weights are the caller's.

    Args:
        model: images float32 (B, 3, H, W) -> logits (B, classes); weights in float32 for either precision.
        context: `progress` hears of every batch; `clock` times the epochs.
        keep: a file for the state after each epoch. If it is there already, its epochs are yielded again and the
            training goes on after them. It is left in place at the end: only the caller knows when it is not needed.

    Raises:
        MeasurementError: the file cannot be written, cannot be read, or belongs to another training.
    """
    given = {"mean": dataset.mean, "std": dataset.std} if recipe.normalize == "dataset" else recipe.normalize
    assert isinstance(given, dict), given
    setting = Setting(
        model=model,
        optimizer=_optimizer(model, recipe),
        recipe=recipe,
        train=Source.of(dataset.train_images, dataset.train_labels, context.device),
        test=Source.of(dataset.test_images, dataset.test_labels, context.device),
        mean=given["mean"],
        std=given["std"],
        data_sha256=dataset.sha256,
        seed=seed,
        context=context,
        layout=layout,
    )
    curve = _resume(setting, keep) if keep else []
    if keep and not curve:
        checkpoint.save(keep, _state(setting, curve))  # a folder that cannot be written to shows now, not in an hour
    yield from curve
    for epoch in range(len(curve) + 1, recipe.epochs + 1):
        curve.append(_epoch(setting, epoch, curve[-1] if curve else None))
        if keep:
            checkpoint.save(keep, _state(setting, curve))
        yield curve[-1]


def _state(setting: Setting, curve: list[EpochResult]) -> dict[str, Any]:
    """All that the next epoch depends on. There is no generator in it: each epoch seeds its own."""
    return {
        "training": _identity(setting),
        "model": setting.model.state_dict(),
        "optimizer": setting.optimizer.state_dict(),
        "curve": [asdict(result) for result in curve],
    }


def _resume(setting: Setting, keep: Path) -> list[EpochResult]:
    """Put model and optimiser back to where they were; the epochs so far."""
    state = checkpoint.load(keep, setting.context.device)
    if state is None:
        return []
    if state.get("training") != _identity(setting):
        raise MeasurementError(f"checkpoint {checkpoint.named(keep)} is of another training; delete it to begin again")
    setting.model.load_state_dict(state["model"])
    setting.optimizer.load_state_dict(state["optimizer"])
    return [EpochResult(**result) for result in state["curve"]]


def _identity(setting: Setting) -> str:
    """What two trainings must share for one to go on where the other stopped."""
    shapes = [(name, tuple(tensor.shape)) for name, tensor in setting.model.state_dict().items()]
    return f"{setting.recipe} seed {setting.seed} torch {torch.__version__} {setting.data_sha256} {shapes}"


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """All parameters in one group: the published code decays every weight, norms and biases too."""
    shared: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=recipe.momentum, **shared)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[recipe.optimizer]
    return kind(model.parameters(), betas=recipe.betas, eps=recipe.eps, **shared)


def derive(seed: int, *purpose: object) -> int:
    """A seed of its own for each purpose, 63 bits of SHA-256: neighbouring seeds have nothing in common."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _epoch(setting: Setting, epoch: int, last: EpochResult | None) -> EpochResult:
    clock = setting.context.clock
    devices = [] if setting.context.device == "cpu" else [torch.cuda.current_device()]
    stream = Stream(derive(setting.seed, epoch, "dropout"))
    # A GPU draws its masks fast enough by itself.
    layers = bulk_dropout(setting.model, stream) if setting.context.device == "cpu" else nullcontext()
    with torch.random.fork_rng(devices=devices), layers:
        torch.manual_seed(derive(setting.seed, epoch, "layers"))  # what else draws: stochastic depth, GPU dropout
        start = clock()
        losses, correct, images = _train_epoch(setting, epoch, last)
        seconds = clock() - start
    test_losses, test_correct = evaluate(setting)
    finite_batches, finite_images = losses.isfinite(), test_losses.isfinite()
    return EpochResult(
        epoch=epoch,
        train_loss=float(losses.sum()) / images if finite_batches.all() else None,
        train_top1_pct=100 * correct / images,
        test_loss=float(test_losses.mean()) if finite_images.all() else None,
        test_top1_pct=100 * int(test_correct.sum()) / len(test_correct),
        epoch_s=seconds,
        train_fps=images / seconds if seconds > 0 else math.inf,
        bad_batches=int((~finite_batches).sum()),
        bad_images=int((~finite_images).sum()),
    )


def _train_epoch(setting: Setting, epoch: int, last: EpochResult | None) -> tuple[Tensor, int, int]:
    """One pass: summed loss of every batch float64 (batches,), images classified correctly, images seen."""
    recipe, source = setting.recipe, setting.train
    setting.model.train()
    generator = Generator().manual_seed(derive(setting.seed, epoch, "images"))
    order = torch.randperm(len(source), generator=generator)
    drawn = augment.draw(recipe.augment, len(source), source.images.shape[1:3], generator)
    mixer = random.Random(derive(setting.seed, epoch, "mixing"))
    note = f"epoch {epoch}/{recipe.epochs}" + (f", test {last.test_top1_pct:.2f} %" if last else "")
    losses, correct, seen = [], [], 0
    for batch in range(setting.batches):
        chosen = slice(batch * recipe.batch_size, (batch + 1) * recipe.batch_size)
        step = (epoch - 1) * setting.batches + batch
        for group in setting.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, setting.batches)
        images, labels = source.batch(order[chosen])
        images = augment.augment(images, recipe.augment, augment.rows(drawn, chosen), setting.mean, setting.std)
        loss, hits = _step(setting, images, labels, mixer)
        # Sums stay on the device: asking for their values here would make a GPU wait after every batch.
        losses.append(loss * len(labels))
        correct.append(hits)
        seen += len(labels)
        setting.context.progress(step + 1, recipe.epochs * setting.batches, note)
    return torch.stack(losses).double().cpu(), int(torch.stack(correct).sum()), seen


def _step(setting: Setting, images: Tensor, labels: Tensor, mixer: random.Random) -> tuple[Tensor, Tensor]:
    """One update: mean loss of the batch and how many images were right, both detached scalars."""
    recipe = setting.recipe
    mixed = mixing.mix(images, labels, mixup=recipe.mixup, cutmix=recipe.cutmix, rng=mixer)
    with setting.autocast():
        logits = setting.model(mixed.images.contiguous(memory_format=setting.layout)).float()
        loss = functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        if mixed.share < 1:
            other = functional.cross_entropy(logits, mixed.labels, label_smoothing=recipe.label_smoothing)
            loss = mixed.share * loss + (1 - mixed.share) * other
    setting.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if recipe.clip_norm is not None:
        nn.utils.clip_grad_norm_(setting.model.parameters(), recipe.clip_norm)
    setting.optimizer.step()
    return loss.detach(), (logits.detach().argmax(1) == labels).sum()


@torch.inference_mode()
def evaluate(setting: Setting) -> tuple[Tensor, Tensor]:
    """Cross-entropy in nats float64 (N,) and correctness bool (N,) of every test image, in the recipe's precision."""
    setting.model.eval()
    losses, correct = [], []
    for rows in torch.arange(len(setting.test)).split(EVALUATION_BATCH):
        images, labels = setting.test.batch(rows)
        images = augment.augment(images, (), (), setting.mean, setting.std)
        with setting.autocast():
            logits = setting.model(images.contiguous(memory_format=setting.layout)).float()
        losses.append(functional.cross_entropy(logits, labels, reduction="none"))
        correct.append(logits.argmax(1) == labels)
    return torch.cat(losses).double().cpu(), torch.cat(correct).cpu()

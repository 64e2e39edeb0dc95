"""The only training loop: a model, a data set and a recipe in, a learning curve out.

Knows no model by name, keeps no best epoch and smooths nothing: every epoch is reported as it was, a loss that is not
finite included.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

import bench
from bench.data.dataset import Dataset
from bench.errors import MeasurementError
from bench.execution.context import Context, Progress
from bench.records.metrics import METRICS
from bench.records.packed import packed_bits
from bench.remote import RemotePath
from bench.suite.recipe import Recipe
from bench.suite.trainings import alone
from bench.training import batches, checkpoint
from bench.training.batches import ImageSource
from bench.training.causes import NOT_SEEN, first_cause
from bench.training.recorded import StepRecorder, recordable
from bench.training.schedules import learning_rate
from bench.training.step import Setting, loss_of, met, optimizer_of, parts_of, randomness, real_alone, step, update

EVALUATION_BATCH = 500
# What may change between two starts of one case. A difference in anything else is no business of a loop's.
_MOVED = {"format", "code", "data", "torch", "bench", "parts"}
Beginning = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class EpochResult:
    """One point of the curve. A loss is None when it was not finite somewhere; then counts and a cause say more."""

    epoch: int  # from 1
    train_loss: float | None  # nats per image, as trained: augmented, dropout on, label smoothing included
    train_top1_pct: float
    test_loss: float | None  # plain cross-entropy in nats
    test_top1_pct: float
    epoch_s: float  # training alone, without evaluation
    train_fps: float
    bad_batches: int = 0  # training batches whose loss was not finite
    batches: int = 0
    train_cause: str | None = None  # of the first of them, see `first_cause`
    bad_images: int = 0  # test images whose loss was not finite
    images: int = 0
    test_cause: str | None = None
    test_right: str | None = None  # of the last epoch alone: which test images were right, as `packed_bits`


def train(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    context: Context,
    layout: torch.memory_format = torch.contiguous_format,
    keep: Path | RemotePath | None = None,
    code_sha256: str | None = None,
) -> Iterator[EpochResult]:
    """Train `model` in place, epoch by epoch, on `context.device`.

    Everything random follows from `seed` and the number of the epoch, so that the same seed on the same machine gives
    the same bits, wherever a run is taken up again. The initial weights are the caller's.

    Args:
        model: images float32 (B, 3, H, W) -> logits (B, classes); weights in float32 for either precision.
        context: `progress` hears of every batch, and of a training that is taken up again; `clock` times the epochs.
        keep: a file for the state after each epoch. If it is there already, its epochs are yielded again and the
            training goes on after them; where code, data, torch, bench or the number of threads that share a batch are
            others, it begins anew, with a warning. It is left in place at the end: only the caller knows when it is
            not needed.
        code_sha256: the source of the model, see `bench.plan.fingerprint`.

    Raises:
        MeasurementError: there is no batch at all, or one of a single image under batch normalisation; or the file
            cannot be written, cannot be read, or belongs to another recipe or seed.
    """
    if not batches.count(len(dataset.train_labels), recipe):
        raise MeasurementError(
            f"drop_last leaves out all {len(dataset.train_labels)} images: a batch has {recipe.batch_size}"
        )
    if alone(recipe, len(dataset.train_labels)) and any(isinstance(one, _BatchNorm) for one in model.modules()):
        raise MeasurementError(
            f"{len(dataset.train_labels)} images in batches of {recipe.batch_size} leave a batch of one, over which "
            "batch normalisation finds no spread: take another batch_size, or drop_last = true"
        )
    setting = replace(_prepare(model, dataset, recipe, seed, context, layout), code_sha256=code_sha256)
    curve = _resume(setting, keep) if keep else []
    if keep and not curve:
        _save(setting, curve, keep)  # a folder that cannot be written to shows now, not in an hour
    if curve:
        context.progress(replace(progress(setting, len(curve), 0, curve[-1]), resumed=True))
    yield from curve
    for epoch in range(len(curve) + 1, recipe.epochs + 1):
        curve.append(_epoch(setting, epoch, curve[-1] if curve else None, _beginning(setting, keep)))
        if keep:
            _save(setting, curve, keep)
        context.progress(progress(setting, epoch, 0, curve[-1]))
        yield curve[-1]


def _prepare(
    model: nn.Module, dataset: Dataset, recipe: Recipe, seed: int, context: Context, layout: torch.memory_format
) -> Setting:
    """Data on the device, an optimiser, and the fastest way to do an update that is the same update."""
    given = dataset if recipe.normalize == "dataset" else recipe.normalize
    setting = Setting(
        model=model,
        optimizer=optimizer_of(model, recipe, context.device),
        # Gradients below 6e-8 would vanish in float16; a step whose scaled gradients overflow is left out.
        scaler=torch.amp.GradScaler(context.device, enabled=recipe.precision == "float16"),
        recipe=recipe,
        train=ImageSource.of(dataset.train_images, dataset.train_labels, context.device),
        test=ImageSource.of(dataset.test_images, dataset.test_labels, context.device),
        mean=given.mean,
        std=given.std,
        data_sha256=dataset.sha256,
        seed=seed,
        context=context,
        layout=layout,
    )
    if recordable(recipe, context.device) and real_alone(model):
        recorder = StepRecorder(partial(update, setting), recipe.batch_size, model, setting.optimizer)
        return replace(setting, recorder=recorder)
    return replace(setting, parts=parts_of(setting))


def _save(setting: Setting, curve: list[EpochResult], keep: Path | RemotePath) -> None:
    """Keep all that the next epoch depends on. There is no generator in it: each epoch seeds its own."""
    whole = {"training": _identity(setting), **_state(setting), "curve": [asdict(result) for result in curve]}
    checkpoint.save(keep, checkpoint.pack(whole))


def _state(setting: Setting) -> dict[str, Any]:
    return {
        "model": setting.model.state_dict(),
        "optimizer": setting.optimizer.state_dict(),
        "scaler": setting.scaler.state_dict(),
    }


def _beginning(setting: Setting, keep: Path | RemotePath | None) -> Beginning:
    """How to get at the state that the next epoch begins with, should its cause have to be told.

    The file has it already where there is one; only without a file is it held in memory.
    """
    if keep is not None:
        return lambda: checkpoint.load(keep, setting.context.device) or {}
    held = checkpoint.copied(_state(setting))
    return lambda: held


def _put_back(setting: Setting, state: dict[str, Any]) -> None:
    setting.model.load_state_dict(state["model"])
    setting.optimizer.load_state_dict(state["optimizer"])
    setting.scaler.load_state_dict(state["scaler"])
    if setting.recorder:
        setting.recorder.forget()


def _resume(setting: Setting, keep: Path | RemotePath) -> list[EpochResult]:
    """Put model and optimiser back to where they were; the epochs so far."""
    state = checkpoint.load(keep, setting.context.device)
    if state is None:
        return []
    now, then = _identity(setting), state.get("training")
    differing = [name for name, value in now.items() if not isinstance(then, dict) or then.get(name) != value]
    if _MOVED & {*differing}:
        said = (
            f"checkpoint {checkpoint.named(keep)} was made with other {', '.join(differing)}: the training begins anew"
        )
        warnings.warn(said, stacklevel=2)
        return []
    if differing:
        raise MeasurementError(f"checkpoint {checkpoint.named(keep)} is of another training; delete it to begin again")
    _put_back(setting, state)
    return [EpochResult(**result) for result in state["curve"]]


def _identity(setting: Setting) -> dict[str, str]:
    """What two trainings must share for one to go on where the other stopped, by name."""
    shapes = [(name, tuple(tensor.shape)) for name, tensor in setting.model.state_dict().items()]
    return {
        "format": "4",
        "recipe": str(setting.recipe),
        "seed": str(setting.seed),
        "data": setting.data_sha256,
        "shapes": str(shapes),
        "code": str(setting.code_sha256),
        "torch": f"{torch.__version__}",  # plain text, which a checkpoint may hold
        "bench": f"{bench.__version__}, protocol {METRICS['test_top1_pct'].protocol}",
        "parts": str(setting.parts.count if setting.parts else 1),  # another number adds in another order
    }


def _epoch(setting: Setting, epoch: int, last: EpochResult | None, beginning: Beginning) -> EpochResult:
    """Train and evaluate; `beginning` gets the state that the epoch begins with."""
    clock = setting.context.clock
    with randomness(setting, epoch):
        start = clock()
        losses, correct, images = _train_epoch(setting, epoch, last)
        seconds = clock() - start
    test_losses, test_correct = evaluate(setting)
    bad_batches, bad_images = (found.isfinite().logical_not().nonzero().flatten() for found in (losses, test_losses))
    return EpochResult(
        epoch=epoch,
        train_loss=None if len(bad_batches) else float(losses.sum()) / images,
        train_top1_pct=100 * correct / images,
        test_loss=None if len(bad_images) else float(test_losses.mean()),
        test_top1_pct=100 * int(test_correct.sum()) / len(test_correct),
        epoch_s=seconds,
        train_fps=images / seconds if seconds > 0 else math.inf,
        bad_batches=len(bad_batches),
        batches=len(losses),
        train_cause=_train_cause(setting, epoch, int(bad_batches[0]), beginning) if len(bad_batches) else None,
        bad_images=len(bad_images),
        images=len(test_losses),
        test_cause=_test_cause(setting, int(bad_images[0])) if len(bad_images) else None,
        test_right=packed_bits(test_correct.tolist()) if epoch == setting.recipe.epochs else None,
    )


def progress(setting: Setting, finished: int, batch: int, last: EpochResult | None) -> Progress:
    """Where the training is: so many whole epochs, so many batches of the next one, and the newest accuracy."""
    epochs, an_epoch = setting.recipe.epochs, batches.count(len(setting.train), setting.recipe)
    return Progress(
        done=finished * an_epoch + batch,
        total=epochs * an_epoch,
        epoch=finished + 1 if batch else finished,
        epochs=epochs,
        newest_epoch=last.epoch if last else None,
        newest_pct=last.test_top1_pct if last else None,
    )


def _train_epoch(setting: Setting, epoch: int, last: EpochResult | None) -> tuple[Tensor, int, int]:
    """One pass: summed loss of every batch float64 (batches,), images classified correctly, images seen."""
    recipe = setting.recipe
    setting.model.train()
    an_epoch = batches.count(len(setting.train), recipe)
    losses, correct, seen = [], [], 0
    for number, batch in enumerate(setting.prepared(epoch), (epoch - 1) * an_epoch):
        loss, hits = step(setting, batch, learning_rate(recipe, number, an_epoch))
        # Sums stay on the device: asking for their values here would make a GPU wait after every batch.
        losses.append(loss * len(batch.labels))
        correct.append(hits)
        seen += len(batch.labels)
        setting.context.progress(progress(setting, epoch - 1, number + 1 - (epoch - 1) * an_epoch, last))
    return torch.stack(losses).double().cpu(), int(torch.stack(correct).sum()), seen


def _train_cause(setting: Setting, epoch: int, bad: int, beginning: Beginning) -> str:
    """Why the loss of training batch `bad` (from 0) was not finite.

    The weights it met are gone, and keeping them for each batch would slow every training down. So the epoch is told
    again from its beginning up to that batch, which takes its time once, and the state is put back as it was.
    """
    recipe = setting.recipe
    after = checkpoint.copied(_state(setting))
    _put_back(setting, beginning())
    setting.model.train()
    an_epoch = batches.count(len(setting.train), recipe)
    cause = NOT_SEEN
    with randomness(setting, epoch):
        for index, batch in enumerate(setting.prepared(epoch)):
            if index == bad:
                seen = (_cause(setting, one.mixed.images, partial(loss_of, recipe, one)) for one in met(setting, batch))
                cause = next((words for words in seen if words != NOT_SEEN), NOT_SEEN)
                break
            step(setting, batch, learning_rate(recipe, (epoch - 1) * an_epoch + index, an_epoch))
    _put_back(setting, after)
    return cause


def _test_cause(setting: Setting, bad: int) -> str:
    """Why the loss of test image `bad` was not finite, with the weights as they are after the epoch."""
    first = bad - bad % EVALUATION_BATCH
    rows = torch.arange(first, min(first + EVALUATION_BATCH, len(setting.test)))
    images, labels = setting.tested(rows)
    setting.model.eval()
    return _cause(setting, images, lambda logits: functional.cross_entropy(logits, labels, reduction="none"))


def _cause(setting: Setting, images: Tensor, loss: Callable[[Tensor], Tensor]) -> str:
    with setting.autocast():
        return first_cause(
            setting.model, images.contiguous(memory_format=setting.layout), lambda logits: loss(logits.float())
        )


@torch.inference_mode()
def evaluate(setting: Setting) -> tuple[Tensor, Tensor]:
    """Cross-entropy in nats float64 (N,) and correctness bool (N,) of every test image, in the recipe's precision.

    An image whose logits or loss are not finite is not right: the argmax of NaN is class 0, a tenth of the images.
    """
    setting.model.eval()
    losses, correct = [], []
    for rows in torch.arange(len(setting.test)).split(EVALUATION_BATCH):
        images, labels = setting.tested(rows)
        with setting.autocast():
            logits = setting.model(images).float()
        loss = functional.cross_entropy(logits, labels, reduction="none")
        losses.append(loss)
        correct.append((logits.argmax(1) == labels) & logits.isfinite().all(1) & loss.isfinite())
    return torch.cat(losses).double().cpu(), torch.cat(correct).cpu()

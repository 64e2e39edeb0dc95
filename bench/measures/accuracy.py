"""Accuracy and loss of a training by the case's recipe: the whole curve, train and test apart, from one seed.

Chooses no epoch: which one a source reported is the recipe's `selection`, and verdicts read the curve accordingly.
Departs from the published loop in what cannot change a distribution: all augmentations are drawn for whole batches.
"""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.data.dataset import Dataset
from bench.data.image_files import ImageFiles
from bench.errors import MeasurementError
from bench.execution.context import Context
from bench.measures.instruments.from_logits import MOST_LOGITS, evaluated, try_out
from bench.measures.instruments.joules import Meter, metered
from bench.measures.instruments.model import LAYOUTS, build
from bench.measures.instruments.weights import weight_readings
from bench.plan.case import Case, plain
from bench.records.measurement import DataFacts, Reading, canonical_json
from bench.registry import datasets, measures
from bench.remote import RemotePath
from bench.suite.recipe import Recipe
from bench.training import augment
from bench.training.batches import ImageSource
from bench.training.loop import EVALUATION_BATCH, EpochResult, train
from bench.training.step import autocast


@measures.register("accuracy")
def accuracy(case: Case, context: Context, *, energy: bool = False) -> Iterator[DataFacts | Reading]:
    """Train the case's model and yield, after its data facts, six readings for every epoch.

    `train_loss`, `train_top1_pct` are taken while training (augmented, dropout on); `test_loss`, `test_top1_pct` after
    the epoch on all test images; `epoch_s`, `train_fps` are those of the training alone. A loss that was not finite is
    a reading without a value that says where, and which layer was the first to hold a NaN or an infinity. The last
    `test_top1_pct` carries which test images were right (`records.unpacked_bits`), so that models can be paired.
    Of a Mixer the filters and token-mixing weights after the last epoch follow, for pictures; at last what the
    evaluations say of the logits then: top-5, calibration error, and those of plug-ins.

    Args:
        energy: also yield `training_energy_j`. A training that is taken up again has none, for its first epochs were
            not counted.

    Raises:
        MeasurementError: the case has no data set, recipe or seed, or they do not fit together.
        DataAbsent, DataCorrupt: as the data set says.
    """
    if case.dataset is None or case.recipe is None or case.seed is None:
        raise MeasurementError(f"accuracy of '{case.model}' needs a data set, a recipe and a seed")
    recipe = case.recipe
    dataset = load(case.dataset, context.data_dir, canonical_json(plain(case.dataset_args)))
    _check(case, recipe, dataset)
    # Weights stay in float32 for either precision; the loop casts what the recipe wants cast.
    model = build(replace(case, precision="float32"), device=context.device, seed=case.seed)
    yield DataFacts(dataset.sha256, len(dataset.train_labels), len(dataset.test_labels))
    try_out(len(dataset.test_labels), case.num_classes)
    layout, keep = LAYOUTS[case.layout], checkpoint_file(case, context)
    yield from weight_readings(model, 0)
    read = context.read()  # files that the model was made from: with others, no training goes on where it stopped
    code = f"{case.code_sha256} {read}" if read else case.code_sha256
    resumed = keep is not None and keep.exists()
    with metered(context.device) if energy else nullcontext() as meter:
        for result in train(
            model, dataset, recipe, seed=case.seed, context=context, layout=layout, keep=keep, code_sha256=code
        ):
            yield from readings(result)
        if meter is not None:
            yield _energy(meter, recipe.epochs, resumed)
    yield from weight_readings(model, recipe.epochs)
    if len(dataset.test_labels) * case.num_classes <= MOST_LOGITS:
        yield from evaluated(*_test_logits(model, dataset, recipe, context, layout), epoch=recipe.epochs)


def _energy(meter: Meter, epochs: int, resumed: bool) -> Reading:
    absent = meter.absent or ("taken up again: its first epochs were not counted" if resumed else None)
    if absent:
        return Reading("training_energy_j", None, epoch=epochs, status="skipped", reason=absent)
    return Reading("training_energy_j", meter.joules, epoch=epochs, reason=meter.includes)


@torch.inference_mode()
def _test_logits(
    model: nn.Module, dataset: Dataset, recipe: Recipe, context: Context, layout: torch.memory_format
) -> tuple[Tensor, Tensor]:
    """Logits float32 (N, C) and labels (N,) of the test set on the CPU, as the loop evaluates after an epoch."""
    given = dataset if recipe.normalize == "dataset" else recipe.normalize
    source = ImageSource.of(dataset.test_images, dataset.test_labels, context.device)
    model.eval()
    found = []
    for rows in torch.arange(len(source)).split(EVALUATION_BATCH):
        images = augment.augment(source.batch(rows)[0], (), (), given.mean, given.std)
        with autocast(recipe.precision, context.device):
            found.append(model(images.contiguous(memory_format=layout)).float().cpu())
    return torch.cat(found), source.labels.cpu()


def checkpoint_file(case: Case, context: Context) -> Path | RemotePath | None:
    """Where the case's training is kept from epoch to epoch. Whoever has stored its rows deletes the folder."""
    return context.scratch_dir / case.id / "training.pt" if context.scratch_dir else None


@lru_cache(maxsize=1)
def load(name: str, data_dir: Path | None, arguments: str) -> Dataset:
    """The data set, kept for the next case, which most often asks for the same one. `arguments` is canonical JSON."""
    dataset: Dataset = datasets.get(name)(data_dir, **json.loads(arguments))
    return dataset


def _check(case: Case, recipe: Recipe, dataset: Dataset) -> None:
    size = tuple(dataset.train_images.shape[1:3])
    if size != (case.image_size, case.image_size):
        raise MeasurementError(
            f"'{dataset.name}' has images of {size[0]} x {size[1]}, the case asks for {case.image_size}"
        )
    if len(dataset.classes) != case.num_classes:
        raise MeasurementError(f"'{dataset.name}' has {len(dataset.classes)} classes, the case {case.num_classes}")
    if recipe.augment and recipe.augment[0].name == "resized_crop" and not isinstance(dataset.train_images, ImageFiles):
        raise MeasurementError(f"'resized_crop' cuts image files, and '{dataset.name}' has its images decoded already")
    # The rows carry the case's figures, so these must be the ones trained with.
    if recipe.precision != case.precision:
        raise MeasurementError(f"the recipe trains in {recipe.precision}, the case says {case.precision}")
    if case.batch_size not in (None, recipe.batch_size):
        raise MeasurementError(f"the recipe trains with batch {recipe.batch_size}, the case says {case.batch_size}")


def readings(result: EpochResult) -> Iterator[Reading]:
    """The six readings of one epoch."""
    values = vars(result)
    gaps = {
        "train_loss": (f"{result.bad_batches} of {result.batches} batches", result.train_cause),
        "test_loss": (f"{result.bad_images} of {result.images} test images", result.test_cause),
    }
    for metric in ("train_loss", "train_top1_pct", "test_loss", "test_top1_pct", "epoch_s", "train_fps"):
        value = values[metric]
        if value is not None:
            right = result.test_right if metric == "test_top1_pct" else None
            yield Reading(metric, value, epoch=result.epoch, detail=right)
        else:
            where, cause = gaps[metric]
            reason = f"loss not finite in {where} of epoch {result.epoch}; first: {cause}"
            yield Reading(metric, None, epoch=result.epoch, status="failed", reason=reason)

"""Accuracy: a case becomes data facts and six readings an epoch; what does not fit together is refused by name."""

import pytest
import torch
from torch import nn

from bench.errors import MeasurementError
from bench.execution.context import Context
from bench.measures.accuracy import accuracy, readings
from bench.measures.instruments import model
from bench.plan.case import Case
from bench.records.measurement import DataFacts
from bench.records.packed import unpacked_bits
from bench.registry import models
from bench.suite.recipe import Recipe
from bench.training.loop import EpochResult
from tests import making

SIX = ["train_loss", "train_top1_pct", "test_loss", "test_top1_pct", "epoch_s", "train_fps"]
RECIPE = {"epochs": 2, "batch_size": 16, "optimizer": "adamw", "lr": 3e-3}
CUT = {"augment": [{"name": "resized_crop"}]}


@models.register("flat_linear")
def flat_linear(*, num_classes, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, num_classes))


def case(**changes) -> Case:
    given = {
        "factory": "flat_linear",
        "num_classes": 4,
        "image_size": 8,
        "dataset": "synthetic",
        "dataset_args": {"n_train": 48, "n_test": 20, "image_size": 8, "n_classes": 4},
        "recipe": Recipe.from_mapping(RECIPE),
        "seed": 1,
    }
    return making.case("accuracy", **(given | changes))


def test_data_facts_come_first_and_then_six_readings_an_epoch():
    facts, *rest = accuracy(case(), Context())
    assert isinstance(facts, DataFacts)
    assert (facts.n_train, facts.n_test, len(facts.dataset_sha256)) == (48, 20, 64)
    of_epochs = [(name, epoch) for epoch in (1, 2) for name in SIX]
    assert [(reading.metric, reading.epoch) for reading in rest] == [*of_epochs, ("test_ece_pct", 2)]


def test_the_seed_decides_weights_and_order():
    curves = [
        [reading.value for reading in list(accuracy(case(seed=seed), Context()))[1:] if reading.metric == "test_loss"]
        for seed in (1, 1, 2)
    ]
    assert curves[0] == curves[1] != curves[2]


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_training_starts_from_float32_weights_drawn_from_the_cases_seed(monkeypatch, precision):
    seen = []
    monkeypatch.setattr("bench.measures.accuracy.train", lambda model, *_, **__: seen.append(model) or iter(()))
    asked = case(seed=7, precision=precision, recipe=Recipe.from_mapping(RECIPE | {"precision": precision}))
    list(accuracy(asked, Context()))
    expected = model.build(case(), seed=7)
    assert torch.equal(seen[0][1].weight, expected[1].weight)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"recipe": None}, "needs a data set, a recipe and a seed"),
        ({"seed": None}, "needs a data set, a recipe and a seed"),
        ({"image_size": 16}, "'synthetic' has images of 8 x 8, the case asks for 16"),
        ({"num_classes": 5}, "'synthetic' has 4 classes, the case 5"),
        ({"precision": "bfloat16"}, "the recipe trains in float32, the case says bfloat16"),
        ({"recipe": Recipe.from_mapping(RECIPE | CUT)}, "'synthetic' has its images decoded already"),
        ({"batch_size": 8}, "the recipe trains with batch 16, the case says 8"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes, told):
    with pytest.raises(MeasurementError, match=told):
        list(accuracy(case(**changes), Context()))


def test_a_loss_that_was_not_finite_is_a_reading_without_a_value():
    result = EpochResult(3, None, 50.0, None, 60.0, 1.0, 48.0, 2, 9, "head (NaN)", 7, 20, "stem (overflow)")
    found = {reading.metric: reading for reading in readings(result)}
    assert list(found) == SIX
    assert (found["train_loss"].status, found["train_loss"].value) == ("failed", None)
    assert found["train_loss"].reason == "loss not finite in 2 of 9 batches of epoch 3; first: head (NaN)"
    assert found["test_loss"].reason == "loss not finite in 7 of 20 test images of epoch 3; first: stem (overflow)"
    assert found["test_top1_pct"].value == 60.0


def test_the_last_epoch_says_which_test_images_were_right():
    facts, *rest = accuracy(case(), Context())
    told = [(reading.metric, reading.epoch, reading.value, reading.detail) for reading in rest if reading.detail]
    ((metric, epoch, value, detail),) = told
    right = unpacked_bits(detail)
    assert (metric, epoch, len(right)) == ("test_top1_pct", 2, facts.n_test)
    assert value == pytest.approx(100 * sum(right) / len(right))

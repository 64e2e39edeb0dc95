"""Pictures of weights: which layers have them, which units are shown, and that eight bits come back as eight bits."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.execution.context import Context
from bench.measures.accuracy import accuracy
from bench.measures.instruments.weights import mixing_layers, patch_embedding, weight_readings
from bench.records import packed
from bench.registry import models
from bench.suite.recipe import Recipe
from tests import making

SMALL = {"patch_size": 4, "width": 6, "depth": 3, "token_mlp": 4, "channel_mlp": 8}


def mixer(**changes):
    return models.get("mlp_mixer")(num_classes=4, image_size=16, **(SMALL | changes))


def by_part(model, epoch=1):
    return {reading.part: reading for reading in weight_readings(model, epoch)}


# Text


def test_tiles_come_back_in_their_order_with_their_scale():
    text = packed.pack([[0.5, -1.0, 0.25, 0.0], [0.0, 0.0, 0.0, 0.0]], (1, 2, 2), [7, 3], of=9)
    found = packed.unpack(text)
    assert (found.channels, found.height, found.width, found.of, found.units) == (1, 2, 2, 9, (7, 3))
    assert found.largest == (1.0, 0.0)
    # 127 stands for the largest magnitude, 1.0: 0.5 is 63.5, rounded to the even 64, and 0.25 is 31.75
    assert found.steps == ((64, -127, 32, 0), (0, 0, 0, 0))


@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=6, max_size=6), min_size=1, max_size=5))
def test_no_weight_moves_by_more_than_half_a_step(weights):
    found = packed.unpack(packed.pack(weights, (1, 2, 3), range(len(weights)), of=len(weights)))
    for tile, steps in zip(weights, found.steps, strict=True):
        step = max(abs(value) for value in tile) / packed.STEPS
        for value, coded in zip(tile, steps, strict=True):
            assert abs(value - coded * step) <= 0.5 * step * (1 + 1e-9)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"shape":[1,2,2],"of":1,"units":[0],"largest":[1],"steps":"AAA="}'])
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match="tiles"):
        packed.unpack(text)


# Layers


def test_a_mixer_gives_its_filters_and_the_units_of_its_first_and_last_layer():
    found = by_part(mixer())
    assert list(found) == ["patch_embedding", "blocks.0.token_mlp.fc1", "blocks.2.token_mlp.fc1"]
    filters = found["patch_embedding"]
    assert (filters.metric, filters.value) == ("patch_filters", 6.0)
    shown = packed.unpack(filters.detail)
    assert (shown.channels, shown.height, shown.width, shown.of) == (3, 4, 4, 6)
    units = packed.unpack(found["blocks.0.token_mlp.fc1"].detail)
    # 16 pixels in patches of 4 are 4 x 4 tokens
    assert (units.channels, units.height, units.width, units.of) == (1, 4, 4, 4)


def test_filters_are_shown_by_norm_the_largest_first():
    model = mixer()
    with torch.no_grad():
        model.patch_embedding.weight.mul_(torch.tensor([1.0, 5.0, 2.0, 9.0, 0.1, 3.0]).view(6, 1, 1, 1) * 10)
        norms = model.patch_embedding.weight.flatten(1).norm(dim=1)
    shown = packed.unpack(by_part(model)["patch_embedding"].detail)
    assert [float(norms[unit]) for unit in shown.units] == sorted(norms.tolist(), reverse=True)


def test_opposite_units_stand_side_by_side_and_an_exact_opposite_has_cosine_minus_1():
    model = mixer()
    with torch.no_grad():
        weight = model.blocks[0].token_mlp.fc1.weight
        weight[3], weight[2] = -2 * weight[0], -0.5 * weight[1]
    reading = by_part(model)["blocks.0.token_mlp.fc1"]
    assert reading.value == pytest.approx(-1.0)
    units = packed.unpack(reading.detail).units
    assert {frozenset(units[:2]), frozenset(units[2:])} == {frozenset({0, 3}), frozenset({1, 2})}


def test_before_training_there_is_a_number_to_compare_with_and_no_picture():
    found = list(weight_readings(mixer(), 0))
    assert [(reading.metric, reading.epoch, reading.detail) for reading in found] == [("opposite_cosine", 0, None)] * 2
    assert all(-1 <= reading.value <= 1 for reading in found)


@pytest.mark.parametrize("changes", [{"untied": True}, {"groups": 2}], ids=["untied", "grouped"])
def test_a_layer_with_several_weights_for_a_patch_has_no_picture(changes):
    assert mixing_layers(mixer(**changes)) == []
    assert list(by_part(mixer(**changes))) == ["patch_embedding"]


def test_a_pyramid_ends_on_a_coarser_grid():
    shown = packed.unpack(by_part(mixer(pyramid=[1]))["blocks.2.token_mlp.fc1"].detail)
    assert (shown.height, shown.width) == (2, 2)


def test_a_convolution_that_overlaps_is_no_patch_embedding():
    resnet = models.get("torchvision")("resnet18", num_classes=4, image_size=16)
    hybrid = models.get("hybrid_mixer")(num_classes=4, image_size=16, **SMALL)
    assert resnet.conv1.kernel_size > resnet.conv1.stride
    assert patch_embedding(resnet) is None
    assert patch_embedding(hybrid)[0] == "patch_embedding"


def test_weights_that_are_not_finite_are_a_reading_without_a_value():
    model = mixer()
    with torch.no_grad():
        model.patch_embedding.weight[0, 0, 0, 0] = math.nan
    reading = by_part(model, epoch=2)["patch_embedding"]
    assert (reading.status, reading.value, reading.detail) == ("failed", None, None)
    assert "patch_embedding are not finite" in reading.reason


def test_accuracy_ends_with_the_pictures_of_the_weights_it_trained():
    case = making.case(
        "accuracy",
        model_args=SMALL,
        num_classes=4,
        image_size=16,
        dataset="synthetic",
        dataset_args={"n_train": 32, "n_test": 8, "image_size": 16, "n_classes": 4},
        recipe=Recipe(epochs=2, batch_size=16, optimizer="adamw", lr=0.05),
        seed=0,
    )
    _, *found = accuracy(case, Context())
    pictures = [reading for reading in found if reading.part]
    assert [(reading.metric, reading.epoch) for reading in pictures] == [
        ("opposite_cosine", 0),
        ("opposite_cosine", 0),
        ("patch_filters", 2),
        ("opposite_cosine", 2),
        ("opposite_cosine", 2),
    ]
    assert pictures[0].value != pictures[3].value


def test_half_of_a_complex_weight_is_no_picture():
    layer = torch.nn.Conv2d(3, 8, 4, stride=4, dtype=torch.complex64)
    assert list(weight_readings(torch.nn.Sequential(layer), 1)) == []
    model = mixer()
    model.blocks[0].token_mlp.fc1.to(torch.complex64)
    assert [name for name, _ in mixing_layers(model)] == ["blocks.1.token_mlp.fc1", "blocks.2.token_mlp.fc1"]

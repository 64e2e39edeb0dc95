"""A case becomes the module it asks for: names with a tail, precision, layout, seed, meta device."""

import pytest
import torch
from torch import nn

from bench.errors import MeasurementError, UsageError
from bench.measures.instruments.model import build, images
from bench.plan.case import Case
from bench.registry import models
from tests import making


@models.register("tiny_conv")
def tiny_conv(*, num_classes: int, image_size: int, width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))


@models.register("tiny_family")
def tiny_family(member: str, *, num_classes: int, image_size: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, num_classes * len(member)))


def case(factory: str = "tiny_conv", **fields) -> Case:
    return making.case("timing", factory, **({"num_classes": 10, "image_size": 8, "batch_size": 2} | fields))


def test_the_same_seed_draws_the_same_weights_and_leaves_the_global_state_alone():
    before = torch.random.get_rng_state()
    first, second, other = build(case(), seed=3), build(case(), seed=3), build(case(), seed=4)
    assert torch.equal(first[0].weight, second[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_case_with_a_seed_draws_its_weights_from_it_and_one_without_from_0():
    assert torch.equal(build(case(seed=3))[0].weight, build(case(), seed=3)[0].weight)
    assert torch.equal(build(case())[0].weight, build(case(seed=3), seed=0)[0].weight)


def test_a_tail_behind_the_colon_is_the_first_positional_argument():
    assert build(case("tiny_family:abc"))[1].out_features == 10 * len("abc")


def test_precision_and_layout_reach_weights_and_images():
    asked = case(precision="bfloat16", layout="channels_last")
    model, batch = build(asked), images(asked)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16} == {batch.dtype}
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert model(batch).shape == (2, 10)


def test_the_meta_device_allocates_no_weight():
    model = build(case(model_args={"width": 6}), device="meta")
    assert all(parameter.is_meta for parameter in model.parameters())
    assert model(images(case(), device="meta")).shape == (2, 10)


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"factory": "tiny_konv"}, UsageError, "Did you mean 'tiny_conv'"),
        ({"model_args": {"widht": 4}}, UsageError, "unexpected keyword argument 'widht'"),
        ({"precision": "float31"}, MeasurementError, "Known: float32, bfloat16, float16"),
        ({"layout": "sideways"}, MeasurementError, "Known: contiguous, channels_last"),
    ],
)
def test_a_case_that_cannot_be_built_says_what_was_possible(fields, error, words):
    with pytest.raises(error, match=words):
        build(case(**fields))

"""Augmentation: drawn parameters are distributed as torchvision draws them, and whole pipelines agree with its own."""

import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image

from bench.suite.recipe import Recipe
from bench.torchvision_import import torchvision
from bench.training import augment

F = torchvision.transforms.functional
MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
PUBLISHED = (
    {"name": "flip"},
    {"name": "crop", "padding": 4},
    {"name": "rotation", "degrees": 15},
    {"name": "color_jitter", "brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0.02},
    {"name": "erasing", "p": 0.1},
)


def parts(*tables):
    return Recipe.from_mapping(
        {"epochs": 1, "batch_size": 1, "optimizer": "sgd", "lr": 1.0, "augment": list(tables)}
    ).augment


def drawn(table, count, size=(32, 32), seed=0):
    return augment.draw(parts(table), count, size, torch.Generator().manual_seed(seed))[0]


def pictures(count):
    return torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def within(share, expected, count, sigmas=5):
    """Whether a share of `count` draws lies within five standard deviations of what is expected."""
    return abs(share - expected) < sigmas * math.sqrt(expected * (1 - expected) / count)


def test_the_published_pipeline_gives_torchvisions_floats_for_the_same_draws():
    count = 48
    chain, images = parts(*PUBLISHED), pictures(count)
    # Erasing happens to every other image here, so that the box is compared too.
    chain = chain[:-1] + parts({"name": "erasing", "p": 0.5})
    draws = augment.draw(chain, count, (32, 32), torch.Generator().manual_seed(4))
    ours = augment.augment(images, chain, draws, MEAN, STD)
    flips, crops, turns, jitters, boxes = draws
    adjust = {
        "brightness": F.adjust_brightness,
        "contrast": F.adjust_contrast,
        "saturation": F.adjust_saturation,
        "hue": F.adjust_hue,
    }
    for index in range(count):
        image = Image.fromarray(images[index].numpy())
        image = F.hflip(image) if flips["chosen"][index] else image
        image = F.crop(F.pad(image, 4), int(crops["down"][index]) + 4, int(crops["right"][index]) + 4, 32, 32)
        image = F.rotate(image, float(turns["degrees"][index]))
        for which in jitters["order"][index].tolist():
            name = list(adjust)[which]
            image = adjust[name](image, float(jitters[name][index]))
        expected = F.normalize(F.to_tensor(image), MEAN, STD)
        top, left, tall, wide = boxes["boxes"][index].tolist()
        expected = F.erase(expected, top, left, tall, wide, torch.zeros(1))
        assert torch.equal(ours[index], expected), index


@pytest.mark.parametrize("magnitude", [0, 9, 12, 30])
def test_every_operation_of_rand_augment_is_torchvisions(magnitude):
    names = list(torchvision.transforms.RandAugment()._augmentation_space(31, (32, 32)))
    assert len(names) == len(augment.RAND_OPERATIONS) == 14
    space = torchvision.transforms.RandAugment()._augmentation_space(31, (32, 32))
    images = pictures(2)
    for index, (name, sign) in enumerate(itertools.product(names, (-1, 1))):
        draws = [{"operation": torch.full((2, 1), index // 2), "sign": torch.full((2, 1), sign)}]
        chain = parts({"name": "rand_augment", "n": 1, "m": magnitude})
        ours = augment.augment(images, chain, draws, (0, 0, 0), (1, 1, 1)) * 255
        strengths, signed = space[name]
        strength = float(strengths[magnitude]) if strengths.ndim else 0.0
        strength *= sign if signed else 1
        nearest = torchvision.transforms.InterpolationMode.NEAREST
        for one, image in zip(ours, images, strict=True):
            theirs = torchvision.transforms.autoaugment._apply_op(
                Image.fromarray(image.numpy()), name, strength, nearest, None
            )
            assert torch.equal(one.round().byte().permute(1, 2, 0), torch.from_numpy(np.array(theirs))), (name, sign)


def test_flips_are_as_frequent_as_asked():
    count = 40_000
    assert within(float(drawn({"name": "flip", "p": 0.3}, count)["chosen"].float().mean()), 0.3, count)


def test_every_offset_of_the_crop_is_equally_likely():
    count, padding = 40_000, 4
    one = drawn({"name": "crop", "padding": padding}, count)
    for name in ("down", "right"):
        values, counts = one[name].unique(return_counts=True)
        assert values.tolist() == list(range(-padding, padding + 1))
        assert all(within(float(each) / count, 1 / (2 * padding + 1), count) for each in counts)
    assert abs(float(torch.corrcoef(torch.stack((one["down"], one["right"])).float())[0, 1])) < 5 / math.sqrt(count)


def test_angles_and_factors_are_uniform_over_torchvisions_ranges():
    count = 40_000
    jitter = drawn(PUBLISHED[3], count)
    angle = drawn(PUBLISHED[2], count)["degrees"]
    ranges = [(jitter[name], 0.9, 1.1) for name in ("brightness", "contrast", "saturation")]
    for values, low, high in [*ranges, (jitter["hue"], -0.02, 0.02), (angle, -15, 15)]:
        assert low <= values.min() <= values.max() <= high
        shares = torch.histc(values, 10, low, high) / count
        assert all(within(float(share), 1 / 10, count) for share in shares)


def test_a_brightness_range_never_reaches_below_zero():
    assert drawn({"name": "color_jitter", "brightness": 2.0}, 1000)["brightness"].min() >= 0


def test_all_24_orders_of_the_jitter_are_equally_likely():
    count = 48_000
    orders, counts = drawn(PUBLISHED[3], count)["order"].unique(dim=0, return_counts=True)
    assert len(orders) == math.factorial(4)
    assert all(within(float(each) / count, 1 / 24, count) for each in counts)


def test_erased_boxes_are_distributed_as_torchvision_draws_them():
    count = 4000
    ours = drawn({"name": "erasing", "p": 1.0}, count)["boxes"].float()
    torch.manual_seed(5)
    image = torch.zeros(3, 32, 32)
    draw_one = torchvision.transforms.RandomErasing.get_params
    theirs = torch.tensor([draw_one(image, (0.02, 0.33), (0.3, 3.3), [0.0])[:4] for _ in range(count)]).float()
    for column in range(4):
        # Two samples of one distribution: their means differ by no more than five standard errors of a difference.
        error = math.sqrt((ours[:, column].var() + theirs[:, column].var()) / count)
        assert abs(ours[:, column].mean() - theirs[:, column].mean()) < 5 * error
    bottom, right = ours[:, 0] + ours[:, 2], ours[:, 1] + ours[:, 3]
    assert bottom.max() == right.max() == 32


def test_boxes_are_erased_as_often_as_asked():
    count = 40_000
    erased = drawn({"name": "erasing", "p": 0.1}, count)["boxes"][:, 2] > 0
    assert within(float(erased.float().mean()), 0.1, count)


def test_rand_augment_draws_each_operation_and_each_sign_alike():
    count = 28_000
    one = drawn({"name": "rand_augment", "n": 2, "m": 12}, count)
    for turn in range(2):
        counts = one["operation"][:, turn].bincount(minlength=14)
        assert all(within(float(each) / count, 1 / 14, count) for each in counts)
        assert within(float((one["sign"][:, turn] == 1).float().mean()), 0.5, count)


def test_the_same_seed_draws_the_same_and_a_part_of_a_draw_is_that_part():
    one, same, other = (
        augment.draw(parts(*PUBLISHED), 10, (32, 32), torch.Generator().manual_seed(seed)) for seed in (6, 6, 7)
    )
    assert all(torch.equal(a[name], b[name]) for a, b in zip(one, same, strict=True) for name in a)
    assert not torch.equal(one[2]["degrees"], other[2]["degrees"])
    assert torch.equal(augment.rows(one, slice(3, 5))[2]["degrees"], one[2]["degrees"][3:5])


def test_without_augmentation_only_the_normalisation_is_left():
    images = pictures(2)
    ours = augment.augment(images, (), (), MEAN, STD)
    assert torch.equal(ours, F.normalize(images.permute(0, 3, 1, 2) / 255, MEAN, STD))

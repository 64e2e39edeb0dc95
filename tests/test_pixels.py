"""Pixels: every operation gives, byte for byte, what torchvision gives on a PIL image with the same parameter."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from bench.torchvision_import import torchvision
from bench.training import pixels

F = torchvision.transforms.functional
SIDE = 12


def pictures() -> Tensor:
    """Noise, few colours, one grey, one colour: (16, 3, SIDE, SIDE) whole numbers in float32."""
    images = torch.randint(0, 256, (16, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(1)).float()
    images[4:8] = (images[4:8] / 64).floor() * 7 + 90
    images[8] = images[8, :1]
    images[9] = torch.tensor([200.0, 100.0, 7.0]).view(3, 1, 1)
    return images


def pil(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).byte().numpy())


def back(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()


def spread(low: float, high: float) -> Tensor:
    return torch.linspace(low, high, 16)


def same(ours: Tensor, theirs: list[Image.Image]) -> bool:
    return torch.equal(ours, torch.stack([back(image) for image in theirs]))


@pytest.mark.parametrize(
    ("name", "theirs", "low", "high"),
    [
        ("brightness", F.adjust_brightness, 0.0, 1.9),
        ("contrast", F.adjust_contrast, 0.0, 1.9),
        ("saturation", F.adjust_saturation, 0.0, 1.9),
        ("sharpness", F.adjust_sharpness, 0.0, 1.9),
        ("hue", F.adjust_hue, -0.5, 0.5),
        ("rotation", F.rotate, -180.0, 180.0),
    ],
)
def test_each_image_gets_its_own_factor_as_pil_would_apply_it(name, theirs, low, high):
    factors = spread(low, high)
    expected = [theirs(pil(image), float(factor)) for image, factor in zip(pictures(), factors, strict=True)]
    assert same(getattr(pixels, name)(pictures(), factors), expected)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda x: pixels.posterize(x, 3), lambda image: F.posterize(image, 3)),
        (lambda x: pixels.solarize(x, 153.0), lambda image: F.solarize(image, 153.0)),
        (pixels.autocontrast, F.autocontrast),
        (pixels.equalize, F.equalize),
        (lambda x: pixels.flip(x, torch.ones(16, dtype=torch.bool)), F.hflip),
        (lambda x: pixels.rotation(x, torch.full((16,), 90.0)), lambda image: F.rotate(image, 90)),
        (lambda x: pixels.rotation(x, torch.zeros(16)), lambda image: F.rotate(image, 0)),
    ],
)
def test_operations_without_a_factor_are_pils(ours, theirs):
    assert same(ours(pictures()), [theirs(pil(image)) for image in pictures()])


def test_equalize_on_images_large_enough_for_a_table_that_is_not_the_identity():
    large = torch.randint(0, 256, (2, 3, 40, 40), generator=torch.Generator().manual_seed(2)).float().sqrt().floor() * 9
    assert 40 * 40 // 255 > 1
    assert same(pixels.equalize(large), [F.equalize(pil(image)) for image in large])


@pytest.mark.parametrize("shear", [0.12, -0.3])
def test_a_shear_walks_through_the_source_as_pil_does(shear):
    degrees = math.degrees(math.atan(shear))
    right = torch.tensor([[1, shear, 0, 0, 1, 0]], dtype=torch.float64).expand(16, 6)
    down = torch.tensor([[1, 0, 0, shear, 1, 0]], dtype=torch.float64).expand(16, 6)
    for matrix, angles in ((right, [degrees, 0.0]), (down, [0.0, degrees])):
        expected = [F.affine(pil(image), 0.0, [0, 0], 1.0, angles, center=[0, 0]) for image in pictures()]
        assert same(pixels.affine(pictures(), matrix), expected)


def test_a_shifted_window_is_the_crop_of_the_padded_image():
    padding = 4
    down, right = torch.arange(16) % 9 - 4, torch.arange(16) % 7 - 4
    expected = [
        F.crop(F.pad(pil(image), padding), int(y) + padding, int(x) + padding, SIDE, SIDE)
        for image, y, x in zip(pictures(), down, right, strict=True)
    ]
    assert same(pixels.shifted(pictures(), down, right), expected)


def test_hsv_agrees_with_pil_on_a_grid_of_colours_and_on_all_their_neighbours():
    steps = torch.tensor(sorted({value + near for value in range(1, 256, 23) for near in (-1, 0, 1)} & set(range(256))))
    colours = torch.cartesian_prod(steps, steps, steps).view(1, -1, len(steps), 3)
    image = Image.fromarray(colours[0].byte().numpy())
    hsv = torch.stack(pixels.to_hsv(colours.permute(0, 3, 1, 2).float()), 3)
    assert torch.equal(hsv[0].byte(), torch.from_numpy(np.array(image.convert("HSV"))))
    rgb = pixels.from_hsv(*colours.float().unbind(3))
    expected = Image.fromarray(colours[0].byte().numpy(), "HSV").convert("RGB")
    assert torch.equal(rgb[0].byte(), torch.from_numpy(np.array(expected)).permute(2, 0, 1))


def test_erasing_clears_its_box_and_nothing_else():
    boxes = torch.zeros(16, 4, dtype=torch.long)
    boxes[3] = torch.tensor([2, 1, 4, 5])
    images = pictures() + 1
    expected = images.clone()
    expected[3] = F.erase(images[3], 2, 1, 4, 5, torch.zeros(1))
    assert torch.equal(pixels.erase(images, boxes), expected)
    assert int((expected == 0).sum()) == 3 * 4 * 5

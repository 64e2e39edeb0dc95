"""Random augmentation of whole batches, a draw of its own for every image, on the device where the images are.

Draws all parameters from one CPU generator, so that a seed means the same images on every device; what a parameter
does to pixels is `pixels.py`'s business. Distributions are torchvision's, as the published code used them.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from bench.data.image_files import Windows
from bench.suite.recipe import Augmentation, ColorJitter, Crop, Erasing, Flip, RandAugment, ResizedCrop, Rotation
from bench.training import pixels

Drawn = dict[str, Tensor]  # parameter name -> (count, ...) on the CPU
Size = tuple[int, int]  # height, width


def draw(augment: Sequence[Augmentation], count: int, size: Size, generator: Generator) -> list[Drawn]:
    """Parameters for `count` images, one mapping for each augmentation; every tensor has `count` rows."""
    return [_DRAW[part.name](part, count, size, generator) for part in augment]


def rows(drawn: Sequence[Drawn], chosen: slice) -> list[Drawn]:
    """The part of a draw that belongs to some of its images."""
    return [{name: values[chosen] for name, values in one.items()} for one in drawn]


def windows(parts: Sequence[Augmentation], drawn: Sequence[Drawn]) -> Windows | None:
    """What to cut from image files as they are decoded, for the images of the draw; None: their centre."""
    first = parts[0] if parts else None
    if not isinstance(first, ResizedCrop):
        return None
    return Windows(**{name: values.numpy() for name, values in drawn[0].items()}, ratio=first.ratio)


def augment(
    images: Tensor, parts: Sequence[Augmentation], drawn: Sequence[Drawn], mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """Bytes to normalised, augmented images: uint8 (B, H, W, 3) -> float32 (B, 3, H, W).

    Args:
        drawn: what `draw` gave, B rows.
        mean, std: of the three channels, in 0..1.
    """
    values = planes(images)
    erased = None
    for part, one in zip(parts, drawn, strict=True):
        if part.name == "resized_crop":
            continue  # done when the images were decoded
        if part.name == "erasing":
            erased = _moved(one["boxes"], images)
        else:
            values = _APPLY[part.name](values, one, part)
    values = normalized(values, mean, std)
    return values if erased is None else pixels.erase(values, erased)


def _moved(drawn: Tensor, images: Tensor) -> Tensor:
    """A draw on the device of the images. A copy that blocks would make the host wait for all queued work."""
    return drawn.to(images.device, non_blocking=True)


def planes(images: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) -> float32 (B, 3, H, W), the same whole numbers."""
    return images.permute(0, 3, 1, 2).contiguous().float()


def normalized(values: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """0..255 -> (x / 255 - mean) / std, in the order in which torchvision rounds."""
    centre, spread = (_moved(torch.tensor(three, dtype=values.dtype), values).view(1, 3, 1, 1) for three in (mean, std))
    return (values / 255).sub_(centre).div_(spread)


def _uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _draw_flip(part: Flip, count: int, size: Size, generator: Generator) -> Drawn:
    return {"chosen": torch.rand(count, generator=generator) < part.p}


def _draw_resized_crop(part: ResizedCrop, count: int, size: Size, generator: Generator) -> Drawn:
    """Ten tries for each image, in float64: the window's whole pixels are found by rounding."""
    tries = (count, 10)
    low, high = map(math.log, part.ratio)
    drawn = {
        "area": torch.empty(tries, dtype=torch.float64).uniform_(*part.scale, generator=generator),
        "aspect": torch.empty(tries, dtype=torch.float64).uniform_(low, high, generator=generator).exp_(),
        "place": torch.rand(count, 2, dtype=torch.float64, generator=generator),
        "bicubic": torch.rand(count, generator=generator) < 0.5,
    }
    if part.interpolation != "random":
        drawn["bicubic"].fill_(part.interpolation == "bicubic")
    return drawn


def _draw_crop(part: Crop, count: int, size: Size, generator: Generator) -> Drawn:
    padding = part.padding
    return {name: torch.randint(-padding, padding + 1, (count,), generator=generator) for name in ("down", "right")}


def _draw_rotation(part: Rotation, count: int, size: Size, generator: Generator) -> Drawn:
    return {"degrees": _uniform(count, -part.degrees, part.degrees, generator)}


def _draw_color_jitter(part: ColorJitter, count: int, size: Size, generator: Generator) -> Drawn:
    """Factors of the four operations and the order in which each image gets them, all 24 orders alike."""
    drawn = {
        name: _uniform(count, max(0.0, 1 - getattr(part, name)), 1 + getattr(part, name), generator)
        for name in ("brightness", "contrast", "saturation")
    }
    drawn["hue"] = _uniform(count, -part.hue, part.hue, generator)
    drawn["order"] = torch.rand(count, 4, generator=generator).argsort(1)
    return drawn


def _draw_rand_augment(part: RandAugment, count: int, size: Size, generator: Generator) -> Drawn:
    shape = (count, part.n)
    return {
        "operation": torch.randint(len(RAND_OPERATIONS), shape, generator=generator),
        "sign": torch.randint(2, shape, generator=generator) * 2 - 1,
    }


def _draw_erasing(part: Erasing, count: int, size: Size, generator: Generator) -> Drawn:
    """Zhong et al. 2017, algorithm 1: area and aspect at random, ten tries to find a box that fits."""
    height, width = size
    tries = 10
    area = height * width * _uniform(count * tries, part.scale[0], part.scale[1], generator)
    aspect = _uniform(count * tries, math.log(part.ratio[0]), math.log(part.ratio[1]), generator).exp()
    tall = (area * aspect).sqrt().round().view(count, tries)
    wide = (area / aspect).sqrt().round().view(count, tries)
    fits = (tall < height) & (wide < width)
    first = fits.int().argmax(1, keepdim=True)
    chosen = (torch.rand(count, generator=generator) < part.p) & fits.any(1)
    tall, wide = tall.gather(1, first).squeeze(1) * chosen, wide.gather(1, first).squeeze(1) * chosen
    # floor(u (n + 1)) is uniform over the n + 1 places.
    top = (torch.rand(count, generator=generator) * (height - tall + 1)).floor()
    left = (torch.rand(count, generator=generator) * (width - wide + 1)).floor()
    return {"boxes": torch.stack((top, left, tall, wide), 1).long()}


def _jitter(values: Tensor, drawn: Drawn, part: ColorJitter) -> Tensor:
    """The four operations in each image's own order: in each of four rounds, each operation takes its images."""
    names = ("brightness", "contrast", "saturation", "hue")
    for turn in range(len(names)):
        for index, name in enumerate(names):
            chosen = _those(drawn["order"][:, turn], index)
            if getattr(part, name) > 0 and len(chosen):
                there = _moved(chosen, values)
                values[there] = getattr(pixels, name)(values[there], _moved(drawn[name][chosen], values))
    return values


def _those(drawn: Tensor, index: int) -> Tensor:
    """Which images drew `index`: found on the CPU, because the host would have to wait for a GPU to tell how many."""
    return (drawn == index).nonzero().squeeze(1)


def _rand_augment(values: Tensor, drawn: Drawn, part: RandAugment) -> Tensor:
    """RandAugment (Cubuk et al. 2019): n operations one after the other, each drawn alike from the fourteen."""
    size = part.m / 30
    for turn in range(part.n):
        for index, operation in enumerate(RAND_OPERATIONS):
            chosen = _those(drawn["operation"][:, turn], index)
            if len(chosen):
                there = _moved(chosen, values)
                values[there] = operation(values[there], _moved(drawn["sign"][chosen, turn] * size, values), size)
    return values


def _matrix(**entries: Tensor) -> Tensor:
    """(B, 6) rows a, b, c, d, e, f of `pixels.affine`: the identity but for what is given."""
    (like,) = entries.values()
    zero, one = torch.zeros_like(like).double(), torch.ones_like(like).double()
    return torch.stack([entries.get(name, one if name in "ae" else zero).double() for name in "abcdef"], 1)


def _translate(values: Tensor, along: Tensor, axis: int) -> Tensor:
    """Shift by whole pixels, towards zero; 150 / 331 of the side at full magnitude."""
    distance = (along * (150.0 / 331.0 * values.shape[axis])).trunc().long()
    still = torch.zeros_like(distance)
    return pixels.shifted(values, *((-distance, still) if axis == 2 else (still, -distance)))


# torchvision's fourteen, for 31 magnitudes: `size` is m / 30, `signed` the same with a random sign for each image.
RAND_OPERATIONS: tuple[Callable[[Tensor, Tensor, float], Tensor], ...] = (
    lambda values, signed, size: values,
    lambda values, signed, size: pixels.affine(values, _matrix(b=0.3 * signed)),
    lambda values, signed, size: pixels.affine(values, _matrix(d=0.3 * signed)),
    lambda values, signed, size: _translate(values, signed, 3),
    lambda values, signed, size: _translate(values, signed, 2),
    lambda values, signed, size: pixels.rotation(values, 30.0 * signed),
    lambda values, signed, size: pixels.brightness(values, 1 + 0.9 * signed),
    lambda values, signed, size: pixels.saturation(values, 1 + 0.9 * signed),
    lambda values, signed, size: pixels.contrast(values, 1 + 0.9 * signed),
    lambda values, signed, size: pixels.sharpness(values, 1 + 0.9 * signed),
    lambda values, signed, size: pixels.posterize(values, 8 - round(4 * size)),
    lambda values, signed, size: pixels.solarize(values, 255.0 * (1 - size)),
    lambda values, signed, size: pixels.autocontrast(values),
    lambda values, signed, size: pixels.equalize(values),
)


_DRAW: dict[str, Callable[[Any, int, Size, Generator], Drawn]] = {
    "resized_crop": _draw_resized_crop,
    "flip": _draw_flip,
    "crop": _draw_crop,
    "rotation": _draw_rotation,
    "color_jitter": _draw_color_jitter,
    "rand_augment": _draw_rand_augment,
    "erasing": _draw_erasing,
}

_APPLY: dict[str, Callable[[Tensor, Drawn, Any], Tensor]] = {
    "flip": lambda values, drawn, part: pixels.flip(values, _moved(drawn["chosen"], values)),
    "crop": lambda values, drawn, part: pixels.shifted(
        values, *(_moved(drawn[key], values) for key in ("down", "right"))
    ),
    "rotation": lambda values, drawn, part: pixels.rotation(values, _moved(drawn["degrees"], values)),
    "color_jitter": _jitter,
    "rand_augment": _rand_augment,
}

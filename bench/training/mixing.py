"""Mixup and CutMix: a training batch blended with itself in another order.

Draws once for a whole batch, as both papers' code does, and leaves the batch alone when neither is asked for.
"""

import random
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Mixed:
    """A batch in which each image is `share` itself and 1 - `share` another, whose label stands in `labels`."""

    images: Tensor
    labels: Tensor
    share: float


def mix(images: Tensor, labels: Tensor, *, mixup: float, cutmix: float, rng: random.Random) -> Mixed:
    """Blend a batch with its reverse; with both kinds asked for, each batch gets one of them, evenly.

    Args:
        images: float32 (B, 3, H, W), normalised; not changed.
        mixup, cutmix: alpha of the symmetric Beta distribution of the share (Zhang et al. 2018, Yun et al. 2019);
            0: off.
    """
    kinds = [(alpha, kind) for alpha, kind in ((mixup, _blend), (cutmix, _paste)) if alpha > 0]
    if not kinds:
        return Mixed(images, labels, 1.0)
    alpha, kind = rng.choice(kinds)
    return kind(images, labels, rng.betavariate(alpha, alpha), rng)


def _blend(images: Tensor, labels: Tensor, share: float, rng: random.Random) -> Mixed:
    return Mixed(images.lerp(images.flip(0), 1 - share), labels.flip(0), share)


def _paste(images: Tensor, labels: Tensor, share: float, rng: random.Random) -> Mixed:
    """A box of the other image, 1 - share of the area before it is cut at the border; then the true share is used."""
    height, width = images.shape[2:]
    half = (1 - share) ** 0.5 / 2
    middle_y, middle_x = rng.randrange(height), rng.randrange(width)
    top, bottom = (min(max(round(middle_y + side * half * height), 0), height) for side in (-1, 1))
    left, right = (min(max(round(middle_x + side * half * width), 0), width) for side in (-1, 1))
    pasted = images.clone()
    pasted[:, :, top:bottom, left:right] = images.flip(0)[:, :, top:bottom, left:right]
    return Mixed(pasted, labels.flip(0), 1 - (bottom - top) * (right - left) / (height * width))

"""An image of any kind as 8-bit RGB: grey, palettes, CMYK, one bit, sixteen bits and floating point.

Clips no value: what has no known scale is refused. Turns and cuts nothing.
"""

import numpy as np
from PIL import Image

SIXTEEN_BITS = 65535


def rgb(image: Image.Image) -> Image.Image:
    """The image in RGB, as torchvision's ImageFolder opens it, but for depths of more than 8 bits, which Pillow clips.

    Transparency is left out, as there: a pixel keeps the colour that it has below it. Values of 16 bits (in Pillow's
    modes `I;16` and `I`) are scaled to 255 / 65,535 of themselves and rounded. Floating point is read on the scale that
    its largest value fits into: 0 to 1, 0 to 255, or 0 to 65,535.

    Raises:
        ValueError: values below 0, above 65,535 or not finite, or colours that Pillow does not convert.
    """
    if image.mode == "F" or image.mode.split(";")[0] == "I":
        return Image.fromarray(_scaled(np.asarray(image).astype(np.float64), image.mode)).convert("RGB")
    if image.mode in ("La", "RGBa"):  # colours multiplied by their opacity
        image = image.convert(image.mode.upper())
    return image.convert("RGB")


def _scaled(values: np.ndarray, mode: str) -> np.ndarray:
    """Values (H, W) of one channel -> uint8 (H, W)."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not (low >= 0 and high <= SIXTEEN_BITS):  # also where one is NaN
        raise ValueError(f"values from {low:g} to {high:g} in mode {mode}, on no scale that is known")
    scales = (1, 255, SIXTEEN_BITS) if mode == "F" else (SIXTEEN_BITS,)
    whole = next(scale for scale in scales if high <= scale)
    return np.rint(values * (255 / whole)).astype(np.uint8)

"""What torchvision does to one PIL image, done to a batch of tensors with a parameter of its own for every image.

Draws nothing at random. Images are float32 (B, 3, H, W) that hold the whole numbers 0..255, and stay whole numbers:
Pillow keeps bytes between two operations, so each function here ends in Pillow's own rounding. B images, H x W pixels;
a factor, angle or matrix has B rows.
"""

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (19595.0, 38470.0, 7471.0)  # ITU-R 601-2 weights times 2**16, as Pillow rounds them
FIXED = 2.0**16  # Pillow walks through the source image in 16-bit fixed point


def per_image(values: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, 1), to be broadcast over the pixels."""
    return values.view(-1, 1, 1, 1)


def luma(images: Tensor) -> Tensor:
    """Pillow's conversion to grey: (B, 3, H, W) -> (B, 1, H, W). Every sum stays below 2**24, so float32 is exact."""
    red, green, blue = images.unbind(1)
    weighted = red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]
    return ((weighted + FIXED / 2) / FIXED).floor().unsqueeze(1)


def blend(plain: Tensor | float, images: Tensor, factor: Tensor) -> Tensor:
    """Pillow's blend: `factor` 0 is `plain`, 1 is the image, beyond 1 goes past it; truncated to a byte."""
    return (plain + per_image(factor) * (images - plain)).clamp(0, 255).floor()


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black."""
    return blend(0.0, images, factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image's mean grey, itself rounded to a byte."""
    mean = luma(images).double().mean(dim=(1, 2, 3))
    return blend(per_image((mean + 0.5).floor().float()), images, factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey image."""
    return blend(luma(images), images, factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with a 3 x 3 smoothing that leaves the border as it is."""
    _, _, height, width = images.shape
    smooth = images.clone()
    if height > 2 and width > 2:
        kernel = torch.tensor([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]).expand(3, 1, 3, 3)
        sums = functional.conv2d(images, kernel.to(images.device, non_blocking=True), groups=3)
        # sum / 13 + 1/2 is never a whole number, so the order of rounding cannot matter.
        smooth[:, :, 1:-1, 1:-1] = ((2 * sums + 13) / 26).floor()
    return blend(smooth, images, factor)


def hue(images: Tensor, factor: Tensor) -> Tensor:
    """Turn the hue by `factor` of a full circle, in steps of 1/255 as bytes have them, through Pillow's byte HSV."""
    hues, saturations, values = to_hsv(images)
    turn = (factor * 255).trunc().view(-1, 1, 1)
    return from_hsv((hues + turn) % 256, saturations, values)


def to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pillow's RGB -> HSV, each (B, H, W) in 0..255. Grey has hue 0 and saturation 0."""
    red, green, blue = images.unbind(1)
    high, low = images.amax(1), images.amin(1)
    spread = high - low
    safe = spread.clamp(min=1)
    # (high - c) / spread of the three channels, of the largest it is 0; single precision up to here, as in Pillow's C,
    # double from here on, or hues on an edge fall into the wrong byte.
    to_red, to_green, to_blue = (((high - channel) / safe).double() for channel in (red, green, blue))
    sixths = torch.where(
        red == high,
        to_blue - to_green,
        torch.where(green == high, 2.0 + to_red - to_blue, 4.0 + to_green - to_red),
    )
    turns = ((sixths.float().double() / 6.0 + 1.0) % 1.0).float()
    hues = (turns.double() * 255.0).floor().float()
    saturations = ((spread / high.clamp(min=1)).double() * 255.0).floor().float()
    return torch.where(spread == 0, 0.0, hues), saturations, high


def from_hsv(hues: Tensor, saturations: Tensor, values: Tensor) -> Tensor:
    """Pillow's HSV -> RGB: three of (B, H, W) in 0..255 -> (B, 3, H, W)."""
    position = hues * 6.0 / 255.0
    sector = position.floor()
    offset = position - sector
    strength = saturations / 255.0
    bottom = _round(values * (1.0 - strength))
    falling = _round(values * (1.0 - strength * offset))
    rising = _round(values * (1.0 - strength * (1.0 - offset)))
    # Rows: the channels of the six sectors of the colour circle; one take per channel.
    levels = torch.stack((values, rising, bottom, falling), 1)
    table = torch.tensor([[0, 3, 2, 2, 1, 0], [1, 0, 0, 3, 2, 2], [2, 2, 1, 0, 0, 3]]).to(
        hues.device, non_blocking=True
    )
    chosen = table[:, (sector.long() % 6)].transpose(0, 1)  # (3, B, H, W) -> (B, 3, H, W)
    return levels.gather(1, chosen)


def _round(values: Tensor) -> Tensor:
    """C's round: halves go up (all values are positive)."""
    return (values + 0.5).floor()


def posterize(images: Tensor, bits: int) -> Tensor:
    """Keep the upper `bits` of each byte."""
    step = 2.0 ** (8 - bits)
    return (images / step).floor() * step


def solarize(images: Tensor, threshold: float) -> Tensor:
    """Invert every byte that is not below `threshold`."""
    return torch.where(images < threshold, images, 255.0 - images)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel to 0..255; a channel of one value stays."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    scale = 255.0 / (high - low).clamp(min=1).double()
    stretched = (images.double() * scale - low.double() * scale).clamp(0, 255).floor().float()
    return torch.where(high > low, stretched, images)


def equalize(images: Tensor) -> Tensor:
    """Flatten each channel's histogram, with Pillow's whole-number table."""
    batch, channels, height, width = images.shape
    bytes_ = images.long().reshape(batch * channels, height * width)
    counts = torch.zeros(batch * channels, 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(1, bytes_, torch.ones_like(bytes_))
    brightest = counts.gather(1, bytes_.amax(1, keepdim=True))  # how many pixels have the channel's highest value
    step = (height * width - brightest) // 255
    before = counts.cumsum(1) - counts
    table = ((step // 2 + before) // step.clamp(min=1)).clamp(max=255)
    equalized = table.gather(1, bytes_).view(images.shape).float()
    return torch.where((step > 0).view(batch, channels, 1, 1), equalized, images)


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the chosen images left to right."""
    return torch.where(per_image(chosen), images.flip(3), images)


def shifted(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The window that starts `rows` down and `columns` right of the image's corner; outside lies black."""
    _, _, height, width = images.shape
    ys = torch.arange(height, device=images.device).view(1, -1, 1) + rows.view(-1, 1, 1)
    xs = torch.arange(width, device=images.device).view(1, 1, -1) + columns.view(-1, 1, 1)
    return _gather(images, ys, xs)


def rotation(images: Tensor, degrees: Tensor) -> Tensor:
    """Turn counter-clockwise about the middle, nearest neighbour; outside lies black."""
    _, _, height, width = images.shape
    angle = -torch.deg2rad(degrees.double())
    # Pillow rounds the matrix to 15 digits, which makes right angles exact.
    cos, sin = torch.round(angle.cos(), decimals=15), torch.round(angle.sin(), decimals=15)
    middle_x, middle_y = width / 2, height / 2
    right = cos * -middle_x + sin * -middle_y + middle_x
    down = -sin * -middle_x + cos * -middle_y + middle_y
    return affine(images, torch.stack((cos, sin, right, -sin, cos, down), 1))


def affine(images: Tensor, matrix: Tensor) -> Tensor:
    """Nearest neighbour: the output pixel (x, y) comes from (a x + b y + c, d x + e y + f); outside lies black.

    Args:
        matrix: (B, 6) float64, rows a, b, c, d, e, f in pixels.
    """
    _, _, height, width = images.shape
    a, b, c, d, e, f = matrix.unbind(1)
    # Pillow's walk: centres of pixels, coefficients rounded to 16-bit fixed point, the fraction dropped at the end.
    start_x, start_y = _fixed(c + a * 0.5 + b * 0.5), _fixed(f + d * 0.5 + e * 0.5)
    ys = torch.arange(height, device=images.device).view(1, -1, 1)
    xs = torch.arange(width, device=images.device).view(1, 1, -1)
    source_x = (start_x + _fixed(a) * xs + _fixed(b) * ys) >> 16
    source_y = (start_y + _fixed(d) * xs + _fixed(e) * ys) >> 16
    return _gather(images, source_y, source_x)


def _fixed(values: Tensor) -> Tensor:
    return (values * FIXED + 0.5).floor().long().view(-1, 1, 1)


def _gather(images: Tensor, ys: Tensor, xs: Tensor) -> Tensor:
    """Pixels at rows `ys` and columns `xs`, both broadcastable to (B, H, W); black outside the image."""
    batch, channels, height, width = images.shape
    inside = (ys >= 0) & (ys < height) & (xs >= 0) & (xs < width)
    index = (ys.clamp(0, height - 1) * width + xs.clamp(0, width - 1)).view(batch, 1, -1)
    moved = images.flatten(2).gather(2, index.expand(batch, channels, -1)).view(images.shape)
    return moved * inside.unsqueeze(1).float()


def erase(images: Tensor, boxes: Tensor) -> Tensor:
    """Set a box of every image to 0. `boxes` (B, 4): top, left, height, width; height 0 erases nothing."""
    _, _, height, width = images.shape
    top, left, tall, wide = boxes.unsqueeze(2).unbind(1)
    ys = torch.arange(height, device=images.device)
    xs = torch.arange(width, device=images.device)
    rows = (ys >= top) & (ys < top + tall)
    columns = (xs >= left) & (xs < left + wide)
    return images * (~(rows.unsqueeze(2) & columns.unsqueeze(1))).unsqueeze(1).float()

"""MobileViT-XXS for CIFAR-10: a stem, three stages of inverted residuals and a MobileViT block, a linear head.

The source prints the structure and 0.44 M parameters but no widths: the ones here are this project's reading, and no
number that depends on them is the source's own. One width per stage (24, 48, 64) serves its convolutions and its
transformer alike, and gives 440,266 parameters with 10 classes. The official MobileViT-XXS (Mehta & Rastegari, arXiv
2110.02178) lends the stem of 16 channels, the transformer depths (2, 4, 3), the expansions of 2, SiLU and four heads.
"""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, cat, nn

from bench.errors import UsageError
from bench.registry import models

STEM = 16
EXPANSION = 2
HEADS = 4
PATCH = 2  # a MobileViT block cuts its input into patches of 2 x 2 pixels


def layer(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias, BatchNorm, SiLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(outputs), activation=nn.SiLU()))


class InvertedResidual(nn.Module):
    """MobileNetV2's block: widen, filter per channel, narrow without activation; residual where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        hidden = inputs * EXPANSION
        self.residual = stride == 1 and inputs == outputs
        self.widen = layer(inputs, hidden, 1)
        self.depthwise = layer(hidden, hidden, 3, stride=stride, groups=hidden)
        self.narrow = layer(hidden, outputs, 1)[:2]

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H/stride, W/stride)."""
        y = self.narrow(self.depthwise(self.widen(x)))
        return x + y if self.residual else y


class Attention(nn.Module):
    """Multi-head self-attention over N tokens of D channels.

    Written as two matrix products and a softmax: a fused operator would count as nothing where it is not known.
    """

    def __init__(self, width: int):
        super().__init__()
        self.scale = (width // HEADS) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        query, key, value = self.qkv(x).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)  # each (B, heads, N, d)
        weights = (query * self.scale @ key.transpose(2, 3)).softmax(dim=-1)  # (B, heads, N, N)
        return self.proj((weights @ value).transpose(1, 2).flatten(2))


class Encoder(nn.Module):
    """A pre-LayerNorm transformer layer."""

    def __init__(self, width: int):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, EXPANSION * width), nn.SiLU(), nn.Linear(EXPANSION * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class MobileVitBlock(nn.Module):
    """Local convolution, unfold, transformer over the patches, fold, fuse with the input."""

    def __init__(self, channels: int, width: int, depth: int):
        super().__init__()
        self.local = layer(channels, channels, 3)
        self.embed = nn.Conv2d(channels, width, 1, bias=False)
        self.encoder = nn.Sequential(*(Encoder(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.project = layer(width, channels, 1)
        self.fuse = layer(2 * channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        embedded = self.embed(self.local(x))  # (B, D, H, W)
        tokens = self.norm(self.encoder(unfold(embedded)))
        return self.fuse(cat([x, self.project(fold(tokens, embedded.shape))], dim=1))


def unfold(x: Tensor) -> Tensor:
    """(B, D, H, W) -> (4 B, N, D), N = H W / 4 patches: a pixel meets only those at its own place in other patches."""
    patches = x.unflatten(3, (-1, PATCH)).unflatten(2, (-1, PATCH))  # (B, D, H/2, 2, W/2, 2)
    return patches.permute(0, 3, 5, 2, 4, 1).flatten(3, 4).flatten(0, 2)


def fold(tokens: Tensor, shape: Sequence[int]) -> Tensor:
    """The way back: (4 B, N, D) -> `shape` = (B, D, H, W)."""
    batch, _, height, width = shape
    patches = tokens.unflatten(1, (height // PATCH, width // PATCH)).unflatten(0, (batch, PATCH, PATCH))
    return patches.permute(0, 5, 3, 1, 4, 2).flatten(4, 5).flatten(2, 3)


class MobileVit(nn.Module):
    """Stem, stages, mean over the pixels, head. Every stage halves the image's side; the stem does not."""

    def __init__(self, *, num_classes: int, widths: Sequence[int], depths: Sequence[int]):
        super().__init__()
        self.stem = layer(3, STEM, 3)
        self.stages = nn.Sequential()
        channels = STEM
        for width, depth in zip(widths, depths, strict=True):
            halve, refine = InvertedResidual(channels, width, stride=2), InvertedResidual(width, width, stride=1)
            mix = MobileVitBlock(width, width, depth)
            self.stages.append(nn.Sequential(OrderedDict(halve=halve, refine=refine, mix=mix)))
            channels = width
        self.head = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> logits (B, classes)."""
        return self.head(self.stages(self.stem(images)).mean(dim=(2, 3)))


@models.register("mobilevit_xxs")
def mobilevit_xxs(
    *,
    num_classes: int,
    image_size: int,
    widths: Sequence[int] = (24, 48, 64),
    depths: Sequence[int] = (2, 4, 3),
) -> MobileVit:
    """MobileViT-XXS for small images: (B, 3, image_size, image_size) -> logits (B, num_classes).

    Args:
        widths: channels and transformer width of each stage; multiples of the four heads.
        depths: transformer layers of each stage.

    Raises:
        UsageError: an image that cannot be halved once per stage and once more for the patches, or widths that the
            heads do not divide.
    """
    if len(widths) != len(depths):
        raise UsageError(f"{len(widths)} widths but {len(depths)} depths: one of each per stage")
    uneven = [width for width in widths if width % HEADS]
    if uneven:
        raise UsageError(f"width {uneven[0]} is not a multiple of {HEADS} heads")
    step = 2 ** len(widths) * PATCH
    if image_size % step:
        raise UsageError(f"image_size {image_size} is not a multiple of {step}, which {len(widths)} stages need")
    return MobileVit(num_classes=num_classes, widths=widths, depths=depths)

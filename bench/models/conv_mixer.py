"""ConvMixer (Trockman & Kolter, "Patches Are All You Need?", arXiv 2201.09792) with every published size.

Loads no weights and trains nothing. Every convolution and the head have a bias; the order is convolution, activation,
BatchNorm; only the depthwise part is residual. Initialisation is PyTorch's default, as in the published code.
"""

from collections import OrderedDict
from dataclasses import dataclass, fields

from torch import Tensor, nn

from bench.errors import UsageError, near
from bench.registry import models

ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU}


@dataclass(frozen=True)
class Sizes:
    """h, d, p, k of the paper's section 2, and the activation."""

    width: int
    depth: int
    patch_size: int
    kernel_size: int
    activation: str = "gelu"


# The paper's ImageNet models and the CIFAR-10 model of its appendix. The published weights of 768/32 use ReLU.
VARIANTS = {
    "1536/20": Sizes(1536, 20, patch_size=7, kernel_size=9),
    "768/32": Sizes(768, 32, patch_size=7, kernel_size=7, activation="relu"),
    "1024/20": Sizes(1024, 20, patch_size=14, kernel_size=9),
    "256/8": Sizes(256, 8, patch_size=2, kernel_size=5),
}


def layer(convolution: nn.Conv2d, activation: str) -> nn.Sequential:
    """Convolution, activation, BatchNorm: the order of equations 1-3."""
    norm = nn.BatchNorm2d(convolution.out_channels)
    return nn.Sequential(OrderedDict(conv=convolution, activation=ACTIVATIONS[activation](), norm=norm))


class ConvMixerBlock(nn.Module):
    """Equations 2 and 3: k x k per channel with a residual, then 1 x 1 over channels."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        width, kernel = sizes.width, sizes.kernel_size
        # The padding is a number: a tracer sees padding="same" as an operator of its own, which counters do not know.
        depthwise = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.depthwise = layer(depthwise, sizes.activation)
        self.pointwise = layer(nn.Conv2d(width, width, 1), sizes.activation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, H/p, W/p) -> the same shape."""
        return self.pointwise(x + self.depthwise(x))


class ConvMixer(nn.Module):
    """Patch embedding, blocks, mean over the patches, head. B images, h channels (`width`), p x p pixels per patch."""

    def __init__(self, *, num_classes: int, sizes: Sizes):
        super().__init__()
        embedding = nn.Conv2d(3, sizes.width, sizes.patch_size, stride=sizes.patch_size)
        self.patch_embedding = layer(embedding, sizes.activation)
        self.blocks = nn.Sequential(*(ConvMixerBlock(sizes) for _ in range(sizes.depth)))
        self.head = nn.Linear(sizes.width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> logits (B, classes)."""
        x = self.blocks(self.patch_embedding(images))  # (B, h, H/p, W/p)
        return self.head(x.mean(dim=(2, 3)))


def choose_sizes(variant: str | None, given: dict[str, int | str | None]) -> Sizes:
    """A variant's sizes with the given ones put over them; without a variant all but the activation must be given."""
    if variant is not None and variant not in VARIANTS:
        raise UsageError(f"no ConvMixer variant '{variant}'.{near(variant, list(VARIANTS))}")
    chosen = dict(vars(VARIANTS[variant])) if variant else {"activation": "gelu"}
    chosen |= {name: value for name, value in given.items() if value is not None}
    missing = [field.name for field in fields(Sizes) if field.name not in chosen]
    if missing:
        raise UsageError(f"without a variant, {', '.join(missing)} must be given. Variants: {', '.join(VARIANTS)}")
    return Sizes(**chosen)


def check_sizes(image_size: int, sizes: Sizes) -> None:
    """Refuse an unknown activation, an even kernel, and patches that would leave out the image's edge."""
    if sizes.activation not in ACTIVATIONS:
        raise UsageError(f"no activation '{sizes.activation}'.{near(sizes.activation, list(ACTIVATIONS))}")
    if sizes.kernel_size % 2 == 0:
        raise UsageError(f"kernel_size {sizes.kernel_size} is even: the residual needs an output as large as the input")
    if image_size % sizes.patch_size:
        raise UsageError(f"image_size {image_size} is not a multiple of patch_size {sizes.patch_size}")


@models.register("conv_mixer")
def conv_mixer(
    *,
    num_classes: int,
    image_size: int,
    variant: str | None = None,
    width: int | None = None,
    depth: int | None = None,
    patch_size: int | None = None,
    kernel_size: int | None = None,
    activation: str | None = None,
) -> ConvMixer:
    """ConvMixer: images (B, 3, image_size, image_size) -> logits (B, num_classes).

    Args:
        variant: `width/depth` of a published model (`VARIANTS`); any size given beside it wins.
        width, depth, patch_size, kernel_size: h, d, p, k of the paper.
        activation: `gelu` or `relu`; default the variant's.

    Raises:
        UsageError: unknown variant or activation, missing sizes, or sizes that do not fit.
    """
    given = {"width": width, "depth": depth, "patch_size": patch_size, "kernel_size": kernel_size}
    sizes = choose_sizes(variant, {**given, "activation": activation})
    check_sizes(image_size, sizes)
    return ConvMixer(num_classes=num_classes, sizes=sizes)

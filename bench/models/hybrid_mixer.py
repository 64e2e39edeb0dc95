"""Hybrid Mixer: an MLP-Mixer with a convolution after the patch embedding, and optionally more between its blocks.

Builds on `mlp_mixer` and changes nothing inside a mixer block. The report describes the stem alone; the code behind its
Table 1 also placed a convolution after every second block (`interleave_every=2`).
"""

from collections import OrderedDict

from torch import Tensor, nn

from bench.errors import UsageError, near
from bench.models.mlp_mixer import MlpMixer, Sizes, choose_sizes
from bench.registry import models


def depthwise_separable(width: int) -> nn.Sequential:
    """Equations 4-6 of the report: K x K per channel, then 1 x 1 over channels; K = 3, no bias, no residual."""
    return nn.Sequential(
        OrderedDict(
            depthwise=nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            pointwise=nn.Conv2d(width, width, 1, bias=False),
            norm=nn.BatchNorm2d(width),
            activation=nn.GELU(),
        )
    )


def standard(width: int) -> nn.Sequential:
    """Equation 3 of the report: a full K x K convolution, what the depthwise-separable one is compared with."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(width, width, 3, padding=1, bias=False),
            norm=nn.BatchNorm2d(width),
            activation=nn.GELU(),
        )
    )


STEMS = {"none": lambda width: nn.Identity(), "depthwise_separable": depthwise_separable, "standard": standard}


class HybridMixer(MlpMixer):
    """A Mixer with a stem and convolutions between its blocks. Letters as in `MlpMixer`; h = H/P, w = W/P.

    `stem` and every entry of `interleaved` keep the shape (B, C, h, w), so S and C stay those of the Mixer. They are
    made after the Mixer's own layers: with the same seed a Mixer and its Hybrid start from the same shared weights.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        image_size: int,
        sizes: Sizes,
        stem: str,
        interleave_every: int,
        dropout: float = 0.0,
        norm_eps: float = 1e-6,
    ):
        super().__init__(
            num_classes=num_classes, image_size=image_size, sizes=sizes, dropout=dropout, norm_eps=norm_eps
        )
        if stem not in STEMS:
            raise UsageError(f"no stem '{stem}'.{near(stem, list(STEMS))}")
        if interleave_every not in range(sizes.depth + 1):
            raise UsageError(f"interleave_every {interleave_every} must lie between 0 (never) and depth {sizes.depth}")
        between = STEMS["depthwise_separable" if stem == "none" else stem]
        numbers = range(interleave_every, sizes.depth + 1, interleave_every) if interleave_every else ()
        self.stem = STEMS[stem](sizes.width)
        self.interleaved = nn.ModuleDict({str(number): between(sizes.width) for number in numbers})

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> logits (B, classes)."""
        grid = self.stem(self.patch_embedding(images))  # (B, C, h, w)
        sides = grid.shape[2:]
        x = tokens(grid)
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            if str(number) in self.interleaved:
                x = tokens(self.interleaved[str(number)](x.transpose(1, 2).unflatten(2, sides)))
        return self.classify(x)


def tokens(grid: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, S, C), S = h w in row order."""
    return grid.flatten(2).transpose(1, 2)


@models.register("hybrid_mixer")
def hybrid_mixer(
    *,
    num_classes: int,
    image_size: int,
    stem: str = "depthwise_separable",
    interleave_every: int = 0,
    variant: str | None = None,
    patch_size: int | None = None,
    width: int | None = None,
    depth: int | None = None,
    token_mlp: int | None = None,
    channel_mlp: int | None = None,
    dropout: float = 0.0,
    norm_eps: float = 1e-6,
) -> HybridMixer:
    """Hybrid Mixer: images (B, 3, image_size, image_size) -> logits (B, num_classes).

    Args:
        stem: `none`, `depthwise_separable` or `standard`; each convolution is followed by BatchNorm and GELU.
        interleave_every: k > 0 puts the same kind of block after every k-th mixer block, the last one included when
            k divides the depth. With `stem="none"` these are depthwise-separable.
        variant, patch_size, width, depth, token_mlp, channel_mlp, dropout, norm_eps: as for `mlp_mixer`.

    Raises:
        UsageError: unknown stem or variant, missing sizes, or sizes that do not fit.
    """
    sizes = choose_sizes(
        variant, patch_size=patch_size, width=width, depth=depth, token_mlp=token_mlp, channel_mlp=channel_mlp
    )
    return HybridMixer(
        num_classes=num_classes,
        image_size=image_size,
        sizes=sizes,
        stem=stem,
        interleave_every=interleave_every,
        dropout=dropout,
        norm_eps=norm_eps,
    )

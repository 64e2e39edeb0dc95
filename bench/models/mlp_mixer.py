"""MLP-Mixer (Tolstikhin et al., NeurIPS 2021, arXiv 2105.01601): its variants, its CIFAR size and its ablations.

Loads no weights and trains nothing. Initialisation is PyTorch's default for every layer, as the CIFAR code ran it; the
paper's zero-initialised head is not used. GELU is the exact one; the paper's JAX code uses the tanh approximation.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import UsageError, near
from bench.registry import models


@dataclass(frozen=True)
class Sizes:
    """One column of the paper's Table 1: P, C, number of layers, D_S, D_C."""

    patch_size: int
    width: int
    depth: int
    token_mlp: int
    channel_mlp: int


VARIANTS = {
    "S/32": Sizes(32, 512, 8, 256, 2048),
    "S/16": Sizes(16, 512, 8, 256, 2048),
    "B/32": Sizes(32, 768, 12, 384, 3072),
    "B/16": Sizes(16, 768, 12, 384, 3072),
    "L/32": Sizes(32, 1024, 24, 512, 4096),
    "L/16": Sizes(16, 1024, 24, 512, 4096),
    "H/14": Sizes(14, 1280, 32, 640, 5120),
}


class ChannelLinear(nn.Module):
    """A linear map of its own for every channel: C times the parameters of one nn.Linear."""

    def __init__(self, channels: int, inputs: int, outputs: int):
        super().__init__()
        bound = inputs**-0.5  # what nn.Linear draws from, so that tied and untied start alike
        self.weight = nn.Parameter(torch.empty(channels, outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, inputs) -> (B, C, outputs)."""
        mixed = torch.bmm(x.transpose(0, 1), self.weight.transpose(1, 2))  # (C, B, outputs)
        return mixed.transpose(0, 1) + self.bias


class Mlp(nn.Module):
    """Linear, GELU, dropout, linear, dropout over the last axis."""

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        dropout: float,
        linear: Callable[[int, int], nn.Linear | ChannelLinear] = nn.Linear,
    ):
        super().__init__()
        self.fc1 = linear(inputs, hidden)
        self.activation = nn.GELU()
        self.dropout1 = nn.Dropout(dropout)
        self.fc2 = linear(hidden, outputs)
        self.dropout2 = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        return self.dropout2(self.fc2(self.dropout1(self.activation(self.fc1(x)))))


class MixerBlock(nn.Module):
    """Equation 1 of the paper: U = X + token_mlp(LN(X)^T)^T, then Y = U + channel_mlp(LN(U)).

    With `reduce`, a step of the pyramid, the token-mixing MLP maps S tokens to S/4, and X is averaged over 2 x 2
    neighbours on its way past it.
    """

    def __init__(
        self,
        grid: int,
        sizes: Sizes,
        *,
        dropout: float = 0.0,
        norm_eps: float = 1e-6,
        untied: bool = False,
        groups: int = 1,
        reduce: bool = False,
    ):
        super().__init__()
        width, tokens = sizes.width, grid**2
        self.grid = grid
        self.groups = groups
        self.reduce = reduce
        kept = tokens // 4 if reduce else tokens
        linear = partial(ChannelLinear, width // groups) if untied else nn.Linear
        self.token_norm = nn.LayerNorm(width, eps=norm_eps)
        self.token_mlp = Mlp(tokens * groups, sizes.token_mlp, kept * groups, dropout, linear)
        self.channel_norm = nn.LayerNorm(width, eps=norm_eps)
        self.channel_mlp = Mlp(width, sizes.channel_mlp, width, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, C) -> (B, S, C), or (B, S/4, C) with `reduce`."""
        x = (halved(x, self.grid) if self.reduce else x) + self.mix_tokens(self.token_norm(x))
        return x + self.channel_mlp(self.channel_norm(x))

    def mix_tokens(self, x: Tensor) -> Tensor:
        """The token-mixing MLP over the columns of X, G of them joined: shapes as in `forward`."""
        columns = x.transpose(1, 2)  # (B, C, S)
        if self.groups == 1:
            return self.token_mlp(columns).transpose(1, 2)
        grouped = columns.reshape(x.shape[0], x.shape[2] // self.groups, -1)  # (B, C/G, G S)
        return self.token_mlp(grouped).reshape(x.shape[0], x.shape[2], -1).transpose(1, 2)


class MlpMixer(nn.Module):
    """Patch embedding, mixer blocks, LayerNorm, mean over the tokens, linear head.

    B images, S = (H/P)^2 tokens of P x P pixels in row order, C channels (`width`). There is no positional embedding.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        image_size: int,
        sizes: Sizes,
        dropout: float = 0.0,
        norm_eps: float = 1e-6,
        untied: bool = False,
        groups: int = 1,
        pyramid: Sequence[int] = (),
    ):
        super().__init__()
        check_sizes(image_size, sizes, groups, pyramid)
        self.grid = image_size // sizes.patch_size
        self.pyramid = tuple(pyramid)
        block = partial(MixerBlock, sizes=sizes, dropout=dropout, norm_eps=norm_eps, untied=untied, groups=groups)
        self.patch_embedding = nn.Conv2d(3, sizes.width, sizes.patch_size, stride=sizes.patch_size)
        self.blocks = nn.Sequential()
        grid = self.grid
        for index in range(sizes.depth):
            self.blocks.append(block(grid, reduce=index in self.pyramid))
            grid = grid // 2 if index in self.pyramid else grid
        self.norm = nn.LayerNorm(sizes.width, eps=norm_eps)
        self.head = nn.Linear(sizes.width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> logits (B, classes)."""
        x = self.patch_embedding(images).flatten(2).transpose(1, 2)  # (B, C, H/P, W/P) -> (B, S, C)
        return self.classify(self.blocks(x))

    def classify(self, x: Tensor) -> Tensor:
        """Tokens (B, S, C) -> logits: LayerNorm, mean over the tokens, linear head."""
        return self.head(self.norm(x).mean(dim=1))


def halved(x: Tensor, grid: int) -> Tensor:
    """Tokens of a `grid` x `grid` picture averaged over 2 x 2 neighbours: (B, S, C) -> (B, S/4, C)."""
    picture = x.transpose(1, 2).unflatten(2, (grid, grid))  # (B, C, grid, grid)
    return functional.avg_pool2d(picture, 2).flatten(2).transpose(1, 2)


def check_sizes(image_size: int, sizes: Sizes, groups: int, pyramid: Sequence[int]) -> None:
    """Refuse sizes that do not divide, with the numbers in the message."""
    if image_size % sizes.patch_size:
        raise UsageError(f"image_size {image_size} is not a multiple of patch_size {sizes.patch_size}")
    if sizes.width % groups:
        raise UsageError(f"width {sizes.width} is not a multiple of groups {groups}")
    outside = [index for index in pyramid if index not in range(sizes.depth)]
    if outside:
        raise UsageError(f"pyramid {list(pyramid)}: no block {outside[0]}, depth is {sizes.depth} (counted from 0)")
    grid = image_size // sizes.patch_size
    if grid % 2 ** len(pyramid):
        raise UsageError(f"pyramid {list(pyramid)}: {grid} x {grid} tokens cannot be halved {len(pyramid)} times")


def choose_sizes(variant: str | None = None, **given: int | None) -> Sizes:
    """A variant's sizes with the given ones put over them; without a variant all five must be given.

    Raises:
        UsageError: unknown variant, or sizes missing.
    """
    if variant is not None and variant not in VARIANTS:
        raise UsageError(f"no Mixer variant '{variant}'.{near(variant, list(VARIANTS))}")
    chosen = dict(vars(VARIANTS[variant])) if variant else {}
    chosen |= {name: size for name, size in given.items() if size is not None}
    missing = [field.name for field in fields(Sizes) if field.name not in chosen]
    if missing:
        raise UsageError(f"without a variant, {', '.join(missing)} must be given. Variants: {', '.join(VARIANTS)}")
    return Sizes(**chosen)


@models.register("mlp_mixer")
def mlp_mixer(
    *,
    num_classes: int,
    image_size: int,
    variant: str | None = None,
    patch_size: int | None = None,
    width: int | None = None,
    depth: int | None = None,
    token_mlp: int | None = None,
    channel_mlp: int | None = None,
    dropout: float = 0.0,
    norm_eps: float = 1e-6,
    untied: bool = False,
    groups: int = 1,
    pyramid: Sequence[int] = (),
) -> MlpMixer:
    """MLP-Mixer: images (B, 3, image_size, image_size) -> logits (B, num_classes).

    Args:
        variant: a row of the paper's Table 1 (`VARIANTS`); any size given beside it wins.
        patch_size, width, depth, token_mlp, channel_mlp: P, C, number of layers, D_S, D_C.
        dropout: after the activation and after the second linear of both MLPs, as in the CIFAR code.
        norm_eps: of every LayerNorm; 1e-6 in the paper's code, 1e-5 in the CIFAR code.
        untied: own token-mixing weights for each channel (appendix A.1).
        groups: G channels are joined before token mixing, S x C -> (S G) x (C/G), D_S unchanged (appendix A.1).
        pyramid: blocks, counted from 0, whose token-mixing MLP maps S tokens to S/4 (appendix A.1, "Pyramids"). The
            paper gives neither places nor skip connection; the 2 x 2 mean on the skip path is this project's reading.

    Raises:
        UsageError: unknown variant, missing sizes, or sizes that do not divide.
    """
    sizes = choose_sizes(
        variant, patch_size=patch_size, width=width, depth=depth, token_mlp=token_mlp, channel_mlp=channel_mlp
    )
    return MlpMixer(
        num_classes=num_classes,
        image_size=image_size,
        sizes=sizes,
        dropout=dropout,
        norm_eps=norm_eps,
        untied=untied,
        groups=groups,
        pyramid=pyramid,
    )


def resize_tokens(model: MlpMixer, grid: int) -> MlpMixer:
    """A copy of `model` for images of `grid` x `grid` patches, its token-mixing weights resized bilinearly.

    Each row of the first matrix and each column of the second is a picture over the patches and is resized as one.
    The first matrix is scaled by S/S', so that its sums over more tokens keep their size. The same grid changes no bit.

    Raises:
        UsageError: a pyramid, whose token counts depend on the block.
    """
    if model.pyramid:
        raise UsageError("resize_tokens: a pyramid has no single grid")
    resized = copy.deepcopy(model)
    if grid == model.grid:
        return resized
    pictures = partial(_resize_last, old=model.grid, new=grid)
    with torch.no_grad():
        for block in resized.blocks:
            assert isinstance(block, MixerBlock)
            block.grid = grid
            fc1, fc2 = block.token_mlp.fc1, block.token_mlp.fc2
            fc1.weight = nn.Parameter(pictures(fc1.weight) * (model.grid / grid) ** 2)
            fc2.weight = nn.Parameter(pictures(fc2.weight.mT).mT.contiguous())
            fc2.bias = nn.Parameter(pictures(fc2.bias))
    resized.grid = grid
    return resized


def _resize_last(weight: Tensor, old: int, new: int) -> Tensor:
    """(..., G old^2) -> (..., G new^2): every old x old picture on the last axis resized bilinearly."""
    pictures = weight.reshape(-1, 1, old, old)
    resized = functional.interpolate(pictures, size=(new, new), mode="bilinear", align_corners=False)
    return resized.reshape(*weight.shape[:-1], -1)

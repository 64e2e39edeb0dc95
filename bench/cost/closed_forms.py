"""Closed forms of parameters, multiply-accumulates and activation bytes, per model family: the independent witness.

Builds nothing and imports neither the models nor a counter: every figure follows from the equations of the papers and
from the table of sizes below, so that a mistake in a model or in a counter cannot hide here as well. Only convolutions
and matrix products are multiply-accumulates; norms, activations, sums and pooling are not.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FLOAT32_BYTES = 4
PIXEL_CHANNELS = 3
STEM_KERNEL = 3  # K = 3, section 3.2 of the Hybrid Mixer report


@dataclass(frozen=True)
class Counts:
    """One model on one image.

    `activation_bytes` is what the convolutions and matrix products write in float32; counting these outputs and no
    others is the notion of Radosavovic et al. 2020 (arXiv 2003.13678, section 3.1).
    """

    params: int
    params_headless: int
    macs: int
    activation_bytes: int


@dataclass(frozen=True)
class Layers:
    """Parameters, multiply-accumulates and output elements of some layers; they add up, and repeat with `*`."""

    params: int = 0
    macs: int = 0
    outputs: int = 0

    def __add__(self, other: "Layers") -> "Layers":
        return Layers(self.params + other.params, self.macs + other.macs, self.outputs + other.outputs)

    def __mul__(self, copies: int) -> "Layers":
        return Layers(self.params * copies, self.macs * copies, self.outputs * copies)


def linear(inputs: int, outputs: int, rows: int = 1) -> Layers:
    """y = W x + b, applied to `rows` vectors with the same weights."""
    return Layers(inputs * outputs + outputs, rows * inputs * outputs, rows * outputs)


def convolution(inputs: int, outputs: int, kernel: int, positions: int, groups: int = 1, bias: bool = True) -> Layers:
    """A K x K convolution evaluated at `positions` places; `groups = inputs = outputs` is depthwise."""
    weights = inputs // groups * outputs * kernel**2
    return Layers(weights + bias * outputs, weights * positions, outputs * positions)


def norm(width: int) -> Layers:
    """Scale and shift of a LayerNorm or BatchNorm."""
    return Layers(params=2 * width)


@dataclass(frozen=True)
class Mixer:
    """Table 1 of the MLP-Mixer paper (arXiv 2105.01601): patch P, layers, width C, hidden D_S and D_C."""

    patch_size: int
    depth: int
    width: int
    token_mlp: int
    channel_mlp: int


MIXERS = {
    "S/32": Mixer(32, 8, 512, 256, 2048),
    "S/16": Mixer(16, 8, 512, 256, 2048),
    "B/32": Mixer(32, 12, 768, 384, 3072),
    "B/16": Mixer(16, 12, 768, 384, 3072),
    "L/32": Mixer(32, 24, 1024, 512, 4096),
    "L/16": Mixer(16, 24, 1024, 512, 4096),
    "H/14": Mixer(14, 32, 1280, 640, 5120),
}

# ConvMixer-width/depth -> (patch, kernel): Tables 1 and 2 of arXiv 2201.09792; 256/8 is its CIFAR-10 model.
CONV_MIXERS = {"1536/20": (7, 9), "768/32": (7, 7), "1024/20": (14, 9), "256/8": (2, 5)}


def choose_mixer(variant: str | None, given: Mapping[str, int]) -> Mixer:
    """A variant's sizes with the given ones put over them.

    Raises:
        KeyError: no such variant.
        TypeError: neither a variant nor all five sizes.
    """
    return Mixer(**{**(vars(MIXERS[variant]) if variant else {}), **given})


def mixer_block(tokens: int, kept: int, sizes: Mixer, groups: int = 1, untied: bool = False) -> Layers:
    """Equation 1: token MLP S -> D_S -> `kept` on each of C columns, channel MLP C -> D_C -> C on each kept row.

    Joining G channels (appendix A.1) makes C/G columns of S G numbers; untied, each column has weights of its own.
    """
    columns = sizes.width // groups
    rows, copies = (1, columns) if untied else (columns, 1)
    first = linear(tokens * groups, sizes.token_mlp, rows) * copies
    second = linear(sizes.token_mlp, kept * groups, rows) * copies
    channels = linear(sizes.width, sizes.channel_mlp, kept) + linear(sizes.channel_mlp, sizes.width, kept)
    return norm(sizes.width) + first + second + norm(sizes.width) + channels


def stem_block(kind: str, width: int, positions: int) -> Layers:
    """Equation 3 (`standard`: K^2 C^2) or 4 to 6 (`depthwise_separable`: K^2 C + C^2) of the report, then BatchNorm."""
    if kind == "none":
        return Layers()
    if kind == "standard":
        return convolution(width, width, STEM_KERNEL, positions, bias=False) + norm(width)
    depthwise = convolution(width, width, STEM_KERNEL, positions, groups=width, bias=False)
    return depthwise + convolution(width, width, 1, positions, bias=False) + norm(width)


def mlp_mixer(
    *,
    num_classes: int,
    image_size: int,
    variant: str | None = None,
    untied: bool = False,
    groups: int = 1,
    pyramid: Sequence[int] = (),
    dropout: float = 0.0,
    norm_eps: float = 1e-6,
    **sizes: int,
) -> Counts:
    """MLP-Mixer, tied, grouped or untied; a block in `pyramid` maps S tokens to S/4. Raises as `choose_mixer` does."""
    mixer = choose_mixer(variant, sizes)
    tokens = (image_size // mixer.patch_size) ** 2
    body = convolution(PIXEL_CHANNELS, mixer.width, mixer.patch_size, tokens)
    for index in range(mixer.depth):
        kept = tokens // 4 if index in pyramid else tokens
        body += mixer_block(tokens, kept, mixer, groups, untied)
        tokens = kept
    return with_head(body + norm(mixer.width), mixer.width, num_classes)


def hybrid_mixer(
    *,
    num_classes: int,
    image_size: int,
    stem: str = "depthwise_separable",
    interleave_every: int = 0,
    variant: str | None = None,
    dropout: float = 0.0,
    norm_eps: float = 1e-6,
    **sizes: int,
) -> Counts:
    """Hybrid Mixer: a Mixer, its stem, and floor(depth / k) more such blocks (depthwise-separable without a stem).

    Raises as `choose_mixer` does.
    """
    mixer = choose_mixer(variant, sizes)
    tokens = (image_size // mixer.patch_size) ** 2
    between = "depthwise_separable" if stem == "none" else stem
    body = convolution(PIXEL_CHANNELS, mixer.width, mixer.patch_size, tokens) + stem_block(stem, mixer.width, tokens)
    body += mixer_block(tokens, tokens, mixer) * mixer.depth
    if interleave_every:
        body += stem_block(between, mixer.width, tokens) * (mixer.depth // interleave_every)
    return with_head(body + norm(mixer.width), mixer.width, num_classes)


def conv_mixer(
    *,
    num_classes: int,
    image_size: int,
    variant: str | None = None,
    width: int | None = None,
    depth: int | None = None,
    patch_size: int | None = None,
    kernel_size: int | None = None,
    activation: str = "gelu",
) -> Counts:
    """ConvMixer-h/d: patch embedding, d times (depthwise k x k, pointwise), all with bias and BatchNorm; a linear head.

    Raises:
        KeyError: no such variant.
        TypeError: neither a variant nor all four sizes.
    """
    if variant:
        named_width, named_depth = (int(number) for number in variant.split("/"))
        width, depth = width or named_width, depth or named_depth
        patch_size, kernel_size = patch_size or CONV_MIXERS[variant][0], kernel_size or CONV_MIXERS[variant][1]
    if width is None or depth is None or patch_size is None or kernel_size is None:
        raise TypeError("conv_mixer: without a variant width, depth, patch_size and kernel_size must be given")
    positions = (image_size // patch_size) ** 2
    depthwise = convolution(width, width, kernel_size, positions, groups=width)
    pointwise = convolution(width, width, 1, positions)
    body = convolution(PIXEL_CHANNELS, width, patch_size, positions) + norm(width)
    body += (depthwise + norm(width) + pointwise + norm(width)) * depth
    return with_head(body, width, num_classes)


def with_head(body: Layers, width: int, num_classes: int) -> Counts:
    """The totals with a linear classifier on top."""
    whole = body + linear(width, num_classes)
    return Counts(whole.params, body.params, whole.macs, FLOAT32_BYTES * whole.outputs)


FAMILIES: dict[str, Callable[..., Counts]] = {
    "mlp_mixer": mlp_mixer,
    "hybrid_mixer": hybrid_mixer,
    "conv_mixer": conv_mixer,
}


def closed_form(factory: str, args: Mapping[str, Any], *, num_classes: int, image_size: int) -> Counts | None:
    """The counts of a registered model from its equations, or None where there is no closed form for what is asked.

    None too for an argument that the equations do not know: a witness that ignores what it does not understand is none.

    Args:
        factory: the registered name.
        args: the model's own keyword arguments; a value of None counts as not given.
    """
    given = {name: value for name, value in args.items() if value is not None}
    family = FAMILIES.get(factory)
    if family is None or given.keys() - known_arguments(family):
        return None
    return family(num_classes=num_classes, image_size=image_size, **given)


def known_arguments(family: Callable[..., Counts]) -> set[str]:
    """The argument names that a family's equations account for."""
    parameters = inspect.signature(family).parameters.values()
    named = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    spread = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return named | (set(inspect.get_annotations(Mixer)) if spread else set())


def token_mixing_macs(tokens: int, width: int, hidden: int) -> int:
    """S -> D_S -> S on each of C columns. D_S is chosen apart from S (section 2 of the paper): linear in S."""
    return (linear(tokens, hidden, width) + linear(hidden, tokens, width)).macs


def self_attention_macs(tokens: int, width: int, projections: bool = True) -> int:
    """Q K^T and A V, each S x S x C: quadratic in S. The four C x C projections of S rows are linear in S."""
    return 2 * tokens**2 * width + projections * linear(width, width, tokens).macs * 4

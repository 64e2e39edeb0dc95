"""What a model needs to run on the meta device, where tensors have a shape and no data: quickly, and under a trace.

Computes no number and changes no result: everything here may be left out where time and tracing do not matter.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
Shapes = list[Sequence[int]]


class QuickShapes(TorchDispatchMode):
    """Answers the operators that a Mixer is made of with empty tensors of the right shape.

    torch's own answers on the meta device are written in Python and first import its compiler and its algebra, which
    takes longer than counting a Mixer-H/14 twice.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch says no type of it

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # "skip" would import the compiler too, to tell it what to skip

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        rule = RULES.get(func)
        shapes = rule(*args, **kwargs) if rule is not None and args[0].is_meta else None
        if shapes is None:
            return func(*args, **kwargs)
        found = tuple(args[0].new_empty(shape) for shape in shapes)
        return found if len(found) > 1 else found[0]


def _convolution(
    x: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, *rest: Any
) -> Shapes | None:
    if transposed:
        return None
    sides = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    return [(x.shape[0], weight.shape[0], *((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sides))]


def _product(*factors: Tensor, **scales: Any) -> Shapes:
    return [(factors[-2].shape[0], factors[-1].shape[1])]


def _same(x: Tensor, **options: Any) -> Shapes:
    return [x.shape]


def _sum(x: Tensor, other: Any, **scale: Any) -> Shapes | None:
    """Of two tensors where the second has the shape of the first, or of its last axes, such as a bias."""
    fits = isinstance(other, Tensor) and other.dtype == x.dtype and other.shape == x.shape[x.dim() - other.dim() :]
    return [x.shape] if fits else None


def _mean(x: Tensor, axes: Sequence[int], keepdim: bool = False, **options: Any) -> Shapes | None:
    if keepdim or options:
        return None
    gone = {axis % x.dim() for axis in axes}
    return [[size for axis, size in enumerate(x.shape) if axis not in gone]]


def _layer_norm(x: Tensor, normalized_shape: Sequence[int], *rest: Any) -> Shapes:
    rows = [*x.shape[: -len(normalized_shape)], *[1] * len(normalized_shape)]
    return [x.shape, rows, rows]  # the result, the means, the reciprocal deviations


RULES: dict[Any, Callable[..., Shapes | None]] = {
    aten.convolution.default: _convolution,
    aten._convolution.default: _convolution,
    aten.mm.default: _product,
    aten.addmm.default: _product,
    aten.gelu.default: _same,
    aten.add.Tensor: _sum,
    aten.mean.dim: _mean,
    aten.native_layer_norm.default: _layer_norm,
}

# Parameter order of `torch.conv2d` and of `torch.conv_transpose2d`, which differ, and the number of spatial axes.
_PLAIN = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_DEFAULTS = {"bias": None, "stride": 1, "padding": 0, "dilation": 1, "output_padding": 0, "groups": 1}
_CONVOLUTIONS: dict[Any, tuple[tuple[str, ...], int]] = {
    torch.conv1d: (_PLAIN, 1),
    torch.conv2d: (_PLAIN, 2),
    torch.conv3d: (_PLAIN, 3),
    torch.conv_transpose1d: (_TRANSPOSED, 1),
    torch.conv_transpose2d: (_TRANSPOSED, 2),
    torch.conv_transpose3d: (_TRANSPOSED, 3),
}


class TraceableConvolutions(TorchFunctionMode):
    """Calls convolutions in the form that a trace also records on the meta device.

    A trace records `_convolution`. On real devices `conv2d` calls it; on the meta device it does not, and fails while
    traced, because sizes are then tensors. With `padding="same"` a trace records `_convolution_mode` on both.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        names, axes = _CONVOLUTIONS.get(func, ((), 0))
        given = _DEFAULTS | dict(zip(names, args, strict=False)) | kwargs
        if not names or isinstance(given["padding"], str):
            return func(*args, **kwargs)
        sizes = {
            name: [value] * axes if isinstance(value := given[name], int) else list(value)
            for name in ("stride", "padding", "dilation", "output_padding")
        }
        return torch._convolution(
            *(given["input"], given["weight"], given["bias"], sizes["stride"], sizes["padding"], sizes["dilation"]),
            *(names is _TRANSPOSED, sizes["output_padding"], given["groups"]),
            *(False, False, False, False),  # which kernel to take: the meta device has none
        )

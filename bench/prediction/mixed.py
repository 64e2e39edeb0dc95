"""Autocast on the meta device, which has none: products in half precision, norms and softmax in float32.

Computes no number: only the types of tensors follow torch's rules for CUDA, so that traffic and memory are those of a
training in mixed precision.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

HALF = torch.float16
_PRODUCTS = {
    functional.linear, functional.conv1d, functional.conv2d, functional.conv3d, functional.conv_transpose2d,
    functional.scaled_dot_product_attention, functional.multi_head_attention_forward,
    torch.conv1d, torch.conv2d, torch.conv3d, torch.matmul, torch.bmm, torch.mm, torch.addmm, torch.baddbmm,
    torch.einsum,
    Tensor.matmul, Tensor.__matmul__, Tensor.bmm, Tensor.mm, Tensor.addmm, Tensor.baddbmm,
}  # fmt: skip
_IN_FLOAT = {
    functional.layer_norm, functional.group_norm, functional.softmax, functional.log_softmax, functional.cross_entropy,
    functional.normalize, torch.layer_norm, torch.group_norm, torch.softmax, torch.log_softmax, torch.norm, torch.exp,
    torch.pow, torch.sum, torch.cumsum, torch.rsqrt, functional.softplus,
    Tensor.softmax, Tensor.log_softmax, Tensor.norm, Tensor.exp, Tensor.pow, Tensor.__pow__, Tensor.sum, Tensor.rsqrt,
}  # fmt: skip


class MixedPrecision(TorchFunctionMode):
    """Casts what goes into products to half precision, each weight once, and what must be exact to float32."""

    def __init__(self) -> None:
        super().__init__()
        self._cast: dict[int, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _PRODUCTS:
            args, kwargs = tree_map(self._halved, (args, kwargs))
        elif func in _IN_FLOAT:
            args, kwargs = tree_map(_whole, (args, kwargs))
        return func(*args, **kwargs)

    def _halved(self, leaf: Any) -> Any:
        if not (isinstance(leaf, Tensor) and leaf.dtype == torch.float32):
            return leaf
        if not isinstance(leaf, torch.nn.Parameter):
            return leaf.to(HALF)
        if id(leaf) not in self._cast:
            self._cast[id(leaf)] = leaf.to(HALF)
        return self._cast[id(leaf)]


def _whole(leaf: Any) -> Any:
    return leaf.float() if isinstance(leaf, Tensor) and leaf.dtype == HALF else leaf

"""A complex convolution as the four real ones that it is, so that every counter counts the same products.

Is for counting alone: torch itself takes three, by a trick that adds more than it multiplies, and its answer is another
in the last bits.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_CONVOLUTIONS = {
    torch.conv1d, torch.conv2d, torch.conv3d, torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d,
}  # fmt: skip


class ComplexConvolutions(TorchFunctionMode):
    """Takes complex convolutions apart. `used` says whether there was one.

    (x + iy) * (v + iw) = x * v - y * w + i (x * w + y * v), and the bias is added once to each half.
    """

    def __init__(self) -> None:
        super().__init__()
        self.used = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func not in _CONVOLUTIONS:
            return func(*args, **kwargs)
        given = dict(zip(("input", "weight", "bias"), args, strict=False)) | kwargs
        image, weight, bias = given["input"], given["weight"], given.get("bias")
        if not (isinstance(image, Tensor) and image.is_complex()):
            return func(*args, **kwargs)
        self.used = True
        options = {key: value for key, value in kwargs.items() if key not in ("input", "weight", "bias")}

        def real(one: Tensor, other: Tensor, added: Tensor | None = None) -> Tensor:
            found: Tensor = func(one, other, added, *args[3:], **options)
            return found

        added = (None, None) if bias is None else (bias.real, bias.imag)
        return torch.complex(
            real(image.real, weight.real, added[0]) - real(image.imag, weight.imag),
            real(image.real, weight.imag, added[1]) + real(image.imag, weight.real),
        )

"""Why a loss was not finite: the first module of a forward pass whose output holds a NaN or an infinity.

Guards no training: it looks at one batch, after the fact, and costs nothing where every loss was finite.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

NOT_SEEN = "not seen again when the batch was repeated"


def first_cause(model: nn.Module, images: Tensor, loss: Callable[[Tensor], Tensor]) -> str:
    """In words: a module by its name and what became too large there, or the loss of logits that were finite.

    Modules are asked in the order in which they end, so a layer comes before the block it is in. Autocast and the
    model's mode are the caller's. An input that is not finite where all modules before gave finite outputs comes from
    what is computed between modules, such as the sum of a residual.

    Args:
        model: with the weights that the batch met.
        images: float32 (B, 3, H, W).
        loss: logits -> loss, any shape.
    """
    found: list[str] = []

    def look(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if not found and not _finite(_tensors(output)):
            found.append(_described(name, module, inputs, output))

    with torch.no_grad(), ExitStack() as hooks:
        for name, module in model.named_modules():
            hooks.callback(module.register_forward_hook(partial(look, name)).remove)
        # forward, not call: a compiled model would run without the hooks.
        logits = model.forward(images)
        losses = loss(logits)
    if found:
        return found[0]
    if not _finite([logits]):
        return _described("the model", model, (images,), logits)
    if not _finite([losses]):
        return f"the loss of finite logits ({_kind(losses)}, largest logit {_largest([logits]):.2g})"
    return NOT_SEEN


def _described(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> str:
    if not _finite(_tensors(inputs)):
        return f"input of {name}"
    own = list(chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False)))
    for which, values in own:
        if not _finite([values]):
            return f"{name}.{which}, which was not finite before"
    sizes = [("input", _tensors(inputs)), ("weight", [values for _, values in own if values.is_floating_point()])]
    largest = [f"largest {what} {_largest(tensors):.2g}" for what, tensors in sizes if tensors]
    bad = next(values for values in _tensors(output) if not _finite([values]))
    return f"{name} ({', '.join([_kind(bad), *largest])})"


def _kind(values: Tensor) -> str:
    """`float16 overflow` when there is an infinity, `float16 NaN` when there are only NaNs."""
    return f"{str(values.dtype).removeprefix('torch.')} {'overflow' if values.isinf().any() else 'NaN'}"


def _tensors(values: Any) -> list[Tensor]:
    """The tensors of floating point in what a module takes or gives."""
    if isinstance(values, Tensor):
        return [values] if values.is_floating_point() else []
    return [tensor for value in values for tensor in _tensors(value)] if isinstance(values, (tuple, list)) else []


def _finite(tensors: Iterable[Tensor]) -> bool:
    return all(bool(values.isfinite().all()) for values in tensors)


def _largest(tensors: Iterable[Tensor]) -> float:
    return max(float(values.detach().abs().max()) for values in tensors if values.numel())

"""Any model of the `timm` package by its name there: `timm:mixer_b16_224`.

Rewrites no model. Fused attention is switched off unless asked for: it is one operator that counters of
multiply-accumulates see as nothing, while the same attention written as matrix products counts in full.
"""

import difflib
from typing import Any

from torch import nn

from bench.errors import UsageError
from bench.registry import models
from bench.torchvision_import import torchvision

try:
    import timm
except ModuleNotFoundError as error:
    if error.name != "timm":
        raise
    raise UsageError("models named 'timm:…' need the timm package: pip install timm") from error

assert torchvision  # timm imports it too, and fails where the plain import does


@models.register("timm")
def timm_model(
    name: str,
    *,
    num_classes: int,
    image_size: int,
    pretrained: bool = False,
    fused_attention: bool = False,
    **arguments: Any,
) -> nn.Module:
    """A timm model: images (B, 3, image_size, image_size) -> logits (B, num_classes).

    Args:
        name: as `timm.list_models()` has it, with or without a weight tag.
        image_size: handed to models that are built for one size; the others take what comes.
        pretrained: download and load the published weights.
        fused_attention: leave timm's choice of `scaled_dot_product_attention` as it is.
        arguments: handed to the model's constructor.

    Raises:
        UsageError: no such model, or arguments that it does not take.
    """
    if not timm.is_model(name):
        known = timm.list_models()
        close = difflib.get_close_matches(name, known, n=3)
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise UsageError(f"no timm model '{name}'.{hint} timm.list_models() names all {len(known)}.")
    if timm.get_pretrained_cfg_value(name, "fixed_input_size"):
        arguments = {"img_size": image_size, **arguments}
    try:
        model = timm.create_model(name, pretrained=pretrained, num_classes=num_classes, **arguments)
    except TypeError as error:
        raise UsageError(f"timm:{name}: {error}") from error
    return model if fused_attention else without_fused_attention(model)


def without_fused_attention(model: nn.Module) -> nn.Module:
    """The same model, its attention as matrix products and a softmax; timm keeps that choice on each module."""
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # type: ignore[assignment]  # a plain bool there
    return model

"""Any classification model of torchvision by its name there: `torchvision:resnet50`. Weights are never downloaded.

Rewrites no model. torchvision's `vit_*` compute attention inside one fused operator, which not every counter of
multiply-accumulates knows; `timm:vit_*` are the same networks in countable operators.
"""

import difflib
from typing import Any

from torch import nn

from bench.errors import UsageError
from bench.registry import models
from bench.torchvision_import import torchvision


@models.register("torchvision")
def torchvision_model(name: str, *, num_classes: int, image_size: int, **arguments: Any) -> nn.Module:
    """A torchvision classifier: images (B, 3, image_size, image_size) -> logits (B, num_classes).

    Args:
        name: as `torchvision.models.list_models(module=torchvision.models)` has it.
        image_size: handed to the families that are built for one size (ViT, MaxViT); the others take what comes.
        arguments: handed to the model's constructor.

    Raises:
        UsageError: no such model, or arguments that it does not take.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise UsageError(f"no torchvision model '{name}'.{hint} Known: {', '.join(known)}.")
    if name.startswith("vit_"):
        arguments = {"image_size": image_size, **arguments}
    if name.startswith("maxvit_"):
        arguments = {"input_size": (image_size, image_size), **arguments}
    try:
        return torchvision.models.get_model(name, weights=None, num_classes=num_classes, **arguments)
    except TypeError as error:
        raise UsageError(f"torchvision:{name}: {error}") from error

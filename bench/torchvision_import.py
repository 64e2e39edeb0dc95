"""The one way to torchvision, `from bench.vision_import import torchvision`: imports where the plain import fails.

Fakes no operator: what is declared here has no kernel, so calling it is still an error. A CPU-only torch cannot load
the compiled part of the torchvision wheel from the package index, which links against CUDA; torchvision then stops at
`operator torchvision::nms does not exist`, though classification models and transforms need no such operator.
"""

import contextlib
import importlib.util
from pathlib import Path

import torch

# The operators that torchvision 0.28 decorates whether or not its compiled part is there; schemas as it prints them.
SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}

# A declaration lives as long as its library object.
_library = torch.library.Library("torchvision", "FRAGMENT")


def declare_missing_operators() -> list[str]:
    """Load torchvision's compiled part if that works, declare the operators that are then missing, and name them."""
    spec = importlib.util.find_spec("torchvision")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    for compiled in folder.glob("_C.*") if folder else ():
        # Must come before the check: loading it after a declaration would define the operator twice.
        with contextlib.suppress(OSError):
            torch.ops.load_library(compiled)
    missing = [name for name in SCHEMAS if not hasattr(torch.ops.torchvision, name)]
    for name in missing:
        _library.define(SCHEMAS[name])
    return missing


DECLARED = declare_missing_operators()

import torchvision  # noqa: E402

__all__ = ["DECLARED", "SCHEMAS", "torchvision"]

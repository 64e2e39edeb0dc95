"""Accounts of timm's models in a file, one a line: traced once, read by every fit.

The file belongs to whoever fits and is no part of the package.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import nn

from bench.cost.work import Account, as_mapping, from_mapping
from bench.prediction.published import Point, name_of
from bench.prediction.tracing import account_of, traceable
from bench.torchvision_import import torchvision

assert torchvision  # timm imports it too, and fails where the plain import does


def read(path: Path) -> dict[str, Account]:
    """The accounts of a file by their names; a model that could not be traced has none."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    return {each["name"]: from_mapping(each["account"]) for each in found if each.get("account")}


def add(path: Path, points: Iterable[Point], most: int | None = None) -> None:
    """Trace what the points need and the file lacks, and note why a model cannot be traced.

    Args:
        most: how many accounts to add; all without it.
    """
    there: set[str] = set()
    if path.exists():
        with path.open(encoding="utf-8") as file:
            there = {json.loads(line)["name"] for line in file}
    wanted = {each.account: each for each in points if each.account not in there}
    with path.open("a", encoding="utf-8") as file:
        for name, point in list(wanted.items())[:most]:
            file.write(json.dumps({"name": name, **_traced(point)}) + "\n")
            file.flush()


def _traced(point: Point) -> Mapping[str, object]:
    try:
        model = untouched(point.model, point.image_size)
        account = account_of(model, point.image_size, training=point.training, mixed=point.conditions.mixed)
    except (RuntimeError, TypeError, ValueError, AssertionError, NotImplementedError, AttributeError) as error:
        return {"refused": f"{type(error).__name__}: {error}"[:200]}
    return {"account": as_mapping(account)}


def untouched(name: str, image_size: int) -> nn.Module:
    """A timm model as its benchmark runs it, attention fused, on the meta device.

    Raises:
        RuntimeError: timm has no such model.
    """
    import timm  # after torchvision, see above

    with traceable(), torch.no_grad():
        config = timm.get_pretrained_cfg(name)
        if config is not None and config.fixed_input_size:
            try:
                sized: nn.Module = timm.create_model(name, img_size=image_size)
                return sized
            except TypeError:
                pass  # a model of one size that takes no other
        model: nn.Module = timm.create_model(name)
        return model


__all__ = ["add", "name_of", "read", "untouched"]

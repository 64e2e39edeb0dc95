"""The weights of a Mixer that a report can draw: filters of the patch embedding, units of the first and last mixing.

Finds them by what they are (a convolution of three channels whose stride is its kernel; the first linear map of an MLP
over tokens) and yields nothing for a model that has none. Draws nothing and changes no weight.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.records import packed
from bench.records.measurement import Reading

SHOWN = 64  # units of a layer, at most
# How the first matrix of a token-mixing MLP is called here and in timm.
_MIXING = ("token_mlp.fc1", "mlp_tokens.fc1")


def weight_readings(model: nn.Module, epoch: int) -> Iterator[Reading]:
    """One reading per layer, its weights as detail; at epoch 0, before any training, only what needs no picture."""
    embedding = patch_embedding(model)
    if embedding is None:
        return
    name, convolution = embedding
    if epoch:
        yield _filters(name, convolution.weight.detach().float().cpu(), epoch)
    for name, linear in mixing_layers(model):
        yield _mixing(name, linear.weight.detach().float().cpu(), epoch)


def patch_embedding(model: nn.Module) -> tuple[str, nn.Conv2d] | None:
    """The path and the layer; None where the model cuts no image into patches of more than one pixel."""
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels == 3:
            whole = layer.kernel_size == layer.stride and layer.kernel_size[0] > 1
            return (name, layer) if whole and not layer.weight.is_complex() else None  # half of one is no picture
    return None


def mixing_layers(model: nn.Module) -> list[tuple[str, nn.Linear]]:
    """First and last layer whose units have one weight for each patch of a square; grouped or untied ones have not."""
    found = [
        (name, layer)
        for name, layer in model.named_modules()
        if name.endswith(_MIXING) and isinstance(layer, nn.Linear) and not layer.weight.is_complex()
    ]
    # A grouped layer has several weights for each patch: more inputs than the model's first layer has tokens.
    whole = [each for each in found if _is_square(each[1].in_features) and not _grouped(model, each[0])]
    return [whole[0], whole[-1]] if len(whole) > 1 else whole


def _is_square(count: int) -> bool:
    return math.isqrt(count) ** 2 == count


def _grouped(model: nn.Module, name: str) -> bool:
    block = model.get_submodule(name.rpartition(".")[0].rpartition(".")[0])
    return int(getattr(block, "groups", 1)) > 1


def _filters(name: str, weight: Tensor, epoch: int) -> Reading:
    """The filters of largest norm, largest first. `weight` is (C, 3, P, P)."""
    if not weight.isfinite().all():
        return _broken("patch_filters", name, epoch)
    order = weight.flatten(1).norm(dim=1).argsort(descending=True, stable=True)[:SHOWN]
    detail = _packed(weight, order, (weight.shape[1], weight.shape[2], weight.shape[3]))
    return Reading("patch_filters", float(len(weight)), part=name, epoch=epoch, detail=detail)


def _mixing(name: str, weight: Tensor, epoch: int) -> Reading:
    """The mean cosine with the most opposite unit; shown are the most opposite pairs. `weight` is (D_S, S)."""
    if not weight.isfinite().all() or len(weight) < 2:
        return _broken("opposite_cosine", name, epoch)
    unit = functional.normalize(weight.double(), dim=1)
    cosines = unit @ unit.T
    value = float(cosines.fill_diagonal_(1.0).min(dim=1).values.mean())
    side = math.isqrt(weight.shape[1])
    detail = _packed(weight, _paired(cosines), (1, side, side)) if epoch else None
    return Reading("opposite_cosine", value, part=name, epoch=epoch, detail=detail)


def _paired(cosines: Tensor) -> Tensor:
    """Units two by two, the most opposite pair first, each unit once: the paper's order but for its frequencies."""
    left, pairs = cosines.clone(), []
    for _ in range(min(SHOWN, len(cosines)) // 2):
        one, other = divmod(int(left.argmin()), len(left))
        pairs += [min(one, other), max(one, other)]
        left[[one, other], :] = left[:, [one, other]] = math.inf
    return torch.tensor(pairs)


def _packed(weight: Tensor, order: Tensor, shape: tuple[int, int, int]) -> str:
    return packed.pack(weight[order].flatten(1).tolist(), shape, order.tolist(), len(weight))


def _broken(metric: str, name: str, epoch: int) -> Reading:
    reason = f"weights of {name} are not finite, or too few, after epoch {epoch}"
    return Reading(metric, None, part=name, epoch=epoch, status="failed", reason=reason)

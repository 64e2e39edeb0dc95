"""How many real numbers a model's parameters and buffers are: each once, whoever shares it, and a complex one as two.

Loses no number, neither in a count nor in a cast. Reads no value: what is shared is seen from where tensors lie, which
the meta device knows too. Imports nothing of bench, for the gate's workers load this file alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


def real_numbers(tensors: Iterable[Tensor]) -> int:
    """Distinct real numbers in the tensors. What lies in the same place of memory is the same number."""
    return sum(owned({str(index): one for index, one in enumerate(tensors)}).values())


def owned(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Real numbers in each of the named tensors that none of those before it has."""
    found: dict[str, int] = {}
    together: defaultdict[object, list[str]] = defaultdict(list)
    for name, tensor in tensors.items():
        together[_memory(tensor)].append(name)
    for names in together.values():
        inside = [tensors[name] for name in names]
        found |= dict(zip(names, _apart(inside), strict=True))
    return {name: found[name] for name in tensors}


def owned_parameters(model: nn.Module) -> dict[str, int]:
    """Real numbers in each parameter that none before it has, by its path; what is shared is the first one's."""
    return owned(dict(model.named_parameters()))


def below(module: str, counts: Mapping[str, int]) -> int:
    """The sum of what stands below a path: the parameters of a module and of all that is in it."""
    return sum(count for name, count in counts.items() if name.startswith(f"{module}."))


def size(tensor: Tensor) -> int:
    """Real numbers in one tensor: a complex one is two."""
    return tensor.numel() * (2 if tensor.is_complex() else 1)


def complex_note(tensors: Iterable[Tensor], kind: str = "weights") -> str | None:
    """What a reader of a count has to know where some are complex."""
    found = sum(one.numel() for one in tensors if one.is_complex())
    return f"{found:,} complex {kind} count as two real ones each" if found else None


def cast(model: nn.Module, precision: torch.dtype) -> nn.Module:
    """The model with its real weights and buffers in `precision`, and its complex ones as they are.

    A cast to a real type would drop the imaginary half of a complex weight.
    """
    if not any(each.is_complex() for each in (*model.parameters(), *model.buffers())):
        return model.to(dtype=precision)
    real: nn.Module = model._apply(lambda each: each.to(precision) if each.is_floating_point() else each)
    return real


def _memory(tensor: Tensor) -> object:
    """What two tensors have in common that share memory. One that is made of other tensors shares none."""
    try:
        return tensor.untyped_storage()._cdata
    except (RuntimeError, NotImplementedError):  # sparse, or a subclass that wraps others
        return id(tensor)


def _apart(tensors: list[Tensor]) -> list[int]:
    """Real numbers in each of some tensors of one memory that none before it has."""
    if len(tensors) == 1 and not _repeats(tensors[0]):
        return [size(tensors[0])]
    real = [torch.view_as_real(one) if one.is_complex() else one for one in (each.detach() for each in tensors)]
    if len({one.element_size() for one in real}) > 1 or any(one.layout != torch.strided for one in real):
        return [size(one) for one in tensors]  # one memory read in two ways: no number of one is one of the other
    reach = max(one.storage_offset() + sum((n - 1) * s for n, s in _axes(one)) + 1 for one in real if one.numel())
    taken = torch.zeros(reach, dtype=torch.bool, device="cpu")
    counts = []
    for one in real:
        before = int(taken.sum())
        taken.as_strided(one.shape, one.stride(), one.storage_offset()).fill_(True)
        counts.append(int(taken.sum()) - before)
    return counts


def _repeats(tensor: Tensor) -> bool:
    """Whether one number stands in several places of a tensor, as in one that was expanded."""
    return tensor.layout == torch.strided and any(stride == 0 and size > 1 for size, stride in _axes(tensor))


def _axes(tensor: Tensor) -> list[tuple[int, int]]:
    return list(zip(tensor.shape, tensor.stride(), strict=True))

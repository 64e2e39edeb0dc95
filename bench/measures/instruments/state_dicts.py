"""Weights from a file into a model, every one of them, or a sentence that names what does not fit.

Runs no code of a file: safetensors, or torch's own format with `weights_only`. Guesses no entry and renames no weight
but for what a wrapper puts before all of them.
"""

import argparse
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import MeasurementError, near

NAMED = 3  # of those that do not fit, so many are named
_WRAPPERS = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every name
_UNUSED = ("num_batches_tracked",)  # counts that evaluation does not read


def read(path: Path, entry: str | None = None, strip: str | None = None) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Args:
        entry: which state_dict, where the file holds several.
        strip: what is taken away from the beginning of each name; tensors under other names are left out.

    Raises:
        MeasurementError: the file is none of weights, holds several state_dicts, or no such entry.
    """
    found = _entry(_opened(path), path.name, entry)
    tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    for prefix in _WRAPPERS:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    if strip is not None:
        kept = {name.removeprefix(strip): value for name, value in tensors.items() if name.startswith(strip)}
        if not kept:
            raise MeasurementError(f"{path.name}: no weight begins with '{strip}'; they are {_some(tensors)}")
        return kept
    return tensors


def _opened(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):  # the options that training scripts save beside
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        why = f"it holds more than weights ({_first(error)}); save its state_dict() alone"
        raise MeasurementError(f"{path.name}: cannot be opened without running its code: {why}") from error
    except (RuntimeError, OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, _safetensors_error()) as error:
        raise MeasurementError(f"{path.name}: is no file of weights, or damaged: {_first(error)}") from error
    if not isinstance(found, Mapping):
        raise MeasurementError(f"{path.name}: holds a {type(found).__name__}, not a state_dict")
    return found


def _safetensors_error() -> type[Exception]:
    from safetensors import SafetensorError

    return SafetensorError


def _first(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200]


def _entry(found: Mapping[str, Any], file: str, entry: str | None) -> Mapping[str, Any]:
    """The state_dict itself, or the only one inside."""
    inner = {str(key): value for key, value in found.items() if _is_state_dict(value)}
    if entry is not None:
        if entry not in inner:
            raise MeasurementError(f"{file}: no state_dict '{entry}'.{near(entry, list(inner))}")
        chosen: Mapping[str, Any] = inner[entry]
        return chosen
    if _is_state_dict(found):
        return found
    if len(inner) == 1:
        return next(iter(inner.values()))
    if inner:
        raise MeasurementError(f"{file}: holds several state_dicts: say entry = {' or '.join(map(repr, inner))}")
    raise MeasurementError(f"{file}: holds no weights; its entries are {_some(map(str, found))}")


def _is_state_dict(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value) and any(isinstance(each, Tensor) for each in value.values())


def put_into(model: nn.Module, tensors: Mapping[str, Tensor], label: str) -> None:
    """Give a model all its weights and buffers.

    Raises:
        MeasurementError: weights that are missing, left over or of another shape; the first of each are named.
    """
    own = model.state_dict()
    missing = [name for name in own if name not in tensors and not name.endswith(_UNUSED)]
    foreign = [name for name in tensors if name not in own and not name.endswith(_UNUSED)]
    unlike = [name for name in own if name in tensors and own[name].shape != tensors[name].shape]
    told = []
    if missing:
        told.append(f"{len(missing)} of the model's {len(own)} are missing in the file: {_some(missing)}")
    if foreign:
        told.append(f"{len(foreign)} of the file are not the model's: {_some(foreign)}")
    if unlike:
        sizes = (f"{name} is {_shape(tensors[name])} in the file, {_shape(own[name])} in the model" for name in unlike)
        told.append(f"{len(unlike)} have another shape: {'; '.join(list(sizes)[:NAMED])}")
    if told:
        raise MeasurementError(f"weights '{label}' do not fit: {'. '.join(told)}")
    model.load_state_dict({name: value for name, value in tensors.items() if name in own}, strict=False)


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"


def _some(names: Iterable[str]) -> str:
    known = list(names)
    return ", ".join(known[:NAMED]) + (f" and {len(known) - NAMED} more" if len(known) > NAMED else "")

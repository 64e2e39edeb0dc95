"""The state of a training on disk: written whole or not at all, read back as tensors and numbers only.

Decides neither when to save nor what to do with what it reads, and runs no code from a file.
"""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch

from bench import files
from bench.errors import MeasurementError, StoreError
from bench.remote import RemotePath


def pack(state: dict[str, Any]) -> bytes:
    """`state` (tensors, numbers, strings, lists and mappings of them) as it is now, whatever becomes of its tensors."""
    whole = io.BytesIO()
    torch.save(state, whole)
    return whole.getvalue()


def copied(state: Any) -> Any:
    """`state` as it is now, in main memory, whatever becomes of its tensors: cheaper than to pack it."""
    if isinstance(state, torch.Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {key: copied(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(copied(value) for value in state)
    return state


def save(path: Path | RemotePath, packed: bytes) -> None:
    """Put a packed state in the place of what `path` holds.

    Killed at any moment, the old file or the new one is there, never a part of one. Two that save at once do not meet:
    what is not finished yet has a name of its own.

    Raises:
        MeasurementError: the folder cannot be written to, or the disk is full.
    """
    try:
        if isinstance(path, RemotePath):
            path.write(packed)
        else:
            files.write_bytes(path, packed)
    except StoreError as error:
        why = getattr(error.__cause__, "strerror", None) or str(error).rpartition(": ")[2]
        # A row carries this, so it names no folder of the machine.
        raise MeasurementError(f"checkpoint {named(path)} ({len(packed):,} bytes) cannot be written: {why}") from error


def load(path: Path | RemotePath, device: str) -> dict[str, Any] | None:
    """What `save` put there, tensors on `device`; None when there is nothing.

    Raises:
        MeasurementError: the file is damaged or none of ours; the message says to delete it.
    """
    try:
        with _opened(path) as file:
            state = torch.load(file, map_location=device, weights_only=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (StoreError, OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise MeasurementError(f"checkpoint {named(path)} cannot be read; delete it to begin again: {error}") from error
    if not isinstance(state, dict):
        raise MeasurementError(f"checkpoint {named(path)} holds no training; delete it to begin again")
    return state


def _opened(path: Path | RemotePath) -> IO[bytes]:
    if isinstance(path, Path):
        return path.open("rb")
    packed = path.read()
    if packed is None:
        raise FileNotFoundError(str(path))
    return io.BytesIO(packed)


def named(path: Path | RemotePath) -> str:
    """The path as a row may carry it: enough to find the file below the store, nothing of the machine."""
    return "/".join(path.parts[-3:])

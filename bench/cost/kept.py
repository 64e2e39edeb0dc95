"""Accounts of models that were traced once, in the user's cache folder, so that a plan and a report need no torch.

Traces nothing. An account is kept under a digest of what it is of: another model, size or version is another file.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import bench
from bench import machine
from bench.cost.this_machine import folder
from bench.cost.work import Account, as_mapping, from_mapping
from bench.errors import StoreError
from bench.files import write_text
from bench.records.measurement import canonical_json
from bench.registry import models

FORM = 1  # of accounts: raised whenever the same model gets another one


@dataclass(frozen=True)
class TracedModel:
    """What an account is of."""

    factory: str
    args: Mapping[str, Any]
    num_classes: int
    image_size: int


def recall(model: TracedModel, *, training: bool, mixed: bool) -> Account | None:
    """The account of a model; None where nobody traced it, a plug-in brings it, or the file cannot be read."""
    if _source(model) is None:
        return None
    try:
        return from_mapping(
            json.loads(_file(digest(model, training=training, mixed=mixed)).read_text(encoding="utf-8"))
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(model: TracedModel, found: Account) -> None:
    """Keep an account; not of a plug-in's model, whose code is not known, nor where the folder cannot be written to."""
    if _source(model) is not None:
        with suppress(StoreError):
            path = _file(digest(model, training=found.training, mixed=found.mixed))
            write_text(path, json.dumps(as_mapping(found)))


def digest(model: TracedModel, *, training: bool, mixed: bool) -> str:
    """What the account of a model is kept under."""
    of = {**vars(model), "args": dict(model.args)}
    asked = {
        "form": FORM, "code": _source(model), "made_by": _versions(), "model": of, "training": training, "mixed": mixed,
    }  # fmt: skip
    return hashlib.sha256(canonical_json(asked).encode()).hexdigest()[:16]


def _file(name: str) -> Path:
    return folder() / "accounts" / f"{name}.json"


def _source(model: TracedModel) -> str | None:
    """A digest of the file of bench that makes the model; None where it is a plug-in's."""
    file = models.file_of(model.factory)
    return hashlib.sha256(file.read_bytes()).hexdigest() if file and file.is_file() else None


@cache
def _versions() -> dict[str, str]:
    known = machine.packages()
    return {"bench": bench.__version__, **{name: known.get(name, "") for name in ("torch", "timm", "torchvision")}}

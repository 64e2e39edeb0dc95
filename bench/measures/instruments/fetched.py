"""Where published weights come from: a file, a URL, timm's or torchvision's store. Ends in a file with its digest.

Loads nothing into a model. What was fetched once is kept, and everything is checked before it is believed.
"""

import os
import re
import shutil
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.errors import DataAbsent, MeasurementError
from bench.measures.instruments.preparation import timm_configuration, torchvision_weights, unknown_timm
from bench.plan.case import Case
from bench.source import remembered

PATIENCE_S = 60.0  # of a server that says nothing
_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.")  # the beginning of a file's SHA-256, as torch's stores name files


@dataclass(frozen=True)
class Fetched:
    """A file of weights on this machine."""

    path: Path
    sha256: str
    label: str  # how a reader knows it: no path


def fetched(case: Case) -> Fetched:
    """The weights of a case.

    Raises:
        MeasurementError: no such tag or enum, or the file has another digest than the suite or its name says.
        DataAbsent: they are not on this machine, and cannot be downloaded.
    """
    ((kind, name),) = case.weights_origin.items()
    label = Path(name).name if kind in ("file", "url") else name
    path = {"file": _of_file, "url": _of_url, "timm": _of_timm, "torchvision": _of_torchvision}[kind](name, case)
    found = remembered.file_sha256(path)
    wanted = str((case.weights or {}).get("sha256") or "")
    if wanted and found != wanted:
        raise MeasurementError(f"weights '{label}': expected sha256 {wanted}, found {found}")
    if (named := _DIGEST.search(path.name)) and kind != "file" and not found.startswith(named[1]):
        raise MeasurementError(f"weights '{label}': their name says sha256 {named[1]}…, the file has {found}")
    return Fetched(path, found, label)


def _of_file(name: str, case: Case) -> Path:
    path = Path(name)
    if not path.is_file():
        beside = sorted(each.name for each in path.parent.glob(f"*{path.suffix}"))[:10] if path.parent.is_dir() else []
        there = f"; there are {', '.join(beside)}" if beside else ""
        raise DataAbsent(f"weights '{case.weights_key}': no file {path.name} beside the suite{there}")
    return path


def _of_url(url: str, case: Case) -> Path:
    digest = str((case.weights or {})["sha256"])
    path = remembered.folder() / "weights" / f"{digest}{Path(url.partition('?')[0]).suffix}"
    if not path.is_file():
        _download(url, path, case)
    return path


def _of_torchvision(name: str, case: Case) -> Path:
    url = str(torchvision_weights(name).url)
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not path.is_file():
        _download(url, path, case)
    return path


def _of_timm(tag: str, case: Case) -> Path:
    config = timm_configuration(tag)
    if not config.has_weights:
        raise MeasurementError(unknown_timm(tag))
    if config.hf_hub_id:
        return _of_hub(str(config.hf_hub_id), config.hf_hub_filename, case)
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(str(config.url)).name
    if not path.is_file():
        _download(str(config.url), path, case)
    return path


def _of_hub(repository: str, filename: str | None, case: Case) -> Path:
    """From the hub's cache or the hub."""
    from huggingface_hub import errors, hf_hub_download

    names = [filename] if filename else ["model.safetensors", "pytorch_model.bin"]
    for place, name in enumerate(names):
        try:
            return Path(hf_hub_download(repository, name))
        except errors.EntryNotFoundError as error:
            absent = _absent(case, error)
            if place + 1 == len(names) or isinstance(error, errors.LocalEntryNotFoundError):
                raise absent from error
        except (OSError, ValueError, errors.HfHubHTTPError) as error:
            raise _absent(case, error) from error
    raise AssertionError(names)


def _absent(case: Case, error: BaseException) -> DataAbsent:
    ((kind, name),) = case.weights_origin.items()
    said = " ".join(str(error).split())[:200]
    way = {"timm": "fetch them where there is a network: ", "torchvision": "fetch them where there is a network: "}
    command = {
        "timm": f"python -c \"import timm; timm.create_model('{name}', pretrained=True)\"",
        "torchvision": f"python -c \"import torchvision; torchvision.models.get_weight('{name}').get_state_dict()\"",
    }
    rest = f"; {way[kind]}{command[kind]}" if kind in command else "; or name a file that holds them"
    return DataAbsent(f"weights '{case.weights_key}' ({name}) cannot be downloaded here: {said}{rest}")


def _download(url: str, path: Path, case: Case, opener: Callable[..., Any] = urllib.request.urlopen) -> None:
    """Whole or not at all. Its digest is checked by whoever asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}-{path.name}.part")
    try:
        with opener(url, timeout=PATIENCE_S) as answer, part.open("wb") as file:
            shutil.copyfileobj(answer, file)
        part.replace(path)
    except (OSError, ValueError) as error:  # urllib's own are OSError
        raise _absent(case, error) from error

"""The fingerprints of rows that were made before rows had one, from the commit that their run names.

Takes no word for anything: a run with uncommitted changes stays without, and so does what a plug-in made.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench import git
from bench.errors import MeasurementError
from bench.plan.case import Case
from bench.plan.fingerprint import Code, Fingerprint, Texts
from bench.registry import measures

_FOLDER = "bench/models"


def fingerprint_at(repository: Path, commit: str, question: str, versions: Mapping[str, str]) -> Fingerprint | None:
    """What a question was answered by at a commit of this project; None where that cannot be told.

    Args:
        question: `params_json` of a row.
        versions: of the libraries that the run had.
    """
    asked: dict[str, Any] = json.loads(question)
    texts = models_at(repository, commit)
    if not texts or asked.get("measure") not in measures.names():
        return None
    case = Case("", "", "", "", model="", **{key: value for key, value in asked.items() if key in _KEYS})
    return Code([], repository, texts, versions.get).of(case)


_KEYS = {"measure", "factory", "model_args", "options", "dataset", "dataset_args", "num_classes", "image_size"}


@lru_cache(maxsize=32)
def models_at(repository: Path, commit: str) -> Texts:
    """The files of `bench/models` at a commit; none where git or the commit is not there."""
    try:
        full = git.full_name(repository, commit)
        listed = git.git(repository, "ls-tree", "-z", "--name-only", full, f"{_FOLDER}/")
    except MeasurementError:
        return {}
    names = [name for name in listed.stdout.split("\0") if name.endswith(".py")]
    return {Path(name).name: git.git(repository, "show", f"{full}:{name}").stdout for name in names}

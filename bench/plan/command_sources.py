"""Of what somebody else's command is made: the bytes of its files, a git commit, the file of its environment.

Runs nothing and asks no server: a commit's name says its bytes.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.records.measurement import CodePart
from bench.source import remembered

_NOT_SOURCE = {"__pycache__", ".git", ".hg", ".svn", ".ipynb_checkpoints", ".pytest_cache", ".mypy_cache"}


def parts(options: Mapping[str, Any], beside: Path) -> list[CodePart]:
    """The files and the commit behind a command, in a fixed order.

    Args:
        options: of its case.
        beside: the suite's folder.

    Raises:
        OSError: a file cannot be read.
    """
    found: dict[str, CodePart] = {}
    repositories = []
    for source in options.get("sources", ()):
        if isinstance(source, Mapping):
            named = f"{source['git']}@{source['commit']}"
            repositories.append(CodePart("file", named, hashlib.sha256(named.encode()).hexdigest(), ""))
        else:
            found |= _files(str(source), beside)
    named_files = options.get("run", ()) if not repositories else ()
    for text in (*named_files, *filter(None, [options.get("environment")])):
        if _is_file(beside, str(text)):
            found |= _files(str(text), beside)
    return [*repositories, *(found[label] for label in sorted(found))]


def _files(source: str, beside: Path) -> dict[str, CodePart]:
    place = beside / source
    return {label: CodePart("file", label, remembered.file_sha256(path), "") for label, path in _walked(source, place)}


def _walked(source: str, place: Path) -> Iterator[tuple[str, Path]]:
    """Each file with its name as the suite would write it."""
    if place.is_file():
        yield source, place
        return
    for path in sorted(place.rglob("*")):
        inner: Sequence[str] = path.relative_to(place).parts
        if path.is_file() and not _NOT_SOURCE & set(inner) and path.suffix != ".pyc":
            yield "/".join([source.rstrip("/"), *inner]), path


def _is_file(beside: Path, text: str) -> bool:
    try:
        return bool(text) and "\0" not in text and not Path(text).is_absolute() and (beside / text).is_file()
    except OSError:
        return False

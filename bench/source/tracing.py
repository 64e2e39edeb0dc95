"""What a process reads of a project while it runs: the modules that no text names, and the data beside them.

Listens and keeps names: a file is opened here only when somebody asks what has been read. What is read by a library
without Python's `open`, or by another process, is not heard.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import source_from_cache
from pathlib import Path

from bench.records.measurement import CodePart
from bench.source import finding, meaning, remembered

MOST_FILES = 1000  # of one case: what reads more is a data set, which has a digest of its own
_BENCH = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class ProjectFolder:
    """A folder of the project. `prefix` is what its files' labels begin with."""

    folder: Path
    prefix: str = ""

    def holds(self, path: str) -> str | None:
        """The label of a file in it; None where it is not in it, hidden, installed or made by Python itself."""
        for folder, inner in ((str(self.folder), path), (os.path.realpath(self.folder), os.path.realpath(path))):
            if inner.startswith(folder.rstrip(os.sep) + os.sep):
                parts = Path(os.path.relpath(inner, folder)).parts
                hidden = any(part.startswith(".") or part in _NEVER for part in parts) or inner.endswith(_IMAGES)
                return None if hidden else "/".join([self.prefix, *parts] if self.prefix else parts)
        return None


_NEVER = {"__pycache__", *finding.INSTALLED}
# Images are data, and data have a digest of their own.
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".parquet")


def places_of(plugins: Iterable[str], beside: Path) -> list[ProjectFolder]:
    """Where the own files of these plug-ins may lie: beside the suite and each of them, in their packages and in their
    repository. No folder holds an environment of Python.
    """
    found = [ProjectFolder(beside.absolute())]
    for name in plugins:
        if name.endswith(".py"):
            found.append(ProjectFolder((beside / name).resolve().parent))
        else:
            top = name.partition(".")[0]
            spec = finding.top_level(top)
            found += [
                ProjectFolder(Path(each), top) for each in (spec.submodule_search_locations or () if spec else ())
            ]
    found += [ProjectFolder(root) for place in list(found) if (root := _repository(place.folder))]
    return list(dict.fromkeys(found))


def _repository(folder: Path) -> Path | None:
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)


def found(label: str, places: Sequence[ProjectFolder]) -> Path | None:
    """The file that a label means now."""
    for place in places:
        inner = label.removeprefix(f"{place.prefix}/") if place.prefix else label
        if place.prefix and inner == label:
            continue
        if (path := place.folder / inner).is_file():
            return path
    return None


def part(label: str, path: Path) -> CodePart:
    """What a file says: a module without its form, anything else by its bytes. Raises OSError."""
    if path.suffix == ".py":
        with suppress(SyntaxError, ValueError):
            module = finding.module_at(path, label)
            return CodePart("read", label, meaning.alone(module), meaning.readable(module))
    return CodePart("read", label, remembered.file_sha256(path), "")


class Trace:
    """What has been read since it began, of some places and nowhere below others."""

    def __init__(self, places: Sequence[ProjectFolder], but: Iterable[Path] = ()):
        self._places = list(places)
        # An environment of Python, `bench` itself, data and results are no part of a project, wherever they lie.
        inside = [Path(each) for each in (sys.prefix, sys.base_prefix, sys.exec_prefix)]
        holding = [place.folder for place in self._places]
        outside = [each.absolute() for each in (*but, _BENCH, *inside)]
        self._but = [str(each) for each in outside if not any(place.is_relative_to(each) for place in holding)]
        self._seen: set[str] = set()
        self._parts: list[CodePart] = []
        self._told = 0

    def fresh(self) -> list[CodePart]:
        """What was read since the last call, by label; a file that was written to as well is left out."""
        self._look()
        new, self._told = self._parts[self._told :], len(self._parts)
        return new

    def digest(self) -> str:
        """SHA-256 of all that was read so far; an empty text where nothing was."""
        self._look()
        lines = sorted(f"{part.label} {part.sha256}" for part in self._parts)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else ""

    def _look(self) -> None:
        new = [path for path in (*list(_opened), *_of_modules()) if path not in self._seen]
        self._seen.update(new)
        told: dict[str, Path] = {}
        for path in new:
            label = None if _opened.get(path) or self._elsewhere(path) else self._label(path)
            if label is not None and len(self._parts) + len(told) < MOST_FILES:
                told[label] = Path(path)
        for label, place in sorted(told.items()):
            with suppress(OSError):
                self._parts.append(part(label, place))

    def _elsewhere(self, path: str) -> bool:
        return any(path.startswith(each.rstrip(os.sep) + os.sep) for each in self._but)

    def _label(self, path: str) -> str | None:
        for place in self._places:
            label = place.holds(path)
            if label is not None and (there := found(label, self._places)) and os.path.samefile(there, path):
                return label
        return None


def of(plugins: Sequence[str], beside: Path, but: Iterable[Path | None] = ()) -> Trace:
    """Begin to hear what is read of the project of these plug-ins, data and results left out."""
    listen()
    return Trace(places_of(plugins, beside), [each for each in but if each])


_opened: dict[str, bool] = {}  # absolute path -> whether it was written to
_listening = False


def listen() -> None:
    """Hear of every file that this process opens from now on. Nobody can be told to stop, so once is enough."""
    global _listening
    if not _listening:
        _listening = True
        sys.addaudithook(_heard)


def _heard(event: str, told: tuple[object, ...]) -> None:
    hearer = _HEARERS.get(event)
    if hearer is not None:
        hearer(told)


def _file(told: tuple[object, ...]) -> None:
    path, _, flags = told
    written = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
    if name := _name(path):
        _opened[name] = _opened.get(name, False) or written


def _library(told: tuple[object, ...]) -> None:
    if name := _name(told[0]):
        _opened.setdefault(name, False)


def _process(told: tuple[object, ...]) -> None:
    """The scripts and files that another program is given."""
    executable, arguments, folder, _ = told
    every = arguments if isinstance(arguments, (list, tuple)) else [arguments]
    beside = _name(folder) if folder else os.getcwd()
    for each in (executable, *every):
        text = os.fsdecode(each) if isinstance(each, (str, bytes)) else ""
        if beside and 0 < len(text) < _LONGEST and "\0" not in text:
            name = os.path.join(beside, text)
            if os.path.isfile(name):
                _opened.setdefault(os.path.normpath(name), False)


_LONGEST = 1000
_HEARERS: Mapping[str, Callable[[tuple[object, ...]], None]] = {
    "open": _file,
    "ctypes.dlopen": _library,
    "subprocess.Popen": _process,
}
assert subprocess  # whoever starts a process imports it: the first event would be heard amid that


def _name(path: object) -> str | None:
    """An absolute path as text. Modules that Python has compiled before stand for their source."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        return None
    text = os.fsdecode(path)
    if not text or "\0" in text:
        return None
    if text.endswith(".pyc"):
        try:
            text = source_from_cache(text)
        except (ValueError, NotImplementedError):
            return None
    try:
        return os.path.abspath(text)
    except OSError:  # the folder that this process is in is gone
        return None


def _of_modules() -> Iterator[str]:
    """The files of the modules that are loaded now: a compiled one opens no source."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str) and os.path.isabs(file):
            yield file

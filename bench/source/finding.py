"""Where a module's file lies, found without importing anything: not the module, and not the packages above it.

Follows a project's own code and stops at what was installed: that goes by its version.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import decode_source
from pathlib import Path

INSTALLED = {"site-packages", "dist-packages"}
# Never a project's own, even where they run from their source.
_LIBRARIES = {"bench", "numpy", "timm", "torch", "torchvision"}
# Folders of plug-ins are searched after everything else, each for its own plug-ins alone.
PLUGIN_FOLDERS: list[str] = []


@dataclass(frozen=True)
class Module:
    """A file of Python. `package` is what its relative imports start from; `label` is how a row may name it."""

    name: str
    label: str
    text: str
    package: str
    path: Path | None = None


Find = Callable[[str], Module | None]  # a dotted name -> its file, where it is code to follow


def finder(folder: Path, package: str | None = None, others: Iterable[Path] = ()) -> Find:
    """Finds the code that belongs to a plug-in: beside it, in its package, or elsewhere in nobody's installed files.

    Args:
        folder: where the plug-in lies.
        package: the top-level package that the plug-in is a module of; it counts as its own wherever it lies.
        others: the folders of other plug-ins of the suite, which are searched after its own.
    """
    beside = [folder, *others]

    def find(name: str) -> Module | None:
        top, *inner = name.split(".")
        if top in sys.stdlib_module_names or top in _LIBRARIES:
            return None
        spec = top_level(top)
        places = _places(spec, top) if spec else beside
        if spec and top != package and any(INSTALLED & set(place.parts) for place in places):
            return None
        return _inside(places, [top, *inner])

    return find


def module_at(path: Path, label: str | None = None, name: str = "", package: str = "") -> Module:
    """A file as a module, decoded as Python would. Raises OSError, SyntaxError and UnicodeDecodeError."""
    return Module(name, label or path.name, decode_source(path.read_bytes()), package, path)


def top_level(name: str) -> ModuleSpec | None:
    """The spec of a top-level module: to find one runs nothing of it. Folders of plug-ins are left out."""
    path = [place for place in sys.path if place not in PLUGIN_FOLDERS]
    if found := PathFinder.find_spec(name, path):
        return found
    # An editable install may answer through a finder of its own; other finders are about how, not where.
    for each in sys.meta_path:
        told = f"{getattr(each, '__module__', '')}.{getattr(each, '__name__', type(each).__name__)}".lower()
        if "editable" in told and hasattr(each, "find_spec") and (found := each.find_spec(name, None, None)):
            return found
    return None


def _places(spec: ModuleSpec, name: str) -> list[Path]:
    """The folders in which a top-level name is looked up."""
    if spec.submodule_search_locations is not None:
        return [Path(place).parent for place in spec.submodule_search_locations if Path(place).name == name]
    return [Path(spec.origin).parent] if spec.origin and spec.has_location else []


def _inside(places: Iterable[Path], names: list[str]) -> Module | None:
    """The file of a dotted name below some folders; a folder without `__init__.py` may spread over several."""
    places = list(places)
    for number, name in enumerate(names):
        last = number == len(names) - 1
        dotted = ".".join(names[: number + 1])
        found = next(_candidates(places, name), None)
        if found is not None and last:
            return module_at(found, "/".join([*names[:-1], _end(found, name)]), dotted, _package(found, dotted))
        if found is not None and found.name == "__init__.py":
            places = [found.parent]
        else:
            places = [place / name for place in places if (place / name).is_dir()]
    return None


def _candidates(places: Iterable[Path], name: str) -> Iterator[Path]:
    for place in places:
        for path in (place / name / "__init__.py", place / f"{name}.py"):
            if path.is_file():
                yield path


def _end(found: Path, name: str) -> str:
    return f"{name}/{found.name}" if found.name == "__init__.py" else found.name


def _package(found: Path, dotted: str) -> str:
    return dotted if found.name == "__init__.py" else dotted.rpartition(".")[0]


def plugin_module(name: str, beside: Path) -> Module | None:
    """The file of a plug-in as a suite names it, and None where there is none; see `registry.load_plugin`."""
    if name.endswith(".py"):
        path = (beside / name).resolve()
        return module_at(path) if path.is_file() else None
    top = name.partition(".")[0]
    spec = top_level(top)
    return _inside(_places(spec, top), name.split(".")) if spec else None

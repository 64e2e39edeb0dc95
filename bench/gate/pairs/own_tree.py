"""Whose code runs: a tree's own modules come first, and a module of the project from anywhere else is named.

Imports nothing but the standard library, and trusts no installation: the worker loads this file beside itself, in
whatever interpreter times a tree, and an editable install there would hand both sides the same working tree.
"""

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from types import ModuleType

DEEPEST = 4  # containers within containers that a finder keeps its paths in
INSTALLED = {"site-packages", "dist-packages", "__pypackages__"}


class FromElsewhere(ImportError):
    """A module of the project was not loaded from the tree that is on trial."""


class OwnTree:
    """Finds a tree's modules before anybody else does, so that no editable install's finder is asked for them.

    Args:
        tree: its root.
        roots: folders that it is imported from, the first wins.
        named: packages that live in a folder of another name.
    """

    def __init__(self, tree: Path, roots: Sequence[Path], named: Mapping[str, Path]):
        self.tree = Path(os.path.realpath(tree))
        self.roots = [str(root) for root in roots]
        self.named = dict(named)
        self.hooks: frozenset[str] = frozenset()  # modules of an editable install that have nothing to do any more
        self._had: dict[str, bool] = {}

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """The tree's module of that name. None for a namespace, whose portions the path gives, and what it lacks."""
        if fullname in self.named:
            return _at(fullname, self.named[fullname])
        if path is not None and not any(within(self.tree, Path(each)) for each in path):
            return None
        found = PathFinder.find_spec(fullname, self.roots if path is None else [*path])
        return found if found is not None and found.origin is not None else None

    def has(self, name: str) -> bool:
        """Whether a top-level name is a package or a module of the tree."""
        if name not in self._had:
            self._had[name] = name not in sys.stdlib_module_names and self.find_spec(name) is not None
        return self._had[name]


def _at(name: str, place: Path) -> ModuleSpec | None:
    """The module or the package at a place; None where there is none, as in a commit that has another layout."""
    if (place / "__init__.py").is_file():
        return spec_from_file_location(name, place / "__init__.py", submodule_search_locations=[str(place)])
    return spec_from_file_location(name, place) if place.suffix == ".py" and place.is_file() else None


def prefer(tree: Path, repository: Path, roots: Sequence[str], named: Mapping[str, str]) -> OwnTree:
    """Import the project from this tree from now on, and forget where this interpreter would have found it.

    Args:
        repository: the working tree that an editable install, a path file or PYTHONPATH may point into.
        roots, named: relative to the tree, as `layout.of` reads them; what pointed into the repository joins them.
    """
    found_roots, found_names, hooks = forget(repository)
    own = of(tree, [*roots, *found_roots], {**found_names, **named})
    own.hooks = hooks
    sys.path[:0] = own.roots
    sys.meta_path.insert(0, own)
    importlib.invalidate_caches()
    return own


def of(tree: Path, roots: Sequence[str], named: Mapping[str, str]) -> OwnTree:
    """A tree's finder: its declared folders first, then its root, then `src` where that is no package itself."""
    places = [tree / root for root in dict.fromkeys([*roots, "."])]
    if not (tree / "src" / "__init__.py").exists():
        places.append(tree / "src")
    return OwnTree(
        tree,
        [place for place in dict.fromkeys(places) if place.is_dir() and within(_real(str(tree)), _real(str(place)))],
        {name: tree / place for name, place in named.items() if (tree / place).exists()},
    )


# Where this interpreter would find the repository's code


def forget(repository: Path) -> tuple[list[str], dict[str, str], frozenset[str]]:
    """Take every path, finder and hook away that leads into the repository.

    Returns:
        Where they led, relative to its root, as folders and as places of named packages; the modules that brought them.
    """
    paths = {entry: own_path(repository, entry or os.getcwd()) for entry in sys.path}
    sys.path[:] = [entry for entry in sys.path if paths[entry] is None]
    roots, named, hooks = [path for path in paths.values() if path is not None], {}, set()
    for finders in (sys.meta_path, sys.path_hooks):
        for finder in list(finders):
            led = list(_led(finder, repository))
            if led:
                finders.remove(finder)  # type: ignore[arg-type]
                hooks.add(_home(finder))
            for name, place in led:
                root = _root(name, place)
                if root is not None:
                    roots.append(root)
                elif name:
                    named[name] = place
    sys.path_importer_cache.clear()
    return roots, named, frozenset(hooks)


def _home(finder: object) -> str:
    """The module that a finder or a hook comes from."""
    return str(getattr(finder, "__module__", None) or type(finder).__module__)


def _led(finder: object, repository: Path) -> Iterator[tuple[str, str]]:
    """Module name (or "") and place in the repository, for every path that a finder or its module knows."""
    kind = finder if isinstance(finder, type) else getattr(finder, "__self__", None) or type(finder)
    kind = kind if isinstance(kind, type) else type(kind)
    home = _home(finder)
    if home.partition(".")[0] in sys.stdlib_module_names or home.startswith("_frozen_importlib"):
        return
    known = [getattr(finder, "__dict__", {}), *(vars(each) for each in kind.__mro__[:-1])]
    for names in [*known, vars(sys.modules[home]) if home in sys.modules else {}]:
        for value in list(names.values()):
            yield from _paths(value, "", repository, DEEPEST)


def _paths(value: object, name: str, repository: Path, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, (str, os.PathLike)):
        text = os.fspath(value)
        if isinstance(text, str) and os.path.isabs(text) and (place := own_path(repository, text)) is not None:
            yield name, place
    elif depth and isinstance(value, Mapping):
        for key, inner in list(value.items()):
            yield from _paths(inner, key if isinstance(key, str) else "", repository, depth - 1)
    elif depth and isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            yield from _paths(inner, name, repository, depth - 1)


def _root(name: str, place: str) -> str | None:
    """The folder that `import name` starts in where that ends at `place`; None where the names differ."""
    path = Path(place)
    path = path.parent if path.name == "__init__.py" else path.with_suffix("") if path.suffix == ".py" else path
    parts = tuple(name.split("."))
    if not name or path.parts[-len(parts) :] != parts:
        return None
    return str(Path(*path.parts[: -len(parts)]))


def own_path(repository: Path, path: str | Path) -> str | None:
    """A path relative to the repository's root; None outside of it, and in a folder for installed packages inside."""
    real, root = Path(os.path.realpath(path)), Path(os.path.realpath(repository))
    if not within(root, real):
        return None
    inside = real.relative_to(root)
    environments = [Path(os.path.realpath(each)) for each in {sys.prefix, sys.base_prefix, sys.exec_prefix}]
    if INSTALLED & set(inside.parts) or any(each != root and within(root, each, real) for each in environments):
        return None
    return None if _is_target(root, inside) else str(inside)


def _is_target(root: Path, inside: Path) -> bool:
    """Whether a folder on the way holds installed packages, as `pip install --target` leaves them."""
    on_the_way = [root / each for each in (inside, *inside.parents) if each != Path(".")]
    return any(next(folder.glob("*.dist-info"), None) is not None for folder in on_the_way if folder.is_dir())


def within(*nested: Path) -> bool:
    """Whether each path lies in the one before, or is it."""
    return all(inner == outer or outer in inner.parents for outer, inner in pairwise(nested))


# What was loaded all the same


def stranger(
    own: OwnTree,
    repository: Path,
    project: str | None,
    *,
    spared: Path | None = None,
    since: Collection[str] | None = None,
) -> str | None:
    """`mynet comes from …/src/mynet`, for the first module of the project that the tree did not give; else None.

    Args:
        project: the name of the tree's distribution.
        spared: a folder that is not the project's, wherever it lies.
        since: the modules that were looked at before. Without it, what is installed is also asked which files it has
            from the repository.
    """
    installed = files_of(repository, project) if since is None else frozenset()
    names = {"__main__", __name__, *own.hooks, *(since or ())}
    for name, module in sorted((each for each in sys.modules.items() if each[0] not in names), key=itemgetter(0)):
        file = file_of(module)
        if file is None or within(own.tree, file) or (spared is not None and within(_real(str(spared)), file)):
            continue
        if own_path(repository, file) is not None or str(file) in installed or own.has(name.partition(".")[0]):
            return f"{name} comes from {shown(file, repository)}"
    return None


def refuse(
    own: OwnTree,
    repository: Path,
    project: str | None,
    *,
    spared: Path | None = None,
    since: Collection[str] | None = None,
) -> None:
    """Raise FromElsewhere where there is such a module: the same code would run on both sides."""
    found = stranger(own, repository, project, spared=spared, since=since)
    if found is not None:
        raise FromElsewhere(found)


def not_in_git(error: BaseException | None, own: OwnTree | None) -> str:
    """What to add where a module of the tree's own package is missing: the tree holds what git has, and no more."""
    while error is not None and own is not None:
        name = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
        if "." in name and own.has(name.partition(".")[0]):
            return f". {name} is not in git there: what is compiled or generated beside the code is in no tree"
        error = error.__cause__ or error.__context__
    return ""


def file_of(module: ModuleType) -> Path | None:
    """The file of a module as it really lies; None for what has none, such as a namespace."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        return None
    folder, name = os.path.split(file)
    return Path(os.path.realpath(file)) if os.path.islink(file) else _real(folder) / name


@lru_cache(maxsize=4096)
def _real(folder: str) -> Path:
    return Path(os.path.realpath(folder))


def shown(file: Path, repository: Path) -> str:
    """Where a module lies, without a path of this machine: from the repository's root or the packages' folder on."""
    place = file.parent if file.name == "__init__.py" else file
    root = Path(os.path.realpath(repository))
    if within(root, place):
        return f"…/{place.relative_to(root)}"
    for number, part in enumerate(place.parts):
        if part in INSTALLED:
            return "…/" + "/".join(place.parts[number:])
    return "…/" + "/".join(place.parts[-2:])


def files_of(repository: Path, project: str | None) -> frozenset[str]:
    """The files that were installed from the repository: by what the installer noted, or by the project's name."""
    found = []
    for distribution in importlib.metadata.distributions():
        note = distribution.read_text("direct_url.json") or ""
        if repository.as_uri() in note:
            found.append(distribution)
    if project:
        with suppress(importlib.metadata.PackageNotFoundError):  # it need not be installed at all
            found.append(importlib.metadata.distribution(project))
    files = [file for each in found for file in each.files or ()]
    return frozenset(os.path.realpath(str(file.locate())) for file in files if file.suffix in (".py", ".so", ".pyd"))

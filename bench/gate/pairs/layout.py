"""Where a tree's code is imported from, as its own build files say it.

Builds nothing and runs nothing of the tree: what only a build would show, it does not know.
"""

import ast
import configparser
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from bench.gate.pairs.own_tree import own_path

Table = Mapping[str, object]
BUILD_FILES = ("pyproject.toml", "setup.cfg", "setup.py")


@dataclass(frozen=True)
class Project:
    """The repository that a tree is a state of, and how that state is laid out: places relative to the tree's root."""

    repository: Path
    roots: tuple[str, ...] = ()
    named: Mapping[str, str] = field(default_factory=dict)  # packages in a folder of another name
    name: str | None = None  # of its distribution


def of(tree: Path, repository: Path, suite: Path | None = None) -> Project:
    """What the build files of a tree say, and where this process was told to look inside the repository.

    Args:
        suite: a file in the repository. Of several projects in one repository, those around it are read too.
    """
    around = PurePosixPath((own_path(repository, suite.absolute().parent) if suite else None) or ".")
    declared: list[tuple[str, str]] = []
    title = None
    for folder in (around, *around.parents):
        declared += [(name, str(folder / where)) for name, where in _declared(tree / folder)]
        if folder != PurePosixPath(".") and any((tree / folder / file).exists() for file in BUILD_FILES):
            declared += [("", str(folder / "src")), ("", str(folder))]
        title = title or _title(_toml(tree / folder / "pyproject.toml"))
    here = [inside for entry in sys.path if (inside := own_path(repository, entry or ".")) is not None]
    roots = [root for name, root in declared if not name]
    named = {name: place for name, place in declared if name}
    for name, place in list(named.items()):
        if place and PurePosixPath(place).name == name:  # `mynet = "src/mynet"` is only another way to say `src`
            roots.append(str(PurePosixPath(named.pop(name)).parent))
    return Project(repository, tuple(dict.fromkeys([*roots, *here])), named, title)


def _declared(folder: Path) -> Iterator[tuple[str, str]]:
    """What the build files of one folder say, places relative to it."""
    yield from _pyproject(_toml(folder / "pyproject.toml"))
    yield from _setup_cfg(folder / "setup.cfg")
    yield from _setup_py(folder)


def _pyproject(content: Table) -> Iterator[tuple[str, str]]:
    """Pairs of a package's name, or "" for a folder of packages, and its place."""
    tool = _at(content, "tool")
    yield from _pairs(_at(tool, "setuptools", "package-dir"))
    yield from _folders(_at(tool, "setuptools", "packages", "find").get("where"))
    for table in (_at(tool, "hatch", "build"), _at(tool, "hatch", "build", "targets", "wheel")):
        yield from _folders(table.get("dev-mode-dirs"))
        yield from _parents(table.get("packages"))
        sources = table.get("sources")
        yield from _folders(sources)
        if isinstance(sources, Mapping):
            yield from ((str(name).strip("/"), str(place)) for place, name in sources.items())
    packages = _at(tool, "poetry").get("packages")
    for each in packages if isinstance(packages, list) else ():
        if isinstance(each, Mapping) and isinstance(each.get("from"), str):
            yield "", str(each["from"])
    yield from _folders(_at(tool, "pdm", "build").get("package-dir"))
    packages = _at(tool, "scikit-build", "wheel").get("packages")
    yield from _parents(packages)
    yield from _pairs(packages)
    yield from _folders(_at(tool, "maturin").get("python-source"))
    yield from _folders(_at(tool, "uv", "build-backend").get("module-root"))
    yield from _folders(_at(tool, "pytest", "ini_options").get("pythonpath"))


def _setup_cfg(path: Path) -> Iterator[tuple[str, str]]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return
    for line in parser.get("options", "package_dir", fallback="").splitlines():
        if "=" in line:
            name, _, place = line.partition("=")
            yield name.strip(), place.strip()
    yield from _folders(parser.get("options.packages.find", "where", fallback="").split())


def _setup_py(folder: Path) -> Iterator[tuple[str, str]]:
    """What is written out in a call of `setup` or `find_packages`; what is computed there stays unknown."""
    try:
        called = ast.walk(ast.parse((folder / "setup.py").read_text(encoding="utf-8")))
    except (OSError, SyntaxError, ValueError):
        return
    for node in called:
        if not isinstance(node, ast.Call):
            continue
        name = str(getattr(node.func, "id", None) or getattr(node.func, "attr", ""))
        given = {each.arg: _literal(each.value) for each in node.keywords}
        if name == "setup":
            yield from _pairs(given.get("package_dir"))
        elif re.fullmatch(r"find(_namespace)?(_packages)?", name):
            yield from _folders(given.get("where", _literal(node.args[0]) if node.args else None))


def _literal(node: ast.expr) -> object:
    try:
        found: object = ast.literal_eval(node)
    except ValueError:
        return None
    return found


def _toml(path: Path) -> Table:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _at(table: Table, *keys: str) -> Table:
    """The table within tables; empty where anything on the way is no table."""
    for key in keys:
        inner = table.get(key)
        table = inner if isinstance(inner, Mapping) else {}
    return table


def _title(content: Table) -> str | None:
    found = _at(content, "project").get("name") or _at(content, "tool", "poetry").get("name")
    return found if isinstance(found, str) else None


def _pairs(table: object) -> Iterator[tuple[str, str]]:
    if isinstance(table, Mapping):
        yield from ((str(name), place) for name, place in table.items() if isinstance(place, str))


def _folders(listed: object) -> Iterator[tuple[str, str]]:
    """One folder, or a list of them."""
    several = listed if isinstance(listed, (list, tuple)) else [listed]
    yield from (("", each) for each in several if isinstance(each, str))


def _parents(listed: object) -> Iterator[tuple[str, str]]:
    """The folders that listed packages lie in."""
    several = listed if isinstance(listed, list) else []
    yield from (("", str(PurePosixPath(each).parent)) for each in several if isinstance(each, str))

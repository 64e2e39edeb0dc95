"""What a file of Python imports, and all the files that its own code is spread over.

Takes a function that finds files, so that a commit's files are followed as those on disk are.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from bench.source.finding import Find, Module


@dataclass(frozen=True)
class Import:
    """One name that an import binds: `from a.b import c as d` has module `a.b`, name `c`, bound `d`.

    `import a.b` has no name and binds `a`.
    """

    module: str
    name: str | None
    bound: str
    renamed: bool


@lru_cache(maxsize=512)
def parsed(text: str) -> ast.Module:
    """The tree of a source, which nobody may change. Raises SyntaxError, ValueError (a null byte)."""
    return ast.parse(text)


def imports(node: ast.AST, package: str) -> Iterator[Import]:
    """What one statement imports; nothing where it is another statement. Relative names become absolute."""
    if isinstance(node, ast.Import):
        for each in node.names:
            yield Import(each.name, None, each.asname or each.name.partition(".")[0], each.asname is not None)
    elif isinstance(node, ast.ImportFrom):
        module = absolute(node, package)
        for each in node.names:
            yield Import(module, each.name, each.asname or each.name, each.asname is not None)
    elif isinstance(node, ast.Call) and _called(node) in _IMPORTING and (name := _first_text(node)):
        yield Import(f"{package}{name}" if name.startswith(".") else name, None, "", True)


_IMPORTING = ("import_module", "__import__")
_RUNNING = ("exec_module", "load_module", "exec", "run_path", "run_module", "entry_points", "iter_entry_points")


def hides_imports(text: str) -> bool:
    """Whether a source runs modules whose names it does not say, so that these may bring anything."""
    calls = [node for node in ast.walk(parsed(text)) if isinstance(node, ast.Call)]
    return any(
        _called(call) in _RUNNING or (_called(call) in _IMPORTING and _first_text(call) is None) for call in calls
    )


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _first_text(call: ast.Call) -> str | None:
    """The first argument, or the one called `name`, where it is a text that is written out."""
    given = [*call.args[:1], *(each.value for each in call.keywords if each.arg == "name")]
    value = given[0].value if given and isinstance(given[0], ast.Constant) else None
    return value if isinstance(value, str) else None


def absolute(node: ast.ImportFrom, package: str) -> str:
    """The module that a `from` names: `from ..x import y` in `a.b.c` is `a.x`."""
    if not node.level:
        return node.module or ""
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if package else []
    return ".".join([*above, *([node.module] if node.module else [])])


def names_of(found: Import) -> list[str]:
    """The modules that an import may run, the outermost first: packages above, and a name that may be a module."""
    parts = found.module.split(".") if found.module else []
    names = [".".join(parts[: number + 1]) for number in range(len(parts))]
    inner = [f"{found.module}.{found.name}" if found.module else found.name] if found.name not in (None, "*") else []
    return names + [name for name in inner if name]


def followed(roots: Iterable[Module], find: Find) -> dict[str, Module]:
    """Every module that these import, themselves not included, by the name under which it is imported.

    Raises:
        SyntaxError: a file that is none of Python; `filename` is its label.
    """
    found: dict[str, Module] = {}
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        for name in sorted(all_names(module)):
            if name not in found and (inner := find(name)) is not None:
                found[name] = inner
                waiting.append(inner)
    return found


def all_names(module: Module) -> set[str]:
    """Every module name that a file may import, at its top or inside a function."""
    try:
        nodes = list(ast.walk(parsed(module.text)))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise SyntaxError(
            f"{module.label}: {getattr(error, 'msg', error)}" + (f" (line {line})" if line else "")
        ) from error
    above = module.name.split(".")[:-1]  # the packages that a module lies in run before it
    own = {".".join(above[: number + 1]) for number in range(len(above))}
    return own | {name for node in nodes for each in imports(node, module.package) for name in names_of(each)}


def outside(module: Module, inside: Iterable[str]) -> set[str]:
    """The top-level names that a file imports from elsewhere."""
    known = {name.partition(".")[0] for name in inside}
    tops = {name.partition(".")[0] for name in all_names(module) if name}
    return tops - known

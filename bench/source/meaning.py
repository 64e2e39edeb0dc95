"""What a source says once its form is left aside: a digest that only another meaning changes, and words for a change.

Comments, docstrings, blank lines, the order of imports and the names of files are form. Judges no meaning beyond that:
`2 + 2` is not `4`.
"""

import ast
import copy
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from bench.source.finding import Module
from bench.source.following import Import, imports, parsed

_FORM = {"ctx", "type_comment", "kind", "lineno", "col_offset", "end_lineno", "end_col_offset", "type_ignores"}
Token = Callable[[str], str | None]  # a module's name -> what stands for it, where it is one of those followed


def digests(modules: Mapping[str, Module], roots: Mapping[str, Module]) -> dict[str, str]:
    """Key -> SHA-256 of what each root and each followed module says; an empty text where it says nothing.

    An import of another of these modules is an import of what that one says, under whatever name its file goes. A
    circle of imports is cut by leaving imports out of what stands for a module.
    """
    everyone = {**modules, **roots}
    blind = {
        key: _sha256(said(module, lambda name: "" if name in modules else None)) for key, module in everyone.items()
    }
    return {
        key: text and _sha256(text)
        for key, module in everyone.items()
        for text in [said(module, lambda name: blind[name] if name in modules else None)]
    }


def alone(module: Module) -> str:
    """SHA-256 of what one module says, whatever it imports. Raises SyntaxError."""
    return _sha256(said(module, lambda name: None))


def said(module: Module, token: Token) -> str:
    """The source as one text without its form. Imports of `bench` are left out: it is what measures, not what is."""
    tree = _Plain(module.package, token).visit(bare(module.text))
    body = [node for node in tree.body if isinstance(node, ast.Import)]
    rest = [node for node in tree.body if not isinstance(node, ast.Import)]
    bound = sorted((alias.name, alias.asname or "") for node in body for alias in node.names)
    return "\n".join([*(f"{name} as {asname}" for name, asname in bound), *map(dump, rest)])


def bare(text: str) -> ast.Module:
    """A tree of one's own without docstrings, other loose strings and `pass`. Raises SyntaxError."""
    tree = copy.deepcopy(parsed(text))
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            if isinstance(statements := getattr(node, field, None), list):
                setattr(node, field, [each for each in statements if not _idle(each)])
    return tree


def _idle(node: ast.stmt) -> bool:
    loose = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return loose or isinstance(node, ast.Pass)


def dump(node: Any) -> str:
    """A tree as text, the same on every version of Python: fields that are empty are left out, whether known or not."""
    if isinstance(node, ast.AST):
        fields = [(name, getattr(node, name, None)) for name in node._fields if name not in _FORM]
        inner = ", ".join(f"{name}={dump(value)}" for name, value in fields if value is not None and value != [])
        # `None` is a value of a constant, and there alone.
        inner = inner or ("value=None" if isinstance(node, ast.Constant) else "")
        return f"{type(node).__name__}({inner})"
    if isinstance(node, list):
        return f"[{', '.join(map(dump, node))}]"
    return repr(node)


class _Plain(ast.NodeTransformer):
    """Puts what an import means in the place of how it is written, and of the names that a file's name gave."""

    def __init__(self, package: str, token: Token):
        self.package = package
        self.token = token
        self.named: dict[str, str] = {}  # dotted name as the code has it -> what stands for the module

    def visit_Module(self, node: ast.Module) -> ast.Module:
        for inner in ast.walk(node):
            if isinstance(inner, (ast.Import, ast.ImportFrom)):
                for each in imports(inner, self.package):
                    self._note(each)
        return self.generic_visit(node)  # type: ignore[return-value]

    def _note(self, each: Import) -> None:
        """Remember names that come from a file's name, which may change without a change of meaning."""
        if each.renamed:
            return
        if each.name is None:
            parts = each.module.split(".")
            for number in range(len(parts)):
                name = ".".join(parts[: number + 1])
                if (known := self.token(name)) is not None:
                    self.named[name] = f"@{known}"
        elif (known := self.token(_dotted(each.module, each.name))) is not None:
            self.named[each.name] = f"@{known}"

    def _bindings(self, node: ast.Import | ast.ImportFrom) -> ast.Import | None:
        found = [binding for each in imports(node, self.package) if (binding := self._binding(each))]
        return ast.Import(names=[ast.alias(*pair) for pair in sorted(found)]) if found else None

    def _binding(self, each: Import) -> tuple[str, str] | None:
        module = self.token(each.module)
        inner = self.token(_dotted(each.module, each.name)) if each.name else None
        if inner is not None:
            return f"@{inner}", each.bound if each.renamed else ""
        if module is not None:
            return f"@{module}:{each.name or ''}", each.bound if each.name or each.renamed else ""
        if each.module.partition(".")[0] == "bench":
            return None
        return each.module + (f":{each.name}" if each.name else ""), each.bound

    def visit_Import(self, node: ast.Import) -> ast.Import | None:
        return self._bindings(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.Import | None:
        return self._bindings(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if (known := self.named.get(_spelled(node) or "")) is not None:
            return ast.Name(known)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self.named.get(node.id, node.id))


def _dotted(module: str, name: str) -> str:
    return f"{module}.{name}" if module else name


def _spelled(node: ast.AST) -> str | None:
    """`a.b.c` where an expression is just that."""
    if isinstance(node, ast.Name):
        return node.id
    inner = _spelled(node.value) if isinstance(node, ast.Attribute) else None
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else None


def readable(module: Module) -> str:
    """The source for a person to compare: formatted in one way, without comments and docstrings."""
    return ast.unparse(ast.fix_missing_locations(_filled(bare(module.text))))


def constants(text: str) -> set[str]:
    """Every text that stands in a source, docstrings left out."""
    every = (node.value for node in ast.walk(bare(text)) if isinstance(node, ast.Constant))
    return {value for value in every if isinstance(value, str)}


def _filled(tree: ast.Module) -> ast.Module:
    """Blocks that are empty now hold `pass` again, or they could not be written out."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module) and getattr(node, "body", None) == []:
            node.body = [ast.Pass()]  # type: ignore[attr-defined]
    return tree


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

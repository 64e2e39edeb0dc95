"""What a file registers: models, data sets, measures and metrics by name, read from its tree.

Believes what is written out and nothing else: a name that is made while the file runs is only known to be there.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from bench.source.following import parsed

KINDS = ("models", "datasets", "measures", "evaluations", "metrics")
# What a factory is given whatever the suite says: a model its classes and size by name, a data set its folder and a
# measure its case and context by their places.
_GIVEN = {"models": {"num_classes", "image_size"}}
_LEADING = {"datasets": 1, "measures": 2, "evaluations": 2}
ANY = "**choice"  # stands for the options that every data set of bench takes


@dataclass(frozen=True)
class Offers:
    """`named`: kind -> name -> the arguments a suite may give with their annotations, None where they cannot be
    read; `ANY` stands for the options of every data set.

    `open` holds the kinds of which there may be more, under names that no text says. `metrics` are the arguments that
    each metric is made of, as positional and named values; `evaluated` are those that come with an evaluation.
    """

    named: Mapping[str, Mapping[str, dict[str, str] | None]] = field(default_factory=dict)
    open: frozenset[str] = frozenset()
    metrics: tuple[tuple[tuple[Any, ...], Mapping[str, Any]], ...] = ()
    evaluated: tuple[tuple[str, Mapping[str, Any]], ...] = ()


@lru_cache(maxsize=512)
def offers(text: str) -> Offers:
    """What a source offers. Raises SyntaxError, ValueError where it is no Python."""
    if "register" not in text:
        return Offers()
    tree = parsed(text)
    kinds, constants = _kinds(tree), _constants(tree)
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    named: dict[str, dict[str, dict[str, str] | None]] = {kind: {} for kind in KINDS}
    unsaid: set[str] = set()
    evaluated: list[tuple[str, Mapping[str, Any]]] = []
    for call, target in _registrations(tree):
        kind = kinds.get(_head(call.func))
        if kind in named and kind != "metrics":
            name = _value(call.args[0] if call.args else _keyword(call, "name"), constants)
            if isinstance(name, str):
                made = functions.get(target.id) if isinstance(target, ast.Name) else target
                named[kind][name] = _arguments(made, kind)
                said = {each.arg: _value(each.value, constants) for each in call.keywords if each.arg}
                if kind == "evaluations" and said and _UNSAID not in said.values():
                    evaluated.append((name, said))
            else:
                unsaid.add(kind)
    metrics = [_metric(node, constants) for node in ast.walk(tree) if _is_metric(node)]
    unsaid |= {"metrics"} if None in metrics else set()
    return Offers(named, frozenset(unsaid), tuple(each for each in metrics if each is not None), tuple(evaluated))


def _registrations(tree: ast.Module) -> Iterator[tuple[ast.Call, ast.AST | None]]:
    """Every call of a `register`, with what it decorates or is applied to."""
    seen: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            for made in node.decorator_list:
                if _is_register(made):
                    seen.add(id(made))
                    yield made, node  # type: ignore[misc]
        elif isinstance(node, ast.Call) and _is_register(node.func) and node.args:
            seen.add(id(node.func))
            yield node.func, node.args[0]  # type: ignore[misc]
    for node in ast.walk(tree):
        if _is_register(node) and id(node) not in seen:
            yield node, None  # type: ignore[misc]


def _is_register(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return "register" in name


def _kinds(tree: ast.Module) -> dict[str, str]:
    """What the file calls each registry -> its kind: `zoo` after `from bench.registry import models as zoo`."""
    found = {kind: kind for kind in KINDS}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "bench":
            for each in node.names:
                if each.name in KINDS:
                    found[each.asname or each.name] = each.name
                elif each.name == "register" and (node.module or "").endswith("metrics"):
                    found[each.asname or each.name] = "metrics"
        elif isinstance(node, ast.Import):
            for each in node.names:
                if each.asname and each.name.endswith(".metrics"):
                    found[each.asname] = "metrics"
    return found


def _head(function: ast.expr) -> str:
    """The name that `register` is asked of: `models` in `registry.models.register`."""
    if not isinstance(function, ast.Attribute):
        return getattr(function, "id", "")
    owner = function.value
    return owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")


def _arguments(made: ast.AST | None, kind: str) -> dict[str, str] | None:
    """The arguments a suite may give; None where the function is open to any, or is not in the file."""
    leading = _LEADING.get(kind, 0)
    if isinstance(made, ast.ClassDef):
        made = next((each for each in made.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"), None)
        leading += 1
    if not isinstance(made, ast.FunctionDef):
        return None
    arguments = made.args
    if arguments.kwarg is not None and f"**{arguments.kwarg.arg}" != ANY:
        return None
    every = [*arguments.args[max(leading - len(arguments.posonlyargs), 0) :], *arguments.kwonlyargs]
    found = {each.arg: ast.unparse(each.annotation) if each.annotation else "" for each in every}
    found |= {ANY: ""} if arguments.kwarg is not None else {}
    return {name: kept for name, kept in found.items() if name not in _GIVEN.get(kind, ())}


def _is_metric(node: ast.AST) -> bool:
    """Whether this makes a metric. One that is made is taken to be registered, in a loop or by a call of its own."""
    function = node.func if isinstance(node, ast.Call) else None
    return (function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")) == "Metric"


def _metric(made: ast.AST, constants: Mapping[str, Any]) -> tuple[tuple[Any, ...], Mapping[str, Any]] | None:
    """What a `Metric(…)` is made of, where all of it is written out."""
    assert isinstance(made, ast.Call)
    values = [_value(each, constants) for each in made.args]
    named = {each.arg: _value(each.value, constants) for each in made.keywords}
    known = [*values, *named.values()]
    return None if None in named or any(each is _UNSAID for each in known) else (tuple(values), named)  # type: ignore[return-value]


_UNSAID = object()


def _value(node: ast.AST | None, constants: Mapping[str, Any]) -> Any:
    """A literal, or the name of one."""
    if isinstance(node, ast.Name):
        return constants.get(node.id, _UNSAID)
    try:
        return ast.literal_eval(node) if node is not None else _UNSAID
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _UNSAID


def _constants(tree: ast.Module) -> dict[str, Any]:
    """Names that are given a literal once, at the top of the file."""
    found: dict[str, Any] = {}
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = _value(getattr(node, "value", None), {}) if targets else _UNSAID
        for target in targets:
            if isinstance(target, ast.Name):
                found[target.id] = _UNSAID if target.id in found else value
    return found


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((each.value for each in call.keywords if each.arg == name), None)

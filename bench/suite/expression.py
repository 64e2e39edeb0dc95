"""The arithmetic a suite may write: `H2 - H1`, `max(loss_hybrid - loss_mixer)`: names, numbers, + - * / **, functions.

Never calls `eval`: an expression is parsed and walked, and anything not on the list is refused by name.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence

from bench.errors import UsageError, near
from bench.records.written import number
from bench.statistics.intervals import power_law

# A quantity is one number, or a curve: one number per epoch. A curve and a number combine point by point.
Quantity = float | tuple[float, ...]


def _mean(curve: Sequence[float]) -> float:
    return math.fsum(curve) / len(curve)


def _exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Slope of the least-squares line of log cost over log size."""
    if len(sizes) != len(costs) or len(sizes) < 2:
        raise UsageError(f"exponent() needs two curves of equal length, at least 2; got {len(sizes)} and {len(costs)}")
    return power_law(sizes, costs).point


_OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_POINTWISE: dict[str, Callable[[float], float]] = {"abs": abs, "sqrt": math.sqrt, "log": math.log, "log10": math.log10}
_REDUCING: dict[str, Callable[..., float]] = {"min": min, "max": max, "mean": _mean, "sum": math.fsum}
FUNCTIONS = sorted([*_POINTWISE, *_REDUCING, "exponent", "list"])


def names(text: str) -> list[str]:
    """The names an expression uses, in the order they appear.

    Raises:
        UsageError: the text is no expression of this language; says which part.
    """
    tree = _parse(text)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called]
    return list(dict.fromkeys(node.id for node in sorted(found, key=lambda node: (node.lineno, node.col_offset))))


def evaluate(text: str, values: Mapping[str, Quantity]) -> Quantity:
    """The value of an expression.

    Raises:
        UsageError: a name without a value, a division by zero, curves of different length.
    """
    try:
        return _value(_parse(text), values)
    except (ZeroDivisionError, OverflowError, ValueError) as error:
        raise UsageError(f"'{text}': {error}") from error


def written_out(text: str, values: Mapping[str, Quantity]) -> str:
    """The expression with each name replaced by its value: `82.27 - 76.71`. Curves keep their names."""
    tree = _parse(text)
    shown = {name: value for name, value in values.items() if isinstance(value, (int, float))}

    class Fill(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.expr:
            return ast.Name(id=number(float(node.value)))  # type: ignore[arg-type]

        def visit_Name(self, node: ast.Name) -> ast.expr:
            return ast.Name(id=number(shown[node.id])) if node.id in shown else node

    return ast.unparse(Fill().visit(tree)).replace("**", "^").replace("*", "×")


def _parse(text: str) -> ast.expr:
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise UsageError(f"'{text}' is no expression: {error.msg} at character {error.offset}") from error
    for node in ast.walk(tree):
        _refuse(node, text)
    return tree


def _refuse(node: ast.AST, text: str) -> None:
    if isinstance(node, ast.Constant) and (isinstance(node.value, bool) or not isinstance(node.value, (int, float))):
        raise UsageError(f"'{text}': {node.value!r} is not a number")
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name not in FUNCTIONS or node.keywords:
            raise UsageError(f"'{text}': no function '{name}'.{near(name, FUNCTIONS)}")
    allowed = (ast.BinOp, ast.UnaryOp, ast.USub, ast.Call, ast.Name, ast.Load, ast.Constant, *_OPERATORS)
    if not isinstance(node, allowed):
        raise UsageError(
            f"'{text}': {type(node).__name__} is not allowed; names, numbers, + - * / ** and {', '.join(FUNCTIONS)} are"
        )


def _value(node: ast.expr, values: Mapping[str, Quantity]) -> Quantity:
    match node:
        case ast.Constant(value=value):
            return float(value)  # type: ignore[arg-type]
        case ast.Name(id=name):
            if name not in values:
                raise UsageError(f"no value for '{name}'.{near(name, sorted(values))}")
            return values[name]
        case ast.UnaryOp(operand=operand):
            return _apply(operator.neg, _value(operand, values))
        case ast.BinOp(left=left, op=op, right=right):
            return _apply(_OPERATORS[type(op)], _value(left, values), _value(right, values))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _call(name, [_value(argument, values) for argument in arguments])
    raise AssertionError(f"{ast.dump(node)} passed the check")


def _call(name: str, arguments: list[Quantity]) -> Quantity:
    if name in _POINTWISE:
        return _apply(_POINTWISE[name], *arguments)
    if name == "exponent":
        return _exponent(*(_flat([argument]) for argument in arguments))
    flat = _flat(arguments)
    return tuple(flat) if name == "list" else float(_REDUCING[name](flat))


def _flat(arguments: list[Quantity]) -> list[float]:
    return [x for argument in arguments for x in (argument if isinstance(argument, tuple) else (argument,))]


def _apply(function: Callable[..., float], *arguments: Quantity) -> Quantity:
    lengths = {len(argument) for argument in arguments if isinstance(argument, tuple)}
    if not lengths:
        return float(function(*arguments))
    if len(lengths) > 1:
        raise UsageError(f"curves of different length: {', '.join(str(length) for length in sorted(lengths))} points")
    (length,) = lengths
    spread = [argument if isinstance(argument, tuple) else (argument,) * length for argument in arguments]
    return tuple(float(function(*point)) for point in zip(*spread, strict=True))

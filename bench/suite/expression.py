"""The arithmetic a suite may write: `H2 - H1`, `max(loss_hybrid - loss_mixer)`: names, numbers, + - * / **, functions.

Never calls `eval`: an expression is parsed and walked, and anything not on the list is refused by name. Knows no units:
`units_of` does.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache

from bench.errors import UsageError, near
from bench.records.written import number
from bench.statistics.intervals import power_law

# A quantity is one number, or a curve: one number per epoch. A curve and a number combine point by point.
Quantity = float | tuple[float, ...]

# Far above what a claim has ever needed, and far below what would exhaust the stack of whoever walks the tree.
LONGEST = 2_000  # characters
DEEPEST = 100  # brackets and operators within each other


def _mean(curve: Sequence[float]) -> float:
    return math.fsum(curve) / len(curve)


def _exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Slope of the least-squares line of log cost over log size."""
    if len(sizes) != len(costs) or len(sizes) < 2:
        raise UsageError(
            f"{SIGNATURES['exponent']} needs two lists of equal length, at least 2; got {len(sizes)} and {len(costs)}"
        )
    if min(*sizes, *costs) <= 0:
        raise UsageError(f"{SIGNATURES['exponent']} needs numbers above 0; got {number(min(*sizes, *costs))}")
    if len(set(sizes)) == 1:
        raise UsageError(f"{SIGNATURES['exponent']} needs sizes that differ; all are {number(sizes[0])}")
    return power_law(sizes, costs).point


def _divided(left: float, right: float) -> float:
    if right == 0:
        raise UsageError(f"division by zero: {number(left)} / 0")
    return left / right


def _power(base: float, exponent: float) -> float:
    if base == 0 and exponent < 0:
        raise UsageError(f"division by zero: 0 ** {number(exponent)}")
    if base < 0 and not exponent.is_integer():
        raise UsageError(
            f"{number(base)} ** {number(exponent)} is not a real number: "
            "a number below 0 can only be raised to a whole power"
        )
    return math.pow(base, exponent)


def _above_zero(name: str, function: Callable[[float], float]) -> Callable[[float], float]:
    def checked(value: float) -> float:
        if value < 0 or (value == 0 and name != "sqrt"):
            least = "a number that is not below 0" if name == "sqrt" else "a number above 0"
            raise UsageError(f"{SIGNATURES[name]} needs {least}; got {number(value)}")
        return function(value)

    return checked


# How each function is called. `exponent` is the power with which costs grow with sizes: sizes come first.
SIGNATURES = {
    "abs": "abs(x)",
    "exp": "exp(x)",
    "exponent": "exponent(sizes, costs)",
    "list": "list(a, b, …)",
    "log": "log(x)",
    "log10": "log10(x)",
    "max": "max(a, b, …)",
    "mean": "mean(a, b, …)",
    "min": "min(a, b, …)",
    "sqrt": "sqrt(x)",
    "sum": "sum(a, b, …)",
}
FUNCTIONS = sorted(SIGNATURES)
_TAKES = {"exponent": 2, **dict.fromkeys(("abs", "exp", "log", "log10", "sqrt"), 1)}

_OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divided,
    ast.Pow: _power,
}
_POINTWISE: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "exp": math.exp,
    "sqrt": _above_zero("sqrt", math.sqrt),
    "log": _above_zero("log", math.log),
    "log10": _above_zero("log10", math.log10),
}
REDUCING: dict[str, Callable[..., float]] = {"min": min, "max": max, "mean": _mean, "sum": math.fsum}

# What else Python would read, and what to write in its place.
_REFUSED: dict[type, str] = {
    ast.Attribute: "a dot after a name means nothing here",
    ast.Compare: "a comparison has no value: the keys 'above', 'below' and 'between' compare",
    ast.BoolOp: "'and' and 'or' join no numbers",
    ast.Not: "'not' is no arithmetic",
    ast.IfExp: "there is no 'if'",
    ast.Lambda: "no function can be made",
    ast.List: "a list is written list(a, b)",
    ast.ListComp: "a list is written list(a, b)",
    ast.GeneratorExp: "a list is written list(a, b)",
    ast.Tuple: "a list is written list(a, b); digits are grouped 1_000, not 1,000",
    ast.Subscript: "a curve is reduced with max, min, mean or sum; no single point of it is taken",
    ast.BitXor: "a power is written **, not ^",
    ast.FloorDiv: "'//' is no operator: write /",
    ast.Mod: "'%' is no operator: the unit of a check says that it is in %",
    ast.UAdd: "a plus sign stands between two values",
}


def names(text: str) -> list[str]:
    """The names an expression uses, in the order they appear.

    Raises:
        UsageError: the text is no expression of this language; says which part.
    """
    tree = parse(text)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called]
    return list(dict.fromkeys(node.id for node in sorted(found, key=lambda node: (node.lineno, node.col_offset))))


def evaluate(text: str, values: Mapping[str, Quantity]) -> Quantity:
    """The value of an expression.

    Raises:
        UsageError: a name without a value, a division by zero, curves of different length, a result that is too large.
    """
    tree = parse(text)
    try:
        found = _value(tree, values)
    except OverflowError as error:
        raise UsageError(f"'{shown(text)}': a number on the way is too large") from error
    except UsageError as error:
        raise UsageError(f"'{shown(text)}': {error}") from error
    given = [x for name in names(text) for x in _flat([values[name]])]
    if all(map(math.isfinite, given)) and not all(map(math.isfinite, _flat([found]))):
        raise UsageError(f"'{shown(text)}': a number on the way is too large")
    return found


def written_out(text: str, values: Mapping[str, Quantity]) -> str:
    """The expression with each name replaced by its value: `82.27 - 76.71`. Curves keep their names."""
    tree = deepcopy(parse(text))
    shown = {name: value for name, value in values.items() if isinstance(value, (int, float))}

    class Fill(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.expr:
            return ast.Name(id=number(float(node.value)))  # type: ignore[arg-type]

        def visit_Name(self, node: ast.Name) -> ast.expr:
            return ast.Name(id=number(shown[node.id])) if node.id in shown else node

    return ast.unparse(Fill().visit(tree)).replace("**", "^").replace("*", "×")


@lru_cache(maxsize=1024)  # the same expression is asked of many seeds and models; nobody may change the tree
def parse(text: str) -> ast.expr:
    """The tree of an expression, in which every node is allowed and every function has as many arguments as it takes.

    Raises:
        UsageError: the text is no expression of this language; says which part and what to write.
    """
    text = text.strip()
    if len(text) > LONGEST:
        raise UsageError(f"'{shown(text)}' is too long: {len(text):,} characters, at most {LONGEST:,}")
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        place = f" (character {error.offset})" if text and error.offset else ""
        raise UsageError(
            f"'{shown(text)}' is no expression{place}: such as 100 * (1 - a / b), with + - * / **"
        ) from error
    except (ValueError, MemoryError, RecursionError) as error:  # a zero byte; more brackets than the parser can hold
        raise UsageError(f"'{shown(text)}' is no expression: it cannot be read") from error
    if _deeper_than(tree, DEEPEST):
        raise UsageError(f"'{shown(text)}' is too deep: more than {DEEPEST} brackets or operators within each other")
    for node in ast.walk(tree):
        _refuse(node, text)
    return tree


def shown(text: str) -> str:
    """The text as a message quotes it: its beginning, where it is long."""
    return text if len(text) <= 120 else f"{text[:100]}…"


def _deeper_than(tree: ast.expr, most: int) -> bool:
    level: list[ast.AST] = [tree]
    for _ in range(most):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return False
    return True


def _refuse(node: ast.AST, text: str) -> None:
    quoted = f"'{shown(text)}'"
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
            raise UsageError(f"{quoted}: {node.value!r} is not a number")
        # An integer has to fit a float as well: compared before it is converted.
        if abs(node.value) > 1e300:
            raise UsageError(f"{quoted}: a number in it is too large")
    if isinstance(node, ast.Call):
        _refuse_call(node, quoted)
    allowed = (ast.BinOp, ast.UnaryOp, ast.USub, ast.Call, ast.Name, ast.Load, ast.Constant, *_OPERATORS)
    if not isinstance(node, allowed):
        part = f"'{shown(ast.unparse(node))}' is not allowed" if isinstance(node, ast.expr) else "not allowed"
        why = _REFUSED.get(type(node), f"names, numbers, + - * / ** and {', '.join(FUNCTIONS)} are")
        raise UsageError(f"{quoted}: {part}: {why}")


def _refuse_call(node: ast.Call, quoted: str) -> None:
    name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    if name not in FUNCTIONS:
        raise UsageError(f"{quoted}: no function '{name}'.{near(name, FUNCTIONS)}")
    how = f"{quoted}: {name} is called {SIGNATURES[name]}"
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise UsageError(f"{how}, with values alone")
    takes, given = _TAKES.get(name), len(node.args)
    if (takes is None and not given) or (takes is not None and given != takes):
        raise UsageError(f"{how}, found {given or 'no'} argument{'' if given == 1 else 's'}")


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
    return tuple(flat) if name == "list" else float(REDUCING[name](flat))


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

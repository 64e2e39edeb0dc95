"""Whether the units of an expression fit each other and its check, and the expression with every conversion written in.

Evaluates nothing: a conversion becomes a factor of the text (`2 * m_s`, `s / 3600`), which a reader sees as well.

A conversion that the author wrote by hand (`2 * m_s` for flops, `100 * (1 - a / b)` for %) is found and not made again.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from bench.errors import UsageError, near
from bench.records import units
from bench.records.metrics import METRICS, conditions
from bench.records.units import PURE, Unit
from bench.suite import conversions, expression

# What a term is made of: digits have no unit of their own, sizes such as a width are plain numbers that count what is
# asked (patch * patch * 3 parameters), everything else has the unit that it was given.
_DIGITS, _SIZES, _UNITS = range(3)
_CURVE = 0  # a curve whose number of epochs is known only once it was measured


@dataclass(frozen=True)
class Named:
    """What an expression may call by name: its unit, and whether it is a curve over epochs."""

    unit: Unit
    curve: bool = False
    clocked: bool = False  # the epochs of a clock repeat the same work, so such a curve decides as it stands
    size: bool = False  # a constant without a unit


@dataclass(frozen=True)
class Term:
    """What is known of a part of an expression before anything is measured."""

    unit: Unit
    made_of: int
    points: int | None = None  # None: one number


Raw = Mapping[str, Any]


def named(raw: Raw) -> dict[str, Named]:
    """Every name of a raw suite that has a unit: quantities, and claims with a published number."""
    found = {}
    for key, quantity in _tables(raw, "quantities"):
        metric = METRICS.get(str(quantity.get("metric")))
        unit = _known(metric.unit if metric else quantity.get("unit"))
        if unit is not None:
            curve = metric is not None and quantity.get("at", "last") not in ("last", "best")
            clocked = metric is not None and "device_name" in conditions(metric.name)
            found[key] = Named(unit, curve, clocked, size=metric is None and quantity["unit"] == "1")
    for key, claim in _tables(raw, "claims"):
        if "published" in claim and (unit := _known(claim.get("unit"))) is not None:
            found[key] = Named(unit, size=claim["unit"] == "1")
    return found


def problems(text: str, unit: Any, names: Mapping[str, Named], values: Mapping[str, float]) -> Iterator[str]:
    """What is wrong with an expression whose names are known: units that do not fit, a list, numbers without a result.

    Args:
        unit: the check's; None where it has none, which asks nothing of the result.
        names, values: `named` and `published` of the suite, in which quantities and claims may still be wrong: of
            those nothing is said.
    """
    used = expression.names(text)
    if not set(used) <= names.keys():
        return
    try:
        whole = converted(text, unit if _known(unit) is not None else None, names)
        if set(used) <= values.keys():
            expression.evaluate(whole, {name: values[name] for name in used})
    except UsageError as error:
        yield str(error)


def published(raw: Raw) -> dict[str, float]:
    """The constants and the published numbers of a raw suite."""
    found = [(key, each.get("value")) for key, each in _tables(raw, "quantities")]
    found += [(key, each.get("published")) for key, each in _tables(raw, "claims")]
    return {key: float(value) for key, value in found if isinstance(value, (int, float))}


def converted(text: str, unit: str | None, names: Mapping[str, Named]) -> str:
    """The expression with every conversion written in, so that plain numbers give the result in `unit`.

    Raises:
        UsageError: units that do not fit; says what each part is in, and what to write.
    """
    walk = _Walk(text.strip(), names)
    tree = expression.parse(walk.text)
    found = walk.term(tree)
    if found.points is not None and not _repeated(text, names):
        raise UsageError(f"'{expression.shown(text)}' is {_listed(found)}, not one number: {_REDUCE}")
    if unit is not None:
        walk.fit(tree, found, unit)
    return walk.rewritten()


_REDUCE = "reduce it with max, min or mean"


def _listed(term: Term) -> str:
    return f"a list of {term.points} numbers" if term.points else "a curve"


def _repeated(text: str, names: Mapping[str, Named]) -> bool:
    used = expression.names(text)
    return bool(used) and all(names[name].clocked and names[name].curve for name in used)


def _tables(raw: Raw, name: str) -> Iterable[tuple[str, Raw]]:
    table = raw.get(name)
    found = table.items() if isinstance(table, Mapping) else ()
    return ((key, value) for key, value in found if isinstance(value, Mapping))


def _known(name: Any) -> Unit | None:
    try:
        return units.of(name) if isinstance(name, str) else None
    except UsageError:
        return None  # the shape check has its own word for it


@dataclass
class _Walk:
    """One expression: its terms from the leaves up, and the conversions that were found on the way."""

    text: str
    names: Mapping[str, Named]
    factors: list[tuple[ast.expr, Fraction]] = field(default_factory=list)

    def term(self, node: ast.expr) -> Term:
        """Unit and shape of a part."""
        match node:
            case ast.Constant():
                return Term(PURE, _DIGITS)
            case ast.Name(id=name):
                if name not in self.names:
                    raise UsageError(f"no unit for '{name}'.{near(name, sorted(self.names))}")
                found = self.names[name]
                return Term(found.unit, _SIZES if found.size else _UNITS, _CURVE if found.curve else None)
            case ast.UnaryOp(operand=operand):
                return self.term(operand)
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                return self._power(node, left, right)
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
                return self._together([left, right], "-" if isinstance(op, ast.Sub) else "+")
            case ast.BinOp(left=left, op=op, right=right):
                one, other = self.term(left), self.term(right)
                unit = one.unit.times(other.unit, 1 if isinstance(op, ast.Mult) else -1)
                return Term(unit, max(one.made_of, other.made_of), self._length(node, one, other))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(node, name, arguments)
        raise AssertionError(f"{ast.dump(node)} passed the check")

    def fit(self, node: ast.expr, found: Term, unit: str) -> None:
        """Convert the result to the check's unit, or say why that cannot be."""
        asked = units.of(unit)
        if found.made_of == _DIGITS:
            return  # a number written out is in the unit that is asked
        shares = {found.unit.share, asked.share}
        if shares == {"%", "points"}:
            way = "a difference of two % is in points" if asked.share == "%" else "only a difference of two % is"
            raise UsageError(f"unit '{unit}', but {self._is_in(node, found)}: {way}; write unit '{found.unit.share}'")
        if found.unit == PURE and _becomes(found, asked):
            return
        if not found.unit.fits(asked):
            raise UsageError(
                f"unit '{unit}', but {self._is_in(node, found)}: write {self._instead(node, found, asked)}"
            )
        self._convert(node, found.unit, asked)

    def rewritten(self) -> str:
        """The text with its conversions."""
        return conversions.written_in(self.text, self.factors)

    def _call(self, node: ast.expr, name: str, arguments: list[ast.expr]) -> Term:
        if name in expression.REDUCING or name == "list":
            return self._gathered(name, arguments)
        terms = [self.term(argument) for argument in arguments]
        if name == "exponent":
            return self._exponent(node, terms)
        (term,) = terms
        if name == "abs":
            return term
        if name == "sqrt":
            return replace(term, unit=term.unit.to_the(Fraction(1, 2)))
        if term.unit != PURE and not (name == "exp" and term.unit == units.of("nats")):
            ratio = "a ratio of two such values is one"
            raise UsageError(
                f"{expression.SIGNATURES[name]} needs a pure number; {self._is_in(arguments[0], term)}: {ratio}"
            )
        return Term(PURE, _UNITS, term.points)

    def _gathered(self, name: str, arguments: list[ast.expr]) -> Term:
        found = self._together(arguments, name)
        if name != "list":
            return replace(found, points=None)
        lengths = [self.term(argument).points for argument in arguments]
        return replace(found, points=_CURVE if _CURVE in lengths else sum(length or 1 for length in lengths))

    def _exponent(self, node: ast.expr, terms: list[Term]) -> Term:
        sizes, costs = terms
        how = f"'{self._source(node)}': {expression.SIGNATURES['exponent']}"
        if sizes.points is None or costs.points is None:
            raise UsageError(f"{how} takes two lists, such as exponent(list(16, 64), list(cost_16, cost_64))")
        if (sizes.points and costs.points and sizes.points != costs.points) or 1 in (sizes.points, costs.points):
            raise UsageError(
                f"{how} needs two lists of equal length, at least 2; got {sizes.points} and {costs.points}"
            )
        if costs.made_of == _DIGITS != sizes.made_of:
            raise UsageError(f"{how}: the sizes come first, and the costs are what was measured; here they are swapped")
        return Term(PURE, _UNITS)

    def _power(self, node: ast.expr, left: ast.expr, right: ast.expr) -> Term:
        base, power = self.term(left), self.term(right)
        length = self._length(node, base, power)
        if power.unit != PURE:
            raise UsageError(f"'{self._source(node)}': an exponent is a pure number; {self._is_in(right, power)}")
        if base.unit == PURE:
            return Term(PURE, max(base.made_of, power.made_of), length)
        value = _whole(right)
        if value is None:
            raise UsageError(
                f"'{self._source(node)}': {self._is_in(left, base)}, which can only be raised to a whole number up to 9"
            )
        return Term(base.unit.to_the(Fraction(value)), _UNITS, length)

    def _together(self, nodes: list[ast.expr], how: str) -> Term:
        """Terms that stand beside each other in a sum, a difference or a list: one unit for all."""
        terms = [self.term(node) for node in nodes]
        parts = [(node, term) for node, term in zip(nodes, terms, strict=True) if not _is_zero(node)]
        length = terms[0].points if len(terms) == 1 else None
        if how in ("+", "-"):
            length = self._length(nodes[0], *terms)
        if not parts:
            return replace(terms[0], points=length)
        (first, found), *others = parts
        for node, term in others:
            unit = self._beside(first, found, node, term, how)
            found = Term(unit, max(found.made_of, term.made_of))
        return replace(found, points=length)

    def _beside(self, first: ast.expr, one: Term, second: ast.expr, other: Term, how: str) -> Unit:
        left, right = one.unit, other.unit
        if _DIGITS in (one.made_of, other.made_of) and not left == right == PURE:
            return self._beside_digits(first, one, second, other)
        if left.share and right.share:
            return self._shares(first, one, second, other, how)
        if left.pure and right.pure:
            self._convert(second, right, left)
            return units.of("points") if left.share == "%" and how == "-" else left
        if left == PURE and _becomes(one, right):
            return right
        if right == PURE and _becomes(other, left):
            return left
        if right.fits(left):
            self._convert(second, right, left)
            return left
        if left.fits(right):
            self._convert(first, left, right)
            return right
        apart = f"{self._is_in(first, one)}, and {self._is_in(second, other)}"
        raise UsageError(
            f"'{expression.shown(self.text)}': {apart}: {_JOINED.get(how, how + '()')} needs one kind of unit"
        )

    def _shares(self, first: ast.expr, one: Term, second: ast.expr, other: Term, how: str) -> Unit:
        """Two %, two points, or one of each: points move a %, and a difference of two % is in points."""
        kinds = one.unit.share, other.unit.share
        if kinds[0] == kinds[1]:
            return units.of("points") if how == "-" else one.unit
        if how == "+" or (how == "-" and kinds == ("%", "points")):
            return units.of("%")
        apart = f"{self._is_in(first, one)}, and {self._is_in(second, other)}"
        raise UsageError(f"'{expression.shown(self.text)}': {apart}: {_JOINED.get(how, how + '()')} cannot join them")

    def _beside_digits(self, first: ast.expr, one: Term, second: ast.expr, other: Term) -> Unit:
        bare, beside, term = (first, second, other) if one.made_of == _DIGITS else (second, first, one)
        if term.unit.tally:
            return term.unit
        raise UsageError(
            f"'{expression.shown(self.text)}': {self._source(bare)} is a bare number, and {self._is_in(beside, term)}: "
            f"make it a quantity with a value, a unit and a source"
        )

    def _convert(self, node: ast.expr, unit: Unit, asked: Unit) -> None:
        factor = unit.in_terms_of(asked)
        if factor == 1 or conversions.by_hand(node, factor, self._source(node)):
            return
        self.factors.append((node, factor))

    def _length(self, node: ast.expr, *terms: Term) -> int | None:
        lengths = {term.points for term in terms} - {None}
        if len(lengths - {_CURVE}) > 1:
            told = " and ".join(str(length) for length in sorted(lengths - {_CURVE, None}))  # type: ignore[type-var]
            raise UsageError(f"'{expression.shown(self.text)}': lists of different length: {told} numbers")
        return max(lengths, default=None)  # type: ignore[type-var]

    def _instead(self, node: ast.expr, found: Term, asked: Unit) -> str:
        """What an author may have meant."""
        own = _name_of(found.unit)
        if found.unit.powers and asked.pure:
            return f"a quotient of two such values{f', or unit {own!r}' if own else ''}"
        return f"unit '{own}'" if own else "what the claim counts, with its unit"

    def _is_in(self, node: ast.expr, term: Term) -> str:
        is_in = "is" if term.unit == PURE else "is in"
        return f"{self._source(node)} {is_in} {term.unit}"

    def _source(self, node: ast.expr) -> str:
        found = ast.get_source_segment(self.text, node) or ast.unparse(node)
        return expression.shown(found)


_JOINED = {"+": "a sum", "-": "a difference", "list": "a list"}


def _becomes(pure: Term, unit: Unit) -> bool:
    """Whether a pure number is one of `unit` as it stands: a product of sizes counts, a logarithm is in nats."""
    return unit == units.of("nats") or (pure.made_of == _SIZES and unit.counting)


def _name_of(unit: Unit) -> str | None:
    text = str(unit).replace(" / ", "/")
    try:
        return text if units.of(text) == unit else None
    except UsageError:
        return None


def _is_zero(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0


def _whole(node: ast.expr) -> int | None:
    sign, inner = (-1, node.operand) if isinstance(node, ast.UnaryOp) else (1, node)
    value = inner.value if isinstance(inner, ast.Constant) else None
    return sign * int(value) if isinstance(value, (int, float)) and float(value) in range(10) else None

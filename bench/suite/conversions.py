"""Conversions of unit in an expression: whether the author wrote one by hand, and the text with the others written in.

Knows no units: it is told by what a part is to be multiplied.
"""

import ast
from collections.abc import Sequence
from fractions import Fraction

from bench.errors import UsageError
from bench.suite import expression

# As factors beside multiply-accumulates these may hold the 2 of a conversion, as the 6 of "forward, backward, FLOPs".
_HOLDING_TWO = (4, 6, 8, 12)


def written_in(text: str, factors: Sequence[tuple[ast.expr, Fraction]]) -> str:
    """The text of an expression with each of the parts multiplied by its factor: `2 * m_s`, `h + s / 3600`."""
    raw = text.encode()  # byte offsets are what the parser gives
    edits: list[tuple[int, int, str]] = []
    for number, (node, factor) in enumerate(factors):
        several = isinstance(node, ast.UnaryOp) or (isinstance(node, ast.BinOp) and _is_sum(node))
        before, after = ("(", ")") if several else ("", "")
        if factor.numerator != 1:
            before = f"{factor.numerator} * {before}"
        if factor.denominator != 1:
            after = f"{after} / {factor.denominator}"
        assert node.end_col_offset is not None
        # Of parts that begin or end at one place, the outer one was found later and has to stand outside.
        edits += [(node.col_offset, -number, before), (node.end_col_offset, number, after)]
    for place, _, inserted in sorted(edits, key=lambda edit: edit[:2], reverse=True):
        raw = raw[:place] + inserted.encode() + raw[place:]
    return raw.decode()


def _is_sum(node: ast.BinOp) -> bool:
    return isinstance(node.op, (ast.Add, ast.Sub))


def by_hand(node: ast.expr, factor: Fraction, text: str) -> bool:
    """Whether a part already holds the conversion as a number: `2 * m`, `s / 3600`, `100 * (1 - a / b)`.

    Raises:
        UsageError: only some terms of a sum hold it, or a number may or may not: a guess would be off by the factor.
    """
    if together := _standing_together(node):
        return _all_by_hand(together, factor, text)
    above, below = _factors(node)
    numbers = [_literal(each) for each in above if isinstance(each, ast.Constant)]
    divisors = [_literal(each) for each in below if isinstance(each, ast.Constant)]
    product = Fraction(1)
    for number in numbers:
        product *= number
    for divisor in divisors:
        product /= divisor or 1
    if factor == product or factor in numbers or 1 / factor in divisors:
        return True
    if any(by_hand(each, factor, text) for each in above if _standing_together(each)):
        return True
    held = numbers if factor > 1 else divisors
    unsure = _HOLDING_TWO if factor in (2, Fraction(1, 2)) else (60,) if factor in (3600, Fraction(1, 3600)) else ()
    if found := [number for number in held if number in unsure]:
        scale = factor if factor > 1 else 1 / factor
        raise UsageError(
            f"'{text}': is the conversion by {scale} part of the {found[0]}, or is it still to come? "
            f"Write the {scale} as a number of its own, or leave it out"
        )
    return False


def _standing_together(node: ast.expr) -> list[ast.expr]:
    """The terms of a sum or of a function that leaves units as they are; nothing for anything else."""
    match node:
        case ast.BinOp(op=ast.Add() | ast.Sub(), left=left, right=right):
            return [left, right]
        case ast.Call(func=ast.Name(id=name), args=arguments) if name in (*expression.REDUCING, "abs", "list"):
            return arguments
    return []


def _all_by_hand(nodes: list[ast.expr], factor: Fraction, text: str) -> bool:
    told = {by_hand(node, factor, text) for node in nodes if not _only_digits(node) or _literal_is(node, factor)}
    if len(told) > 1:
        scale = factor if factor > 1 else 1 / factor
        raise UsageError(f"'{text}': only a part of it is converted by {scale}: convert all of it, or nothing")
    return told == {True}


def _literal_is(node: ast.expr, factor: Fraction) -> bool:
    return isinstance(node, ast.Constant) and _literal(node) == factor


def _only_digits(node: ast.expr) -> bool:
    return not any(isinstance(each, ast.Name) for each in ast.walk(node))


def _literal(node: ast.Constant) -> Fraction:
    return Fraction(str(node.value))


def _factors(node: ast.expr, upside: bool = True) -> tuple[list[ast.expr], list[ast.expr]]:
    """What a product multiplies, and what it divides by."""
    match node:
        case ast.UnaryOp(operand=operand):
            return _factors(operand, upside)
        case ast.BinOp(op=ast.Mult() | ast.Div() as op, left=left, right=right):
            above, below = _factors(left, upside)
            more, less = _factors(right, upside == isinstance(op, ast.Mult))
            return above + more, below + less
    return ([node], []) if upside else ([], [node])

"""Claims may do arithmetic, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.records.written import number
from bench.suite.expression import evaluate, names, written_out

PUBLISHED = {"H1": 76.71, "H2": 82.27}


def test_a_difference_of_published_numbers():
    assert evaluate("H2 - H1", PUBLISHED) == pytest.approx(82.27 - 76.71)


def test_precedence_is_that_of_mathematics():
    assert evaluate("2 + 3 * 4 ** 2 / -8", {}) == 2 + 3 * 4**2 / -8


def test_curves_combine_point_by_point_and_with_numbers():
    curves = {"a": (1.0, 2.0, 3.0), "b": (0.5, 2.5, 1.0)}
    assert evaluate("a - b", curves) == (0.5, -0.5, 2.0)
    assert evaluate("max(a - b)", curves) == 2.0
    assert evaluate("mean(2 * a)", curves) == (2 + 4 + 6) / 3
    assert evaluate("abs(b - a)", curves) == (0.5, 0.5, 2.0)


def test_the_exponent_of_a_square_law_is_two():
    sizes = (4.0, 16.0, 64.0)
    assert evaluate("exponent(s, c)", {"s": sizes, "c": tuple(7 * s**2 for s in sizes)}) == pytest.approx(2.0)
    assert evaluate("exponent(list(1, 10), list(5, 50))", {}) == pytest.approx(1.0)


def test_names_come_in_reading_order_once_and_without_functions():
    assert names("max(loss_b - loss_a) + loss_a * 2") == ["loss_b", "loss_a"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("__import__('os').system('true')", "no function"),
        ("H1.real", "a dot after a name"),
        ("[x for x in H1]", "a list is written list"),
        ("H1 if H2 else 0", "there is no 'if'"),
        ("lambda: 1", "no function can be made"),
        ("'text'", "not a number"),
        ("True", "not a number"),
        ("H1 and H2", "'and' and 'or' join no numbers"),
        ("mxa(H1)", "Did you mean 'max'?"),
        ("max(H1, default=0)", "with values alone"),
        ("H1 -", "no expression"),
        ("", "no expression"),
        ("H1 < H2", "the keys 'above', 'below' and 'between' compare"),
        ("H1 ^ 2", "a power is written"),
        ("[H1, H2]", "a list is written list"),
        ("max(*H1)", "with values alone"),
        ("sqrt(H1, H2)", "sqrt is called sqrt.x., found 2 arguments"),
        ("abs()", "abs is called abs.x., found no arguments"),
        ("mean()", "mean is called mean.a, b, …., found no arguments"),
        ("exponent(H1)", "exponent is called exponent.sizes, costs., found 1 argument"),
        ("H1 if", "no expression"),
        ("1e999", "too large"),
        ("9" * 400, "too large"),
        ("9" * 3000, "too long"),
        ("+".join(["H1"] * 1000), "too long"),
        ("-" * 1500 + "1", "too deep"),
        ("(" * 300 + "1" + ")" * 300, "no expression|too deep"),
        ("-" * 5_000 + "1", "too long"),
        ("-" * 100_000 + "1", "too long"),
        ("9**9**9**9", "a number on the way is too large"),
        ("1e300 * 1e300", "a number on the way is too large"),
        ("(0-8)**0.5", "not a real number"),
        ("0 ** (0-1)", "division by zero"),
        ("log(0)", "log.x. needs a number above 0; got 0"),
        ("sqrt(0 - 4)", "sqrt.x. needs a number that is not below 0; got -4"),
        ("exponent(list(1, 2), list(1, 0))", "needs numbers above 0"),
        ("exponent(list(2, 2), list(1, 3))", "needs sizes that differ"),
    ],
)
def test_anything_else_is_refused_by_name(text, part):
    with pytest.raises(UsageError, match=part.replace("?", r"\?")) as caught:
        evaluate(text, PUBLISHED)
    # Words of the suite, not of the language that it is read with.
    assert not any(word in str(caught.value) for word in ("float", "math domain", "Traceback", "invalid syntax"))
    assert len(str(caught.value)) < 400


def test_a_missing_name_a_zero_division_and_uneven_curves_are_said():
    with pytest.raises(UsageError, match=r"no value for 'H9'\. Known: H1, H2"):
        evaluate("H9", PUBLISHED)
    with pytest.raises(UsageError, match="division by zero"):
        evaluate("1 / (H1 - H1)", PUBLISHED)
    with pytest.raises(UsageError, match="different length: 2, 3 points"):
        evaluate("a + b", {"a": (1.0, 2.0), "b": (1.0, 2.0, 3.0)})


def test_a_calculation_is_written_out_with_its_numbers():
    assert written_out("H2 - H1", PUBLISHED) == "82.27 - 76.71"
    assert written_out("k ** 2 * c", {"k": 3.0, "c": 128.0}) == "3 ^ 2 × 128"
    assert written_out("1.9e4 * 1e9 / t", {"t": 8e12}) == "19,000 × 1e9 / 8e12"
    assert number(147456.0) == "147,456"
    assert number(7.5e18) == "7.5e18"


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_evaluation_agrees_with_python(a, b):
    assert evaluate("(a + b) * 2 - a", {"a": a, "b": b}) == (a + b) * 2 - a

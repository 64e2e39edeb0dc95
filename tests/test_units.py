"""Units in expressions: what does not fit is refused with what to write, what differs in scale is converted once."""

# ruff: noqa: E501
import pytest

from bench.errors import UsageError
from bench.records import units
from bench.records.metrics import METRICS, UNITS
from bench.records.units import Unit
from bench.suite.expression import evaluate
from bench.suite.units_of import Named, converted, named, problems, published

NAMES = {
    "m": Named(units.of("macs")),
    "f": Named(units.of("flops")),
    "rate": Named(units.of("flops/s")),
    "t": Named(units.of("s")),
    "hours": Named(units.of("h")),
    "minutes": Named(units.of("min")),
    "price": Named(units.of("usd/h")),
    "p": Named(units.of("parameters")),
    "images": Named(units.of("images")),
    "epochs": Named(units.of("epochs")),
    "fps": Named(units.of("images/s")),
    "acc": Named(units.of("%")),
    "other": Named(units.of("%")),
    "gain": Named(units.of("points")),
    "loss": Named(units.of("nats")),
    "r": Named(units.of("ratio")),
    "width": Named(units.of("1"), size=True),
    "as_one": Named(units.of("flops/macs")),
    "curve": Named(units.of("nats"), curve=True),
    "clock": Named(units.of("s"), curve=True, clocked=True),
}


def test_every_unit_that_a_number_can_be_written_in_has_a_dimension():
    assert {name: units.of(name) for name in UNITS}
    assert {metric.unit for metric in METRICS.values()} <= UNITS.keys()


@pytest.mark.parametrize(
    ("text", "unit", "whole"),
    [
        ("m", "flops", "2 * m"),
        ("f", "macs", "f / 2"),
        ("3 * m * images * epochs", "flops", "2 * 3 * m * images * epochs"),
        ("m * as_one", "flops", "m * as_one"),  # a source that counts a multiply-accumulate as one
        ("f / rate", "h", "f / rate / 3600"),
        ("t", "h", "t / 3600"),
        ("hours + t", "h", "hours + t / 3600"),
        ("hours - (t - minutes)", "h", "hours - ((t - 60 * minutes) / 3600)"),
        ("max(hours, t, minutes)", "h", "max(hours, t / 3600, minutes / 60)"),
        ("epochs * minutes", "h", "epochs * minutes / 60"),
        ("t * price", "usd", "t * price / 3600"),
        ("images / t", "images/s", "images / t"),
        ("t ** 2 / t", "h", "t ** 2 / t / 3600"),
        ("sqrt(t * t)", "s", "sqrt(t * t)"),
        ("p / p", "%", "100 * p / p"),
        ("1 - p / p", "%", "100 * (1 - p / p)"),
        ("acc", "ratio", "acc / 100"),
        ("acc / other", "ratio", "acc / other"),
        ("acc - other", "points", "acc - other"),
        ("acc - other", "ratio", "(acc - other) / 100"),
        ("acc - 100 * r", "points", "acc - 100 * r"),
        ("acc - r", "points", "acc - 100 * r"),
        ("acc - gain", "%", "acc - gain"),
        ("mean(acc, other)", "%", "mean(acc, other)"),
        ("max(acc, other) - min(acc, other)", "points", "max(acc, other) - min(acc, other)"),
        ("max(0, acc - other)", "points", "max(0, acc - other)"),
        ("width * width * 3 + width", "parameters", "width * width * 3 + width"),
        ("p + 768", "parameters", "p + 768"),  # a number of things and so many more
        ("loss - log(width)", "nats", "loss - log(width)"),
        ("exp(loss)", "1", "exp(loss)"),
        ("exponent(list(16, 64), list(m, m))", "exponent", "exponent(list(16, 64), list(m, m))"),
        ("1.9e4 * 1e9", "flops", "1.9e4 * 1e9"),  # digits alone are in the unit that is asked
        ("mean(curve)", "nats", "mean(curve)"),
        ("clock", "s", "clock"),
    ],
)
def test_what_fits_is_converted_by_a_factor_that_can_be_read(text, unit, whole):
    assert converted(text, unit, NAMES) == whole


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("2 * m", "flops"),
        ("2 * 3 * m * images", "flops"),
        ("m / 2 + 0.5 * m", None),
        ("f / rate / 3600", "h"),
        ("t / 60 / 60", "h"),
        ("hours + t / 3600", "h"),
        ("100 * (1 - p / p)", "%"),
        ("100 - 100 * p / p", "%"),
        ("100 * max(r, p / p)", "%"),
        ("max(100 * r, 100 * p / p)", "%"),
        ("acc / 100", "ratio"),
    ],
)
def test_a_conversion_written_by_hand_is_not_made_again(text, unit):
    assert converted(text, unit, NAMES) == text


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("p", "%", "unit '%', but p is in parameters: write a quotient of two such values, or unit 'parameters'"),
        ("p", "flops", "unit 'flops', but p is in parameters: write unit 'parameters'"),
        ("m / t", "flops", "unit 'flops', but m / t is in macs / s: write unit 'macs/s'"),
        ("images", "epochs", "unit 'epochs', but images is in images: write unit 'images'"),
        ("r", "parameters", "unit 'parameters', but r is a pure number"),
        ("acc - other", "%", "unit '%', but acc - other is in points: a difference of two % is in points; write unit 'points'"),
        ("acc", "points", "unit 'points', but acc is in %: only a difference of two % is; write unit '%'"),
        ("m + p", "macs", "'m + p': m is in macs, and p is in parameters: a sum needs one kind of unit"),
        ("max(t, m)", "s", "max() needs one kind of unit"),
        ("list(t, p)", "s", "a list needs one kind of unit"),
        ("acc + 5", "%", "'acc + 5': 5 is a bare number, and acc is in %: make it a quantity"),
        ("100 - acc", "%", "100 is a bare number"),
        ("m - 1000", "macs", "1000 is a bare number"),
        ("gain - acc", "points", "a difference cannot join them"),
        ("log(m)", "1", "log(x) needs a pure number; m is in macs: a ratio of two such values is one"),
        ("exp(t)", "1", "exp(x) needs a pure number"),
        ("t ** p", "s", "an exponent is a pure number; p is in parameters"),
        ("t ** 0.7", "s", "t is in s, which can only be raised to a whole number"),
        ("t ** width", "s", "which can only be raised to a whole number"),
        ("sqrt(hours)", "h", "a root of h cannot be taken"),
        ("6 * m * images", "flops", "is the conversion by 2 part of the 6"),
        ("t / 60", "h", "is the conversion by 3600 part of the 60"),
        ("2 * m + m", "flops", "only a part of it is converted by 2"),
        ("curve - loss", "nats", "'curve - loss' is a curve, not one number: reduce it with max, min or mean"),
        ("list(p, p)", "parameters", "'list(p, p)' is a list of 2 numbers, not one number: reduce it"),
        ("mean(list(1, 2) + list(1, 2, 3))", "1", "lists of different length: 2 and 3 numbers"),
        ("exponent(list(1, 2, 3), list(m, m))", "exponent", "exponent(sizes, costs) needs two lists of equal length, at least 2; got 3 and 2"),
        ("exponent(m, m)", "exponent", "exponent(sizes, costs) takes two lists"),
        ("exponent(list(1), list(m))", "exponent", "at least 2; got 1 and 1"),
        ("exponent(list(m, m), list(16, 64))", "exponent", "the sizes come first"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_what_to_write(text, unit, message):
    with pytest.raises(UsageError) as caught:
        converted(text, unit, NAMES)
    assert message in str(caught.value)


def test_a_conversion_changes_the_scale_and_nothing_else():
    # 1 h + 1800 s = 1.5 h; 2 FLOPs a multiply-accumulate.
    assert evaluate(converted("hours + t", "h", NAMES), {"hours": 1.0, "t": 1800.0}) == 1.5
    assert evaluate(converted("m", "flops", NAMES), {"m": 4.39e9}) == 8.78e9
    assert evaluate(converted("1 - acc / other", "%", NAMES), {"acc": 30.0, "other": 40.0}) == 25.0


def test_products_and_powers_combine_their_exponents():
    assert units.of("flops").times(units.of("flops/s"), -1) == units.of("s")
    assert units.of("h").to_the(2) == Unit({"s": 2}, 3600**2)
    assert str(units.of("h").times(units.of("images"))) == "h × images"
    assert str(units.of("images/s")) == "images / s"


def test_an_unknown_unit_names_the_known_ones():
    with pytest.raises(UsageError, match=r"no unit 'parms/s'\. Did you mean 'parameters'\? Known: flops, macs, s"):
        units.of("parms/s")


def test_the_names_of_a_suite_have_the_units_of_their_metrics_and_claims():
    raw = {
        "quantities": {
            "size": {"metric": "params"},
            "losses": {"metric": "test_loss", "at": "all"},
            "patch": {"value": 16, "unit": "1"},
            "wrong": {"value": 16, "unit": "seconds"},
        },
        "claims": {"A": {"published": 5, "unit": "%"}, "B": {"unit": "%"}},
    }
    found = named(raw)
    assert sorted(found) == ["A", "losses", "patch", "size"]
    assert found["size"].unit == units.of("parameters")
    assert (found["losses"].curve, found["patch"].size, found["size"].size) == (True, True, False)


def test_what_published_numbers_cannot_give_is_said_before_anything_is_measured():
    raw = {"claims": {"A": {"published": 0, "unit": "1"}}}
    assert list(problems("1 / A", "1", named(raw), published(raw))) == ["'1 / A': division by zero: 1 / 0"]
    (problem,) = problems("(0-8)**0.5", "1", named(raw), published(raw))
    assert problem.endswith("-8 ** 0.5 is not a real number: a number below 0 can only be raised to a whole power")

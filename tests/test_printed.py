"""A number as its source prints it gives value, tolerance and reason, and is shown again in its source's own unit."""

import pytest

from bench.records.printed import read
from bench.statistics.intervals import Interval
from bench.suite.claim import Check
from bench.suite.draft import drafted
from bench.suite.references import reference_problems
from bench.verdicts.bands import Band, against, measured
from tests import making


@pytest.mark.parametrize(
    ("text", "beside", "value", "unit", "tolerance"),
    [
        ("73 M", "parameters", 73e6, "parameters", 0.5e6),  # half a million
        ("73M", "parameters", 73e6, "parameters", 0.5e6),
        ("15.8M params", None, 15.8e6, "parameters", 0.05e6),
        ("25.6 million", "parameters", 25.6e6, "parameters", 0.05e6),
        ("7B", "parameters", 7e9, "parameters", 0.5e9),
        ("512 B", "bytes", 512, "bytes", 0.5),
        ("60 MB", None, 60e6, "bytes", 0.5e6),
        ("60 MiB", None, 60 * 2**20, "bytes", 2**19),
        ("1.03 GMACs", None, 1.03e9, "macs", 5e6),
        ("300 M mult-adds", None, 300e6, "macs", 0.5e6),
        ("4.4 G", "macs", 4.4e9, "macs", 0.05e9),
        ("1.9×10^4 GFLOPs", None, 1.9e13, "flops", 0.05e13),
        ("1.9 × 10⁴ GFLOPs", None, 1.9e13, "flops", 0.05e13),
        ("1.9e4 GFLOPs", None, 1.9e13, "flops", 0.05e13),
        ("1.9 x 10**4 GFLOPs", None, 1.9e13, "flops", 0.05e13),
        ("(1.9 ± 0.1)×10^4 GFLOPs", None, 1.9e13, "flops", 0.1e13),
        ("4.1 GFLOPS", "flops", 4.1e9, "flops", 0.05e9),
        ("5 TFLOPS", "flops/s", 5e12, "flops/s", 0.5e12),
        ("75.96 %", None, 75.96, "%", 0.005),
        ("75,96\u202f%", None, 75.96, "%", 0.005),
        ("75.96 ± 0.12 %", None, 75.96, "%", 0.12),
        ("75.96 % ± 0.12 %", None, 75.96, "%", 0.12),
        ("75.96(12) %", None, 75.96, "%", 0.12),  # 12 units of the last digit
        ("\u22121.17 %", "points", -1.17, "points", 0.005),
        ("46.5 s", None, 46.5, "s", 0.05),
        ("12.5 ms", None, 0.0125, "s", 0.00005),
        ("5 days", None, 120, "h", 12),
        ("1,281,167", "images", 1_281_167, "images", 0.5),
        ("1\u2009281\u2009167", "images", 1_281_167, "images", 0.5),
        ("1.281.167", "images", 1_281_167, "images", 0.5),
        ("1,471 img/s", None, 1471, "images/s", 0.5),
        ("1.8×", None, 1.8, "ratio", 0.05),
        ("$0.35/h", None, 0.35, "usd/h", 0.005),
        ("~88", "%", 88, "%", 0.5),
        ("31.2 mAP", "mAP", 31.2, "mAP", 0.05),
    ],
)
def test_a_printed_number_gives_value_unit_and_half_a_unit_of_its_last_digit(text, beside, value, unit, tolerance):
    found = read(text, beside)
    assert (found.value, found.unit) == (pytest.approx(value, rel=1e-15), unit)
    assert found.tolerance == pytest.approx(tolerance, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "beside", "words"),
    [
        ("73 M", None, "has no unit"),
        ("7B", None, "bytes or billions"),
        ("4.1 GFLOPS", None, "operations or operations a second"),
        ("75,960 %", None, "may be 75.960 or 75960"),
        ("20 min", "h", "unit says 'h'"),
        ("3 bananas", None, "no unit 'bananas'"),
        ("about a third", None, "begins with no number"),
        ("1.9 ± 0.1×10^4 s", None, "where the power belongs to both"),
    ],
)
def test_what_has_two_readings_is_refused_with_both(text, beside, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        read(text, beside)


def check(**said) -> Check:
    return Check.model_validate({"says": "it", "kind": "recount", **said})


def test_a_check_takes_value_tolerance_and_reason_from_the_print_unless_it_says_its_own():
    found = check(printed="73 M", unit="parameters")
    assert (found.published, found.tolerance) == (73e6, 0.5e6)
    assert found.tolerance_why == "printed as '73 M', so half a unit of its last digit, 0.5 M"
    own = check(printed="73 M", unit="parameters", tolerance=0.0, tolerance_why="counted")
    assert (own.tolerance, own.tolerance_why) == (0.0, "counted")
    assert check(printed="5.6 %", above=0.0, tolerance_why="better at all").tolerance is None


def test_no_number_is_shown_in_another_unit_than_its_source_s():
    size = Band.of(check(printed="60 MB"))
    assert size.words == "the published 60 MB (± 0.5 MB)"
    assert measured(Interval(60e6, 60e6, 60e6, "exact", 1), size.unit, "") == "60.0 MB"
    work = Band.of(check(printed="1.9×10^4 GFLOPs"))
    assert work.words == "the published 1.9×10^4 GFLOPs (± 0.05×10^4 GFLOPs)"
    assert measured(Interval(*[1.925e13] * 3, "exact", 1), work.unit, "") == "19,250 GFLOPs"
    small = Band.of(check(printed="1.03 GMACs"))
    assert measured(Interval(*[9.6e6] * 3, "exact", 1), small.unit, "") == "0.0096 GMACs"
    # 73,075,392 - 73 M = 75,392
    assert against(73e6, 73_075_392, "parameters", "lower", "73 M").startswith("off by +75,392 parameters: more")


def problems(**said) -> list[str]:
    raw = making.suite().model_dump(by_alias=True, exclude_unset=True)
    claim = {"says": "It is so", "kind": "recount", "source": "paper", "where": "Table 1", "follows": "q", **said}
    constant = {"value": 73e6, "unit": "parameters", "source": "paper"}
    draft, misshapen = drafted(raw | {"claims": {"C1": claim}, "quantities": {"q": constant}})
    return [*misshapen, *reference_problems(draft)]


def test_a_mistake_in_a_print_is_told_at_its_key_alone():
    assert problems(printed="73 M", unit="parameters") == []
    (told,) = problems(printed="73 M")
    assert told.startswith("[claims.C1]: printed: '73 M' has no unit")
    (told,) = problems(printed="73 M", unit="parameters", published=75e6)
    assert told == ("[claims.C1]: printed: '73 M' is 73000000 parameters, and published says 75000000: leave one out")


def test_a_constant_may_be_printed_too():
    made = making.suite(quantities={"work": {"printed": "1.9×10^4 GFLOPs", "source": "paper"}})
    assert (made.quantities["work"].value, made.quantities["work"].unit) == (1.9e13, "flops")

"""Numbers are written for a reader: enough digits, the right unit, and never a difference of percentages in percent."""

import pytest

from bench.records.written import (
    amount,
    as_printed,
    change,
    difference_unit,
    published,
    quantity,
    scale,
    span,
    tolerance,
)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (147_456, "parameters", "147,456 parameters"),
        (76.705, "%", "76.70 %"),
        (1.6104, "ratio", "1.610 ×"),
        (0.00028, "ratio", "0.00028 ×"),  # not 0.000 ×
        (0.0042, "s", "4.20 ms"),
        (5400, "s", "1.50 h"),
        (7.5e18, "flops", "7.5 × 10¹⁸ FLOPs"),
        (42_337_536, "macs", "42.3 MMACs"),
        (0.0, "ratio", "0.000 ×"),
        (-0.37, "points", "−0.37 points"),
    ],
)
def test_a_quantity_has_the_digits_that_matter(value, unit, text):
    assert quantity(value, unit) == text


def test_a_value_and_its_interval_share_one_scale():
    chosen = scale("bytes", 3 * 1024**2, 900)
    assert (chosen.unit, chosen.text(3 * 1024**2), chosen.text(900)) == ("MiB", "3.00", "0.00")


def test_a_published_number_keeps_the_digits_it_was_printed_with():
    assert published(48.2, "%") == ("48.20", "%")
    assert published(88, "%") == ("88", "%")
    assert published(0.7, "nats") == ("0.70", "nats")


def test_a_difference_of_percentages_is_in_points():
    assert difference_unit("%") == "points"
    assert difference_unit("s") == "s"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (60e6, "bytes", "60 MB"),  # not 57.2 MiB
        (1.5e9, "bytes", "1.5 GB"),
        (60 * 1024**2, "bytes", "60 MiB"),
        (8 * 1024, "bytes", "8 KiB"),
        (512, "bytes", "512 bytes"),
        (5400, "s", "5,400 s"),  # a source with hours has the unit h
        (48.05, "s", "48.05 s"),
        (0.0042, "s", "4.2 ms"),
        (4.124e9, "macs", "4.124 GMACs"),
        (1.0345e19, "flops", "1.0345 × 10¹⁹ FLOPs"),
        (8.8e9, "flops", "8.8 GFLOPs"),
        (16e12, "flops/s", "16 TFLOP/s"),
        (-0.125, "points", "−0.125 points"),
        (1_281_167, "images", "1,281,167 images"),
        (0.001, "ratio", "0.001 ×"),
        (0, "elements", "0 elements"),
    ],
)
def test_a_published_number_is_reprinted_in_its_own_unit_with_all_its_digits(value, unit, text):
    assert " ".join(published(value, unit)) == text


def test_what_is_measured_is_written_in_the_steps_of_what_was_published():
    assert quantity(61.2e6, as_printed("bytes", 60e6)) == "61.2 MB"
    assert quantity(61.2e6, as_printed("bytes", 60 * 1024**2)) == "58.4 MiB"  # 61.2e6 / 1024² = 58.36
    assert quantity(4000, as_printed("s", 48.05)) == "4,000 s"


@pytest.mark.parametrize(
    ("allowed", "unit", "value", "text"),
    [
        (5e7, "macs", 3e9, "0.05 GMACs"),  # not 5 × 10⁷ MACs, nor 50,000,000 MACs
        (5e16, "flops", 7.5e18, "0.05 × 10¹⁸ FLOPs"),
        (2e6, "bytes", 60e6, "2 MB"),
        (0.5e12, "flops/s", 16e12, "0.5 TFLOP/s"),
        (1.0, "%", 76.71, "1.0 points"),
        (0.0005, "s", 0.0042, "0.5 ms"),
        (50_000, "parameters", 51.6e6, "50,000 parameters"),
        (0.36, "ratio", 3.6, "0.36×"),
    ],
)
def test_a_tolerance_has_the_unit_and_the_scale_of_its_number(allowed, unit, value, text):
    assert tolerance(allowed, unit, value) == text


def test_as_many_digits_are_shown_as_tell_two_numbers_apart():
    chosen = scale("macs", 1.0342e9)
    assert chosen.text(1.0342e9) == chosen.text(1.03e9) == "1.03"
    finer = chosen.apart([1.0342e9], [1.03e9])
    assert (finer.text(1.0342e9), finer.text(1.03e9)) == ("1.034", "1.030")
    power = scale("flops", 7.5e18).apart([7.5001e18], [7.5e18])
    assert power.text(7.5001e18) == "7.5001 × 10¹⁸"
    # The last bits of a calculation are no difference: 82.27 - 76.71 is 5.5600000000000005.
    assert scale("points", 5.56).apart([82.27 - 76.71], [5.56]).text(82.27 - 76.71) == "5.56"


def test_a_small_difference_is_not_written_as_none():
    assert amount(0.004, "points") == "+0.004 points"
    assert amount(0.0, "points") == "0.00 points"


def test_hours_and_changes_are_written_as_a_person_says_them():
    assert [span(hours) for hours in (420, 3.24, 0.3875, 0.0004)] == ["420 h", "3.2 h", "23.2 min", "1.4 s"]
    assert [change(ratio) for ratio in (1.021, 0.97, 1.0, 1.00001, 3)] == [
        "+2.10 %",
        "\N{MINUS SIGN}3.00 %",
        "0.00 %",
        "under 0.01 %",
        "3.00 ×",
    ]

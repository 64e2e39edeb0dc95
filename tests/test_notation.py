"""Numbers are written for a reader: enough digits, the right unit, and never a difference of percentages in percent."""

import pytest

from bench.records.written import difference_unit, published, quantity, scale


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

"""Two models on the same test images: counted, tested exactly, and shown with the verdict that they do not decide."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records.packed import packed_bits, unpacked_bits
from bench.verdicts.paired import bootstrap


@given(st.lists(st.booleans(), max_size=70))
def test_bits_come_back_in_their_order(flags):
    assert unpacked_bits(packed_bits(flags)) == flags


def test_ten_thousand_bits_are_1674_characters():
    # 10,000 / 8 = 1,250 bytes; base64 writes 4 characters for 3 bytes: 4 * ceil(1250 / 3) = 1,668; and `10000:`.
    assert len(packed_bits([True, False] * 5000)) == 4 * math.ceil(1250 / 3) + len("10000:")


def test_bits_that_do_not_fit_their_count_are_refused():
    with pytest.raises(ValueError, match="9 bits where 8"):
        unpacked_bits("8:" + packed_bits([True] * 9).partition(":")[2])


def test_the_bootstrap_has_the_spread_of_a_paired_difference():
    # Var of the mean of -1, 0, 1: (b + c - (b - c)^2 / n) / n^2 = (900 - 100^2 / 10,000) / 10,000^2; 1.96 sd in points.
    found = bootstrap(500, 400, 10_000, seed=0)
    half = 100 * 1.96 * math.sqrt(900 - 100**2 / 10_000) / 10_000
    assert found.point == pytest.approx(1.0)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.05)

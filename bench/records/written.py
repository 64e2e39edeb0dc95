"""How numbers are written for a reader: digits, thousands, units, signs.

Rounds for the eye only and computes nothing; a difference of percentages is written in points, never in percent.
"""

import math
import re
from dataclasses import dataclass

from bench.records.metrics import UNITS

MINUS = "\N{MINUS SIGN}"
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")

# unit -> decimals, for units that keep one scale.
_DECIMALS = {"%": 2, "points": 2, "nats": 3, "ratio": 3, "exponent": 2}
# (smallest magnitude, factor, unit as written), largest first.
_STEPS = {
    "s": ((3600, 3600, "h"), (1, 1, "s"), (1e-3, 1e-3, "ms"), (0, 1e-6, "µs")),
    "bytes": ((1024**3, 1024**3, "GiB"), (1024**2, 1024**2, "MiB"), (1024, 1024, "KiB"), (0, 1, "bytes")),
    "macs": ((1e12, 0, "MACs"), (1e9, 1e9, "GMACs"), (1e7, 1e6, "MMACs"), (0, 1, "MACs")),
    "flops": ((1e12, 0, "FLOPs"), (1e9, 1e9, "GFLOPs"), (1e7, 1e6, "MFLOPs"), (0, 1, "FLOPs")),
    "flops/s": ((1e12, 1e12, "TFLOP/s"), (1e9, 1e9, "GFLOP/s"), (0, 1, "FLOP/s")),
}
_COUNTS = {"parameters", "elements", "bytes", "macs", "flops", "images", "tokens", "epochs"}


_NUMBER_AND_UNIT = re.compile(r"(\d) (%|×|points|parameters|images/s|nats|ms|h|s|GiB|MiB|epochs)(?![\w])")


@dataclass(frozen=True)
class Scale:
    """One way of writing the numbers of one quantity, so that a value and its interval share digits and unit."""

    unit: str
    factor: float = 1.0
    decimals: int | None = 0  # None: a power of ten

    def text(self, value: float) -> str:
        """The number alone, without its unit."""
        if self.decimals is None:
            return _power(value)
        shown = f"{abs(value) / self.factor:,.{self.decimals}f}"
        below_zero = value < 0 and shown.strip("0.,")
        return f"{MINUS}{shown}" if below_zero else shown

    def signed(self, value: float) -> str:
        """The number with its sign, also when it is above zero."""
        text = self.text(value)
        return text if text.startswith(MINUS) or not text.strip("0.,") else f"+{text}"


def scale(unit: str | None, *values: float) -> Scale:
    """The scale on which all `values` of `unit` can be read side by side; the largest magnitude decides."""
    unit = unit or "1"
    largest = max((abs(value) for value in values), default=0.0)
    written = UNITS.get(unit, unit)
    if unit in _STEPS:
        factor, written = next((factor, name) for least, factor, name in _STEPS[unit] if largest >= least)
        if factor == 0:
            return Scale(written, decimals=None)
        return Scale(written, factor, _digits(largest / factor) if factor != 1 or unit not in _COUNTS else 0)
    if unit in _COUNTS and all(float(value).is_integer() for value in values):
        return Scale(written)
    decimals = _DECIMALS.get(unit, _digits(largest))
    if unit == "ratio" and 0 < largest < 0.01:
        decimals = 1 - math.floor(math.log10(largest))  # 0.00028×, not 0.000×: two digits of it are always shown
    return Scale(written, decimals=decimals)


def published(value: float, unit: str | None) -> tuple[str, str]:
    """A published number with the digits it was printed with, and its unit.

    A suite holds 48.20 as 48.2 and 0.70 as 0.7: percentages, points and losses get both their decimals back.
    """
    chosen = scale(unit, value)
    if unit in ("%", "points") and not float(value).is_integer():
        return chosen.text(value), chosen.unit
    if chosen.decimals is None or chosen.factor != 1:
        text = chosen.text(value)
        return (text.rstrip("0").rstrip(".") if "." in text and "×" not in text else text), chosen.unit
    shortest = f"{abs(value):,}".removesuffix(".0")
    if unit == "nats" and "." in shortest:
        shortest = f"{shortest}0" if len(shortest.partition(".")[2]) == 1 else shortest
    return (f"{MINUS}{shortest}" if value < 0 else shortest), chosen.unit


def difference_unit(unit: str | None) -> str | None:
    """The unit of a difference: points for percent, otherwise the same."""
    return "points" if unit == "%" else unit


def quantity(value: float, unit: str | None) -> str:
    """A number with its unit, as it stands in a sentence."""
    chosen = scale(unit, value)
    return f"{chosen.text(value)} {chosen.unit}".rstrip()


def kept_together(text: str) -> str:
    """The text with spaces that do not break between a number and its unit."""
    return _NUMBER_AND_UNIT.sub("\\1\N{NO-BREAK SPACE}\\2", text)


def _digits(magnitude: float) -> int:
    """Decimals that leave about three significant digits."""
    return 0 if magnitude >= 100 else 1 if magnitude >= 10 else 2 if magnitude >= 0.1 else 3


def _power(value: float) -> str:
    mantissa, exponent = f"{value:.2e}".split("e")
    text = f"{mantissa.rstrip('0').rstrip('.')} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    return text.replace("-", MINUS)


def duration(length_s: float | None) -> str:
    """`42 s`, `7 min`, `3.2 h`: a length as a person says it."""
    if length_s is None:
        return "unknown"
    if length_s < 90:
        return f"{length_s:.0f} s"
    return f"{length_s / 60:.0f} min" if length_s < 5400 else f"{length_s / 3600:.1f} h"


def number(value: float) -> str:
    """A number as a reader writes it: 147,456 and 0.55 and 7.5e18."""
    if value == 0 or 1e-3 <= abs(value) < 1e9:
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.6g}"
    return f"{value:.4g}".replace("e+0", "e").replace("e+", "e")

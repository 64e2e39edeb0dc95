"""Tables as CSV that a spreadsheet opens as it stands: no text cell can be taken for a formula.

Rounds nothing; a number stays the number it was.
"""

import csv
import io
from collections.abc import Hashable, Mapping, Sequence
from numbers import Number
from typing import Any, TypeVar

Key = TypeVar("Key", bound=Hashable)  # a column's name: a text, but to pandas whatever has a hash
# What a spreadsheet takes for the beginning of a formula, or steps over before it looks for one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

_NOTHING = ("None", "nan", "<NA>", "NaT")  # what is no text and looks like this is a value that is not there


def csv_text(records: Sequence[Mapping[Key, Any]], columns: Sequence[Key] | None = None) -> str:
    """Records as CSV with a head line; what is None or NaN is an empty field.

    Args:
        columns: their order; that of the first record when not given.
    """
    names = list(columns if columns is not None else records[0] if records else ())
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow([cell(name) for name in names])
    table.writerows([cell(record.get(name)) for name in names] for record in records)
    return out.getvalue()


def cell(value: Any) -> Any:
    """A value as it stands in a field: numbers as they are, text with a `'` before what would begin a formula."""
    if isinstance(value, Number) and value == value:
        return value
    if not isinstance(value, str) and str(value) in _NOTHING:
        return ""
    text = str(value).replace("\r\n", "\n").replace("\r", "\n")  # the writer does not quote a lone carriage return
    return f"'{text}" if text.startswith(_FORMULA) else text

"""Rows as CSV text that git can hold: equal rows make equal bytes, and every value reads back as it was.

A null is an empty field, an empty text is `""`, a float is the shortest text that reads back as the same float. A text
that a spreadsheet would take for a formula has a `'` before it, which is taken off when it is read. Knows nothing of
what the rows mean.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pyarrow.compute
import pyarrow.csv

from bench import files
from bench.errors import StoreError
from bench.store.delta import told

# A column that only this kind of rows has: the first line of a file tells what it holds.
_TELLING = {"measurements": "metric", "environments": "packages_json", "sources": "text"}
# The order in which a person would read them; all other columns follow, so that it depends on the rows alone.
_FORMULA = r"'*[=+\-@\t\r\n]"  # how a formula begins, or what was once escaped already
_ORDER = ("started_at", "run_id", "case_id", "metric", "part", "epoch", "repeat")


def write_csv(rows: pyarrow.Table, path: Path) -> Path:
    """Write sorted rows; a file of that name is replaced at once or not at all. Raises StoreError."""
    names = dict.fromkeys([*_ORDER, *rows.schema.names])
    keys = [(name, "ascending") for name in names if name in rows.schema.names]
    with told(f"{path} cannot be written"), files.replaced(path) as new:
        pyarrow.csv.write_csv(_replaced(rows.sort_by(keys), f"^({_FORMULA})", r"'\1"), new)
    return path


def _replaced(rows: pyarrow.Table, pattern: str, by: str) -> pyarrow.Table:
    """The rows with what matches the pattern replaced in every text, where there is any."""
    for position, field in enumerate(rows.schema):
        plain = field.type.value_type if pyarrow.types.is_dictionary(field.type) else field.type
        if pyarrow.types.is_string(plain) or pyarrow.types.is_large_string(plain):
            texts = rows.column(position).cast(pyarrow.string())
            if pyarrow.compute.any(pyarrow.compute.match_substring_regex(texts, pattern)).as_py():
                changed = pyarrow.compute.replace_substring_regex(texts, pattern, by)
                rows = rows.set_column(position, field.name, changed.cast(field.type))
    return rows


def read_csv(paths: Sequence[Path], schema: pyarrow.Schema) -> pyarrow.Table:
    """The rows of several exports, a row that is in more than one only once; columns a file does not have are null.

    Raises:
        StoreError: a file is damaged; names it.
    """
    options = pyarrow.csv.ConvertOptions(
        column_types=schema,
        include_columns=schema.names,
        include_missing_columns=True,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
    read = []
    for path in paths:
        with told(f"{path} cannot be read"):
            found = pyarrow.csv.read_csv(path, parse_options=parsing, convert_options=options)
            read.append(_replaced(found, f"^'({_FORMULA})", r"\1"))
    rows = pyarrow.concat_tables([schema.empty_table(), *read])
    return rows.group_by(schema.names, use_threads=False).aggregate([]) if len(read) > 1 else rows


def kind_of(path: Path) -> str:
    """`measurements`, `environments` or `sources`: what an exported file holds. Raises StoreError where it is none."""
    with told(f"{path} cannot be read"), path.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file), [])
    for kind, column in _TELLING.items():
        if column in header:
            return kind
    raise StoreError(f"{path} is no export of bench: it holds neither measurements nor environments")

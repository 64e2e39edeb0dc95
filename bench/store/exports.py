"""Rows as CSV text that git can hold: equal rows make equal bytes, and every value reads back as it was.

A null is an empty field, an empty text is `""`, a float is the shortest text that reads back as the same float. Knows
nothing of what the rows mean.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pyarrow.csv

from bench import files
from bench.errors import StoreError
from bench.store.delta import told

# A column that only this kind of rows has: the first line of a file tells what it holds.
_TELLING = {"measurements": "metric", "environments": "packages_json", "sources": "text"}
# The order in which a person would read them; all other columns follow, so that it depends on the rows alone.
_ORDER = ("started_at", "run_id", "case_id", "metric", "part", "epoch", "repeat")


def write_csv(rows: pyarrow.Table, path: Path) -> Path:
    """Write sorted rows; a file of that name is replaced at once or not at all. Raises StoreError."""
    names = dict.fromkeys([*_ORDER, *rows.schema.names])
    keys = [(name, "ascending") for name in names if name in rows.schema.names]
    with told(f"{path} cannot be written"), files.replaced(path) as new:
        pyarrow.csv.write_csv(rows.sort_by(keys), new)
    return path


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
            read.append(pyarrow.csv.read_csv(path, parse_options=parsing, convert_options=options))
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

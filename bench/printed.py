"""Where a cell of a source's printed table finds the check that judges it: `C3`, or `C3.2` for the second `also` of C3.

Reads references and says what is wrong with them; looks at no rows.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from bench.cost import DEVICES
from bench.registry import near

Raw = Mapping[str, Any]


def reference(text: str) -> tuple[str, int]:
    """`C3` -> ("C3", 0), the main check; `C3.2` -> ("C3", 2). Raises ValueError where the number is none."""
    claim, _, number = text.partition(".")
    return claim, int(number or 0)


def problems(raw: Raw) -> Iterator[str]:
    """What is wrong with the references of `[tables.…]` in a raw suite; wrong shapes are the shape check's business."""
    for key, table in _tables(raw, "tables").items():
        if isinstance(table.get("source"), str) and table["source"] not in _tables(raw, "sources"):
            yield f"[tables.{key}]: source: no source '{table['source']}'.{near(table['source'], list(raw['sources']))}"
        columns = [column for column in table.get("columns", []) if isinstance(column, dict)]
        for column in columns:
            if isinstance(device := column.get("device"), str) and device not in DEVICES:
                yield f"[tables.{key}]: device: no device '{device}'.{near(device, list(DEVICES))}"
        for number, row in enumerate(table.get("rows", [])):
            if isinstance(row, dict):
                yield from _row_problems(f"[tables.{key}.rows.{number}]", row, len(columns), raw)


def _row_problems(where: str, row: Raw, columns: int, raw: Raw) -> Iterator[str]:
    training, checks = row.get("training"), row.get("checks", [])
    if isinstance(training, str) and training not in _tables(raw, "costs"):
        yield f"{where}: training: no cost '{training}'.{near(training, list(_tables(raw, 'costs')))}"
    if len(checks) > columns:
        yield f"{where}: checks: {len(checks)} for {columns} columns"
    claims = _tables(raw, "claims")
    for text in (text for text in checks if isinstance(text, str) and text):
        claim, _, number = text.partition(".")
        if claim not in claims:
            yield f"{where}: checks: no claim '{claim}'.{near(claim, list(claims))}"
        elif number and not (number.isdigit() and int(number) <= len(claims[claim].get("also", []))):
            yield f"{where}: checks: {claim} also says {len(claims[claim].get('also', []))} things, not a '{number}'"


def _tables(raw: Raw, name: str) -> dict[str, Raw]:
    found = raw.get(name)
    return {key: value for key, value in found.items() if isinstance(value, dict)} if isinstance(found, dict) else {}

"""A table of a source becomes models, quantities and claims, one pattern each: `factory = "timm:{model}"`.

Judges nothing and writes no file: what it makes stands in the suite as if an author had written it there.
"""

import csv
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from bench.errors import near
from bench.suite.claim import Kind
from bench.suite.fields import MetricName, Text, Unit
from bench.suite.table import Table

Row = Mapping[str, str]
LARGEST = 64_000_000  # bytes of a file
MOST_ROWS = 20_000
_SHOWN = 3  # problems of one kind; the others are counted
_NAME = re.compile(r"\{([^{}]+)\}")
# A cell that says that there is nothing.
_EMPTY = ("", "-", "–", "—", "n/a", "N/A", "na", "nan", "NaN", "null", "None", "?")
_OF_A_CHECK = ("says", "kind", "printed", "published", "unit", "tolerance", "tolerance_why", "min_seeds", "hardware")
_OF_A_QUANTITY = ("metric", "measure", "dataset", "recipe", "part", "at")


class TableCheck(Table):
    """What each row of a table claims. A name in braces stands for the cell of that column, {line} for its line."""

    says: Text = Field(description="The sentence of the claim: '{model} has {param_count} M parameters'.")
    kind: Kind = Field(default="recount", description="What kind of claim it is, as in a claim of its own.")
    printed: Text | None = Field(
        default=None, description="The number as the source prints it, unit and all: '{param_count} M'."
    )
    published: Text | None = Field(default=None, description="The number, where it is printed in base units.")
    unit: Unit | None = Field(default=None, description="Its unit, where `printed` has none.")
    tolerance: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="In place of half a unit of the last digit, for every row."
    )
    tolerance_why: str | None = Field(default=None, description="The reason for that tolerance.")
    min_seeds: Annotated[int, Field(ge=1)] | None = Field(default=None, description="Seeds that a verdict takes.")
    hardware: str | None = Field(default=None, description="Pattern of device names on which a speed counts.")
    metric: MetricName = Field(description="What is measured of the row's model.")
    measure: str | None = Field(default=None, description="The measure that it comes from, where several yield it.")
    dataset: str | None = Field(default=None, description="The data set of the quantity.")
    recipe: str | None = Field(default=None, description="The recipe of the quantity.")
    part: str | None = Field(default=None, description="The part of the model that the value is about.")
    at: str | None = Field(default=None, description="Of a curve: last, best or all.")


class ClaimTable(TableCheck):
    """A CSV file of a source: each row a model, a quantity and a claim. Rows with an empty cell claim nothing."""

    file: Text = Field(description="The CSV file, relative to the suite.")
    source: Text = Field(description="The key of the source that it is from.")
    title: str | None = Field(default=None, description="What the report calls the group of its claims.")
    where: Text = Field(default="{file}, line {line}", description="The place of a row in the source.")
    only: dict[str, str | list[str]] = Field(
        default={}, description="Column -> pattern, or several: only rows that match. { model = 'resnet*' }"
    )
    limit: Annotated[int, Field(ge=1)] | None = Field(default=None, description="Only so many of these rows.")
    id: Text = Field(
        description="The claim's key; what is no letter, digit or underscore becomes an underscore: '{model}'."
    )
    factory: str = Field(
        default="", description="The factory of the row's model: 'timm:{model}'. Left out, `model` names one."
    )
    model: Text | None = Field(default=None, description="The model's key; that of the claim when left out.")
    label: Text | None = Field(default=None, description="The model's label; the claim's id as it is when left out.")
    args: dict[str, Any] = Field(
        default={}, description="Arguments of the factory; a text may name columns, and a number in it is a number."
    )
    num_classes: int | str = Field(default=1000, description="Classes of the model, or the column: '{classes}'.")
    image_size: int | str = Field(default=224, description="Side of its images, or the column: '{img_size}'.")
    quote: str | None = Field(default=None, description="The words of the source.")
    note: str | None = Field(default=None, description="What a reader should know.")
    also: list[TableCheck] = Field(default=[], description="What else each row claims, of the same model.")


@dataclass
class Expanded:
    """A raw suite with what its tables make of their rows; what is wrong; what else its digest covers."""

    raw: dict[str, Any]
    problems: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    made: dict[str, tuple[str, int]] = field(default_factory=dict)  # key -> its table and line

    def told(self, problems: list[str]) -> list[str]:
        """Problems of rows by the key of their table, each kind once with its first rows."""
        kept: list[str] = []
        of_rows: dict[tuple[str, str], list[str]] = {}
        for problem in problems:
            found = re.match(r"\[(?:models|quantities|claims)\.(\w+)[\].]", problem)
            if not found or found[1] not in self.made:
                kept.append(problem)
                continue
            table, line = self.made[found[1]]
            text = re.sub(r"^\[[^\]]*\]:? ?", "", problem)
            of_rows.setdefault((table, _alike(text)), []).append(f"line {line}: {text}")
        for (table, _), texts in of_rows.items():
            kept += [f"[claim_tables.{table}]: {text}" for text in _first(texts)]
        return kept


def _alike(text: str) -> str:
    return re.sub(r"'[^']*'|[\d.,]+", "…", text)


def _first(texts: list[str]) -> list[str]:
    return [*texts[:_SHOWN], *([f"and {len(texts) - _SHOWN:,} more rows like these"] if len(texts) > _SHOWN else [])]


def expanded(raw: Mapping[str, Any], beside: Path) -> Expanded:
    """The raw suite with the models, quantities and claims of its tables.

    A table that is wrong itself is left as it is: the check of its shape has the words.
    """
    tables = raw.get("claim_tables")
    found = Expanded(dict(raw))
    if not isinstance(tables, Mapping):
        return found
    for name in ("models", "quantities", "claims"):
        inner = raw.get(name, {})
        if not isinstance(inner, dict):
            return found
        found.raw[name] = dict(inner)
    for key, text in tables.items():
        try:
            table = ClaimTable.model_validate(text)
        except ValidationError:
            continue
        kinds: dict[str, list[str]] = {}
        for problem in _fill(found, str(key), table, beside):
            kinds.setdefault(_alike(problem), []).append(problem)
        found.problems += [f"[claim_tables.{key}]: {text}" for texts in kinds.values() for text in _first(texts)]
    return found


def _fill(found: Expanded, key: str, table: ClaimTable, beside: Path) -> Iterator[str]:
    try:
        content = (beside / table.file).read_bytes()
    except OSError as error:
        yield f"file: '{table.file}' cannot be read: {error.strerror}"
        return
    if len(content) > LARGEST:
        yield f"file: '{table.file}' has {len(content):,} bytes, more than {LARGEST:,}"
        return
    found.digests.append(hashlib.sha256(content).hexdigest())
    text = content.decode("utf-8-sig", errors="replace")
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    columns = [str(name).strip() for name in reader.fieldnames or ()]
    if unknown := _unknown_columns(table, columns):
        yield from unknown
        return
    taken = 0
    for cells in reader:
        row = {
            str(name).strip(): (value or "").strip()
            for name, value in cells.items()
            if isinstance(value, (str, type(None)))
        }
        row |= {"line": str(reader.line_num), "file": Path(table.file).name}
        if not _chosen(row, table.only):
            continue
        if table.limit is not None and taken >= table.limit:
            break
        taken += 1
        if taken > MOST_ROWS:
            yield f"file: more than {MOST_ROWS:,} rows: choose with `only` or `limit`"
            return
        yield from _row(found, key, table, row)
    if not taken:
        yield f"only: no row of {table.file} matches"


def _unknown_columns(table: ClaimTable, columns: list[str]) -> list[str]:
    texts = table.model_dump(exclude_unset=True, exclude={"also", "only"})
    told = [(name, text) for name, value in texts.items() for text in _texts(value)]
    told += [
        (f"also[{number}].{name}", text)
        for number, check in enumerate(table.also)
        for name, value in check.model_dump(exclude_unset=True).items()
        for text in _texts(value)
    ]
    used = {column: name for name, text in told for column in _NAME.findall(text)}
    used |= dict.fromkeys(table.only, "only")
    known = [*columns, "line", "file"]
    return [
        f"{name}: no column '{column}'.{near(column, known)}" for column, name in used.items() if column not in known
    ]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _chosen(row: Row, only: Mapping[str, str | list[str]]) -> bool:
    return all(
        any(fnmatchcase(row[column], pattern) for pattern in ([asked] if isinstance(asked, str) else asked))
        for column, asked in only.items()
    )


def _row(found: Expanded, key: str, table: ClaimTable, row: Row) -> Iterator[str]:
    """The model, the quantities and the claim of a row."""
    checks = [each for each in (table, *table.also) if not _gap(each, row)]
    if not checks:
        return
    shown = _filled(table.id, row)
    claim = _key(shown)
    model = _key(_filled(table.model, row)) if table.model is not None else claim
    if claim in found.raw["claims"]:
        first = f"line {found.made[claim][1]}" if claim in found.made else "a claim of the suite"
        yield f"line {row['line']}: id: '{claim}' is already that of {first}: name a column that tells them apart in id"
        return
    if table.factory:
        made = _model(table, row, shown)
        if found.raw["models"].setdefault(model, made) != made:
            yield f"line {row['line']}: model: '{model}' is already another one: name in model what tells them apart"
            return
        found.made.setdefault(model, (key, int(row["line"])))
    said = []
    for check in checks:
        name = _quantity(found, claim, check, model, row)
        found.made[name] = (key, int(row["line"]))
        said.append(_check(check, row) | {"measured": name})
    about = {"source": table.source, "where": _filled(table.where, row), "group": table.title or key}
    about |= {name: _filled(text, row) for name in ("quote", "note") if (text := getattr(table, name))}
    found.raw["claims"][claim] = {**said[0], **about, "also": said[1:]}
    found.made[claim] = (key, int(row["line"]))


def _model(table: ClaimTable, row: Row, shown: str) -> dict[str, Any]:
    made = {"factory": _filled(table.factory, row), "label": _filled(table.label, row) if table.label else shown}
    sizes = {name: _number(_filled(str(getattr(table, name)), row)) for name in ("num_classes", "image_size")}
    return {**made, **sizes, **({"args": _args(table.args, row)} if table.args else {})}


def _args(value: Any, row: Row) -> Any:
    if isinstance(value, str):
        filled = _filled(value, row)
        return _number(filled) if filled != value else value
    if isinstance(value, Mapping):
        return {name: _args(inner, row) for name, inner in value.items()}
    return [_args(inner, row) for inner in value] if isinstance(value, list) else value


def _quantity(found: Expanded, claim: str, check: TableCheck, model: str, row: Row) -> str:
    name = f"{claim}__{check.metric}"
    number = 1
    while name in found.raw["quantities"]:
        number += 1
        name = f"{claim}__{check.metric}_{number}"
    asked = {each: value for each in _OF_A_QUANTITY if (value := getattr(check, each)) is not None}
    found.raw["quantities"][name] = {**asked, "model": model}
    return name


def _check(check: TableCheck, row: Row) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for name in _OF_A_CHECK:
        value = getattr(check, name)
        if value is not None:
            said[name] = _filled(value, row) if isinstance(value, str) else value
    if "published" in said:
        said["published"] = _number(said["published"])
    return said


def _gap(check: TableCheck, row: Row) -> bool:
    """Whether a cell that the number comes from is empty."""
    text = (check.printed or "") + (check.published or "")
    return any(row.get(column, "") in _EMPTY for column in _NAME.findall(text))


def _filled(text: str, row: Row) -> str:
    return _NAME.sub(lambda found: row[found[1]], text)


def _key(text: str) -> str:
    """A key of a suite: letters, digits and underscores, a letter first."""
    plain = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")
    return plain if plain[:1].isalpha() else f"m_{plain}"


def _number(text: str) -> Any:
    """The number that a text is; other text as it is, which the shape check refuses where a number is needed."""
    bare = text.replace(",", "")
    for kind in (int, float):
        try:
            return kind(bare)
        except ValueError:
            continue
    return text

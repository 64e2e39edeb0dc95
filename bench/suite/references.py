"""Whether the names in a suite mean something: models, data sets, recipes, quantities, checks.

Reads raw tables, so that names are checked also where a shape is wrong; builds and imports nothing.
"""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from bench.cost.devices import DEVICES
from bench.errors import UsageError, near
from bench.registry import Registry, datasets, measures, models
from bench.suite import expression
from bench.suite.recipe import Recipe

Raw = Mapping[str, Any]


def reference(text: str) -> tuple[str, int]:
    """`C3` -> ("C3", 0), the main check; `C3.2` -> ("C3", 2). Raises ValueError where the number is none."""
    claim, _, number = text.partition(".")
    return claim, int(number or 0)


def printed_problems(raw: Raw) -> Iterator[str]:
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
                yield from _printed_row_problems(f"[tables.{key}.rows.{number}]", row, len(columns), raw)


def _printed_row_problems(where: str, row: Raw, columns: int, raw: Raw) -> Iterator[str]:
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


# References: read from the raw tables, so that they are checked also when a shape is wrong.


def _tables(raw: Raw, name: str) -> dict[str, Raw]:
    table = raw.get(name)
    return {key: value for key, value in table.items() if isinstance(value, dict)} if isinstance(table, dict) else {}


def reference_problems(raw: Raw) -> Iterator[str]:
    """Every name in a raw suite that means nothing, with the nearest ones that do."""
    yield from _model_problems(raw)
    yield from _dataset_problems(raw)
    yield from _recipe_problems(raw)
    yield from _measure_problems(raw)
    yield from _profile_problems(raw)
    yield from _quantity_problems(raw)
    yield from _drawn_problems(raw)
    yield from _claim_problems(raw)
    yield from _guard_problems(raw)
    yield from printed_problems(raw)


def _unknown(table: str, key: str, value: Any, kind: str, known: list[str]) -> Iterator[str]:
    """A name that is not there. Values of a wrong type are the shape check's business."""
    if isinstance(value, str) and value not in known:
        yield f"[{table}]: {key}: no {kind} '{value}'.{near(value, known)}"


def _registered(table: str, key: str, value: Any, registry: Registry) -> Iterator[str]:
    if isinstance(value, str) and value.partition(":")[0] not in registry.names():
        yield f"[{table}]: {key}: {registry.unknown(value)}"


def _model_problems(raw: Raw) -> Iterator[str]:
    for key, model in _tables(raw, "models").items():
        name = model.get("factory")
        yield from _registered(f"models.{key}", "factory", name, models)
        known = models.parameters(name) if isinstance(name, str) else None
        arguments = model.get("args", {})
        for argument in arguments if isinstance(arguments, dict) and known is not None else ():
            if known is not None and argument not in known:
                yield f"[models.{key}.args]: no key '{argument}'.{near(argument, known)}"


def _dataset_problems(raw: Raw) -> Iterator[str]:
    for key, dataset in _tables(raw, "datasets").items():
        yield from _registered(f"datasets.{key}", "name", dataset.get("name"), datasets)


def _recipe_problems(raw: Raw) -> Iterator[str]:
    overrides = [(key, profile.get("recipe", {})) for key, profile in _tables(raw, "profiles").items()]
    for key, recipe in _tables(raw, "recipes").items():
        yield from _unknown(f"recipes.{key}", "source", recipe.get("source"), "source", list(_tables(raw, "sources")))
        settings = recipe.get("settings")
        if not isinstance(settings, dict):
            continue
        tried = [(f"[recipes.{key}.settings]", settings)]
        tried += [(f"[profiles.{name}.recipe] on {key}", {**settings, **over}) for name, over in overrides if over]
        for where, table in tried:
            try:
                Recipe.from_mapping(table, where)
            except UsageError as error:
                yield from str(error).splitlines()


def _measure_problems(raw: Raw) -> Iterator[str]:
    for key, measure in _tables(raw, "measures").items():
        table = f"measures.{key}"
        yield from _registered(table, "measure", measure.get("measure", key), measures)
        known = list(_tables(raw, "models"))
        for pattern in _words(measure, "models"):
            if not any(fnmatchcase(name, pattern) for name in known):
                yield f"[{table}]: models: no model matches '{pattern}'.{near(pattern, known)}"
        yield from _unknown(table, "versus", measure.get("versus"), "model", known)
        for field in ("datasets", "recipes"):
            for name in _words(measure, field):
                yield from _unknown(table, field, name, field[:-1], list(_tables(raw, field)))


def _words(table: Raw, key: str) -> list[str]:
    value = table.get(key, [])
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _profile_problems(raw: Raw) -> Iterator[str]:
    profiles = _tables(raw, "profiles")
    if sum(bool(profile.get("default")) for profile in profiles.values()) > 1:
        yield "[profiles]: more than one profile is the default"
    if raw.get("measures") and not profiles:
        yield "[profiles]: key 'profiles' is missing: a suite that measures says how much, in at least one profile"
    known = list(_tables(raw, "datasets"))
    for key, profile in profiles.items():
        for name in _words(profile, "skip"):
            yield from _unknown(f"profiles.{key}", "skip", name, "measure", list(_tables(raw, "measures")))
        swaps = profile.get("datasets", {})
        for pair in swaps.items() if isinstance(swaps, dict) else ():
            for name in pair:
                yield from _unknown(f"profiles.{key}.datasets", pair[0], name, "dataset", known)


def _quantity_problems(raw: Raw) -> Iterator[str]:
    claims = _tables(raw, "claims")
    for key, quantity in _tables(raw, "quantities").items():
        table = f"quantities.{key}"
        if key in claims:
            yield f"[{table}]: a claim has the same name; an expression could not tell them apart"
        if ("value" in quantity) == ("metric" in quantity):
            yield f"[{table}]: needs either 'value' (a constant) or 'metric' (a measured number)"
        if "value" in quantity and not {"unit", "source"} <= quantity.keys():
            yield f"[{table}]: a constant needs 'unit' and 'source'"
        for field, of in (
            ("source", "sources"),
            ("model", "models"),
            ("dataset", "datasets"),
            ("recipe", "recipes"),
            ("measure", "measures"),
        ):
            yield from _unknown(table, field, quantity.get(field), field, list(_tables(raw, of)))


def _drawn_problems(raw: Raw) -> Iterator[str]:
    for kind in ("curves", "costs"):
        for key, table in _tables(raw, kind).items():
            for field in ("source", "model", "dataset", "recipe"):
                yield from _unknown(f"{kind}.{key}", field, table.get(field), field, list(_tables(raw, f"{field}s")))


def _claim_problems(raw: Raw) -> Iterator[str]:
    claims = _tables(raw, "claims")
    for key, claim in claims.items():
        table = f"claims.{key}"
        yield from _unknown(table, "source", claim.get("source"), "source", list(_tables(raw, "sources")))
        also = claim.get("also", [])
        checks = [(table, claim)] + [
            (f"{table}.also.{i}", check) for i, check in enumerate(also if isinstance(also, list) else [])
        ]
        for where, check in checks:
            if isinstance(check, dict):
                yield from _check_problems(where, check, raw)


def _guard_problems(raw: Raw) -> Iterator[str]:
    for key, guard in _tables(raw, "guards").items():
        yield from _unknown(f"guards.{key}", "model", guard.get("model"), "model", list(_tables(raw, "models")))
    if not raw.get("claims") and not raw.get("guards"):
        yield "[top level]: nothing to answer: a suite needs at least one of [claims.…] and [guards.…]"


def _check_problems(table: str, check: Raw, raw: Raw) -> Iterator[str]:
    constants = [key for key, quantity in _tables(raw, "quantities").items() if "value" in quantity]
    published = [key for key, claim in _tables(raw, "claims").items() if "published" in claim]
    yield from _expression_problems(table, "follows", check, constants + published)
    yield from _expression_problems(table, "measured", check, list(_tables(raw, "quantities")) + published)
    bands = [key for key in ("tolerance", "above", "below", "between") if key in check]
    if len(bands) > 1:
        yield f"[{table}]: only one of tolerance, above, below, between; found {' and '.join(bands)}"
    if bands and "tolerance_why" not in check:
        yield f"[{table}]: '{bands[0]}' needs 'tolerance_why': the reason for the band"
    if "tolerance" in check and "published" not in check:
        yield f"[{table}]: 'tolerance' needs 'published'"
    if "published" in check and "unit" not in check:
        yield f"[{table}]: 'published' needs 'unit'"
    if not {"measured", "follows", "unavailable"} & check.keys():
        yield f"[{table}]: nothing decides it: needs 'measured', 'follows' or 'unavailable'"
    if check.get("kind") != "open" and "measured" in check and not bands and "published" not in check:
        yield f"[{table}]: 'measured' needs a band: 'published' (with 'tolerance'), 'above', 'below' or 'between'"


def _expression_problems(table: str, key: str, check: Raw, known: list[str]) -> Iterator[str]:
    text = check.get(key)
    if not isinstance(text, str):
        return
    try:
        used = expression.names(text)
    except UsageError as error:
        yield f"[{table}]: {key}: {error}"
        return
    for name in used:
        yield from _unknown(table, key, name, "quantity", known)

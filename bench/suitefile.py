"""Reads a suite file and says everything that is wrong with it at once: file, table, key, and what was possible.

Builds no model and measures nothing: names are checked against what the registry lists without importing torch.
"""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bench import expressions, printed, regression
from bench.errors import SuiteError, UsageError
from bench.plan import plan, selected_by, yields
from bench.recipes import Recipe
from bench.registry import Registry, datasets, load_plugin, measures, models, near
from bench.spec import Suite

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class LoadedSuite:
    """A suite that passed every check, with the digest of its file."""

    suite: Suite
    sha256: str
    path: Path


def load(path: Path) -> LoadedSuite:
    """Read and check one suite file.

    Raises:
        SuiteError: every problem, each as `suites/x.toml [models.hybrid.args]: no key 'depht'. Did you mean 'depth'? …`
    """
    text, raw = _read(path)
    problems = list(_plugin_problems(raw, path)) + list(_shape_problems(raw)) + list(_reference_problems(raw))
    if problems:
        raise SuiteError([f"{path} {problem}" for problem in dict.fromkeys(problems)])
    suite = Suite.model_validate(raw)
    if unfit := [*_unanswered(suite), *(regression.problems(suite.rule) if suite.rule else ())]:
        raise SuiteError([f"{path} {problem}" for problem in unfit])
    return LoadedSuite(suite, hashlib.sha256(text).hexdigest(), path)


def load_all(paths: list[Path]) -> list[LoadedSuite]:
    """Read several suites; the problems of all of them come together.

    Raises:
        SuiteError: problems in any file, or two files with one suite id.
    """
    found, problems = [], []
    for path in paths:
        try:
            found.append(load(path))
        except SuiteError as error:
            problems += error.problems
    seen: dict[str, Path] = {}
    for loaded in found:
        if (first := seen.setdefault(loaded.suite.id, loaded.path)) != loaded.path:
            problems.append(f"{loaded.path} [id]: '{loaded.suite.id}' is already the id of {first}")
    if problems:
        raise SuiteError(problems)
    return found


def _read(path: Path) -> tuple[bytes, Raw]:
    try:
        text = path.read_bytes()
        return text, tomllib.loads(text.decode())
    except FileNotFoundError as error:
        beside = sorted(str(found) for found in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        raise SuiteError([f"{path}: no such file.{near(str(path), beside)}"]) from error
    except OSError as error:
        raise SuiteError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SuiteError([f"{path}: is not UTF-8 text (byte {error.start})"]) from error
    except tomllib.TOMLDecodeError as error:
        raise SuiteError([f"{path}: is not TOML: {error}"]) from error


def _plugin_problems(raw: Raw, path: Path) -> Iterator[str]:
    plugins = raw.get("plugins", [])
    for name in plugins if isinstance(plugins, list) else []:
        try:
            load_plugin(str(name), path.parent)
        except UsageError as error:
            yield f"[plugins]: {error}"


# Shapes


def _shape_problems(raw: Raw) -> Iterator[str]:
    try:
        Suite.model_validate(raw)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            yield _in_words(problem, raw)


def _in_words(problem: Any, raw: Raw) -> str:
    *outer, last = [
        part for part in problem["loc"] if part not in ("list[constrained-int]", "constrained-int", "[key]")
    ]
    table = f"[{'.'.join(str(part) for part in outer)}]" if outer else "[top level]"
    match problem["type"]:
        case "extra_forbidden":
            return f"{table}: no key '{last}'.{near(str(last), _keys_at(outer))}"
        case "missing":
            return f"{table}: key '{last}' is missing"
        case "literal_error":
            known = [word.strip("' ") for word in problem["ctx"]["expected"].replace(" or ", ", ").split(",")]
            return f"{table}: {last} = {problem['input']!r} is not known.{near(str(problem['input']), known)}"
        case "value_error":
            return f"{table}: {last}: {problem['ctx']['error']}"
        case _:
            found = (
                problem["input"]
                if isinstance(problem["input"], (str, int, float, bool))
                else type(problem["input"]).__name__
            )
            return f"{table}: {last}: {problem['msg'][0].lower()}{problem['msg'][1:]} (found {found!r})"


def _keys_at(outer: list[Any]) -> list[str]:
    """The keys that the table at this place may have."""
    model: type[BaseModel] = Suite
    for part in outer:
        field = model.model_fields.get(str(part))
        inner = _table_in(field.annotation) if field else None
        model = inner or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _table_in(annotation: Any) -> type[BaseModel] | None:
    for inner in getattr(annotation, "__args__", ()):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner
        if found := _table_in(inner):
            return found
    return None


# References: read from the raw tables, so that they are checked also when a shape is wrong.


def _tables(raw: Raw, name: str) -> dict[str, Raw]:
    table = raw.get(name)
    return {key: value for key, value in table.items() if isinstance(value, dict)} if isinstance(table, dict) else {}


def _reference_problems(raw: Raw) -> Iterator[str]:
    yield from _model_problems(raw)
    yield from _dataset_problems(raw)
    yield from _recipe_problems(raw)
    yield from _measure_problems(raw)
    yield from _profile_problems(raw)
    yield from _quantity_problems(raw)
    yield from _drawn_problems(raw)
    yield from _claim_problems(raw)
    yield from _guard_problems(raw)
    yield from printed.problems(raw)


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
        used = expressions.names(text)
    except UsageError as error:
        yield f"[{table}]: {key}: {error}"
        return
    for name in used:
        yield from _unknown(table, key, name, "quantity", known)


# What only shows once the whole suite is sound: questions that no case answers, or several different ones.


def _unanswered(suite: Suite) -> Iterator[str]:
    planned = {profile: plan(suite, "", profile) for profile in suite.profiles}
    for key, quantity in suite.quantities.items():
        if quantity.metric is None:
            continue
        found = [selected_by(quantity, cases) for cases in planned.values()]
        if not any(found):
            every = [case for cases in planned.values() for case in cases]
            able = sorted({case.measure_key for case in every if yields(case.measure, quantity.metric)})
            where = ", ".join(able) or "none"
            yield f"[quantities.{key}]: no measure would yield it; '{quantity.metric}' comes from: {where}"
        for cases in found:
            differing = {replace(case, seed=None).id: case.name for case in cases}
            if len(differing) > 1:
                several = ", ".join(differing.values())
                yield f"[quantities.{key}]: fits several cases, say which by more keys: {several}"
                break

"""Reads a suite file and says everything that is wrong with it at once: file, table, key, and what was possible.

Builds no model and measures nothing: names are checked against what the registry lists without importing torch.
"""

import hashlib
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bench.errors import SuiteError, UsageError, near
from bench.registry import load_plugin
from bench.suite.references import Raw, reference_problems
from bench.suite.schema import Suite


@dataclass(frozen=True)
class LoadedSuite:
    """A suite that passed every check, with the digest of its file."""

    suite: Suite
    sha256: str
    path: Path


Further = Callable[[Suite], Iterable[str]]


def load(path: Path, further: Further = lambda _: ()) -> LoadedSuite:
    """Read and check one suite file.

    Args:
        further: problems that show only once the whole suite is sound, such as `plan.answers.unanswered`.

    Raises:
        SuiteError: every problem, each as `suites/x.toml [models.hybrid.args]: no key 'depht'. Did you mean 'depth'? …`
    """
    text, raw = _read(path)
    problems = list(_plugin_problems(raw, path)) + list(_shape_problems(raw)) + list(reference_problems(raw))
    if problems:
        raise SuiteError([f"{path} {problem}" for problem in dict.fromkeys(problems)])
    suite = Suite.model_validate(raw)
    if unfit := [*further(suite), *(suite.rule.problems() if suite.rule else ())]:
        raise SuiteError([f"{path} {problem}" for problem in unfit])
    return LoadedSuite(suite, hashlib.sha256(text).hexdigest(), path)


def load_all(paths: list[Path], further: Further = lambda _: ()) -> list[LoadedSuite]:
    """Read several suites; the problems of all of them come together.

    Raises:
        SuiteError: problems in any file, or two files with one suite id.
    """
    found, problems = [], []
    for path in paths:
        try:
            found.append(load(path, further))
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

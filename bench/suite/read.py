"""Reads a suite file and says everything that is wrong with it at once: file, table, key, and what was possible.

Builds no model, measures nothing and runs no plug-in: names are checked against what the registry lists without
importing torch, and against what the text of a plug-in registers.
"""

import hashlib
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import SuiteError, UsageError, near
from bench.registry import read_plugin
from bench.suite import claim_tables, metrics_of, weights
from bench.suite.command import missing_files
from bench.suite.draft import Raw, drafted
from bench.suite.references import reference_problems
from bench.suite.schema import Suite


@dataclass(frozen=True)
class LoadedSuite:
    """A suite that passed every check, with the digest of its file."""

    suite: Suite
    sha256: str
    path: Path


LARGEST = 4_000_000  # bytes of a file
LONGEST = 2_000  # characters of what is said about one thing: a name may be longer than any message should be
DEEPEST = 20  # tables and lists in each other
Further = Callable[[Suite], Iterable[str]]


def load(path: Path, further: Further = lambda _: ()) -> LoadedSuite:
    """Read and check one suite file.

    Args:
        further: problems that show only once the whole suite is sound, such as `plan.answers.unanswered`.

    Raises:
        SuiteError: every problem, each as `suites/x.toml [models.hybrid.args]: no key 'depht'. Did you mean 'depth'? …`
    """
    text, raw = _read(path)
    missing = [*_plugin_problems(raw, path), *metrics_of.declare(raw)]
    tables = claim_tables.expanded(raw, path.parent)
    draft, misshapen = drafted(tables.raw)
    if problems := [*missing, *tables.problems, *tables.told([*misshapen, *reference_problems(draft)])]:
        raise SuiteError(_told(path, problems))
    suite = draft.suite
    if unfit := [*missing_files(suite, path.parent), *further(suite), *(suite.rule.problems() if suite.rule else ())]:
        raise SuiteError(_told(path, tables.told(unfit)))
    suite = suite.model_copy(update={"weights": weights.located(suite.weights, path.parent)})
    whole = text + "".join(tables.digests).encode()
    return LoadedSuite(suite, hashlib.sha256(whole).hexdigest(), path)


def _told(path: Path, problems: Iterable[str]) -> list[str]:
    """Each problem once, with the file it is in; of a very long one its beginning and its end."""
    half = LONGEST // 2
    short = (text if len(text) <= LONGEST else f"{text[:half]} … {text[-half:]}" for text in problems)
    return [f"{path} {problem}" for problem in dict.fromkeys(short)]


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
    problems += metrics_of.clashes((each.path, each.suite.metrics) for each in found)
    if problems:
        raise SuiteError(problems)
    return found


def _read(path: Path) -> tuple[bytes, Raw]:
    try:
        text = path.read_bytes()
        if len(text) > LARGEST:
            raise SuiteError([f"{path}: {len(text):,} bytes are more than any suite has ({LARGEST:,})"])
        raw = tomllib.loads(text.decode())
    except FileNotFoundError as error:
        beside = sorted(str(found) for found in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        raise SuiteError([f"{path}: no such file.{near(str(path), beside)}"]) from error
    except OSError as error:
        raise SuiteError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SuiteError([f"{path}: is not UTF-8 text (byte {error.start})"]) from error
    except RecursionError as error:
        raise SuiteError([f"{path}: lists or tables lie too deep in each other"]) from error
    except ValueError as error:  # TOML's own, and a number with more digits than Python reads
        raise SuiteError([f"{path}: is not TOML: {error}"]) from error
    if not _shallow(raw):
        raise SuiteError([f"{path}: lists or tables lie more than {DEEPEST} deep in each other"])
    return text, raw


def _shallow(raw: Raw) -> bool:
    """Whether no table or list lies deeper than any suite needs: what walks them goes down by recursion."""
    level: list[Any] = [raw]
    for _ in range(DEEPEST):
        inner = [each for one in level for each in (one.values() if isinstance(one, dict) else one)]
        level = [each for each in inner if isinstance(each, (dict, list))]
    return not level


def _plugin_problems(raw: Raw, path: Path) -> Iterator[str]:
    plugins = raw.get("plugins", [])
    for name in plugins if isinstance(plugins, list) else []:
        try:
            read_plugin(str(name), path.parent)
        except UsageError as error:
            yield f"[plugins]: {error}"

"""Which suites a command works on.

Reads suite files; measures and draws nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import NothingSelected
from bench.plan.answers import unanswered
from bench.plan.fingerprint import Code
from bench.plan.staleness import Today
from bench.suite.read import LoadedSuite, load_all

if TYPE_CHECKING:
    from bench.report.provenance import Places


def load(paths: Sequence[Path]) -> list[LoadedSuite]:
    """The suites of these files, or every problem in them."""
    return load_all(list(paths), unanswered)


def code_of(loaded: LoadedSuite) -> Code:
    """The code behind a suite's cases, read and not run."""
    return Code(loaded.suite.plugins, loaded.path.parent)


def today(loaded: Sequence[LoadedSuite], store: str) -> dict[str, Today]:
    """Suite -> its code as it is now, beside what a store knows of the code behind its rows."""
    from bench.store import Store

    stored = Store(store).codes()
    return {each.suite.id: Today(code_of(each), stored) for each in loaded}


def known_suites() -> list[Path]:
    """The suite files in `suites/`."""
    found = sorted(Path("suites").glob("*.toml"))
    if not found:
        raise NothingSelected("no suite named, and none in the folder 'suites' here")
    return found


def suites_with_rows(store: str) -> list[LoadedSuite]:
    """The suites of `suites/` that claim something and have rows in a store; all that claim something when none has."""
    from bench.store import Store

    found = claiming(load(known_suites()))
    known = Store(store).suites()
    return [each for each in found if each.suite.id in known] or found


def places(store: str, default: str, data: Path | None = None) -> "Places":
    """Where rows and images are, as far as printed commands have to say it."""
    from bench.report.provenance import Places

    options = getattr(store, "shown", ())
    return Places(None if store == default else store, None if data is None else str(data), options)


def claiming(loaded: list[LoadedSuite]) -> list[LoadedSuite]:
    """The suites that claim something: one of guards alone has nothing to report."""
    found = [each for each in loaded if each.suite.claims]
    if not found:
        raise NothingSelected("nothing to report: no suite here claims anything. Guards are for `bench check`")
    return found

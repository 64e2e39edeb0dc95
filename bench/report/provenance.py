"""Where a page's numbers come from: machines, versions, dates and commands, with no path of the machine it is drawn on.

Reads no environment variable and no file; what a run recorded is what is shown.
"""

import re
import shlex
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pandas as pd

from bench.machine import sentence_without_paths
from bench.report.page import Run
from bench.suite.read import LoadedSuite
from bench.verdicts.bands import plural
from bench.verdicts.selection import Selected

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
RUNS_SHOWN = 4
# Column of an environment -> how it is called on the page.
FACTS = {
    "bench": "bench",
    "commit": "commit",
    "diff_sha256": "uncommitted changes (SHA-256)",
    "bench_origin": "installed from",
    "suite_commit": "commit of the suite",
    "suite_diff_sha256": "uncommitted changes beside the suite (SHA-256)",
    "python": "Python",
    "torch": "torch",
    "torchvision": "torchvision",
    "cuda": "CUDA",
    "cudnn": "cuDNN",
    "driver": "driver",
    "machine": "machine",
    "machine_name": "called",
    "device_name": "device",
    "cpu": "CPU",
    "cores": "cores",
    "ram_bytes": "memory",
    "threads": "threads",
    "interop_threads": "threads between operators",
    "os": "system",
    "allocator": "allocator",
    "deterministic": "deterministic",
    "lock_sha256": "pinned environment (SHA-256)",
}


def in_words(moment: datetime) -> str:
    """`25 November 2026, 15:37 UTC`, in English whatever the locale is and without what only one C library knows."""
    at = moment.astimezone(UTC)
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}, {at.hour:02}:{at.minute:02} UTC"


def conditions(used: Sequence[Selected], runs: pd.DataFrame) -> Iterator[str]:
    """The line below the title: devices, precision, profiles, seeds, days, versions."""
    if not used:
        yield "no rows yet"
        return
    yield _names(each.row.device_name for each in used)
    yield _names(each.row.precision for each in used)
    yield f"profile {_names(each.row.profile for each in used)}"
    if seeds := {each.row.seed for each in used} - {None}:
        yield plural(len(seeds), "seed")
    yield _names(sorted({str(each.row.started_at)[:10] for each in used}))
    for column in ("bench", "torch"):
        if len(runs):
            yield f"{column} {_names(runs[column].dropna())}"


def runs_of(used: Sequence[Selected], environments: pd.DataFrame) -> pd.DataFrame:
    """The environments of the rows, the newest first."""
    known = environments[environments["run_id"].isin({each.row.run_id for each in used})]
    return known.sort_values("started_at", ascending=False)


def commits(runs: pd.DataFrame) -> dict[str, str]:
    """Run -> the commit it was measured at, where one is known."""
    known = runs[["run_id", "commit"]].dropna()
    return dict(zip(known["run_id"].astype(str), known["commit"].astype(str), strict=True))


def run(found: Mapping[Hashable, Any]) -> Run:
    """One run as the page shows it."""
    facts = []
    for column, name in FACTS.items():
        value = found.get(column)
        if value is None or value is pd.NA or value != value:
            continue
        facts.append((name, _fact(column, value)))
    command = sentence_without_paths(str(found["command"]))
    started = pd.Timestamp(found["started_at"])
    return Run(str(found["run_id"]), str(started)[:16], started.isoformat(), command, tuple(facts))


def suite_file(loaded: LoadedSuite) -> str:
    """The suite's file as a command names it: no path of this machine."""
    return pathless(str(loaded.path), keep=2)


def pathless(text: str, keep: int = 1) -> str:
    """A path or an address as a page may show it: what lies below the working folder stays, else its last parts."""
    if re.match(r"[A-Za-z][\w+.-]+://", text):
        return re.sub(r"://[^/@]*@", "://", text)  # no user name, no password
    path = Path(text)
    if not (path.is_absolute() or PureWindowsPath(text).is_absolute()):
        return text if ".." not in path.parts else "/".join(("…", path.name))
    if path.is_relative_to(Path.cwd()) and path != Path.cwd():
        return path.relative_to(Path.cwd()).as_posix()
    parts = (PurePosixPath(text) if path.is_absolute() else PureWindowsPath(text)).parts[1:]
    return "/".join(parts[-keep:] if keep > 1 else ("…", *parts[-1:]))


@dataclass(frozen=True)
class Places:
    """Where rows and images are, when that is not the default: what printed commands have to say so that they work."""

    store: str | None = None
    data: str | None = None
    storage: tuple[str, ...] = ()  # options that reach the store; none of them a secret

    def of_run(self) -> tuple[str, ...]:
        """The options of `bench run` as a page shows them."""
        given = (("--store", self.store), ("--data", self.data))
        words = [word for name, place in given if place for word in (name, pathless(place))]
        return (*words, *(word for option in self.storage for word in ("--storage-option", option)))

    def of_report(self) -> tuple[str, ...]:
        """The options of `bench report` as a page shows them."""
        return Places(self.store, storage=self.storage).of_run()


def command(*parts: str) -> str:
    """A command line as a shell wants it."""
    return shlex.join(parts)


def _names(values: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values))


def _fact(column: str, value: Any) -> str:
    if column == "ram_bytes":
        return f"{value / 1024**3:.0f} GiB"
    if column.endswith("sha256"):
        return f"{value[:16]}…"  # enough to tell two apart; the store has all of it
    return {"True": "yes", "False": "no"}.get(str(value), str(value))

"""What passes between a run and its workers: one JSON object a line, each kind built and read here.

Opens no pipe and starts no process.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from bench.execution.context import Progress, Turn
from bench.execution.executor import Stop
from bench.execution.processes import as_line
from bench.git import CodeState
from bench.plan.case import Case
from bench.records.measurement import CodePart, DataFacts, Environment, Reading
from bench.records.metrics import METRICS, Metric
from bench.remote import RemotePath


@dataclass(frozen=True)
class Imported:
    """Modules that a worker had to import, and that all later ones may be spared."""

    names: list[str]


Item = DataFacts | Reading | Stop | Progress | Metric | Imported | CodePart
_KINDS: dict[str, type] = {
    "facts": DataFacts,
    "reading": Reading,
    "progress": Progress,
    "metric": Metric,
    "imported": Imported,
    "read": CodePart,
}


@dataclass(frozen=True)
class Surroundings:
    """What a worker needs beside its case: the same for all cases of a run."""

    device: str
    threads: int
    data_dir: str | None = None
    scratch_dir: str | None = None
    scratch_options: dict[str, str] | None = None  # that reach it, where it is a URI

    @property
    def data(self) -> Path | None:
        """The folder of the data."""
        return None if self.data_dir is None else Path(self.data_dir)

    @property
    def scratch(self) -> Path | RemotePath | None:
        """Where checkpoints are kept."""
        if self.scratch_dir is None:
            return None
        remote = self.scratch_options is not None
        return RemotePath(self.scratch_dir, self.scratch_options or {}) if remote else Path(self.scratch_dir)


@dataclass(frozen=True)
class Recording:
    """A worker is asked for the conditions in force in it, before there is any case."""

    run_id: str
    started_at: str
    command: list[str]
    device: str  # `auto` too
    threads: int | None
    suites: CodeState | None = None  # of the repository that the suites lie in
    machine_name: str | None = None  # what the user calls the machine; None: the worker looks into its environment


@dataclass(frozen=True)
class Job:
    """A worker is asked for one case. A plug-in is its name and the folder beside which it is looked for."""

    case: Case
    plugins: list[tuple[str, str]]
    surroundings: Surroundings
    metrics: list[Metric] = field(default_factory=list)  # that suites declare
    turn: Turn = field(default=Turn())


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def _adapter(kind: type) -> TypeAdapter[Any]:
    """Made when it is first needed: that takes milliseconds."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def asked(question: Job | Recording) -> bytes:
    """A question to a worker as a line."""
    kind = "case" if isinstance(question, Job) else "recording"
    return as_line({kind: _adapter(type(question)).dump_python(question, mode="json")})


def question(line: bytes) -> Job | Recording:
    """What `asked` was given."""
    told: dict[str, Any] = json.loads(line)
    ((kind, content),) = told.items()
    found: Job | Recording = _adapter(Job if kind == "case" else Recording).validate_python(content)
    return found


def answered(item: Item) -> bytes:
    """What a measure yields, or how far it is, as a line."""
    if isinstance(item, Stop):
        return as_line({"stop": {"early": asdict(item.early) if item.early else None, "once_more": item.once_more}})
    kind = next(kind for kind, record in _KINDS.items() if isinstance(item, record))
    return as_line({kind: asdict(item)})


def item(message: Mapping[str, Any]) -> Item:
    """What `answered` was given."""
    ((kind, content),) = message.items()
    if kind == "stop":
        return Stop(Reading(**content["early"]) if content["early"] else None, content["once_more"])
    found: Item = _KINDS[kind](**content)
    return found


def recorded(environment: Environment) -> bytes:
    """The conditions in force in a worker as a line."""
    return as_line({"environment": asdict(environment)})


def unknown_to_others(reading: Reading, built_in: frozenset[str], told: set[str]) -> Metric | None:
    """The metric of this reading, where only a plug-in knows it and it has not been told yet."""
    if reading.metric in built_in or reading.metric in told:
        return None
    told.add(reading.metric)
    return METRICS.get(reading.metric)

"""The rows: one `Measurement` per number, one `Environment` per run and node. Imports neither torch nor pandas.

Column names, types and their order are fixed here and nowhere else; so is which conditions must match before two rows
may be compared.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

# 2 added `detail`, 3 `code_sha256` and `torch`, 4 `environment_id`, `machine`, `machine_name`, `weights_sha256` and
# `note`; a row from before has none of them.
SCHEMA = 4

Status = Literal["ok", "failed", "skipped", "timeout"]


@dataclass(frozen=True)
class Reading:
    """What a measure yields: one value of one metric, or the reason there is none.

    `part` says which part of the case the value is about (a module path, an operator); `None` is the whole. `detail` is
    compact text that belongs to the value: a filter's numbers, which test images were right.
    """

    metric: str
    value: float | None = None
    part: str | None = None
    epoch: int | None = None
    repeat: int | None = None
    status: Status = "ok"
    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class DataFacts:
    """What a measure says once, before its readings, of the data it used: it goes on every row of the case."""

    dataset_sha256: str
    n_train: int
    n_test: int
    weights_sha256: str | None = None  # of published weights: fixed ones on a fixed test set, so nothing was drawn


@dataclass(frozen=True)
class Measurement:
    """One row: a reading with everything it depended on. Values are raw, in base units."""

    schema: int
    run_id: str
    case_id: str
    suite: str
    suite_sha256: str
    profile: str
    started_at: str  # ISO 8601, UTC
    duration_s: float
    model: str
    params_json: str  # the case's whole question as canonical JSON: measure, model arguments, recipe, options
    dataset: str | None
    dataset_sha256: str | None
    n_train: int | None
    n_test: int | None
    seed: int | None
    epoch: int | None
    batch_size: int | None
    image_size: int | None
    device: str  # cpu | cuda
    device_name: str
    precision: str
    layout: str
    compiled: bool
    threads: int
    metric: str
    part: str | None
    protocol: int
    repeat: int | None
    value: float | None
    unit: str
    status: Status
    reason: str | None
    deviations: str | None  # how the case departs from the published recipe, in words
    detail: str | None = None  # compact text that belongs to the value, as in `Reading`
    code_sha256: str | None = None  # which source made the model, see `bench.plan.fingerprint`; null before schema 3
    torch: str | None = None  # the version, as in `Environment`
    environment_id: str | None = None  # with `run_id`: in which environment; null before schema 4, when a run had one
    machine: str | None = None  # as in `Environment`
    machine_name: str | None = None
    weights_sha256: str | None = None  # as in `DataFacts`: fixed weights, evaluated on a fixed test set
    note: str | None = None  # what befell the case on its way, in words: begun again where another node was lost


@dataclass(frozen=True)
class Environment:
    """The conditions on one node of a run, joined to rows by `run_id` and `environment_id`. No host, user or path.

    Rows without an `environment_id` are of the only environment of their run.
    """

    run_id: str
    started_at: str
    command: str
    bench: str
    commit: str | None
    dirty: bool | None
    diff_sha256: str | None
    lock_sha256: str | None
    python: str
    torch: str
    torchvision: str | None
    cuda: str | None
    cudnn: str | None
    driver: str | None
    os: str
    cpu: str
    cores: int
    ram_bytes: int
    device: str
    device_name: str
    threads: int
    interop_threads: int
    allocator: str
    wait_policy: str | None  # OMP_WAIT_POLICY: whether a waiting thread sleeps or spins
    deterministic: bool
    packages_json: str
    # Null before schema 3, and where there is nothing to know.
    bench_origin: str | None = None  # how this bench came here: `git tree`, `commit …`, `archive …`, `files …`
    suite_commit: str | None = None  # of the repository that the suite and its plug-ins lie in
    suite_dirty: bool | None = None
    suite_diff_sha256: str | None = None
    git_note: str | None = None  # why git would not say: no git, or it refused
    # Null before schema 4.
    environment_id: str | None = None  # what `identified` makes of the conditions: equal nodes share it
    machine: str | None = None  # an id made from the hardware, see `bench.hardware`
    machine_name: str | None = None  # what a user calls it


_OF_THE_RUN = ("run_id", "started_at", "command", "environment_id")


def identified(environment: Environment) -> Environment:
    """The environment with the id of its conditions, whichever run they were met in: two that differ differ in it."""
    conditions = {name: value for name, value in asdict(environment).items() if name not in _OF_THE_RUN}
    return replace(environment, environment_id=hashlib.sha256(canonical_json(conditions).encode()).hexdigest()[:16])


@dataclass(frozen=True)
class CodePart:
    """One of the things that a fingerprint is made of, kept so that a change can be told in words.

    `kind` is `module`, `library`, `file` (that a text names) or `read` (by whoever ran it); `label` names it without a
    path of this machine; `text` is a module's source without comments, or a library's version.
    """

    kind: str
    label: str
    sha256: str
    text: str


# column -> pandas/Arrow type name; the store builds its schema from these two and no other list.
_TYPES = {"int": "int64", "float": "float64", "str": "string", "bool": "bool", "Status": "string"}


def columns(record: type) -> dict[str, tuple[str, bool]]:
    """Column name -> (type name, may be null), in order, for `Measurement` or `Environment`."""
    found = {}
    for field in fields(record):
        text = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
        text = str(field.type) if "|" in str(field.type) else text
        nullable = "None" in text
        base = text.replace("| None", "").strip()
        found[field.name] = (_TYPES.get(base, "string"), nullable)
    return found


def canonical_json(value: Mapping[str, Any]) -> str:
    """The one spelling of a mapping: sorted keys, no spaces. What is hashed and what is stored."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def as_row(record: Measurement | Environment) -> dict[str, Any]:
    """The record as a plain mapping, columns in order."""
    return asdict(record)

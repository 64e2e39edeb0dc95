"""The committed baseline of a suite's guards: the commit to compare with, and what each model is, exactly.

Builds no model and compares no speed: `last_seen` is for people, and nothing here or elsewhere calculates with it.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench import files
from bench.errors import UsageError
from bench.suite.fields import Key, Text
from bench.suite.table import Table

SCHEMA = 1
NOTE = "information only, never compared"

Count = Annotated[int, Field(ge=0)]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
Shape = list[Count] | list[list[Count]]


class ModuleFacts(Table):
    """What one module owns itself, without the modules inside it."""

    params: Count = 0
    frozen: Count = 0  # of `params`, those without a gradient
    buffers: Count = 0  # elements
    macs: Count = 0  # per image


class Facts(Table):
    """What a model is: integers, shapes and a type, for one image. Equal models have equal facts on every machine.

    `modules` holds every module that owns something, by its path; the model itself has the path `(model)`.
    `uncounted` are calls of operators that the counter has no formula for, by operator.
    """

    input: Shape
    output: Shape
    dtype: Text  # of the output
    params: Count
    trainable: Count
    buffers: Count
    macs_per_image: Count
    counter: Text  # "torch 2.13.0"
    uncounted: dict[str, Count] = Field(default_factory=dict)
    modules: dict[str, ModuleFacts]

    @model_validator(mode="after")
    def _modules_add_up(self) -> Self:
        """A file edited by hand shows here: what the modules own is what the model has."""
        owned = self.modules.values()
        sums = {
            "params": sum(one.params for one in owned),
            "trainable": sum(one.params - one.frozen for one in owned),
            "buffers": sum(one.buffers for one in owned),
            "macs_per_image": sum(one.macs for one in owned),
        }
        for name, total in sums.items():
            if total != getattr(self, name):
                raise ValueError(f"{name} is {getattr(self, name):,}, but the modules add up to {total:,}")
        return self


class LastSeen(Table):
    """A speed that was once measured, and where. For people: no verdict reads it."""

    note: Text = NOTE
    images_per_s: float
    batch_size: int
    threads: int
    machine: dict[str, str | int]


class Accepted(Facts):
    """One guarded model as it was accepted. `commit` stands here when the model was accepted alone."""

    commit: Commit | None = None
    tree: Commit | None = None  # of that commit
    updated: Text | None = None
    reason: Text | None = None
    config: dict[str, Any]  # what the suite asked for: factory, args, num_classes, image_size, precision, layout
    last_seen: LastSeen | None = None


class Baseline(Table):
    """The file: one commit for all models but those that carry their own."""

    schema_version: Literal[1] = Field(alias="schema")
    baseline_commit: Commit
    baseline_tree: Commit | None = None  # by which equal code is known when a merge gave the commit another name
    updated: Text
    reason: Text
    rule: dict[str, int | float | list[int]] = Field(default_factory=dict)  # as accepted, so that a looser one is seen
    models: dict[Key, Accepted]

    def commit_of(self, key: str) -> str:
        """The commit that a model is compared with."""
        return self.models[key].commit or self.baseline_commit

    def tree_of(self, key: str) -> str | None:
        """The tree of that commit; None where the file does not say it."""
        model = self.models[key]
        return model.tree if model.commit else self.baseline_tree


def path_of(suite: Path) -> Path:
    """The baseline file beside a suite: `suites/ci.toml` has `suites/ci.baseline.json`."""
    return suite.with_suffix(".baseline.json")


def read(path: Path, suite: Path) -> Baseline:
    """The baseline of a file.

    Args:
        suite: named in the command that a message ends in.

    Raises:
        UsageError: no such file, not JSON, a newer schema, or every key that is wrong.
    """
    accept = f"bench baseline accept {suite} --reason TEXT"
    try:
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no baseline file. What is there now becomes the baseline by: {accept}") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # neither UTF-8 nor JSON; a file with conflict marks is caught here too
        raise UsageError(
            f"{path}: the baseline file is damaged: {error}. Get it back from git, or remove it and make it anew: "
            f"{accept}"
        ) from error
    written = raw.get("schema") if isinstance(raw, dict) else None
    if isinstance(written, int) and written > SCHEMA:
        raise UsageError(
            f"{path}: the baseline file has schema {written}, and this bench reads {SCHEMA}: "
            "a newer bench wrote it. Install that one"
        )
    try:
        return Baseline.model_validate_json(text)
    except ValidationError as error:
        problems = "\n".join(f"{path} {_in_words(each)}" for each in error.errors(include_url=False))
        raise UsageError(
            f"{problems}\nthe baseline file is damaged: get it back from git, or remove it and make it anew: {accept}"
        ) from error


def _in_words(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"]) or "top level"
    return f"[{where}]: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def noting(model: Accepted, seen: LastSeen | None) -> Accepted:
    """The model with a speed beside it, which no verdict reads."""
    return model.model_copy(update={"last_seen": seen})


class _Lenient(BaseModel):
    """A part of a report that has more than is read here."""

    model_config = ConfigDict(extra="ignore")


class _Subject(_Lenient):
    key: str
    batch_size: int
    threads: int


class _Timed(_Lenient):
    subject: _Subject


class _Details(_Lenient):
    speed: _Timed | None = None


class _Figure(_Lenient):
    name: str
    value: float | None


class _Outcome(_Lenient):
    figures: list[_Figure]
    details: _Details


class _Environment(_Lenient):
    cpu: str
    cores: int
    os: str
    packages: dict[str, str | None]


class _Report(_Lenient):
    environment: _Environment
    outcomes: list[_Outcome]


def seen_in(report: Path) -> dict[str, LastSeen]:
    """The speeds that a check's JSON report holds, by guard, each with the machine that it was seen on.

    Raises:
        UsageError: no such file, or not the report of `bench check --json`.
    """
    try:
        told = _Report.model_validate_json(report.read_bytes())
    except OSError as error:
        raise UsageError(f"{report}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        wrong = _in_words(error.errors(include_url=False)[0])
        raise UsageError(f"{report}: is not what `bench check --json` prints: {wrong}") from error
    around = told.environment
    machine: dict[str, str | int]
    machine = {"cpu": around.cpu, "cores": around.cores, "os": around.os, "torch": around.packages.get("torch") or "?"}
    return {
        outcome.details.speed.subject.key: LastSeen(
            images_per_s=round(figure.value, 1),
            batch_size=outcome.details.speed.subject.batch_size,
            threads=outcome.details.speed.subject.threads,
            machine=machine,
        )
        for outcome in told.outcomes
        for figure in outcome.figures
        if figure.name == "images_per_s" and figure.value is not None and outcome.details.speed is not None
    }


def rows(baseline: Baseline) -> list[dict[str, Any]]:
    """One row per model for a table; the speed that was once seen with its machine, and the words that go with it."""
    found = []
    for key, model in baseline.models.items():
        seen = model.last_seen
        where = ", ".join(str(value) for value in seen.machine.values()) if seen else ""
        found.append(
            {
                "model": key,
                "params": f"{model.params:,}",
                "trainable": f"{model.trainable:,}",
                "buffers": f"{model.buffers:,}",
                "macs_per_image": f"{model.macs_per_image:,}",
                "input": model.input,
                "output": model.output,
                "dtype": model.dtype,
                "commit": baseline.commit_of(key)[:12],
                "accepted": f"{model.updated}: {model.reason}" if model.commit else None,
                "last seen": f"{seen.images_per_s:.0f} images/s on {where} (not compared)" if seen else None,
            }
        )
    empty = {name for name in ("accepted", "last seen") if not any(row[name] for row in found)}
    return [{name: value for name, value in row.items() if name not in empty} for row in found]


def render(baseline: Baseline) -> str:
    """The file's text: an innermost table or list takes one line, so that a review sees one line per changed module."""
    plain = baseline.model_dump(by_alias=True, exclude_none=True)
    for model in plain["models"].values():
        owned = model["modules"].items()
        model["modules"] = {path: {key: count for key, count in one.items() if count} for path, one in owned}
    text = json.dumps(plain, indent=2, ensure_ascii=False)
    for opened, closed in ("[]", "{}"):  # a raw line break stands in no JSON string: only the layout changes
        innermost = rf"\{opened}\n *([^\[\]{{}}]*)\n *\{closed}"
        text = re.sub(innermost, lambda found: found[0][0] + re.sub(r"\n *", " ", found[1]) + found[0][-1], text)
    return text + "\n"


def write(baseline: Baseline, path: Path) -> None:
    """Replace the file in one step: a reader sees the old or the new one, never half.

    Raises:
        StoreError: the folder cannot be written to; the old one stands.
    """
    files.write_text(path, render(baseline))

"""Somebody else's code as a measure: what to run, of what it is made, what it needs and where its numbers stand.

Runs nothing; whether files are there is asked when a suite is read, by `missing_files`.
"""

import string
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from bench.suite.fields import Key, MetricName, Text
from bench.suite.results import ResultOrPlace, plainly
from bench.suite.table import Table

if TYPE_CHECKING:
    from bench.suite.schema import MeasureTable, Model, Suite

Value = str | int | float | bool
# What every run may name; `values`, and the arguments of its model, come beside them.
PLACEHOLDERS = ("seed", "data", "out", "model", "dataset", "device", "threads", "batch_size", "image_size")
_TWICE = "A brace that is meant as one is written twice: {{"
SECONDS = "command_s"
OF_A_COMMAND = ("run", "sources", "environment", "read", "needs", "values")
_UNITS = {"": 1, **{f"{prefix}B": 1000**power for power, prefix in enumerate(["", *"KMGT"])}}
_UNITS |= {f"{prefix}IB": 1024**power for power, prefix in enumerate("KMGT", 1)}


def size(text: str) -> int:
    """`8GiB` as bytes. Raises ValueError."""
    bare = text.replace(" ", "").upper()
    number = bare.rstrip("BKMGTI")
    unit = bare[len(number) :].removesuffix("B") + ("B" if bare[len(number) :] else "")
    if unit not in _UNITS or not number.replace(".", "", 1).isdigit():
        raise ValueError(f"'{text}' is no size: write 8GiB or 500MB")
    return int(float(number) * _UNITS[unit])


def _is_size(text: str) -> str:
    size(text)
    return text


class GitSource(Table):
    """A git repository at a commit; the command runs in a checkout of it."""

    git: Text = Field(description="Its address, or a folder relative to the suite.")
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")] = Field(
        description="The full name of the commit, so that it can be no other code."
    )


class Needs(Table):
    """Without what there is no use in starting; a case that lacks it is skipped, with the reason."""

    device: Literal["cpu", "cuda"] | None = Field(default=None, description="The device that it runs on.")
    memory: Annotated[str, AfterValidator(_is_size)] | None = Field(
        default=None, description="Main memory that must be there, such as 8GiB."
    )
    data: list[Text] = Field(default=[], description="Files or folders below the folder of --data.")


def _kind(value: Any) -> str:
    return "<one>" if isinstance(value, str) else "<table>"


SourceOrGit = Annotated[Annotated[Text, Tag("<one>")] | Annotated[GitSource, Tag("<table>")], Discriminator(_kind)]


class CommandKeys(Table):
    """The keys that a measure has where it is somebody else's code."""

    run: list[Text] = Field(
        default=[],
        description="The program and its arguments, each a text of its own, never read by a shell. {seed}, {data}, "
        "{out}, {model}, {dataset}, {device}, {threads}, {batch_size}, {image_size}, a name of `values` or an argument "
        "of the model stand for what they name; {{ is a brace. It runs in the suite's folder, or in a checkout of its "
        "git source.",
    )
    sources: list[SourceOrGit] = Field(
        default=[],
        description="The files and folders that its answer depends on, relative to the suite, or one git repository at "
        "a commit. Their bytes are its identity: after an edit it is run again. Files that `run` names are among them.",
    )
    environment: Text | None = Field(
        default=None,
        description="A requirements file or pylock.toml, relative to the suite: a virtual environment is made from it "
        "once and kept by its hash. Without it, the one that bench runs in.",
    )
    read: dict[MetricName, ResultOrPlace] = Field(
        default={},
        description="Metric -> where it stands afterwards: 'metrics.json:best.top1', 'log.csv:top1' (files below "
        "{out}), or 'log:acc ([0-9.]+)', a regular expression over all that was printed.",
    )
    needs: Needs = Field(default=Needs(), description="Without what it is skipped.")
    values: dict[Key, Value] = Field(
        default={}, description="Names that `run` may use, and that a profile may give other values: {epochs}."
    )


def names_in(run: Iterable[str]) -> list[str]:
    """The placeholders of a command, each once. Raises ValueError where braces do not fit."""
    found: dict[str, None] = {}
    for part in run:
        try:
            pieces = list(string.Formatter().parse(part))
        except ValueError as error:
            raise ValueError(f"'{part}': {error}. {_TWICE}") from error
        for _, name, form, conversion in pieces:
            if name is None:
                continue
            if not name.isidentifier() or form or conversion:
                raise ValueError(f"'{part}': '{{{name}}}' is no name. {_TWICE}")
            found[name] = None
    return list(found)


def missing_files(suite: "Suite", beside: Path) -> Iterator[str]:
    """Sources and environments of commands that are not there."""
    for key, measure in suite.measures.items():
        for source in measure.sources:
            if isinstance(source, str) and not (beside / source).exists():
                yield f"[measures.{key}]: sources: no file or folder '{source}' beside the suite"
        if (text := measure.environment) is None:
            continue
        if not (beside / text).is_file():
            yield f"[measures.{key}]: environment: no file '{text}' beside the suite"
        elif not (text.endswith(".txt") or (Path(text).name.startswith("pylock") and text.endswith(".toml"))):
            yield f"[measures.{key}]: environment: '{text}' is neither a requirements file (.txt) nor a pylock.toml"


def asked(measure: "MeasureTable", key: str, model: "Model", changed: Mapping[str, Value]) -> dict[str, Any]:
    """What of a command belongs to the question of a case, and nothing that was not written."""
    used = names_in(measure.run)
    values: dict[str, Any] = {name: value for name, value in model.args.items() if name in used}
    values |= {**measure.values, **{name: value for name, value in changed.items() if name in measure.values}}
    values |= {"model": key} if "model" in used else {}
    dumped = measure.model_dump(mode="json", include={"sources", "environment", "needs"}, exclude_unset=True)
    return {
        "run": list(measure.run),
        "read": {name: plainly(found) for name, found in measure.read.items()},
        **({"values": values} if values else {}),
        **dumped,
    }

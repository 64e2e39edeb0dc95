"""Which machine a row comes from, what it is called, and what a check on a clock comes to on each of several.

Mixes nothing: a clock is judged on one machine's rows, and where machines disagree that is said and not averaged away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas

from bench.hardware import without_vectors
from bench.records import written

if TYPE_CHECKING:
    from bench.verdicts.judge import CheckVerdict

_TELLING = ["machine", "machine_name", "device", "device_name"]


@dataclass(frozen=True)
class Machine:
    """One machine: the key that stands in its rows, and what a reader calls it."""

    key: str
    label: str


@dataclass(frozen=True)
class Here:
    """The machine that a command runs on: its id and, where it has one, its name."""

    machine: str
    name: str | None = None

    def among(self, machines: Sequence[Machine]) -> Machine | None:
        """Which of these it is: the one of its name where machines that are built alike have several."""
        named = f"{self.machine}/{self.name}"
        found = [each for each in machines if each.key in (named, self.machine)]
        return max(found, key=lambda each: each.key == named, default=None)


def told_apart(frame: pandas.DataFrame) -> tuple[pandas.DataFrame, list[Machine]]:
    """The rows with one key per machine as their `machine`, and the machines, by their labels.

    Machines that are built alike are one, unless users gave them several names. A row that knows no machine is of the
    only one with its device, or of a machine that nothing is known of but its device.
    """
    about = frame.reindex(columns=_TELLING).fillna("")
    place = about.groupby(_TELLING, sort=False).ngroup().to_numpy()  # numbered as they are met, like `kinds`
    kinds: list[tuple[str, str, str, str]] = list(about.drop_duplicates().itertuples(index=False, name=None))
    keys = _keys(kinds)
    known = pandas.Series(keys, dtype=object).take(place).set_axis(frame.index)
    return frame.assign(machine=known), _labelled(kinds, keys)


def _keys(kinds: Sequence[tuple[str, str, str, str]]) -> list[str]:
    named: dict[str, set[str]] = {}
    by_device: dict[str, set[str]] = {}
    for machine, name, _, device_name in kinds:
        if machine:
            named.setdefault(machine, set()).update({name} - {""})
            by_device.setdefault(device_name, set()).add(machine)
    found = []
    for machine, name, _, device_name in kinds:
        only = by_device.get(device_name, set())
        known = machine or (next(iter(only)) if len(only) == 1 else device_name)
        found.append(f"{known}/{name}" if name and len(named.get(known, ())) > 1 else known)
    return found


def _labelled(kinds: Sequence[tuple[str, str, str, str]], keys: Sequence[str]) -> list[Machine]:
    """Each machine by its name, else by its device, a graphics card before a processor; its id where two share that."""
    labels: dict[str, str] = {}
    ranks: dict[str, tuple[bool, bool]] = {}
    for key, (_, name, device, device_name) in zip(keys, kinds, strict=True):
        rank = (bool(name), device == "cuda")
        if key not in labels or rank > ranks[key]:
            labels[key], ranks[key] = name or without_vectors(device_name) or key, rank
    shared = [label for label in labels.values() if list(labels.values()).count(label) > 1]
    machines = [Machine(key, f"{label} ({key})" if label in shared else label) for key, label in labels.items()]
    return sorted(machines, key=lambda each: (each.label, each.key))


def together(found: Sequence["CheckVerdict"], words: Sequence[str], here: Machine | None) -> "CheckVerdict | None":
    """The check as it stands for all machines, with what it comes to on the others; None where none measured it.

    It carries the verdict of the machine at hand; without one the strongest word, whichever rows came last.

    Args:
        words: the strongest first.
    """
    told = [each for each in found if each.verdict != "not measured"]
    if not told:
        return None
    first = next((each for each in found if here and each.machine_id == here.key), None)
    first = first or min(told, key=lambda each: (words.index(each.verdict), -len(each.samples)))
    others = tuple(each for each in told if each is not first)
    return _with_others(first, others) if others else first


def not_here(nothing: "CheckVerdict", found: Sequence["CheckVerdict"]) -> "CheckVerdict":
    """The check of which the machine at hand has no rows, with what it comes to on those that have."""
    others = tuple(each for each in found if each.verdict != "not measured")
    return _with_others(nothing, others) if others else nothing


def _with_others(first: "CheckVerdict", others: tuple["CheckVerdict", ...]) -> "CheckVerdict":
    measured = first.verdict != "not measured"
    words = {each.verdict for each in (first, *others) if each.verdict != "not measured"}
    told = ", ".join(on(each) for each in others)
    if measured and len(words) > 1:
        sentence = f"Machines disagree: {on(first)}, {told}."
    else:
        count = "1 other machine has" if len(others) == 1 else f"{len(others)} other machines have"
        sentence = f"{count} rows: {told}."
    return replace(first, reason=f"{first.reason} {sentence}".strip(), elsewhere=others, across=sentence)


def on(check: "CheckVerdict") -> str:
    """`contradicted on Apple M3 (1.63 ms)`."""
    value = f" ({written.amount(check.measured.point, check.unit)})" if check.measured else ""
    return f"{check.verdict} on {check.machine}{value}"

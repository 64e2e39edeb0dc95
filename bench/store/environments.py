"""Environments beside rows: the fullest of each, several of one run as one, and what a row takes from its own.

Reads no table, and changes nothing that a row says itself.
"""

import json
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import pandas

from bench import hardware
from bench.records.measurement import canonical_json

KEYS = ["run_id", "environment_id"]
# Columns that a row has from its environment where it does not say them itself.
SHARED = ("torch", "machine", "machine_name")
OF_A_RUN = ("commit", "dirty", "suite_commit", "suite_dirty", "torch")


def fullest_of_each(environments: pandas.DataFrame) -> pandas.DataFrame:
    """Each environment of a run once. A table keeps no order, so of several the one with the fewest gaps counts, then
    its text."""
    gaps = environments.isna().sum(axis=1).tolist()
    texts = [tuple(map(str, row)) for row in environments.itertuples(index=False)]
    order = sorted(range(len(texts)), key=lambda number: (gaps[number], texts[number]))
    return environments.iloc[order].drop_duplicates(KEYS).sort_index(ignore_index=True)


def with_machines(environments: pandas.DataFrame) -> pandas.DataFrame:
    """The environments; those of before there were ids of machines have the one that follows from what they tell."""
    told = [
        _machine_of(facts) if machine is None else machine
        for machine, facts in zip(_plain(environments["machine"]), environments.to_dict("records"), strict=True)
    ]
    filled = pandas.Series(told, index=environments.index, dtype=object).astype(environments["machine"].dtype)
    return environments.assign(machine=filled)


def with_conditions(rows: pandas.DataFrame, read: Callable[[], pandas.DataFrame]) -> pandas.DataFrame:
    """The rows with `SHARED`; what one does not say itself is what its environment says.

    Args:
        rows: with `KEYS` and `SHARED`.
        read: gives the environments; asked only where a row lacks something.
    """
    lacking = rows[["torch", "machine"]].isna().any(axis=1)
    if not lacking.any():
        return rows
    # Few pairs stand in many rows: each is looked up once.
    there, pairs = with_machines(read()), rows[KEYS].drop_duplicates()
    told = zip(*(_plain(there[name]) for name in SHARED), strict=True)
    known = dict(zip(_keys(there), told, strict=True))
    found = pandas.DataFrame(
        [known.get(key, (None,) * len(SHARED)) for key in _keys(pairs)], columns=list(SHARED)
    ).astype({name: rows[name].dtype for name in SHARED})
    place = rows.groupby(KEYS, dropna=False, sort=False).ngroup().to_numpy()  # numbered as they are met, like `pairs`
    return rows.assign(**{name: rows[name].fillna(found[name].take(place).set_axis(rows.index)) for name in SHARED})


def as_one(environments: pandas.DataFrame) -> dict[str, Any]:
    """The environments of a run as one: what they all say, and where they differ, all that is said."""
    if len(environments) < 2:
        return {str(name): value for each in environments.to_dict("records") for name, value in each.items()}
    told = {str(name): _agreed(_plain(environments[name])) for name in environments}
    return {**told, "packages_json": _packages(_plain(environments["packages_json"]))}


def by_run(environments: pandas.DataFrame) -> pandas.DataFrame:
    """One row per run: how many machines it ran on, and of its other facts those that a list of runs shows."""
    told = with_machines(environments)
    columns = ["run_id", "machines", *OF_A_RUN]
    runs = [
        (run_id, found[["machine", "machine_name"]].drop_duplicates().shape[0], *map(as_one(found).get, OF_A_RUN))
        for run_id, found in told.groupby("run_id", sort=False)
    ]
    return pandas.DataFrame(runs, columns=columns).astype({"run_id": environments["run_id"].dtype})


def by_machine(environments: pandas.DataFrame, rows: pandas.DataFrame) -> pandas.DataFrame:
    """One row per machine and name of it, the newest first: what it is made of, and what was measured on it.

    Args:
        rows: with `KEYS`, `SHARED`, `case_id`, `device_name` and `started_at`, their conditions filled in.
    """
    facts = with_machines(environments)
    names = ("machine", "machine_name", "cpu", "cores", "ram_bytes")
    told = zip(*(_plain(facts[name]) for name in names), strict=True)
    known = {(machine, name): made_of for machine, name, *made_of in told}
    found: list[dict[str, Any]] = []
    for place in _groups(rows):
        part = rows.loc[rows.index[place]]
        machine, name = (_plain(part[column])[0] for column in ("machine", "machine_name"))
        cpu, cores, ram = known.get((machine, name), (None, None, None))
        one = {"machine": machine, "name": name}
        one |= {"devices": ", ".join(sorted(part["device_name"].dropna().unique())), "cpu": cpu, "cores": cores}
        one |= {"memory_gib": None if ram is None else round(ram / 2**30), "runs": part["run_id"].nunique()}
        one |= {"cases": part["case_id"].nunique(), "rows": len(part), "newest": part["started_at"].max()}
        found.append(one)
    found.sort(key=lambda one: str(one["newest"]), reverse=True)
    return pandas.DataFrame(found)


def _groups(rows: pandas.DataFrame) -> list[list[int]]:
    """The places of the rows of each machine and name."""
    numbers = rows.groupby(["machine", "machine_name"], dropna=False, sort=False).ngroup().tolist()
    places: dict[int, list[int]] = {}
    for place, number in enumerate(numbers):
        places.setdefault(number, []).append(place)
    return list(places.values())


def _agreed(values: list[Any]) -> Any:
    known = list(dict.fromkeys(values))
    if len(known) == 1:
        return known[0]
    return " | ".join(sorted("none" if value is None else str(value) for value in known))


def _packages(texts: list[str]) -> str:
    """Package -> version, or all versions where several are there."""
    several: list[dict[str, str]] = [json.loads(text) for text in texts]
    names = {name for each in several for name in each}
    return canonical_json({name: _agreed([each.get(name) for each in several]) for name in names})


def _machine_of(facts: Mapping[Hashable, Any]) -> str:
    cards = [str(facts["device_name"])] if facts["device"] == "cuda" else []
    return hardware.identity(str(facts["cpu"]), int(facts["cores"]), int(facts["ram_bytes"]), cards)


def _plain(column: pandas.Series) -> list[Any]:
    """The column's values; NA becomes None."""
    found: list[Any] = column.astype(object).where(column.notna(), None).tolist()
    return found


def _keys(frame: pandas.DataFrame) -> list[tuple[str, str | None]]:
    return list(zip(*(_plain(frame[name]) for name in KEYS), strict=True))

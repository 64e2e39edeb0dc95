"""Two runs of the store, metric by metric: what may be compared, by how much it differs, and what may not and why.

`series` pairs what was taken under equal conditions, `effects` says what a pair shows, `tables` words it. Pure: reads
no file, and gates nothing.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pandas

from bench.verdicts.between_runs import tables
from bench.verdicts.between_runs.effects import Compared, effects
from bench.verdicts.between_runs.series import Apart, paired, series_of, shown, varying
from bench.verdicts.between_runs.tables import NO_GATE, Comparison, Fact

SORTS = ("name", "metric", "change", "word")
# Columns of an environment that can explain a difference; torch is shown also where it is the same.
_FACTS = (
    *("torch", "bench", "commit", "dirty", "diff_sha256", "bench_origin", "suite_commit", "suite_dirty"),
    *("suite_diff_sha256", "python", "torchvision", "cuda", "cudnn", "driver", "os"),
    *("cpu", "cores", "device_name", "threads", "interop_threads", "allocator", "wait_policy", "deterministic"),
)
_WORDS = ("worse", "different", "lower", "higher", "better", "no interval", "no change shown", "equal")

__all__ = ["NO_GATE", "SORTS", "Apart", "Compared", "Comparison", "Fact", "compare", "tables"]


def compare(
    first: tuple[Mapping[str, Any], pandas.DataFrame],
    second: tuple[Mapping[str, Any], pandas.DataFrame],
    *,
    sort: str | None = None,
    only_changed: bool = False,
) -> Comparison:
    """Compare two runs.

    Args:
        first, second: environment and rows of a run, as the store gives them.
        sort: one of `SORTS`; the order of the first run's rows when not given. `change` puts the largest first,
            `word` what got worse.
        only_changed: leave out what is equal or shows no change. What differs and has no interval stays: nothing is
            known against it.
    """
    series = [series_of(rows) for _, rows in (first, second)]
    pairs, apart = paired(*series)
    names = varying(series[0])
    found = [each for a, b in pairs for each in effects(a, b, names.get(a.subject, []))]
    compared = [each for each in found if isinstance(each, Compared)]
    kept = [each for each in compared if each.moved or not only_changed]
    return Comparison(
        first=_run_id(*first),
        second=_run_id(*second),
        facts=(*_facts(first[0], second[0]), *_codes(first[1], second[1])),
        compared=tuple(_sorted(kept, sort)),
        apart=(*apart, *(each for each in found if isinstance(each, Apart))),
        left_out=len(compared) - len(kept),
    )


def _sorted(found: list[Compared], sort: str | None) -> list[Compared]:
    if sort == "change":
        return sorted(found, key=lambda each: -each.size)
    if sort == "word":
        return sorted(found, key=lambda each: (each.better is not False, _WORDS.index(each.word)))
    if sort == "metric":
        return sorted(found, key=lambda each: (each.metric, each.what))
    return sorted(found, key=lambda each: (each.what, each.metric)) if sort == "name" else found


def _run_id(environment: Mapping[str, Any], rows: pandas.DataFrame) -> str:
    return str(environment["run_id"] if "run_id" in environment else rows["run_id"].iloc[0])


def _facts(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Fact]:
    """Those of the environments that differ, package by package; torch in any case."""
    sides = [{name: _fact(side.get(name)) for name in _FACTS} | _packages(side) for side in (first, second)]
    names = dict.fromkeys(name for side in sides for name in side)
    both = [Fact(name, sides[0].get(name), sides[1].get(name)) for name in names]
    return [fact for fact in both if fact.name == "torch" or fact.first != fact.second]


def _codes(first: pandas.DataFrame, second: pandas.DataFrame) -> Iterator[Fact]:
    """The fingerprints of models that other code made in one run than in the other: compared on purpose, and said."""
    sides = [_codes_of(rows) for rows in (first, second)]
    for model in sides[0]:
        if model in sides[1] and sides[0][model] != sides[1][model]:
            yield Fact(f"code_sha256 of {model}", sides[0][model], sides[1][model])


def _codes_of(rows: pandas.DataFrame) -> dict[str, str | None]:
    """Model -> the fingerprints of its rows."""
    if "code_sha256" not in rows:
        return {}
    found = rows[["model", "code_sha256"]].drop_duplicates().groupby("model", sort=False)["code_sha256"]
    return {str(model): ", ".join(sorted(each[:16] for each in codes.dropna())) or None for model, codes in found}


def _packages(environment: Mapping[str, Any]) -> dict[str, str | None]:
    """Other packages than those with a column of their own."""
    text = _fact(environment.get("packages_json"))
    return {name: version for name, version in json.loads(text or "{}").items() if name not in _FACTS}


def _fact(value: Any) -> str | None:
    return None if value is None or pandas.isna(value) else shown(value) if isinstance(value, str) else str(value)

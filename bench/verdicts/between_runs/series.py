"""The rows of a run as series, each one quantity under one set of conditions, and the series of two runs in pairs.

Compares no value: says which series may be compared, and of all others by which key they differ.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas

from bench.records.measurement import canonical_json
from bench.records.metrics import conditions

_QUESTION = "params_json"
_SEED = "seed"  # pairs values, and so sets no two series apart


class SeriesSample(NamedTuple):
    """One value and where it stands in its series."""

    seed: int | None
    epoch: int | None
    repeat: int | None
    value: float


@dataclass(frozen=True)
class Series:
    """The values of one metric of one model, taken under the same conditions.

    `subject` is what two runs must share to be about the same thing: metric, model, data set, part. `conditions` are
    what must be equal before they may be compared, the case's question key by key (`recipe.lr`).
    """

    subject: tuple[str, str, str | None, str | None]
    unit: str
    conditions: Mapping[str, Any]
    samples: tuple[SeriesSample, ...]
    failures: tuple[str, ...]  # `failed: out of memory`, for rows without a value
    failed_seeds: frozenset[int | None] = frozenset()

    @property
    def metric(self) -> str:
        """The metric's name."""
        return self.subject[0]


@dataclass(frozen=True)
class Apart:
    """What cannot be compared: by which key the two differ, and both values."""

    metrics: tuple[str, ...]
    what: str
    key: str
    first: str
    second: str
    parts: tuple[str, ...] = ()  # modules or operators that it is about, where it is not about the whole


def series_of(rows: pandas.DataFrame) -> list[Series]:
    """The series of one run, in the order of its rows.

    Args:
        rows: columns of `Measurement`, of one run.
    """
    questions: dict[str, tuple[str, dict[str, Any]]] = {}
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    keys: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in _records(rows):
        if row[_QUESTION] not in questions:  # one long text in many rows is read once
            questions[row[_QUESTION]] = _question(row[_QUESTION])
        text, question = questions[row[_QUESTION]]
        columns = {name: row[name] for name in conditions(row["metric"]) if name not in (_QUESTION, "model", "part")}
        subject = (row["metric"], row["model"], row["dataset"], row["part"])
        key = (subject, text, tuple(columns.values()))
        groups[key].append(row)
        keys.setdefault(key, {**{name: value for name, value in question.items() if name not in columns}, **columns})
    return [_series(key[0], keys[key], members) for key, members in groups.items()]


def paired(first: Iterable[Series], second: Iterable[Series]) -> tuple[list[tuple[Series, Series]], list[Apart]]:
    """The pairs with equal conditions, in the order of the first run; and what is left, merged by what differs."""
    theirs: dict[tuple[Any, ...], list[Series]] = defaultdict(list)
    for each in second:
        theirs[each.subject].append(each)
    pairs: list[tuple[Series, Series]] = []
    alone: list[Series] = []
    for each in first:
        same = next((other for other in theirs[each.subject] if other.conditions == each.conditions), None)
        if same is None:
            alone.append(each)
        else:
            theirs[each.subject].remove(same)
            pairs.append((each, same))
    return pairs, list(_merged(_apart(alone, theirs)))


def named(series: Series, varying: Iterable[str] = ()) -> str:
    """`mixer, cifar10, batch_size 1`: the model, its data, and the conditions that tell it from its neighbours."""
    _, model, dataset, part = series.subject
    told = [f"{key} {shown(series.conditions.get(key))}" for key in varying]
    return ", ".join(filter(None, [model, dataset, part, *told]))


def varying(series: Iterable[Series]) -> dict[tuple[Any, ...], list[str]]:
    """Subject -> the conditions that its series in one run do not share: what a name has to say."""
    groups: dict[tuple[Any, ...], list[Series]] = defaultdict(list)
    for each in series:
        groups[each.subject].append(each)
    return {subject: _unequal(*(each.conditions for each in members)) for subject, members in groups.items()}


def shown(value: Any) -> str:
    """A condition as it is written: `none` where there is nothing."""
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _records(rows: pandas.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows as plain values: NaN, NA and NaT all become None."""
    plain = {name: column.astype(object).where(column.notna(), None).tolist() for name, column in rows.items()}
    for values in zip(*plain.values(), strict=True):
        yield dict(zip(map(str, plain), values, strict=True))


def _question(text: str) -> tuple[str, dict[str, Any]]:
    """The case's question without its seed: as one text, and key by key."""
    question = json.loads(text)
    question.pop(_SEED, None)
    return canonical_json(question), dict(_flat(question, ""))


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


def _series(subject: tuple[Any, ...], known: Mapping[str, Any], rows: list[dict[str, Any]]) -> Series:
    good = [row for row in rows if row["status"] == "ok" and row["value"] is not None]
    samples = tuple(SeriesSample(row["seed"], row["epoch"], row["repeat"], float(row["value"])) for row in good)
    bad = [row for row in rows if row["status"] != "ok"]
    failures = tuple(dict.fromkeys(": ".join(filter(None, (row["status"], row["reason"]))) for row in bad))
    seeds = frozenset(row[_SEED] for row in bad)
    four = (subject[0], subject[1], subject[2], subject[3])
    return Series(four, rows[0]["unit"], known, samples, failures, seeds)


def _unequal(*sides: Mapping[str, Any]) -> list[str]:
    """The keys whose values are not the same on all sides, in their order."""
    names = dict.fromkeys(name for side in sides for name in side)
    return [name for name in names if any(side.get(name) != sides[0].get(name) for side in sides)]


def _apart(alone: list[Series], theirs: Mapping[tuple[Any, ...], list[Series]]) -> Iterator[Apart]:
    """For each series the nearest of the other run with every key that differs; some stand in one run only."""
    for each in alone:
        others = theirs.get(each.subject, [])
        if not others:
            yield Apart((each.metric,), _plainly(each), "measured", "yes", "no", _parts(each))
            continue
        nearest = min(others, key=lambda other: len(_unequal(each.conditions, other.conditions)))
        others.remove(nearest)
        for key in _unequal(each.conditions, nearest.conditions):
            one, other = (shown(side.conditions.get(key)) for side in (each, nearest))
            yield Apart((each.metric,), _plainly(each), key, one, other, _parts(each))
    for others in theirs.values():
        for each in others:
            yield Apart((each.metric,), _plainly(each), "measured", "no", "yes", _parts(each))


def _plainly(series: Series) -> str:
    _, model, dataset, _ = series.subject
    return ", ".join(filter(None, [model, dataset]))


def _parts(series: Series) -> tuple[str, ...]:
    return tuple(filter(None, [series.subject[3]]))


def _merged(found: Iterable[Apart]) -> Iterator[Apart]:
    """One line where many metrics or parts differ alike."""
    alike: dict[tuple[str, str, str, str], list[Apart]] = defaultdict(list)
    for each in found:
        alike[each.what, each.key, each.first, each.second].append(each)
    for rest, members in alike.items():
        metrics = dict.fromkeys(metric for each in members for metric in each.metrics)
        parts = dict.fromkeys(part for each in members for part in each.parts)
        yield Apart(tuple(metrics), *rest, tuple(parts))

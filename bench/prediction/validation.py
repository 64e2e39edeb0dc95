"""How far predictions are from public tables, with families and devices kept out of the fit: tables, intervals, figure.

Fits nothing and hides nothing: what misses its goal stands in the table like what meets it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.cost.devices import device
from bench.cost.efficiencies import Efficiencies, Errors, family_of
from bench.cost.prediction import fastest_seconds
from bench.cost.work import Account
from bench.prediction.fit import FITTED_ON, FOLDS, Set, collected, fit, predicted
from bench.prediction.published import Point

Array = NDArray[np.float64]
Key = tuple[str, bool, str, str, bool, str]  # device, training, precision, layout, compiled, table
FITTED = (("infer", "contiguous"), ("infer", "channels_last"), ("train", "contiguous"), ("train", "channels_last"))


@dataclass(frozen=True)
class Tested:
    """One table beside its predictions, each by a fit that has not seen the family of the model."""

    points: Sequence[Point]
    seconds: Array
    predicted: Array
    of_fit: bool  # whether the device is the one that is fitted on
    families: Sequence[str]  # by what the models are made of

    @property
    def errors(self) -> Array:
        """Share by which each prediction is off."""
        return np.abs(self.predicted / self.seconds - 1)


def grouped(points: Sequence[Point]) -> dict[Key, list[Point]]:
    """Points of one device under one set of conditions, batch aside."""
    found: dict[Key, list[Point]] = {}
    for each in points:
        asked = each.conditions
        key = (each.device, each.training, asked.precision, asked.layout, asked.compiled, each.table)
        found.setdefault(key, []).append(each)
    return found


def folds(families: Sequence[str]) -> dict[str, int]:
    """Family -> the fold that it is kept out of; the same for the same families."""
    names = sorted(set(families))
    drawn = np.random.RandomState(0).permutation(len(names))
    return {name: int(drawn[place]) % FOLDS for place, name in enumerate(names)}


def tested(points: Sequence[Point], known: Mapping[str, Account]) -> tuple[dict[str, Efficiencies], list[Tested]]:
    """The fit on all families by sort of device, and each table predicted by fits without the families in question."""
    sets = {key: found for key, some in grouped(points).items() if (found := collected(some, known))}
    fold = folds([family for found in sets.values() for family in found.families])
    final, results = {}, []
    for sort, name in FITTED_ON.items():
        on = [found for key, found in sets.items() if key[0] == name]
        number = [np.array([fold[family] for family in found.families]) for found in on]
        if not on:
            continue
        without = [fit(on, [each != out for each in number]) for out in range(FOLDS)]
        final[sort] = fit(on, [each >= 0 for each in number])
        for found in sets.values():
            if found.sort == sort:
                results.append(_tested(found, without, fold, name, known))
    return final, results


def _tested(
    found: Set, without: Sequence[Efficiencies], fold: Mapping[str, int], name: str, known: Mapping[str, Account]
) -> Tested:
    each = np.array([predicted(found, one) for one in without])
    chosen = each[[fold[family] for family in found.families], np.arange(len(found.points))]
    families = [family_of(known[point.account]) for point in found.points]
    return Tested(found.points, found.seconds, chosen, found.points[0].device == name, families)


def impossible(points: Sequence[Point], known: Mapping[str, Account]) -> list[Point]:
    """Points that are faster than their device can be."""
    return [
        each
        for each in points
        if each.account in known
        and each.seconds < fastest_seconds(known[each.account], device(each.device), each.conditions)
    ]


def intervals(results: Sequence[Tested]) -> list[Errors]:
    """Between which factors four of five measured times lay, by sort of device, step and family.

    Of accelerators, those that were never fitted on: that is how predictions are used.
    """
    found = []
    for sort in FITTED_ON:
        for training in (False, True):
            of_sort = [one for one in results if device(one.points[0].device).sort == sort]
            chosen = [one for one in of_sort if one.points[0].training == training]
            unseen = [one for one in chosen if not one.of_fit and len(one.points) > 50] or chosen
            found += list(_intervals(sort, "training" if training else "inference", unseen))
    return found


def _intervals(sort: str, step: str, results: Sequence[Tested]) -> list[Errors]:
    ratios = [one.seconds / one.predicted for one in results]
    names = [name for one in results for name in one.families]
    if not ratios:
        return []
    joined, families = np.concatenate(ratios), np.array(names)
    kinds = ["all", *(name for name in sorted(set(names)) if (families == name).sum() >= 20)]
    masks = [(name, np.ones(len(joined), dtype=bool) if name == "all" else families == name) for name in kinds]
    return [
        Errors(sort, step, name, int(mask.sum()), *(float(np.quantile(joined[mask], share)) for share in (0.1, 0.9)))
        for name, mask in masks
    ]


def with_launches(points: Sequence[Point], launch_s: float) -> list[Point]:
    """The points as of a host that takes so long for a launch."""
    return [replace(each, conditions=replace(each.conditions, launch_s=launch_s)) for each in points]

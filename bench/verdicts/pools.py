"""Whose spread an interval may borrow: the same expression of every other model trained by the same recipe and data.

Computes no statistic and takes no row that a verdict would not take: each model's values are found as evidence is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from bench.plan.case import Case
from bench.statistics import pooling
from bench.statistics.pooling import Models, Pool
from bench.suite import expression
from bench.suite.schema import Quantity
from bench.verdicts.evidence import Evidence, Search
from bench.verdicts.ledger import Ledger, PlannedSetting, is_learned

Training = tuple[str | None, str | None]  # the suite's keys of data and recipe
_ALIKE = ("dataset_sha256", "n_train", "n_test", "precision", "torch", "device")
MOST = 16  # models that are looked at: more would say nothing more


@dataclass(frozen=True)
class Pools:
    """The pools of a ledger. What was found of one expression serves all claims that ask the same of other models."""

    ledger: Ledger
    constants: Mapping[str, float]
    known: dict[tuple[object, ...], dict[int, float]] = field(default_factory=dict)
    trained: dict[tuple[str, str], Mapping[Training, set[str]]] = field(default_factory=dict)

    def of(self, text: str, evidence: Evidence, needed: int | None) -> Pool | None:
        """What other models say of the spread between the seeds of an expression.

        None where it is not about one or two models, where not all of it is trained, or where no other model was.
        """
        asked = self._asked(text)
        own = tuple(dict.fromkeys(str(quantity.model) for quantity in asked.values()))
        if evidence.by != "seed" or not evidence.seeds or not 1 <= len(own) <= 2:
            return None
        if any(quantity.model is None or not is_learned(quantity.metric) for quantity in asked.values()):
            return None
        others = self._others(asked, own, evidence.setting)
        if not others:
            return None
        series = {own: {sample.seed: sample.value for sample in evidence.samples if sample.seed is not None}}
        for models in combinations((*own, *others), len(own)):
            if models != own and (values := self._values(text, asked, own, models, evidence, needed)):
                series[models] = values
        return pooling.pool(own, series)

    def _asked(self, text: str) -> dict[str, Quantity]:
        names = [name for name in expression.names(text) if name not in self.constants]
        return {name: self.ledger.suite.quantities[name] for name in names}

    def _others(self, asked: Mapping[str, Quantity], own: Models, setting: PlannedSetting) -> list[str]:
        """The other models with values whose trainings had the recipes and the data of those that are asked of."""
        wanted = [_trainings(setting.select(quantity)) for quantity in asked.values()]
        if not all(wanted):
            return []
        trained = self._trained(setting)
        alike = set.intersection(*(trained.get(training, set()) for each in wanted for training in each))
        return sorted(alike - set(own))[:MOST]

    def _trained(self, setting: PlannedSetting) -> Mapping[Training, set[str]]:
        """Training -> the models with values of it."""
        if (setting.profile, setting.device) not in self.trained:
            found: dict[Training, set[str]] = {}
            for case in setting.every:
                if case.recipe is not None and setting.ids[case.name] in self.ledger.measured:
                    found.setdefault((case.dataset_key, case.recipe_key), set()).add(case.model)
            self.trained[setting.profile, setting.device] = found
        return self.trained[setting.profile, setting.device]

    def _values(
        self,
        text: str,
        asked: Mapping[str, Quantity],
        own: Models,
        models: Models,
        evidence: Evidence,
        needed: int | None,
    ) -> dict[int, float]:
        """Seed by seed the expression of other models under the same conditions; nothing where they differ."""
        instead = dict(zip(own, models, strict=True))
        given = {name: _of(quantity, instead[str(quantity.model)]) for name, quantity in asked.items()}
        setting = evidence.setting
        alike = tuple(_conditions(evidence, name) for name in asked)
        shape = tuple(
            tuple(sorted(quantity.model_dump(exclude_none=True).items(), key=str)) for quantity in given.values()
        )
        key = (setting.profile, setting.device, needed, _renamed(text, list(asked)), str(shape), alike)
        if key not in self.known:
            constants = {name: self.constants[name] for name in expression.names(text) if name in self.constants}
            found = Search(self.ledger, setting, text, given, constants, None, needed).evidence()
            same = isinstance(found, Evidence) and tuple(_conditions(found, name) for name in asked) == alike
            known = found if same and isinstance(found, Evidence) and not found.not_finite else None
            samples = known.samples if known else ()
            self.known[key] = {sample.seed: sample.value for sample in samples if sample.seed is not None}
        return self.known[key]


def _of(quantity: Quantity, model: str) -> Quantity:
    return quantity.model_copy(update={"model": model})


def _trainings(cases: list[Case]) -> set[Training]:
    """The data and the recipe of each case; nothing where one is not a training."""
    if any(case.recipe is None for case in cases):
        return set()
    return {(case.dataset_key, case.recipe_key) for case in cases}


def _conditions(evidence: Evidence, name: str) -> tuple[Any, ...]:
    return tuple(getattr(evidence.rows[name][0], key) for key in _ALIKE)


def _renamed(text: str, names: list[str]) -> str:
    """The expression with a number for each name, so that two claims that ask the same have the same text."""

    places = {name: f"#{number}" for number, name in enumerate(names)}
    return re.sub(r"[A-Za-z_]\w*", lambda found: places.get(found[0], found[0]), text)

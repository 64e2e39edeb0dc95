"""One thing to measure: the question, its id, and the names that a suite gives to it.

Plans nothing and reads no file; the same question gets the same id on every machine.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.errors import UsageError
from bench.records.measurement import canonical_json
from bench.suite.recipe import Recipe


@dataclass(frozen=True)
class Case:
    """One thing to measure. `question` is everything that can change the answer; its hash is the id.

    Fields a measure reads: `factory`, `model_args`, `num_classes`, `image_size` build the model; `dataset`, `recipe`,
    `seed` say what to train it on and how; `batch_size`, `precision`, `layout`, `compiled` say how to run it;
    `options` are the measure's own keyword arguments.
    """

    name: str  # "accuracy/mlp_mixer/cifar10/as_run/seed0": what --only matches
    suite: str
    suite_sha256: str
    profile: str
    measure: str  # the registered name
    model: str  # the suite's key
    factory: str  # the registered name
    device: str = "cpu"
    model_args: Mapping[str, Any] = field(default_factory=dict)
    num_classes: int = 1000
    image_size: int = 224
    dataset: str | None = None  # the registered name
    dataset_args: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe | None = None
    seed: int | None = None
    weights: Mapping[str, Any] | None = None  # published ones: their digest and how images are prepared for them
    batch_size: int | None = None
    precision: str = "float32"  # float32 | bfloat16 | float16
    layout: str = "contiguous"  # contiguous | channels_last
    compiled: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    deviations: str | None = None
    # The suite's own names for what was asked, before a profile put something smaller in its place.
    measure_key: str = ""
    dataset_key: str | None = None
    recipe_key: str | None = None
    weights_key: str | None = None
    weights_origin: Mapping[str, str] = field(
        default_factory=dict
    )  # where they are: `file`, `timm`, `torchvision`, `url`
    # Which source answers, see `bench.plan.fingerprint`: another source is another answer to the same question.
    code_sha256: str | None = None
    time_limit_s: float | None = None  # after which the case is ended; changes no answer
    beside: str | None = None  # the suite's folder on this machine, where a command finds its files

    @property
    def question(self) -> dict[str, Any]:
        """Everything that can change the answer: no suite name, no profile, no labels."""
        asked = {key: plain(value) for key, value in vars(self).items() if key not in _LABELS}
        return {key: value for key, value in asked.items() if value is not None or key not in _WHERE_USED}

    @property
    def id(self) -> str:
        """The same question has the same id everywhere."""
        return id_of(self.question)


_LABELS = {
    "name",
    "suite",
    "suite_sha256",
    "profile",
    "model",
    "deviations",
    "measure_key",
    "dataset_key",
    "recipe_key",
    "weights_key",
    "weights_origin",
    "code_sha256",
    "time_limit_s",
    "beside",
}


# Keys that came later: they are asked only where they say something, so that older questions keep their ids.
_WHERE_USED = {"weights"}


def id_of(question: Mapping[str, Any]) -> str:
    """16 hex digits of a question's hash."""
    return hashlib.sha256(canonical_json(question).encode()).hexdigest()[:16]


def asked_today(question: Mapping[str, Any]) -> Mapping[str, Any]:
    """A question of an older bench in today's form; one that is in it, or that nobody could ask today, as it is.

    Recipes were kept as they were written; now defaults are filled in, so that equal trainings are equal.
    """
    recipe = question.get("recipe")
    if not isinstance(recipe, Mapping):
        return question
    try:
        return {**question, "recipe": Recipe.from_mapping(recipe).canonical()}
    except UsageError:
        return question


def plain(value: Any) -> Any:
    """Mappings, sequences and recipes as JSON has them."""
    if isinstance(value, Recipe):
        return value.canonical()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value

"""What a training recipe may say: its keys, its schedules, its augmentations, and `Recipe`, the checked form.

Trains nothing and imports no torch: a suite is checked against these tables long before a tensor exists.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import UsageError, near

REQUIRED = object()  # the default of a key that has none


@dataclass(frozen=True)
class Key:
    """One key of a table: what it may hold, and what it means when left out.

    `kind` is one of integer, number, pair (two numbers), triple (three), points (pairs), choice, flag, table, tables.
    Numbers lie in `low`..`high`, both ends included unless `above_low`.
    """

    kind: str
    default: Any = REQUIRED
    low: float = 0.0
    high: float = math.inf
    above_low: bool = False
    choices: tuple[str, ...] = ()


# torchvision's defaults stand where the published code leaves a value out.
AUGMENTATIONS: dict[str, dict[str, Key]] = {
    # Cut from image files as they are decoded; `random` draws one of the two for each image.
    "resized_crop": {
        "scale": Key("pair", (0.08, 1.0), high=1, above_low=True),
        "ratio": Key("pair", (3 / 4, 4 / 3), above_low=True),
        "interpolation": Key("choice", "bilinear", choices=("bilinear", "bicubic", "random")),
    },
    "flip": {"p": Key("number", 0.5, high=1)},
    "crop": {"padding": Key("integer", 4, low=1, high=64)},
    "rotation": {"degrees": Key("number", high=180)},
    "color_jitter": {
        "brightness": Key("number", 0.0),
        "contrast": Key("number", 0.0),
        "saturation": Key("number", 0.0),
        "hue": Key("number", 0.0, high=0.5),
    },
    "rand_augment": {"n": Key("integer", 2, low=1, high=16), "m": Key("integer", 9, low=0, high=30)},
    "erasing": {
        "p": Key("number", 0.5, high=1),
        "scale": Key("pair", (0.02, 0.33), high=1),
        "ratio": Key("pair", (0.3, 3.3), above_low=True),
    },
}

_EVERY_SCHEDULE = {
    "step": Key("choice", "epoch", choices=("batch", "epoch")),
    "warmup_epochs": Key("number", 0.0),
}
SCHEDULES: dict[str, dict[str, Key]] = {
    "constant": _EVERY_SCHEDULE,
    # t_max counts steps of the schedule's unit; None: the whole training after the warm-up.
    "cosine": {**_EVERY_SCHEDULE, "t_max": Key("integer", None, low=1), "eta_min": Key("number", 0.0)},
    "piecewise": {**_EVERY_SCHEDULE, "points": Key("points")},
    "onecycle": {
        **_EVERY_SCHEDULE,
        "pct_start": Key("number", 0.3, high=1, above_low=True),
        "div_factor": Key("number", 25.0, above_low=True),
        "final_div_factor": Key("number", 1e4, above_low=True),
    },
}

RECIPE_KEYS: dict[str, Key] = {
    "epochs": Key("integer", low=1),
    "batch_size": Key("integer", low=1),
    "optimizer": Key("choice", choices=("adamw", "adam", "sgd")),
    "lr": Key("number", None, above_low=True),  # left out only when piecewise points carry it
    "weight_decay": Key("number", 0.0),
    "betas": Key("pair", (0.9, 0.999), high=1),
    "eps": Key("number", 1e-8, above_low=True),
    "momentum": Key("number", 0.9, high=1),
    "schedule": Key("table", {"name": "constant"}),
    "augment": Key("tables", ()),
    "normalize": Key("normalize", "dataset"),
    "label_smoothing": Key("number", 0.0, high=1),
    "clip_norm": Key("number", None, above_low=True),
    "mixup": Key("number", 0.0),
    "cutmix": Key("number", 0.0),
    "precision": Key("choice", "float32", choices=("float32", "bfloat16", "float16")),
    "selection": Key("choice", "last", choices=("last", "best")),
    "drop_last": Key("flag", False),
}


@dataclass(frozen=True)
class Part:
    """A schedule or an augmentation: its name and all its parameters, defaults filled in."""

    name: str
    parameters: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.parameters[key]


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. Every key of a suite's recipe table, checked, with defaults filled in.

    `selection` says which epoch the source reports; both last and best are always measured.
    """

    epochs: int
    batch_size: int
    optimizer: str
    lr: float
    weight_decay: float
    betas: tuple[float, float]
    eps: float
    momentum: float
    schedule: Part
    augment: tuple[Part, ...]
    normalize: str | Mapping[str, tuple[float, float, float]]  # "dataset", or mean and std per channel, in 0..1
    label_smoothing: float
    clip_norm: float | None
    mixup: float  # alpha of the Beta distribution, 0: off
    cutmix: float
    precision: str
    selection: str
    drop_last: bool

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], where: str = "recipe") -> "Recipe":
        """Check a recipe as a suite has it.

        Args:
            mapping: the table; see `RECIPE_KEYS`, `SCHEDULES` and `AUGMENTATIONS` for what it may hold.
            where: how messages name the table, such as `suites/x.toml [recipes.as_run]`.

        Raises:
            UsageError: with every problem found, one a line.
        """
        problems: list[str] = []
        found = _read(mapping, RECIPE_KEYS, where, problems)
        _check_lr(found, where, problems)
        _check_augment_order(found.get("augment", ()), where, problems)
        if problems:
            raise UsageError("\n".join(problems))
        return cls(**found)


def _check_lr(found: dict[str, Any], where: str, problems: list[str]) -> None:
    """Fill in the rate that piecewise points imply; two different peaks are a contradiction."""
    schedule, lr = found.get("schedule"), found.get("lr")
    if schedule is None:
        return  # told already
    if schedule.name == "piecewise":
        peak = max(lr_at for _, lr_at in schedule["points"])
        found["lr"] = peak if lr is None else lr
        if lr is not None and not math.isclose(lr, peak):
            problems.append(f"{where}: lr = {lr} but the highest of the schedule's points is {peak}")
    elif lr is None and "lr" in found:
        problems.append(f"{where}: key 'lr' is missing")


def _check_augment_order(augment: Sequence[Part], where: str, problems: list[str]) -> None:
    names = [part.name for part in augment]
    if "erasing" in names and names.index("erasing") != len(names) - 1:
        problems.append(f"{where}.augment: 'erasing' acts on the normalised image and must be the last entry")
    if "resized_crop" in names[1:]:
        problems.append(f"{where}.augment: 'resized_crop' cuts files as they are decoded and must be the first entry")


def _read(table: Mapping[str, Any], keys: Mapping[str, Key], where: str, problems: list[str]) -> dict[str, Any]:
    """Values of `keys` found in `table`, defaults filled in; what is wrong is appended to `problems` and left out."""
    problems += [f"{where}: no key '{key}'.{near(str(key), list(keys))}" for key in table if key not in keys]
    found: dict[str, Any] = {}
    for name, key in keys.items():
        if name not in table and key.default is REQUIRED:
            problems.append(f"{where}: key '{name}' is missing")
            continue
        value = table.get(name, key.default)
        if value is None and key.default is None:
            found[name] = None
            continue
        try:
            found[name] = _READERS[key.kind](value, key, f"{where}.{name}", problems)
        except (TypeError, ValueError) as error:
            problems.append(f"{where}.{name}: {error}")
    return found


def _number(value: Any, key: Key, where: str, problems: list[str]) -> float:
    # bool is an int in Python; `p = true` is a slip, not a probability.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"a number is needed, not {value!r}")
    beyond = not key.low <= value <= key.high or (key.above_low and value == key.low)
    if beyond or not math.isfinite(value):
        low = f"{'above' if key.above_low else 'from'} {key.low:g}"
        raise ValueError(f"{value!r} is out of range: {low}" + (f" to {key.high:g}" if key.high < math.inf else ""))
    return float(value)


def _integer(value: Any, key: Key, where: str, problems: list[str]) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"a whole number is needed, not {value!r}")
    return int(_number(value, key, where, problems))


def _numbers(count: int) -> Any:
    def read(value: Any, key: Key, where: str, problems: list[str]) -> tuple[float, ...]:
        if not isinstance(value, (list, tuple)) or len(value) != count:
            raise TypeError(f"{count} numbers are needed, not {value!r}")
        return tuple(_number(one, key, where, problems) for one in value)

    return read


def _points(value: Any, key: Key, where: str, problems: list[str]) -> tuple[tuple[float, float], ...]:
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        raise TypeError("at least two points [fraction of training, learning rate] are needed")
    points = tuple(_numbers(2)(point, key, where, problems) for point in value)
    at = [fraction for fraction, _ in points]
    if at != sorted(set(at)) or at[0] != 0 or at[-1] != 1:
        raise ValueError(f"the fractions must rise from 0 to 1, not {at}")
    return points


def _choice(value: Any, key: Key, where: str, problems: list[str]) -> str:
    if value not in key.choices:
        raise ValueError(f"no '{value}'.{near(str(value), list(key.choices))}")
    return str(value)


def _flag(value: Any, key: Key, where: str, problems: list[str]) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"true or false is needed, not {value!r}")
    return value


def _part(value: Any, table: Mapping[str, Mapping[str, Key]], where: str, problems: list[str]) -> Part | None:
    if not isinstance(value, Mapping) or "name" not in value:
        raise TypeError(f"a table with a name is needed, such as {{name = '{next(iter(table))}'}}, not {value!r}")
    name = str(value["name"])
    if name not in table:
        raise ValueError(f"no '{name}'.{near(name, list(table))}")
    rest = {key: inner for key, inner in value.items() if key != "name"}
    before = len(problems)
    parameters = _read(rest, table[name], f"{where}.{name}", problems)
    # What was told is left out, so that nothing is built from an incomplete part.
    return Part(name, parameters) if len(problems) == before else None


def _schedule(value: Any, key: Key, where: str, problems: list[str]) -> Part | None:
    return _part(value, SCHEDULES, where, problems)


def _augment(value: Any, key: Key, where: str, problems: list[str]) -> tuple[Part, ...]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"a list of tables is needed, not {value!r}")
    parts = []
    for index, one in enumerate(value):
        try:
            part = _part(one, AUGMENTATIONS, f"{where}[{index}]", problems)
        except (TypeError, ValueError) as error:
            problems.append(f"{where}[{index}]: {error}")
        else:
            parts += [part] if part else []
    return tuple(parts)


def _normalize(value: Any, key: Key, where: str, problems: list[str]) -> Any:
    if value == "dataset":
        return value
    if not isinstance(value, Mapping) or set(value) != {"mean", "std"}:
        raise TypeError(f"'dataset' or a table with mean and std is needed, not {value!r}")
    triple = _numbers(3)
    std = triple(value["std"], Key("triple", above_low=True), where, problems)
    return {"mean": triple(value["mean"], Key("triple", high=1), where, problems), "std": std}


_READERS = {
    "number": _number,
    "integer": _integer,
    "pair": _numbers(2),
    "points": _points,
    "choice": _choice,
    "flag": _flag,
    "table": _schedule,
    "tables": _augment,
    "normalize": _normalize,
}

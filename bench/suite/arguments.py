"""Whether a suite's arguments are ones that a factory or a measure takes: names, kinds and ranges.

Reads signatures from source text; imports no factory and calls none.
"""

import ast
import importlib.util
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from bench.cost.closed_forms import CONV_MIXERS, FAMILIES, MIXERS
from bench.errors import near
from bench.registry import Registry, datasets, measures, models
from bench.source.offers import ANY
from bench.suite.data_facts import whole
from bench.suite.table import shown

_KINDS: dict[str, tuple[str, tuple[type, ...]]] = {
    "int": ("a whole number", (int,)),
    "float": ("a number", (int, float)),
    "bool": ("true or false", (bool,)),
    "str": ("text", (str,)),
    "Sequence[int]": ("a list of whole numbers", (list,)),
    "tuple[int, ...]": ("a list of whole numbers", (list,)),
    "list[int]": ("a list of whole numbers", (list,)),
}
# name -> from and to, both ends included, of arguments that only make sense there.
_SIZE = (1, 65_536)
_SIZES = ("patch_size", "width", "depth", "token_mlp", "channel_mlp", "kernel_size", "groups")
_MODEL_RANGES: dict[str, tuple[float, float]] = {**dict.fromkeys(_SIZES, _SIZE), "dropout": (0, 1)}
_DATA_RANGES: dict[str, tuple[float, float]] = {
    "n_train": (1, 10**9),
    "n_test": (1, 10**9),
    "n_classes": (2, 65_536),
    "image_size": _SIZE,
    "patch_size": _SIZE,
    "subset_seed": (0, 2**32 - 1),
    "order_seed": (0, 2**32 - 1),
    "seed": (0, 2**32 - 1),
}
_DATA_SHARES = ("train_fraction", "crop_share")  # above 0, at most 1
_DATA_WORDS = {"order": ["pixels", "patches", "within_patches"], "interpolation": ["bilinear", "bicubic"]}
_MEASURE_RANGES: dict[str, tuple[float, float]] = {
    "min_seconds": (0, 10**6), "max_seconds": (0, 10**6), "blocks": (1, 10**6), "pairs": (1, 10**6),
    "processes": (1, 1000),
}  # fmt: skip


def parameters(registry: Registry, name: str) -> dict[str, str] | None:
    """The arguments that a registered factory takes from a suite, each with its annotation as it is written.

    None where they cannot be read, or where it takes any.
    """
    found = registry.signature(name)
    if found is None:
        return None
    return {key: kind for key, kind in found.items() if key != ANY} | (choice() if ANY in found else {})


def completion(registry: Registry) -> dict[str, Any]:
    """JSON Schema of the arguments of all that bench brings of a kind, for editors; a plug-in may take others."""
    takers: dict[str, list[str]] = {}
    for name in registry.built_in():
        for argument in parameters(registry, name) or ():
            if argument == "versus":
                continue  # a key of the measure
            takers.setdefault(argument, []).append(name)
    return {"properties": {name: {"description": f"Of {', '.join(of)}."} for name, of in sorted(takers.items())}}


@lru_cache(maxsize=1)
def choice() -> dict[str, str]:
    """The options that every data set of bench knows, from the source of `Choice`."""
    spec = importlib.util.find_spec("bench.data")
    assert spec is not None
    assert spec.submodule_search_locations
    source = Path(spec.submodule_search_locations[0]) / "dataset.py"
    tables = [node for node in ast.parse(source.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    (table,) = [node for node in tables if node.name == "Choice"]
    fields = [node for node in table.body if isinstance(node, ast.AnnAssign)]
    return {ast.unparse(field.target): ast.unparse(field.annotation) for field in fields}


def model_problems(where: str, factory: str, args: Mapping[str, Any], known: dict[str, str] | None) -> Iterator[str]:
    """What is wrong with the arguments of a model."""
    yield from _each(where, args, known)
    if factory not in FAMILIES:
        return
    yield from _ranges(where, args, _MODEL_RANGES)
    variants = list(CONV_MIXERS if factory == "conv_mixer" else MIXERS)
    if isinstance(variant := args.get("variant"), str) and variant not in variants:
        yield f"{where}: variant: no variant '{variant}'.{near(variant, variants)}"


def data_problems(where: str, name: str, args: Mapping[str, Any], known: dict[str, str] | None) -> Iterator[str]:
    """What is wrong with the arguments of a data set."""
    yield from _each(where, args, known)
    facts = whole(name)
    if facts is None:
        return
    yield from _ranges(where, args, _DATA_RANGES)
    for key in _DATA_SHARES:
        if _is(args.get(key), float) and not 0 < args[key] <= 1:
            yield f"{where}: {key}: {shown(args[key])} is out of range: above 0 up to 1"
    for key, words in _DATA_WORDS.items():
        if isinstance(word := args.get(key), str) and word not in words:
            yield f"{where}: {key}: no '{word}'.{near(word, words)}"
    if {"n_train", "train_fraction"} <= args.keys() and name != "synthetic":
        yield f"{where}: give train_fraction or n_train, not both"
    if name != "synthetic":
        for key, most in (("n_train", facts.n_train), ("n_test", facts.n_test)):
            if most is not None and _is(args.get(key), int) and args[key] > most:
                yield f"{where}: {key}: {shown(args[key])} images asked for, {most} are there"


def option_problems(where: str, options: Mapping[str, Any], known: dict[str, str] | None) -> Iterator[str]:
    """What is wrong with the options of a measure; `versus` is a key of the measure itself."""
    if "versus" in options:
        yield f"{where}: versus: is a key of the measure, not one of its options"
    named = None if known is None else {name: kind for name, kind in known.items() if name != "versus"}
    yield from _each(where, {name: value for name, value in options.items() if name != "versus"}, named)
    yield from _ranges(where, options, _MEASURE_RANGES)


def _each(where: str, args: Mapping[str, Any], known: dict[str, str] | None) -> Iterator[str]:
    """Names that are not there, and values of another kind than the annotation says."""
    for name, value in args.items() if known is not None else ():
        assert known is not None
        if name not in known:
            yield f"{where}: no key '{name}'.{near(name, list(known))}"
        elif told := _KINDS.get(known[name].removesuffix("| None").strip()):
            words, kinds = told
            inner = value if isinstance(value, list) and list in kinds else []
            if not any(_is(value, kind) for kind in kinds) or not all(_is(each, int) for each in inner):
                yield f"{where}: {name}: {words} is needed, not {shown(value)}"


def _ranges(where: str, args: Mapping[str, Any], ranges: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    for name, (low, high) in ranges.items():
        if _is(args.get(name), float) and not low <= args[name] <= high:
            yield f"{where}: {name}: {shown(args[name])} is out of range: {low:g} to {high:g}"


def _is(value: Any, kind: type) -> bool:
    """Whether a value is of a kind: a flag is no number, and a whole number is one."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _in_json(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arguments are part of a case's question, so that they must be what its canonical JSON can hold."""
    problems = [f"{key}: {problem}" for key, value in arguments.items() for problem in _not_json(value)]
    if problems:
        raise ValueError("\n".join(problems))
    return arguments


def _not_json(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        yield from dict.fromkeys(problem for inner in value for problem in _not_json(inner))
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{value} is not a finite number"
    elif isinstance(value, int) and abs(value) >= 2**63:
        yield f"{shown(value)} is out of range"
    elif not isinstance(value, (str, int, float)):
        yield f"a {type(value).__name__} is no argument: text, numbers, true or false, lists and tables of them are"


# Handed to a factory or a measure by name; which names there are, the registry knows.
Arguments = Annotated[dict[str, Any], AfterValidator(_in_json)]
OfModel = Annotated[Arguments, Field(json_schema_extra=lambda found: found.update(completion(models)))]
OfDataset = Annotated[Arguments, Field(json_schema_extra=lambda found: found.update(completion(datasets)))]
OfMeasure = Annotated[Arguments, Field(json_schema_extra=lambda found: found.update(completion(measures)))]

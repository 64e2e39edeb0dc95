"""What a guarded model is, exactly: parameters, buffers and multiply-accumulates module by module, shapes and type.

Times nothing and tolerates nothing: one parameter more is a difference. Weights are never allocated where the model
and the counter can do without.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule

from bench.errors import BenchError, MeasurementError
from bench.gate.baseline import Accepted, Facts, ModuleFacts
from bench.measures.instruments.counters import Recorder, recording
from bench.measures.instruments.model import build, images
from bench.measures.instruments.parameters import owned
from bench.measures.instruments.wrappers import Attempt, tensors, uncompiled, unwrapped
from bench.plan.case import Case
from bench.registry import OTHERS_ERRORS
from bench.suite.schema import Suite

ITSELF = "(model)"  # what the model owns outside its modules
REFUSALS = (BenchError, *OTHERS_ERRORS)  # what a model may answer; a bug of bench keeps its traceback


def case_of(suite: Suite, key: str) -> Case:
    """The model that a guard names, as a case: built for one image, in the guard's precision and layout."""
    guard = suite.guards[key]
    model = suite.models[guard.model]
    return Case(
        f"static/{key}", suite.id, "", "", measure="static", model=guard.model, factory=model.factory,
        model_args=model.args, num_classes=model.num_classes, image_size=model.image_size,
        precision=guard.precision, layout=guard.layout,
    )  # fmt: skip


def config_of(case: Case) -> dict[str, Any]:
    """What the suite asks for, as the baseline keeps it."""
    return {
        "factory": case.factory,
        "args": dict(case.model_args),
        "num_classes": case.num_classes,
        "image_size": case.image_size,
        "precision": case.precision,
        "layout": case.layout,
    }


def facts(case: Case) -> Facts:
    """Build the case's model in eval mode and count one image: on the meta device, or on the CPU if it refuses.

    Raises:
        MeasurementError: the model cannot be built or cannot run one image; with its own words.
    """
    try:
        with Attempt():  # some models read values while they run, and the meta device has none
            return _facts_on(case, "meta")
        return _facts_on(case, "cpu")
    except REFUSALS as error:
        words = " ".join(str(error).split())
        raise MeasurementError(f"does not build or run: {type(error).__name__}: {words[:300]}") from error


def _facts_on(case: Case, device: str) -> Facts:
    model, batch = unwrapped(build(case, device=device)).eval(), images(case, batch_size=1, device=device)
    with torch.no_grad(), uncompiled(), recording() as recorder, _by_module(model, recorder) as at:
        output = model(batch)
    modules = _owned(model, at.macs)
    outputs = list(tensors(output))
    return Facts(
        input=list(batch.shape),
        output=list(output.shape) if isinstance(output, Tensor) else [list(one.shape) for one in outputs],
        dtype=", ".join(dict.fromkeys(str(one.dtype).removeprefix("torch.") for one in outputs)) or "none",
        params=sum(one.params for one in modules.values()),
        trainable=sum(one.params - one.frozen for one in modules.values()),
        buffers=sum(one.buffers for one in modules.values()),
        macs_per_image=recorder.tally.total,
        counter=f"torch {torch.__version__.partition('+')[0]}",
        uncounted=dict(sorted(recorder.tally.unknown.items())),
        modules=modules,
    )


@dataclass
class _Place:
    """Where in the model the count stands: the modules that are running, innermost last."""

    macs: Counter[str]
    running: list[str]
    total: int = 0

    def advance(self, total: int) -> None:
        """What was counted since the last step belongs to the innermost running module."""
        self.macs[self.running[-1]] += total - self.total
        self.total = total


@contextmanager
def _by_module(model: nn.Module, recorder: Recorder) -> Iterator[_Place]:
    """Follow a forward pass, so that every multiply-accumulate has the module whose own code it ran in."""
    place = _Place(Counter(), [ITSELF])

    def enter(path: str) -> Callable[..., None]:
        def step(*_: object) -> None:
            place.advance(recorder.tally.total)
            place.running.append(path)

        return step

    def leave(*_: object) -> None:
        place.advance(recorder.tally.total)
        place.running.pop()

    hooks = []
    for path, module in model.named_modules():
        if path and not isinstance(module, ScriptModule):  # whose code is its innermost ordinary module's
            hooks += [module.register_forward_pre_hook(enter(path)), module.register_forward_hook(leave)]
    yield place
    place.advance(recorder.tally.total)
    for hook in hooks:
        hook.remove()


def _owned(model: nn.Module, macs: Counter[str]) -> dict[str, ModuleFacts]:
    """What each module owns itself. What two share belongs to the first that has it, so that it is counted once."""
    params, frozen, buffers = Counter[str](), Counter[str](), Counter[str]()
    parameters = dict(model.named_parameters())
    for name, count in owned(parameters).items():
        owner = name.rpartition(".")[0] or ITSELF
        params[owner] += count
        frozen[owner] += 0 if parameters[name].requires_grad else count
    for name, count in owned(dict(model.named_buffers())).items():
        buffers[name.rpartition(".")[0] or ITSELF] += count
    paths = [ITSELF, *(path for path, _ in model.named_modules() if path)]
    found = {
        path: ModuleFacts(params=params[path], frozen=frozen[path], buffers=buffers[path], macs=macs[path])
        for path in paths
    }
    return {path: one for path, one in found.items() if one != ModuleFacts()}


# Differences. Each is one sentence that begins with what differs, the modules first: they say where to look.


def differences(now: Facts, config: dict[str, Any], accepted: Accepted) -> list[str]:
    """Every difference between a model as it is and as it was accepted; empty when there is none.

    The counter's version is no difference of the model: it is named beside counts that differ under another version.
    """
    return [
        *_config_differences(config, accepted.config),
        *_module_differences(now, accepted),
        *_total_differences(now, accepted),
    ]


def _config_differences(now: dict[str, Any], accepted: dict[str, Any]) -> Iterator[str]:
    one, other = _flat(now), _flat(accepted)
    for key in sorted(one.keys() | other.keys()):
        if one.get(key) != other.get(key):
            yield f"the suite says {key} = {one.get(key, 'nothing')!r}, the baseline {other.get(key, 'nothing')!r}"


def _flat(config: dict[str, Any]) -> dict[str, Any]:
    arguments = {f"args.{key}": value for key, value in config.get("args", {}).items()}
    return {key: value for key, value in config.items() if key != "args"} | arguments


# Field -> how many of it a module has, in words.
OWNED = {
    "params": "has {:,} parameters",
    "frozen": "has {:,} frozen parameters",
    "buffers": "has {:,} elements in buffers",
    "macs": "takes {:,} MACs per image",
}


def _module_differences(now: Facts, accepted: Facts) -> Iterator[str]:
    for path, module in now.modules.items():
        if path not in accepted.modules:
            yield f"{path} is new: it {_what(module)}"
    for path, module in accepted.modules.items():
        if path not in now.modules:
            yield f"{path} is gone: in the baseline it {_what(module)}"
    both = [path for path in now.modules if path in accepted.modules]
    for name, words in OWNED.items():
        for path in both:
            here, there = getattr(now.modules[path], name), getattr(accepted.modules[path], name)
            if here != there:
                yield f"{path} {words.format(here)}, the baseline {there:,}"


def _what(module: ModuleFacts) -> str:
    return ", ".join(words.format(getattr(module, key)) for key, words in OWNED.items() if getattr(module, key))


def _total_differences(now: Facts, accepted: Facts) -> Iterator[str]:
    for name in ("input", "output"):
        if (here := getattr(now, name)) != (there := getattr(accepted, name)):
            yield f"the {name} has the shape {here}, the baseline {there}"
    if now.dtype != accepted.dtype:
        yield f"the output is {now.dtype}, the baseline {accepted.dtype}"
    if now.uncounted != accepted.uncounted:
        yield f"the counter does not know {_calls(now.uncounted)}, in the baseline {_calls(accepted.uncounted)}"
    for name, words in TOTALS.items():
        here, there = getattr(now, name), getattr(accepted, name)
        if here != there:
            other = f" by {accepted.counter}" if name == "macs_per_image" and now.counter != accepted.counter else ""
            yield f"{words} {here:,}, the baseline {there:,}{other}"


TOTALS = {
    "params": "parameters in total:",
    "trainable": "trainable parameters:",
    "buffers": "elements in buffers:",
    "macs_per_image": "MACs per image:",
}


def _calls(unknown: dict[str, int]) -> str:
    return ", ".join(f"{name} ({calls} calls)" for name, calls in unknown.items()) or "nothing"

"""What is put around a model without being one: compiled, parallel, answering with a dict; and what an author refuses.

Changes no weight and no number: a wrapper is taken off, and an output is only taken apart.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields, is_dataclass
from types import TracebackType

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule

from bench.errors import BenchError

# Wrapper's class -> the attribute that holds the model. By name, so that torch's compiler is not imported to ask.
_INSIDE = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}


def unwrapped(model: nn.Module) -> nn.Module:
    """The module that `torch.compile`, DataParallel or DistributedDataParallel was put around, compiled in no part.

    Takes compilation off inner modules in place, for no trace can follow it; their weights stay.
    """
    while (name := _INSIDE.get(type(model).__name__)) and type(model).__module__.startswith("torch."):
        model = getattr(model, name)
    for module in [each for each in model.modules() if not isinstance(each, ScriptModule)]:
        module._compiled_call_impl = None
        for name, child in module.named_children():
            if type(child).__name__ == "OptimizedModule":
                module._modules[name] = unwrapped(child)
    return model


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run compiled parts operator by operator: what a compiler has fused, no counter can read."""
    if "torch._dynamo" not in sys.modules:  # then nothing is compiled, and asking would import the compiler
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def tensors(output: object) -> Iterator[Tensor]:
    """All tensors of an output: of a mapping, a sequence, or a dataclass as libraries of models return them."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for one in output.values():
            yield from tensors(one)
    elif isinstance(output, (tuple, list)):
        for one in output:
            yield from tensors(one)
    elif is_dataclass(output) and not isinstance(output, type):
        for field in fields(output):
            yield from tensors(getattr(output, field.name))


class OnlyTensors(nn.Module):
    """The model, answering with a tuple of its tensors: a trace knows neither dicts nor dataclasses."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> object:
        """Images as the model takes them -> its tensors; an output of any other kind as it is."""
        output = self.model(images)
        return tuple(tensors(output)) or output


class Attempt(AbstractContextManager["Attempt"]):
    """A block in which somebody's code may refuse; `refusal` is then what it raised.

    An author may raise an error of any kind. None is lost: the same code runs again where nothing is attempted any
    more, or the refusal goes into a row. What bench itself refuses is never taken for it.
    """

    refusal: Exception | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Keep any error but bench's own, an interrupt or an exit."""
        if isinstance(error, Exception) and not isinstance(error, BenchError):
            self.refusal = error
        return self.refusal is not None

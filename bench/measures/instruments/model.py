"""A case becomes a module and a batch of images: on a device, in a precision and a layout, seeded.

Chooses neither train nor eval mode, and trains and times nothing. Precision means a cast of the weights and the
images, not autocast: then one number says in which type every product was taken, and memory follows from the type.
"""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from bench.errors import MeasurementError, UsageError
from bench.measures.instruments.parameters import cast
from bench.measures.instruments.wrappers import Attempt, uncompiled
from bench.plan.case import Case
from bench.registry import models

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def build(case: Case, *, device: str | None = None, seed: int | None = None) -> nn.Module:
    """The module that a case asks for, on `device` and with weights drawn from `seed` (default: the case's, or 0).

    On the device `meta` no weight is allocated or drawn. The global random state is left as it was.

    Raises:
        UsageError: an unknown model name, or arguments that its factory does not take.
        MeasurementError: an unknown precision or layout, or a lazy layer that no image reaches.
    """
    device = device or case.device
    precision, layout = _precision(case), _layout(case)
    # Weights are drawn on the CPU even for CUDA, so that one seed means the same weights on both.
    with torch.random.fork_rng(devices=[]), torch.device("meta" if device == "meta" else "cpu"):
        torch.manual_seed(seed if seed is not None else case.seed or 0)
        model: nn.Module = call_factory(
            case.factory, num_classes=case.num_classes, image_size=case.image_size, **dict(case.model_args)
        )
        show_an_image(model, case.image_size)
        refuse_unseen(case.factory, model)
    model = cast(model, precision).to(device=device, memory_format=layout)  # type: ignore[call-overload]
    if case.compiled:
        model.compile()  # in place: the parameters keep their names
    return model


def show_an_image(model: nn.Module, image_size: int) -> None:
    """Let lazy layers, which learn their sizes from their first input, draw their weights; others stay untouched.

    A layer that only runs in training, such as an auxiliary head, sees two images then: batch norm wants more than one.
    """
    if not lazy_ones(model):
        return
    training = {module: module.training for module in model.modules()}
    buffers = {name: one.clone() for name, one in model.named_buffers() if not is_lazy(one)}
    with torch.no_grad(), uncompiled():
        model.eval()(torch.zeros(1, 3, image_size, image_size))
        if lazy_ones(model):
            with Attempt():  # whatever it raises: what no image reaches is told after
                model.train()(torch.zeros(2, 3, image_size, image_size))
    for module, was in training.items():
        module.training = was
    for name, one in model.named_buffers():
        if name in buffers:
            one.copy_(buffers[name])
        elif name.rpartition(".")[2] in _START:  # of a batch norm that was lazy
            one.fill_(_START[name.rpartition(".")[2]])


_START = {"running_mean": 0, "running_var": 1, "num_batches_tracked": 0}


def lazy_ones(model: nn.Module) -> list[str]:
    """The paths of parameters and buffers that have no size yet."""
    return [path for path, one in (*model.named_parameters(), *model.named_buffers()) if is_lazy(one)]


def refuse_unseen(name: str, model: nn.Module) -> None:
    """Raise MeasurementError where a layer is lazy still: it has no size, so that nobody can count or train it."""
    if lazy := lazy_ones(model):
        layers = ", ".join(dict.fromkeys(f"'{path.rpartition('.')[0]}'" for path in lazy))
        raise MeasurementError(f"model '{name}': no image reaches the lazy layers {layers}, so they have no weights")


def call_factory(name: str, **arguments: Any) -> nn.Module:
    """Call the factory registered under `name`; of `timm:resnet50` it gets `resnet50` as first positional argument.

    Raises:
        UsageError: no such model, or arguments that the factory does not take.
    """
    factory = models.get(name)
    _, colon, tail = name.partition(":")
    positional = (tail,) if colon else ()
    try:
        inspect.signature(factory).bind(*positional, **arguments)
    except TypeError as error:
        raise UsageError(f"model '{name}': {error}. It takes {inspect.signature(factory)}") from error
    model: nn.Module = factory(*positional, **arguments)
    return model


def images(case: Case, *, batch_size: int | None = None, device: str | None = None, seed: int = 0) -> Tensor:
    """A batch of normal noise in the case's precision and layout: (B, 3, image_size, image_size).

    Args:
        batch_size: images; default the case's, or 1 where it names none.
    """
    shape = (batch_size or case.batch_size or 1, 3, case.image_size, case.image_size)
    device = device or case.device
    if device == "meta":
        batch = torch.empty(shape, device="meta")
    else:
        batch = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return batch.to(device=device, dtype=_precision(case), memory_format=_layout(case))


def _precision(case: Case) -> torch.dtype:
    if case.precision not in PRECISIONS:
        raise MeasurementError(f"no precision '{case.precision}'. Known: {', '.join(PRECISIONS)}")
    return PRECISIONS[case.precision]


def _layout(case: Case) -> torch.memory_format:
    if case.layout not in LAYOUTS:
        raise MeasurementError(f"no layout '{case.layout}'. Known: {', '.join(LAYOUTS)}")
    return LAYOUTS[case.layout]

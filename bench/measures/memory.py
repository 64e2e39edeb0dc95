"""Peak bytes of one inference forward pass and of one training step, weights and batch included.

Counts tensors, not the process: no interpreter, no libraries, no memory that an allocator holds in reserve.

On the CPU every storage that an operator returns is counted from its birth to its death: exact, and the same on every
machine with the same torch. Scratch space inside an operator is not seen: for the CIFAR Mixer at batch 128 torch's
profiler sees the same bytes in a forward pass and 0.8 % more in a training step. On CUDA it is what the caching
allocator had handed out at the most, with scratch space and with each block rounded up to 512 bytes.
"""

import gc
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from bench.errors import MeasurementError
from bench.execution.context import Context
from bench.measures.instruments.live_bytes import LiveBytes
from bench.measures.instruments.model import build, images
from bench.plan.case import Case
from bench.records.measurement import Reading
from bench.registry import measures


@measures.register("memory")
def memory(case: Case, context: Context, *, train_step: bool = True) -> Iterator[Reading]:
    """Yield `forward_peak_bytes` (eval, inference mode) and `train_step_peak_bytes` for the case's batch size.

    The training step is the second one (so the optimiser's state is there): zero_grad, forward, cross-entropy,
    backward, AdamW with torch's defaults, all in the case's precision.

    Args:
        train_step: leave the training step out where False.

    Raises:
        MeasurementError: a compiled model on the CPU, whose tensors cannot be seen one by one.
    """
    if case.compiled and case.device == "cpu":
        raise MeasurementError("a compiled model's tensors are not seen on the CPU; measure its memory on cuda")
    yield Reading("forward_peak_bytes", float(forward_peak(case)))
    if train_step:
        yield Reading("train_step_peak_bytes", float(train_step_peak(case)))


def forward_peak(case: Case) -> int:
    """Peak bytes of one forward pass in inference mode: weights, buffers, batch, activations alive at once."""
    model, batch = build(case).eval(), images(case)

    def forward() -> Tensor:
        with torch.inference_mode():
            logits: Tensor = model(batch)
            return logits

    return peak_bytes(forward, [*model.parameters(), *model.buffers(), batch], case.device)


def train_step_peak(case: Case) -> int:
    """Peak bytes of one training step: weights, gradients, AdamW's two moments, and what backward needs."""
    model, batch = build(case).train(), images(case)
    labels = torch.arange(len(batch), device=batch.device) % case.num_classes
    optimizer = torch.optim.AdamW(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch), labels).backward()
        optimizer.step()

    step()
    # Without gradients, as every step begins: a list that held them would keep them alive beside the new ones.
    optimizer.zero_grad()
    state = [leaf for leaf in tree_leaves(dict(optimizer.state)) if isinstance(leaf, Tensor)]
    return peak_bytes(step, [*model.parameters(), *model.buffers(), batch, labels, *state], case.device)


def peak_bytes(work: Callable[[], object], held: Sequence[Tensor], device: str) -> int:
    """Most bytes alive at once while `work` runs, `held` being alive before."""
    gc.collect()
    if device == "cuda":
        work()  # libraries take their workspaces on the first call
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()
    live = LiveBytes(held)
    with live:
        work()
    return live.peak

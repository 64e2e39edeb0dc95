"""What this machine's device reaches: a typical operator of each class, copies in memory, and the least operator.

Takes about 20 seconds. Each rate is the best of its repeats, since what disturbs a clock only ever slows it; judges
nothing and stores nothing.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import torch
from torch import Tensor
from torch.nn import functional

from bench import machine
from bench.cost.this_machine import Calibration
from bench.prediction.here import cpu_name

EACH_S = 0.6  # how long an operator is repeated
LARGEST = {"cpu": 1, "cuda": 8}  # times the images of a typical operator
MOVED = 64 * 2**20  # bytes of a copy: more than any cache
TINY = 16  # elements of the least operator


@dataclass(frozen=True)
class Typical:
    """An operator as small vision models have it: what makes its inputs, what runs, its FLOPs and its bytes."""

    inputs: Callable[[], tuple[Tensor, ...]]
    run: Callable[..., Tensor]
    flops: float
    bytes: float


def present() -> list[str]:
    """The devices of this machine: `cpu`, and `cuda` where there is one."""
    return ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def calibrate(device: str = "cpu", each_s: float = EACH_S) -> Calibration:
    """Measure the device under the threads that torch has now.

    Args:
        each_s: how long an operator is repeated.
    """
    cuda = device == "cuda"
    typical = _typical(LARGEST[device], device)
    seconds = {name: _best(each, device, each_s) for name, each in typical.items()}
    square = 4096 if cuda else 1024
    peaks = {name: _product(kind, square, device, each_s) for name, kind in _PRECISIONS[device].items()}
    copied = _best(_copy(device), device, each_s)
    least = _best(Typical(lambda: (torch.zeros(TINY, device=device),), torch.neg, 0, 0), device, each_s)
    rate = 2 * MOVED / copied
    arithmetic = {
        name: each.flops / _alone(seconds[name], each.bytes / rate) for name, each in typical.items() if each.flops
    }
    traffic = {name: each.bytes / max(seconds[name] - least, 1e-9) for name, each in typical.items() if not each.flops}
    return Calibration(
        torch.cuda.get_device_name() if cuda else cpu_name(),
        None if cuda else machine.cores(),
        f"{datetime.now(UTC):%Y-%m-%d}",
        peaks,
        rate,
        least,
        arithmetic,
        traffic,
        _backward(typical, seconds, device, each_s),
    )


_PRECISIONS: Mapping[str, Mapping[str, torch.dtype]] = {
    "cpu": {"float32": torch.float32, "bfloat16": torch.bfloat16},
    "cuda": {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16},
}


def _alone(seconds: float, moved: float) -> float:
    """Seconds of the arithmetic, as the prediction puts it together with the traffic: their squares add up."""
    return math.sqrt(max(seconds**2 - moved**2, (0.3 * seconds) ** 2))


def _typical(scale: int, device: str) -> dict[str, Typical]:
    """One operator of each class, of 8 images on a CPU."""
    batch, width, side = 8 * scale, 64, 28
    tokens, wide = 64, 256
    image = (batch, width, side, side)
    positions = batch * side * side

    def made(*shapes: tuple[int, ...]) -> Callable[[], tuple[Tensor, ...]]:
        return lambda: tuple(torch.randn(shape, device=device) for shape in shapes)

    def conv(kernel: int, groups: int) -> Typical:
        shape = (width, width // groups, kernel, kernel)
        flops = 2 * positions * width * width // groups * kernel**2
        run = lambda x, w: functional.conv2d(x, w, padding=kernel // 2, groups=groups)  # noqa: E731  # two lines less
        return Typical(made(image, shape), run, flops, 8 * positions * width)

    rows, heads = (batch * tokens, wide), (4 * batch, tokens, wide // 4)
    return {
        "convolution": conv(3, 1),
        "pointwise": conv(1, 1),
        "grouped": conv(3, 8),
        "depthwise": conv(5, width),
        "product": Typical(made(rows, (4 * wide, wide), (4 * wide,)), functional.linear,
                           2 * batch * tokens * wide * 4 * wide, 4 * batch * tokens * 5 * wide),
        "batched": Typical(made(heads, (4 * batch, wide // 4, tokens)), torch.bmm,
                           2 * batch * tokens * tokens * wide, 4 * batch * (2 * tokens * wide + 4 * tokens * tokens)),
        "attention": Typical(made(*[(batch, 4, tokens, wide // 4)] * 3), functional.scaled_dot_product_attention,
                             4 * batch * tokens * tokens * wide, 16 * batch * tokens * wide),
        "norm": Typical(made(image, (width,), (width,)),
                        lambda x, a, b: functional.batch_norm(x, a, b.abs()), 0, 8 * positions * width),
        "rows": Typical(made(rows), lambda x: functional.layer_norm(x, (wide,)), 0, 8 * batch * tokens * wide),
        "elementwise": Typical(made(image), functional.gelu, 0, 8 * positions * width),
    }  # fmt: skip


def _copy(device: str) -> Typical:
    return Typical(lambda: tuple(torch.zeros(MOVED // 4, device=device) for _ in range(2)), Tensor.copy_, 0, 2 * MOVED)


def _product(kind: torch.dtype, side: int, device: str, each_s: float) -> float:
    """FLOP/s of a large square product."""
    square = Typical(
        lambda: tuple(torch.randn(side, side, device=device).to(kind) for _ in range(2)), torch.mm, 2 * side**3, 0
    )
    return square.flops / _best(square, device, each_s)


def _best(each: Typical, device: str, each_s: float) -> float:
    """Seconds of one call: of blocks of calls within EACH_S, the fastest."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    inputs = each.inputs()
    with torch.inference_mode():
        return _fastest(lambda: each.run(*inputs), wait, each_s)


def _fastest(call: Callable[[], object], wait: Callable[[], None], each_s: float) -> float:
    call()
    wait()
    clock = time.perf_counter
    begun, count, best = clock(), 1, float("inf")
    while clock() - begun < each_s:
        start = clock()
        for _ in range(count):
            call()
        wait()
        spent = clock() - start
        best = min(best, spent / count)
        count = count * 2 if spent < each_s / 50 else count
    return best


def _backward(
    typical: Mapping[str, Typical], seconds: Mapping[str, float], device: str, each_s: float
) -> dict[str, float]:
    """Seconds of the backward pass over those of twice the forward pass, for what a training spends most on."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    found = {}
    for name in ("convolution", "pointwise", "depthwise", "product", "elementwise"):
        inputs = tuple(each.requires_grad_() for each in typical[name].inputs())
        upstream = torch.ones_like(typical[name].run(*inputs))
        both = _fastest(lambda: torch.autograd.grad(typical[name].run(*inputs), inputs, upstream), wait, each_s)  # noqa: B023
        found[name] = max(both - seconds[name], 0.2 * seconds[name]) / (2 * seconds[name])
    return found

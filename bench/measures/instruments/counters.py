"""Multiply-accumulates of one forward pass, operator by operator, by two counters: torch's formulas and fvcore.

Takes no operator for nothing: what a counter has no formula for, and what `operators` does not know to be free of
products, is listed by name. Only convolutions and matrix products count; norms and pooling, which fvcore adds, do not.

torch's counter sees the operators that reach the device; fvcore sees the graph of a trace. Their names differ, their
formulas too, and so an operator that one of them misses or counts wrongly shows up as a difference.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isqrt, prod
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from bench.measures.instruments.complex_convolutions import ComplexConvolutions
from bench.measures.instruments.meta_device import QuickShapes, TraceableConvolutions
from bench.measures.instruments.operators import is_free_of_products
from bench.measures.instruments.wrappers import OnlyTensors, tensors, uncompiled

Shape = Sequence[int]
aten = torch.ops.aten


@dataclass
class Tally:
    """What one counter saw in one forward pass. Operators are named as `aten::addmm`.

    `unknown` are calls of operators without a formula that may hold products; `calls` is the number of all calls, and
    stays 0 where a counter does not tell. `complex` says whether some products are of complex numbers, which count as
    four of real ones: (a + bi)(c + di) = ac - bd + (ad + bc)i.
    """

    macs: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    complex: bool = False

    @property
    def total(self) -> int:
        """Multiply-accumulates of all operators."""
        return sum(self.macs.values())


# Taught to both counters: every output element is a sum of this many products, given the shape of one input. fvcore's
# own `matmul` forgets the batch of the second factor and fails on vectors.
TERMS: dict[str, tuple[int, Callable[[Shape], int]]] = {
    "aten::matmul": (0, lambda a: a[-1]),
    "aten::mv": (0, lambda a: a[-1]),
    "aten::dot": (0, lambda a: a[-1]),
    "aten::vdot": (0, lambda a: a[-1]),
    "aten::addmv": (1, lambda a: a[-1]),
    "aten::baddbmm": (1, lambda a: a[-1]),
    "aten::addbmm": (1, lambda a: a[0] * a[-1]),
    "aten::_convolution_mode": (1, lambda weight: prod(weight[1:])),  # padding="same"
}


REAL_PRODUCTS = {False: 1, True: 4}  # in one product of numbers that are complex or not


def count_torch(model: nn.Module, images: Tensor) -> Tally:
    """Count with the formulas of `torch.utils.flop_counter`, which are in FLOPs: two for each multiply-accumulate.

    Raises:
        RuntimeError: the model cannot run on the device it is on.
    """
    with torch.no_grad(), uncompiled(), recording() as recorder:
        model(images)
    return recorder.tally


@contextmanager
def recording() -> Iterator["Recorder"]:
    """Count what runs in the block, operator by operator, in the `tally` of what it yields."""
    with attention_in_parts(), ComplexConvolutions() as convolutions, QuickShapes(), Recorder() as recorder:
        yield recorder
    recorder.tally.complex |= convolutions.used


@contextmanager
def attention_in_parts() -> Iterator[None]:
    """Keep `nn.MultiheadAttention` from running as one fused operator, as it may in inference on real devices."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class Recorder(TorchDispatchMode):
    """Passes every operator on and counts it.

    Stands in for `FlopCounterMode`, which counts the same but neither names what it does not know nor starts without
    importing torch's compiler.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch says no type of it
        self.tally = Tally()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # skipping would import the compiler

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = TORCH_FORMULAS.get(func.overloadpacket)
        if formula is None:
            # An operator made of others is counted by its parts.
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        name = str(func.overloadpacket).replace(".", "::", 1)
        self.tally.calls += 1
        if formula is not None:
            complex_ = any(one.is_complex() for one in tensors(out))
            self.tally.macs[name] += REAL_PRODUCTS[complex_] * formula(*args, **kwargs, out_val=out) // 2
            self.tally.complex |= complex_
        elif not is_free_of_products(name):
            self.tally.unknown[name] += 1
        return out


def _flops_by_terms(index: int, terms: Callable[[Shape], int]) -> Callable[..., int]:
    def formula(*args: Any, out_val: Tensor, **kwargs: Any) -> int:
        return 2 * out_val.numel() * terms(args[index].shape)

    return formula


def _attention_flops(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> int:
    flops: int = sdpa_flop_count(query.shape, key.shape, value.shape)
    return flops


def _recurrent_flops(steps: Tensor, inner: Tensor, recurrent: Tensor, *args: Any, **kwargs: Any) -> int:
    """One layer in one direction, which oneDNN runs as one operator on a CPU."""
    return 2 * prod(steps.shape[:-1]) * (inner.numel() + recurrent.numel())


TORCH_FORMULAS: dict[Any, Callable[..., int]] = {
    **{getattr(aten, name.removeprefix("aten::")): _flops_by_terms(*rule) for name, rule in TERMS.items()},
    aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    aten.mkldnn_rnn_layer: _recurrent_flops,
    **flop_registry,
}


def count_fvcore(model: nn.Module, images: Tensor) -> Tally:
    """Count with fvcore, which calls a multiply-accumulate a flop, after teaching it what it does not know.

    Raises:
        RuntimeError: the model cannot be traced, or holds an einsum of more than two factors.
    """
    analysis = FlopCountAnalysis(OnlyTensors(model), images).set_op_handle(**FVCORE_HANDLES)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    analysis.set_op_handle(**{name: _in_real_products(handle) for name, handle in analysis._op_handles.items()})
    with torch.no_grad(), uncompiled(), QuickShapes(), TraceableConvolutions(), ComplexConvolutions():
        counted = analysis.by_operator()
    unknown = {name: calls for name, calls in analysis.unsupported_ops().items() if not is_free_of_products(name)}
    macs = {f"aten::{name}": int(macs) for name, macs in counted.items() if not is_free_of_products(f"aten::{name}")}
    return Tally(Counter(macs), Counter(unknown))


def _in_real_products(handle: Callable[..., Any]) -> Callable[..., Any]:
    """What a handle counts, four times over where the result is complex."""

    def counted(inputs: list[Any], outputs: list[Any]) -> Any:
        found = handle(inputs, outputs)
        kind = outputs[0].type()
        if not (isinstance(kind, torch.TensorType) and (kind.scalarType() or "").startswith("Complex")):
            return found
        if isinstance(found, Counter):
            return Counter({name: REAL_PRODUCTS[True] * macs for name, macs in found.items()})
        return REAL_PRODUCTS[True] * found

    return counted


def _sizes(value: Any) -> list[int]:
    sizes: list[int] = value.type().sizes()
    return sizes


def _macs_by_terms(index: int, terms: Callable[[Shape], int]) -> Callable[..., int]:
    return lambda inputs, outputs: prod(_sizes(outputs[0])) * terms(_sizes(inputs[index]))


def _attention_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """Q K^T, then its product with V: (..., L, E), (..., S, E), (..., S, Ev)."""
    query, value = _sizes(inputs[0]), _sizes(inputs[2])
    return prod(query) * value[-2] + prod(query[:-1]) * value[-2] * value[-1]


def _tensordot_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """m x k times k x n: the geometric mean of all pairs of sizes, sqrt(mk * kn * mn) = mkn."""
    return isqrt(prod(prod(_sizes(value)) for value in (inputs[0], inputs[1], outputs[0])))


def _einsum_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """Output elements times the sizes of the letters that both factors share and the output lacks."""
    equation = inputs[0].toIValue().replace(" ", "")
    factors, _, result = equation.partition("->")
    terms = factors.split(",")
    if len(terms) == 1:
        return 0
    if len(terms) > 2:
        raise RuntimeError(f"einsum '{equation}': the order of its products is not in the equation")
    if "->" not in equation:
        result = "".join(letter for letter in factors if factors.count(letter) == 1)
    size: dict[str, int] = {}
    for term, value in zip(terms, inputs[1].node().inputs(), strict=True):
        head, _, tail = term.partition("...")
        pairs = [*zip(head, _sizes(value), strict=False), *zip(tail[::-1], _sizes(value)[::-1], strict=False)]
        size |= {letter: max(length, size.get(letter, 1)) for letter, length in pairs}
    shared = (set(terms[0]) & set(terms[1])) - set(result) - {"."}
    return prod(_sizes(outputs[0])) * prod(size[letter] for letter in shared)


def _recurrent_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """Every step of every sequence meets each matrix once, in all layers and both directions; biases are vectors.

    The steps are all axes of the input but its last, also where sequences are packed. The matrices are in the last of
    the lists that the operator takes.
    """
    lists = [value.node() for value in inputs if value.node().kind() == "prim::ListConstruct"]
    shapes = [_sizes(weight) for weight in lists[-1].inputs()]
    return prod(_sizes(inputs[0])[:-1]) * sum(prod(shape) for shape in shapes if len(shape) > 1)


FVCORE_HANDLES: dict[str, Callable[..., int]] = {
    **{name: _macs_by_terms(*rule) for name, rule in TERMS.items()},
    "aten::einsum": _einsum_macs,
    "aten::tensordot": _tensordot_macs,
    "aten::scaled_dot_product_attention": _attention_macs,
    **dict.fromkeys(["aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu"], _recurrent_macs),
}


def explain_difference(torch_tally: Tally, fvcore_tally: Tally) -> str:
    """Which operators make the two totals differ: those fvcore does not know, else the kinds that do not match."""
    if fvcore_tally.unknown:
        return f"fvcore does not know {listed(fvcore_tally.unknown)}"
    sides = []
    for kind, holds in (("convolutions", is_convolution), ("matrix products", lambda name: not is_convolution(name))):
        seen = [{name: n for name, n in tally.macs.items() if holds(name)} for tally in (torch_tally, fvcore_tally)]
        if sum(seen[0].values()) != sum(seen[1].values()):
            names = [", ".join(f"{name} {macs:,}" for name, macs in one.items()) or "none" for one in seen]
            sides.append(f"{kind}: torch {names[0]}; fvcore {names[1]}")
    return "; ".join(sides)


def is_convolution(name: str) -> bool:
    """Whether an operator's name, in either counter, is a convolution's."""
    return "conv" in name


def listed(calls: Counter[str]) -> str:
    """`aten::lstm (2 calls), aten::_trilinear (1 call)`."""
    return ", ".join(f"{name} ({n} call{'s' * (n > 1)})" for name, n in sorted(calls.items()))

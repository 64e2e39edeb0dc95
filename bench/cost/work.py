"""What one step of a model does, operator by operator, as numbers: products, traffic, launches and memory.

Traces no model and knows no device: `bench.prediction` makes an account, `bench.cost.prediction` times it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Kind = Literal[
    "convolution", "pointwise", "grouped", "depthwise", "product", "batched", "attention", "norm", "rows", "elementwise"
]
KINDS: tuple[Kind, ...] = (
    "convolution",  # of all channels with a kernel of more than one place
    "pointwise",  # a 1 x 1 convolution
    "grouped",
    "depthwise",
    "product",  # a matrix by a weight
    "batched",  # many small products, as in attention written out
    "attention",  # in one fused operator
    "norm",  # of a channel over the batch
    "rows",  # a norm or a softmax within an image
    "elementwise",  # all that only moves or maps numbers: activations, sums, pooling, copies
)


@dataclass(frozen=True)
class PerBatch:
    """Something that grows with the batch: `fixed` whatever the batch, as weights are, and `per_image` for each."""

    fixed: float = 0.0
    per_image: float = 0.0

    def of(self, batch: float) -> float:
        """The amount for so many images."""
        return self.fixed + self.per_image * batch

    def __add__(self, other: "PerBatch") -> "PerBatch":
        return PerBatch(self.fixed + other.fixed, self.per_image + other.per_image)


@dataclass(frozen=True)
class Operator:
    """Alike calls of one operator: the amounts are of one call, and it is called `calls` times in a step."""

    kind: Kind
    backward: bool
    flops: PerBatch  # two per multiply-accumulate
    read: PerBatch  # bytes of activations and weights
    written: PerBatch  # bytes
    terms: int = 0  # products that are summed for one output; 0 where nothing is
    width: int = 0  # outputs that share these inputs: channels of a group, columns of a matrix
    calls: int = 1


@dataclass(frozen=True)
class Account:
    """One step: its operators in no order, its parameters, and the most bytes that are alive at once.

    `peak` has several amounts: which of them is the largest depends on the batch. Weights, gradients, the optimiser's
    two moments (in a training step) and the batch are in it.
    """

    training: bool
    mixed: bool  # products in half precision by autocast, weights in float32; otherwise all in float32
    operators: tuple[Operator, ...]
    parameters: int
    tensors: int  # weights that an optimiser visits
    peak: tuple[PerBatch, ...]

    def peak_bytes(self, batch: float) -> float:
        """Bytes alive at the most for a batch of so many images."""
        return max((amount.of(batch) for amount in self.peak), default=0.0)

    def flops(self, batch: float) -> float:
        """FLOPs of a step with so many images."""
        return sum(each.flops.of(batch) * each.calls for each in self.operators)

    def launches(self) -> int:
        """Operators that a host has to start in a step, the optimiser's left out."""
        return sum(each.calls for each in self.operators)


def merged(operators: Iterable[Operator]) -> tuple[Operator, ...]:
    """Alike operators as one with the sum of their calls, in the order in which they first came."""
    calls: dict[tuple[object, ...], int] = {}
    first: dict[tuple[object, ...], Operator] = {}
    for each in operators:
        key = (each.kind, each.backward, each.flops, each.read, each.written, each.terms, each.width)
        first.setdefault(key, each)
        calls[key] = calls.get(key, 0) + each.calls
    return tuple(replace(each, calls=calls[key]) for key, each in first.items())


def as_mapping(account: Account) -> dict[str, Any]:
    """The account as JSON has it."""
    return asdict(account)


def from_mapping(found: Mapping[str, Any]) -> Account:
    """The account that `as_mapping` wrote.

    Raises:
        KeyError, TypeError: the mapping is no account.
    """
    operators = tuple(
        Operator(**{**each, **{name: PerBatch(**each[name]) for name in ("flops", "read", "written")}})
        for each in found["operators"]
    )
    peak = tuple(PerBatch(**each) for each in found["peak"])
    return Account(**{**found, "operators": operators, "peak": peak})

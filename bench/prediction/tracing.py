"""A model becomes an account of one step: its operators are seen on the meta device, where nothing is allocated.

Computes no number of the model and times nothing. The images of the trace are a prime number that no layer's width is a
multiple of: what divides by it grows with the batch, what does not is the same for any batch.
"""

import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.cost.work import Account, Kind, Operator, PerBatch, merged
from bench.measures.instruments.counters import TORCH_FORMULAS, attention_in_parts
from bench.measures.instruments.meta_device import QuickShapes
from bench.measures.instruments.wrappers import tensors, uncompiled
from bench.prediction.mixed import MixedPrecision

IMAGES = 61
BATCHES = tuple(2**power for power in range(15))  # for which the largest moment is kept
MOMENTS = 2  # of Adam and its kin, per weight

aten = torch.ops.aten
_CONVOLUTIONS = {aten.convolution, aten._convolution, aten.cudnn_convolution}
_ROWS = ("layer_norm", "group_norm", "instance_norm", "rms_norm", "softmax")
# Neither a kernel nor a copy: what only names or holds memory.
_NO_WORK = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "detach", "lift_fresh",
            "_unsafe_view", "_local_scalar_dense", "empty_permuted", "alias", "_reshape_alias"}  # fmt: skip


def account_of(model: nn.Module, image_size: int, *, training: bool = False, mixed: bool = False) -> Account:
    """The account of one step of a model that is on the meta device: an inference, or an update with AdamW.

    Args:
        image_size: pixels of a side; images have three channels.
        mixed: products in half precision, as under autocast.

    Raises:
        RuntimeError: the model cannot run on the meta device.
    """
    model = model.train(training)
    images = torch.empty(IMAGES, 3, image_size, image_size, device="meta")
    weights = [*model.parameters()]
    trained: list[Tensor] = [each for each in weights if each.requires_grad]
    seen = Witness([*weights, *model.buffers(), images], weights)
    with ExitStack() as around:
        for each in (uncompiled(), attention_in_parts(), QuickShapes(), fused_attention(seen), seen):
            around.enter_context(each)
        if mixed:
            around.enter_context(MixedPrecision())
        if training:
            _update(model, images, seen, trained)
        else:
            around.enter_context(torch.no_grad())
            model(images)
    return Account(training, mixed, merged(seen.operators), sum(map(Tensor.numel, weights)), len(trained), seen.peaks())


def _update(model: nn.Module, images: Tensor, seen: "Witness", trained: list[Tensor]) -> None:
    """Forward, cross-entropy, backward; of the optimiser only what it holds, and two copies of a weight meanwhile."""
    bytes_of = [each.numel() * each.element_size() for each in trained]
    seen.hold(PerBatch(MOMENTS * sum(bytes_of)))
    logits = next(tensors(model(images)))
    labels = torch.empty(logits.shape[:1], dtype=torch.long, device="meta")
    loss = functional.cross_entropy(logits.flatten(1), labels)
    seen.backward = True
    loss.backward()
    del logits, loss
    seen.hold(PerBatch(2 * max(bytes_of, default=0)))


@dataclass
class _Moments:
    """The largest sum of fixed and growing bytes for each of BATCHES."""

    now: list[float] = field(default_factory=lambda: [0.0, 0.0])
    best: dict[int, PerBatch] = field(default_factory=dict)

    def add(self, amount: PerBatch, sign: int = 1) -> None:
        self.now[0] += sign * amount.fixed
        self.now[1] += sign * amount.per_image
        if sign > 0:
            for batch in BATCHES:
                if batch not in self.best or self.best[batch].of(batch) < self.now[0] + self.now[1] * batch:
                    self.best[batch] = PerBatch(*self.now)


class Witness(TorchDispatchMode):
    """Notes every operator that does work, and which tensors are alive."""

    def __init__(self, held: Iterable[Tensor], weights: Iterable[Tensor]):
        super().__init__()  # type: ignore[no-untyped-call]  # torch says no type of it
        self.operators: list[Operator] = []
        self.backward = False
        self._weights = {id(each) for each in weights}
        self._moments = _Moments()
        self._alive: set[int] = set()
        for tensor in held:
            self._live(tensor)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # skipping would import the compiler

    def hold(self, amount: PerBatch) -> None:
        """Count bytes that stay from now on."""
        self._moments.add(amount)

    def peaks(self) -> tuple[PerBatch, ...]:
        """The moments at which most bytes were alive, for small batches and for large ones."""
        return tuple(dict.fromkeys(self._moments.best.values()))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        results = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        for leaf in results:
            self._live(leaf)
        name = func.overloadpacket.__name__
        if not (func.is_view or name in _NO_WORK or not results):
            self.operators.append(self._noted(func, name, args, kwargs, out, results))
        return out

    def _noted(self, func: Any, name: str, args: Any, kwargs: Any, out: Any, results: list[Tensor]) -> Operator:
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        kind, terms, width = _kind(func, name, args)
        read = sum((self.amount(each) for each in given), PerBatch())
        written = sum((self.amount(each) for each in results), PerBatch())
        return Operator(kind, self.backward, _grown(_flops(func, args, kwargs, out)), read, written, terms, width)

    def note(self, operator: Operator) -> None:
        """Note an operator that is not seen as one."""
        self.operators.append(operator)

    def amount(self, tensor: Tensor) -> PerBatch:
        """The bytes of a tensor, no more than are in memory: an expanded one is read once."""
        size = min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
        return PerBatch(fixed=size) if id(tensor) in self._weights else _grown(size)

    def _live(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return
        self._alive.add(key)
        size = _grown(storage.nbytes())
        self._moments.add(size)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: PerBatch) -> None:
        self._alive.discard(key)
        self._moments.add(size, -1)


def _grown(amount: float) -> PerBatch:
    return PerBatch(per_image=amount / IMAGES) if amount % IMAGES == 0 else PerBatch(fixed=amount)


def _kind(func: Any, name: str, args: Any) -> tuple[Kind, int, int]:
    """The class of an operator, how many products it sums for an output, and how many outputs share its inputs."""
    if func.overloadpacket in _CONVOLUTIONS or name == "convolution_backward":
        weight = args[2] if name == "convolution_backward" else args[1]
        groups = args[-2] if name == "convolution_backward" else args[8]
        width, per_group, *sides = weight.shape
        terms = per_group * prod(sides)
        if groups > 1:
            return ("depthwise" if per_group == 1 else "grouped"), terms, width // groups
        return ("convolution" if prod(sides) > 1 else "pointwise"), terms, width
    if name in ("mm", "addmm"):
        return "product", args[-2].shape[-1], args[-1].shape[-1]
    if name in ("bmm", "baddbmm"):
        return "batched", args[-2].shape[-1], args[-1].shape[-1]
    if "batch_norm" in name:
        return "norm", 0, 0
    if any(word in name for word in _ROWS):
        return "rows", 0, 0
    return "elementwise", 0, 0


def _flops(func: Any, args: Any, kwargs: Any, out: Any) -> float:
    if func.overloadpacket in _CONVOLUTIONS and not args[6]:
        return float(2 * out.numel() * prod(args[1].shape[1:]))
    if func.overloadpacket is aten.convolution_backward:
        # torch's formula counts a grouped one as if it had no groups.
        grad, images, weight, transposed, mask = args[0], args[1], args[2], args[7], args[-1]
        return float(2 * (images if transposed else grad).numel() * prod(weight.shape[1:]) * sum(mask[:2]))
    formula = TORCH_FORMULAS.get(func.overloadpacket)
    return float(formula(*args, **kwargs, out_val=out)) if formula else 0.0


@contextmanager
def fused_attention(witness: Witness) -> Iterator[None]:
    """Take `scaled_dot_product_attention` for the one operator that it is on real devices, forward and backward."""
    plain = functional.scaled_dot_product_attention

    def fused(query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> Tensor:
        if query.dtype != value.dtype:
            return plain(query, key, value, *rest, **options)
        out: Tensor = _Attention.apply(query, key, value, witness)  # type: ignore[no-untyped-call]
        return out

    functional.scaled_dot_product_attention = fused
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = plain


class _Attention(torch.autograd.Function):
    """Shapes of a fused attention (..., L, E), (..., S, E), (..., S, V) -> (..., L, V), noted at its witness."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, witness: Witness) -> Tensor:
        out = query.new_empty((*query.shape[:-1], value.shape[-1]))
        ctx.witness = witness
        ctx.save_for_backward(query, key, value, out)
        witness.note(_attention(witness, (query, key, value), (out,), 1.0, backward=False))
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out = ctx.saved_tensors
        found = (query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape))
        # The scores are computed again, and four products follow.
        ctx.witness.note(_attention(ctx.witness, (query, key, value, out, *grads), found, 2.5, backward=True))
        return (*found, None)


def _attention(
    witness: Witness, given: tuple[Tensor, ...], results: tuple[Tensor, ...], passes: float, *, backward: bool
) -> Operator:
    query, key, value = given[:3]
    products = query.numel() * key.shape[-2] + prod(query.shape[:-1]) * key.shape[-2] * value.shape[-1]
    read = sum((witness.amount(each) for each in given), PerBatch())
    written = sum((witness.amount(each) for each in results), PerBatch())
    return Operator("attention", backward, _grown(2 * products * passes), read, written, query.shape[-1], key.shape[-2])


@contextmanager
def traceable() -> Iterator[None]:
    """Build modules on the meta device."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        yield

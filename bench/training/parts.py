"""The gradient of a batch on a CPU, from parts of it that threads work on side by side.

Changes no weights. Two threads that share every operator of a small model wait for each other a thousand times a step;
two threads with half a batch each wait once. The sum is taken in the order of the parts, so the same seed gives the
same bits. Only for models in which an image does not depend on its neighbours: `divisible` finds out.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.training.batches import Batch
from bench.training.dropout import Streams
from bench.training.mixing import Mixed

MOST = 4  # Python runs one thread at a time: of more parts, each would wait for the others' Python
TRIAL = 8  # images that most often are enough to see that they depend on each other
TOLERATED = 1e-3  # of the gradient's length in float32: the order of additions changes a millionth

Forward = Callable[[Batch], tuple[Tensor, Tensor]]  # a batch -> its mean loss, with its graph, and how many are right


class Parts:
    """Backward passes of `count` parts at once; usable while `at_work` is open."""

    def __init__(self, count: int, forward: Forward, model: nn.Module):
        self.count = count
        self._forward = forward
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._pool: ThreadPoolExecutor | None = None
        self._streams: Streams | None = None

    @contextmanager
    def at_work(self, streams: Streams) -> Iterator[None]:
        """One thread for every part, and every thread's operators on itself alone; afterwards all is as it was."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            # A thread learns of the number with its first operator, and does that one with as many as there were.
            with ThreadPoolExecutor(self.count, initializer=torch.set_num_threads, initargs=(1,)) as self._pool:
                self._streams = streams
                yield
        finally:
            self._pool = self._streams = None
            torch.set_num_threads(threads)

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Put the mean loss's gradient where `backward` would; the loss and how many images were right, detached."""
        assert self._pool is not None, "outside of at_work"
        pieces = split(batch, self.count)
        shares = [len(piece.labels) / len(batch.labels) for piece in pieces]
        gradients, losses, right = zip(*self._pool.map(self._one, range(len(pieces)), pieces, shares), strict=True)
        for weight, *found in zip(self._weights, *gradients, strict=True):
            weight.grad = total(found)
        return torch.stack(losses).sum(), torch.stack(right).sum()

    def one_by_one(self, batch: Batch) -> Iterator[Batch]:
        """The parts in their order; whoever runs the model on one draws what its thread would draw."""
        assert self._streams is not None, "outside of at_work"
        for index, piece in enumerate(split(batch, self.count)):
            self._streams.turn_to(index)
            yield piece

    def _one(self, index: int, piece: Batch, share: float) -> tuple[tuple[Tensor | None, ...], Tensor, Tensor]:
        """Gradient and value of the part's share of the mean loss, and how many of its images were right."""
        assert self._streams is not None
        self._streams.turn_to(index)
        loss, right = self._forward(piece)
        loss = loss * share
        # Not `backward`, which would add to the weights' gradients from every thread at once.
        return torch.autograd.grad(loss, self._weights, allow_unused=True), loss.detach(), right


def split(batch: Batch, count: int) -> list[Batch]:
    """The batch in `count` parts of nearly the same size, or fewer where it has fewer images."""
    count = min(count, len(batch.labels))
    mixed = batch.mixed
    pieces = zip(*(each.tensor_split(count) for each in (batch.labels, mixed.images, mixed.labels)), strict=True)
    return [Batch(labels, Mixed(images, theirs, mixed.share)) for labels, images, theirs in pieces]


def total(found: Sequence[Tensor | None]) -> Tensor | None:
    """The sum from first to last; None where no part has a gradient."""
    present = [gradient for gradient in found if gradient is not None]
    if not present:
        return None
    result = present[0].clone()  # autograd may give one tensor to two weights, or the same element to many places
    for gradient in present[1:]:
        result.add_(gradient)
    return result


def divisible(model: nn.Module, images: Tensor, count: int = 2) -> bool:
    """Whether a batch's gradient is the sum of its parts' gradients, and threads may share the model.

    Tried out in float32 on images (B, 3, H, W), with nn.Dropout switched off, since `Streams` serve that: on the first
    few in two parts, then once on all of them in `count`. Give it a whole batch, for a model may do to a large batch
    what it does not do to a small one. Not divisible
    is a model that normalises over the batch, mixes its images in any other way, draws random numbers itself, or
    writes to its buffers or attributes while it runs. Leaves model and random state as they were.
    """
    if any(isinstance(module, _BatchNorm) for module in model.modules()):
        return False
    buffers, random = [buffer.clone() for buffer in model.buffers()], torch.get_rng_state()
    attributes = _attributes(model)
    try:
        with _without_dropout(model):
            same_sums = _same_sums(model, images[:TRIAL], 2) and _same_sums(model, images, min(count, len(images)))
        untouched = torch.equal(torch.get_rng_state(), random) and attributes == _attributes(model)
        same = all(torch.equal(was, now) for was, now in zip(buffers, model.buffers(), strict=True))
        return untouched and same and same_sums
    except (RuntimeError, ValueError):  # such as a model that wants batches of one size
        return False
    finally:
        torch.set_rng_state(random)
        for buffer, was in zip(model.buffers(), buffers, strict=True):
            buffer.copy_(was)


def _same_sums(model: nn.Module, images: Tensor, count: int) -> bool:
    """Whether the images together and in so many parts give the same logits and the same sum of gradients."""
    return _close(_trial(model, [images]), _trial(model, list(images.tensor_split(count))))


def _trial(model: nn.Module, pieces: Sequence[Tensor]) -> list[Tensor]:
    """Logits of all pieces, and the summed gradient of something that is a sum over images."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    logits = [model(piece) for piece in pieces]
    sums = [(each + each.square()).sum() for each in logits]
    found = [torch.autograd.grad(each, weights, allow_unused=True) for each in sums]
    gradients = [total(some) for some in zip(*found, strict=True)]
    return [torch.cat(logits).detach(), *(gradient for gradient in gradients if gradient is not None)]


def _close(whole: list[Tensor], parts: list[Tensor]) -> bool:
    """Whether each tensor is the same but for rounding; what is not finite is not."""
    return len(whole) == len(parts) and all(
        bool((one - other).norm() <= TOLERATED * one.norm()) for one, other in zip(whole, parts, strict=True)
    )


def _attributes(model: nn.Module) -> dict[tuple[str, str], int]:
    """Which object every attribute of every module is."""
    own = {"_parameters", "_buffers", "_modules"}  # dicts of the module itself, compared by their contents
    return {
        (name, key): id(value)
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if key not in own
    }


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    """Every other module in training mode, every nn.Dropout in evaluation; then as they were."""
    were = [(module, module.training) for module in model.modules()]
    model.train()
    for module, _ in were:
        if type(module) is nn.Dropout:
            module.training = False
    try:
        yield
    finally:
        for module, training in were:
            module.training = training

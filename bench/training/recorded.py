"""A training step as a CUDA graph: recorded once, then replayed for every batch of the same shape.

Changes no arithmetic, and makes sure of it: a recording is used only after it has done to the weights what the step
itself does. A small model's step is some thousand kernels of a few microseconds each, and a host that launches them one
by one is slower than the GPU; a replay launches them all at once.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.suite.recipe import Recipe
from bench.training.batches import Batch
from bench.training.mixing import Mixed

Step = Callable[[Batch], tuple[Tensor, Tensor]]  # a batch -> its mean loss and how many images were right

WARM_STEPS = 3  # real steps before the recording: libraries choose kernels, the optimiser makes its state
# Of the way that a step moves the weights: what the order of additions may change, and far less than a missing part.
TOLERATED = 0.01


def recordable(recipe: Recipe, device: str) -> bool:
    """Whether every step of a recipe is the same sequence of kernels.

    Float16 is not, because a step with overflowing gradients is left out; mixed images neither, because how much of
    the other image they hold is a number of the host.
    """
    return device == "cuda" and recipe.precision != "float16" and recipe.mixup == 0 and recipe.cutmix == 0


def cuda_graph(step: Step, batch: Batch) -> Step:
    """The step as it is recorded with a batch of this size; it runs with any other batch of the same size."""
    kept = blank(batch)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss, hits = step(kept)

    def replay(given: Batch) -> tuple[Tensor, Tensor]:
        fill(kept, given)
        graph.replay()
        return loss.clone(), hits.clone()

    return replay


def blank(batch: Batch) -> Batch:
    """Memory for a batch like this one, whose images are not mixed; it holds zeros, so that nobody learns from it."""
    labels = torch.zeros_like(batch.labels)
    return Batch(labels, Mixed(torch.zeros_like(batch.mixed.images), labels, 1.0))


def fill(kept: Batch, given: Batch) -> None:
    """Put another batch of the same size, not mixed either, into the memory of one."""
    kept.mixed.images.copy_(given.mixed.images)
    kept.labels.copy_(given.labels)


class StepRecorder:
    """A step that is run as it is at first, then recorded, then replayed; batches of another size are always run.

    A recording holds on to the memory of weights and optimiser: whoever puts others in their place calls `forget`.
    Where a step cannot be recorded, or does something else when it is, all steps are run as they are, with a warning.
    """

    def __init__(
        self,
        step: Step,
        batch_size: int,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        record: Callable[[Step, Batch], Step] = cuda_graph,
    ):
        self._step = step
        self._batch_size = batch_size
        self._model = model
        self._optimizer = optimizer
        self._record = record
        self._refused = False
        self.forget()

    def forget(self) -> None:
        """Begin again with steps that are run as they are."""
        self._steps = 0
        self._replay: Step | None = None

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean loss of the batch and how many images were right: scalars of their own, on the device."""
        if self._refused or len(batch.labels) != self._batch_size:
            return self._step(batch)
        self._steps += 1
        if self._replay is not None:
            return self._replay(batch)
        return self._warm(batch) if self._steps <= WARM_STEPS else self._both_ways(batch)

    def _warm(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """On a stream of its own, as the recording will be: autograd remembers on which one a gradient was made."""
        if not batch.labels.is_cuda:
            return self._step(batch)
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            result = self._step(batch)
        here.wait_stream(aside)
        return result

    def _both_ways(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One step, run and then replayed from the same state; what is replayed from now on, if the two agree."""
        before, random = self._copies(), _random_state(batch)
        result = self._warm(batch)
        after, random_after = self._copies(), _random_state(batch)
        self._put_back(before)
        _set_random_state(batch, random)
        self._optimizer.zero_grad(set_to_none=True)  # the recording makes gradients of its own
        try:
            replay = self._record(self._step, batch)
            loss, _ = replay(batch)
            apart = self._apart(before, after)
            found = f"it moved the weights {apart:.2g} of their way elsewhere and gave a loss of {loss.item():.6g}"
            if apart <= TOLERATED and torch.isclose(loss, result[0], rtol=TOLERATED, equal_nan=True):
                self._replay = replay
                return result
        except RuntimeError as error:
            found = str(error).strip().split("\n")[0]
        self._refused = True
        self._put_back(after)
        _set_random_state(batch, random_after)
        warnings.warn(f"training steps are run one by one, not as a recorded graph: {found}", stacklevel=2)
        return result

    def _tensors(self) -> list[Tensor]:
        """All that a step changes, parameters first."""
        kept = [each for state in self._optimizer.state.values() for each in state.values() if isinstance(each, Tensor)]
        return [*self._model.parameters(), *self._model.buffers(), *kept]

    def _copies(self) -> list[Tensor]:
        return [tensor.detach().clone() for tensor in self._tensors()]

    def _put_back(self, values: list[Tensor]) -> None:
        with torch.no_grad():
            for tensor, value in zip(self._tensors(), values, strict=True):
                tensor.copy_(value)

    def _apart(self, before: list[Tensor], after: list[Tensor]) -> float:
        """How far the parameters are from `after`, as a share of the way from `before` to there."""
        here = [parameter.detach() for parameter in self._model.parameters()]
        return _distance(here, after) / max(_distance(before[: len(here)], after), 1e-12)


def _distance(some: list[Tensor], others: list[Tensor]) -> float:
    """Euclidean, over all elements of the tensors that `some` has; a value that is no number in both is no distance."""
    pairs = zip(some, others, strict=False)
    squares = (float((a - b).nan_to_num().double().square().sum()) for a, b in pairs)
    distance: float = sum(squares) ** 0.5
    return distance


def _random_state(batch: Batch) -> Tensor:
    """Of the generator that layers draw from on the batch's device."""
    return torch.cuda.get_rng_state() if batch.labels.is_cuda else torch.get_rng_state()


def _set_random_state(batch: Batch, state: Tensor) -> None:
    (torch.cuda.set_rng_state if batch.labels.is_cuda else torch.set_rng_state)(state)

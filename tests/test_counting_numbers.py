"""What is a number of its own: weights that share memory, complex ones, lazy ones, and those of recurrent layers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.errors import MeasurementError
from bench.execution.context import Context
from bench.gate import facts
from bench.measures import static
from bench.measures.instruments.model import build
from bench.measures.instruments.parameters import cast, owned, real_numbers
from bench.plan.case import Case
from bench.registry import models
from tests import making

HEAD = 10 * 10 + 10


@pytest.fixture
def offer(monkeypatch):
    def offered(make: Callable[[], nn.Module], size: int = 4, **changes) -> Case:
        monkeypatch.setitem(models._factories, "probe", lambda *, num_classes, image_size: make())
        return making.case(**({"factory": "probe", "num_classes": 10, "image_size": size} | changes))

    return offered


def rows(case: Case) -> dict:
    """Metric, or (metric, part), -> its row."""
    return {
        (row.metric, row.part) if row.part else row.metric: row for row in static.static(case, Context())
    }  # fmt: skip


class Through(nn.Module):
    """48 pixels through `first`, the layers after it and a head of 10; what is made of them is given."""

    def __init__(self, first: nn.Module, *middle: nn.Module, after: Callable[[Tensor], Tensor] = lambda x: x):
        super().__init__()
        self.first, self.middle, self.after = first, nn.ModuleList(middle), after
        self.head = nn.Linear(10, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.first(images.flatten(1))
        for layer in self.middle:
            x = layer(x)
        return self.head(self.after(x))


# Weights that share memory


def with_head(change: Callable[[nn.Linear, nn.Linear], object]) -> Through:
    """A hidden layer 10 -> 10 and the head, of which something was made the other's."""
    model = Through(nn.Linear(48, 10), nn.Linear(10, 10))
    change(model.middle[0], model.head)
    return model


def embedded() -> nn.Module:
    model = Through(nn.Linear(48, 10), after=lambda x: x + model.tokens(torch.zeros(1, dtype=torch.long)).to(x.device))
    model.tokens = nn.Embedding(10, 10)
    model.head.weight = model.tokens.weight
    return model


def part_of_a_larger() -> nn.Module:
    model = Through(nn.Linear(48, 20), nn.Linear(20, 20), nn.Linear(20, 10))
    model.middle[1].weight = nn.Parameter(model.middle[0].weight.data[:10])
    return model


@pytest.mark.parametrize(("make", "params", "headless"), [
    (lambda: with_head(lambda hidden, head: setattr(head, "weight", hidden.weight)), 490 + 100 + 10 + 10, 490 + 110),
    (lambda: with_head(lambda hidden, head: setattr(head, "weight", nn.Parameter(hidden.weight.detach()))),
     490 + 100 + 10 + 10, 490 + 110),
    (lambda: with_head(lambda hidden, head: setattr(head, "weight", nn.Parameter(hidden.weight.detach().t()))),
     490 + 100 + 10 + 10, 490 + 110),
    (lambda: with_head(lambda hidden, head: setattr(hidden, "alias", hidden.bias)), 490 + 110 + 110, 490 + 110),
    (part_of_a_larger, 980 + 420 + 10 + HEAD, 980 + 420 + 10),
], ids=["the same weight", "its memory", "its memory turned", "one under two names", "a part of it"])  # fmt: skip
def test_what_lies_in_the_same_place_is_one_weight_in_every_count(offer, make, params, headless):
    found = rows(offer(make))
    assert found["params"].value == found["params_trainable"].value == params
    assert found["params_headless"].value == headless
    assert sum(found["params_by_module", name].value for name in ("first", "middle", "head")) == params


def test_a_module_that_has_anothers_weight_says_so(offer):
    found = rows(offer(lambda: with_head(lambda hidden, head: setattr(head, "weight", hidden.weight))))
    assert found["params_by_module", "head"].value == 10
    assert found["params_by_module", "head"].reason == "100 more are those of a module before it"
    assert found["params_by_module", "middle"].reason is None


def test_an_embedding_that_is_also_the_head_stays_without_the_head(offer):
    found = rows(offer(embedded))
    assert found["params"].value == 490 + 10 * 10 + 10
    assert found["params_headless"].value == 490 + 10 * 10


def test_a_flat_memory_of_all_weights_is_counted_with_its_first_reader():
    flat = torch.zeros(12)
    assert real_numbers([flat[:8].view(2, 4), flat[6:], flat[::2]]) == 12  # 8, then 4 more, then nothing new
    assert owned({"a": flat[6:], "b": flat}) == {"a": 6, "b": 6}
    assert real_numbers([torch.zeros(1).expand(5)]) == 1
    assert real_numbers([torch.zeros(5), torch.zeros(5)]) == 10
    assert real_numbers([torch.zeros(0), torch.zeros(0)]) == 0
    pairs = torch.zeros(3, 2)
    assert real_numbers([pairs, torch.view_as_complex(pairs)]) == 6  # three complex numbers are the six real ones


def test_a_shared_memory_is_seen_without_weights_too():
    with torch.device("meta"):
        hidden = nn.Linear(10, 10)
        assert real_numbers([hidden.weight, nn.Parameter(hidden.weight.detach().t())]) == 100


# Complex weights


class Filter(nn.Module):
    """A filter of a convolution's output, per frequency or as complex layer."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer, self.head = layer, nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layer(images.to(torch.complex64)).abs().flatten(2).mean(-1))


@pytest.mark.parametrize(("layer", "products"), [
    (lambda **of: nn.Conv2d(3, 4, 3, padding=1, **of), 4 * 3 * 9 * 16),
    (lambda **of: nn.Conv2d(3, 4, 3, padding="same", bias=False, **of), 4 * 3 * 9 * 16),
    (lambda **of: nn.Conv2d(3, 4, 2, stride=2, **of), 4 * 3 * 4 * 4),
    (lambda **of: nn.ConvTranspose2d(3, 4, 2, stride=2, **of), 3 * 16 * 4 * 4),
    (lambda **of: nn.Conv3d(1, 4, (3, 1, 1), **of), 4 * 3 * 16),
], ids=["conv", "same, no bias", "stride", "transposed", "3d"])  # fmt: skip
def test_a_complex_convolution_is_four_real_ones_to_both_counters(offer, layer, products):
    def make() -> nn.Module:
        model = Filter(layer(dtype=torch.complex64))
        if isinstance(model.layer, nn.Conv3d):
            model.layer = nn.Sequential(nn.Unflatten(0, (1, 1)), model.layer, nn.Flatten(2, 3))
        return model

    found = rows(offer(make))
    assert found["macs"].value == found["macs_torch"].value == found["macs_fvcore"].value == 4 * products + 4 * 10
    assert found["macs"].reason == "a product of complex numbers counts as four of real ones"


def test_counting_a_complex_convolution_does_not_change_what_it_gives():
    from bench.measures.instruments.complex_convolutions import ComplexConvolutions

    layer, images = nn.Conv2d(3, 4, 3, padding=1, dtype=torch.complex64), torch.randn(2, 3, 5, 5, dtype=torch.complex64)
    with ComplexConvolutions() as seen:
        taken_apart = layer(images)
    assert seen.used
    assert torch.allclose(taken_apart, layer(images), atol=1e-5)


@pytest.mark.parametrize("product", [
    lambda a, b: a @ b, lambda a, b: torch.einsum("ij,jk->ik", a, b), lambda a, b: torch.mm(a, b),
    lambda a, b: torch.bmm(a[None], b[None])[0], lambda a, b: nn.functional.linear(a, b.t()),
    lambda a, b: torch.tensordot(a, b, 1),
], ids=["matmul", "einsum", "mm", "bmm", "linear", "tensordot"])  # fmt: skip
def test_a_complex_product_is_four_real_ones_also_where_no_weight_is_complex(offer, product):
    def make() -> nn.Module:
        model = Through(nn.Identity())
        model.register_buffer("dft", torch.ones(48, 10, dtype=torch.complex64))
        model.after = lambda x: product(x.to(torch.complex64), model.dft).real
        return model

    found = rows(offer(make))
    assert found["macs"].value == 4 * 48 * 10 + 100
    assert found["params"].reason is None
    assert found["macs"].reason == "a product of complex numbers counts as four of real ones"


def test_a_transform_of_frequencies_is_named_for_it_has_no_formula(offer):
    def make() -> nn.Module:
        model = Through(nn.Linear(48, 10), after=lambda x: torch.fft.irfft(torch.fft.rfft(x) * model.filter, n=10))
        model.filter = nn.Parameter(torch.ones(6, dtype=torch.complex64))
        return model

    found = rows(offer(make))
    assert found["params"].value == 490 + 2 * 6 + HEAD
    assert "aten::_fft_r2c (1 call)" in found["macs"].reason


def test_the_gate_has_the_same_numbers_of_shared_and_complex_weights(offer):
    def make() -> nn.Module:
        model = with_head(lambda hidden, head: setattr(head, "weight", hidden.weight))
        model.phase = nn.Parameter(torch.ones(10, dtype=torch.complex64), requires_grad=False)
        model.register_buffer("turn", torch.ones(3, dtype=torch.complex64))
        return model

    case = offer(make)
    now, found = facts.facts(case), rows(case)
    assert now.params == found["params"].value == 490 + 110 + 10 + 2 * 10
    assert now.trainable == found["params_trainable"].value == now.params - 2 * 10
    assert now.buffers == found["buffer_elements"].value == 2 * 3
    assert now.macs_per_image == found["macs"].value


def test_a_cast_keeps_both_halves_and_moves_the_rest():
    model = Filter(nn.Conv2d(3, 4, 3, dtype=torch.complex64))
    weight = model.layer.weight.detach().clone()
    assert torch.equal(cast(model, torch.bfloat16).layer.weight, weight)
    assert model.head.weight.dtype == torch.bfloat16


# Lazy layers


class InTraining(nn.Module):
    """A second head that only a training needs."""

    def __init__(self):
        super().__init__()
        self.body, self.norm, self.head = nn.LazyLinear(10), nn.LazyBatchNorm1d(), nn.LazyLinear(10)
        self.second = nn.LazyLinear(10)

    def forward(self, images: Tensor) -> object:
        x = self.norm(self.body(images.flatten(1)))
        return (self.head(x), self.second(x)) if self.training else self.head(x)


def test_a_layer_of_the_training_alone_sees_an_image_too_and_leaves_no_trace(offer):
    found = rows(offer(InTraining))
    assert found["params"].value == 490 + 2 * 10 + 2 * HEAD
    model = build(offer(InTraining))
    assert model.training
    assert (model.norm.num_batches_tracked, model.norm.running_mean.abs().sum()) == (0, 0)
    assert torch.equal(model.norm.running_var, torch.ones(10))


def transposed() -> nn.Module:
    return nn.Sequential(nn.LazyConvTranspose2d(4, 2, 2), nn.ModuleDict({"a": nn.Flatten()})["a"], nn.LazyLinear(10))


def test_lazy_layers_of_every_kind_have_a_size_also_for_the_gate(offer):
    case = offer(transposed)
    found, now = rows(case), facts.facts(case)
    assert found["params"].value == now.params == (3 * 4 * 4 + 4) + (4 * 8 * 8 * 10 + 10)
    assert found["macs"].value == now.macs_per_image == 3 * 16 * 4 * 4 + 4 * 8 * 8 * 10


def test_a_lazy_layer_that_no_image_reaches_is_named(offer):
    def make() -> nn.Module:
        model = Through(nn.Linear(48, 10))
        model.unused = nn.LazyLinear(4)
        return model

    with pytest.raises(MeasurementError, match="no image reaches the lazy layers 'unused', so they have no weights"):
        rows(offer(make))


# Recurrent layers: torch counts the products of their steps, fvcore is taught what every step meets


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}], ids=str)
def test_every_step_of_a_recurrent_layer_meets_each_matrix_once(offer, kind, options):
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = getattr(nn, kind)(12, 5, **options)
            self.head = nn.Linear(10 if "bidirectional" in options else 5, 10)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.layer(images.transpose(1, 2).flatten(2))[0].mean(1))

    steps, matrices = 4, sum(one.numel() for one in Rows().layer.parameters() if one.dim() == 2)
    found = rows(offer(Rows))
    assert found["macs"].value == steps * matrices + Rows().head.weight.numel()
    assert found["macs_fvcore"].value == found["macs_torch"].value
    assert found["coverage_pct"].value == 100


# Scripts


@pytest.mark.filterwarnings("ignore")
def test_a_frozen_script_has_no_parameters_to_count_and_says_so(offer):
    found = rows(offer(lambda: torch.jit.freeze(torch.jit.script(Through(nn.Linear(48, 10)).head.eval())), size=10))
    assert found["params"].value is None
    assert "constants" in found["params"].reason

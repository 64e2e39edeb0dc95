"""Kinds of models that a count must survive: shared, complex, lazy and wrapped ones, and authors who refuse."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.execution.context import Context
from bench.measures import static
from bench.measures.instruments import wrappers
from bench.measures.instruments.model import build
from bench.measures.instruments.operators import is_free_of_products
from bench.measures.timing import timing
from bench.plan.case import Case
from bench.registry import models
from tests import making

# Of `small` at 32 pixels: a 3 x 3 convolution, batch norm, and a head of 10.
PARAMS = (3 * 16 * 9 + 16) + 2 * 16 + (16 * 10 + 10)
MACS = 16 * 32 * 32 * 3 * 9 + 16 * 10
assert (PARAMS, MACS) == (650, 442_528)


def small() -> nn.Sequential:
    body = [nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(16, 10))


def lazy() -> nn.Sequential:
    body = [nn.LazyConv2d(16, 3, padding=1), nn.LazyBatchNorm2d(), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*body, nn.LazyLinear(10))


class Around(nn.Module):
    """`small`, with something done to its images or its logits."""

    def __init__(self, before: Callable = lambda images: images, after: Callable = lambda logits: logits):
        super().__init__()
        self.net, self.before, self.after = small(), before, after

    def forward(self, images: Tensor) -> object:
        return self.after(self.net(self.before(images)))


@dataclass
class Answer:
    logits: Tensor
    tokens: Tensor | None = None


@pytest.fixture
def offer(monkeypatch):
    def offered(make: Callable[[], nn.Module], size: int = 32, **changes) -> Case:
        monkeypatch.setitem(models._factories, "probe", lambda *, num_classes, image_size: make())
        return making.case(**({"factory": "probe", "num_classes": 10, "image_size": size} | changes))

    return offered


def counted(case: Case) -> dict:
    """Metric -> value, or (metric, part) -> value."""
    rows = list(static.static(case, Context()))
    return {(row.metric, row.part) if row.part else row.metric: row.value for row in rows}


def reasons(case: Case) -> dict:
    return {row.metric: row.reason for row in static.static(case, Context()) if row.part is None}


# Shared weights


def tied(*layers: int) -> nn.Sequential:
    """Linear layers 10 -> 10 after a pooled image; those at the given places have the head's weight."""
    hidden = [nn.Linear(10, 10) for _ in range(2)]
    head = nn.Linear(10, 10)
    for place in layers:
        hidden[place].weight = head.weight
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 10), *hidden, head)


@pytest.mark.parametrize("layers", [(), (0,), (1,), (0, 1)])
def test_a_weight_that_the_head_shares_stays_when_the_head_goes(offer, layers):
    found = counted(offer(lambda: tied(*layers), size=4))
    first, weights = 3 * 4 * 4 * 10 + 10, 3 - len(layers)
    assert found["params"] == first + weights * 100 + 3 * 10
    # The bias goes, and the weight only where no other layer has it.
    assert found["params_headless"] == found["params"] - 10 - (0 if layers else 100)
    # It is listed with the first layer that has it, so that the modules add up to the whole.
    assert found["params_by_module", "2"] == 100 + 10
    assert found["params_by_module", "4"] == 10 + (0 if layers else 100)
    assert sum(found["params_by_module", str(layer)] for layer in range(1, 5)) == found["params"]


def test_a_module_that_is_used_twice_is_counted_once(offer):
    def make():
        twice = nn.Linear(48, 48)
        return nn.Sequential(nn.Flatten(), twice, nn.ReLU(), twice, nn.Linear(48, 10))

    found = counted(offer(make, size=4))
    assert found["params"] == (48 * 48 + 48) + (48 * 10 + 10)
    assert found["params_headless"] == 48 * 48 + 48
    assert found["macs"] == 2 * 48 * 48 + 48 * 10


# Complex weights


class Complex(nn.Module):
    """48 pixels, a complex 48 x 10 matrix, a real head on the sizes of what comes out."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(48, 10, dtype=torch.complex64))
        self.register_buffer("phase", torch.full((10,), 1j))
        self.head = nn.Linear(10, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head((images.flatten(1).to(self.weight.dtype) @ self.weight * self.phase).abs())


def test_a_complex_weight_is_two_numbers_and_the_row_says_so(offer):
    case = offer(Complex, size=4)
    found, told = counted(case), reasons(case)
    assert found["params"] == found["params_trainable"] == 2 * 48 * 10 + (10 * 10 + 10)
    assert found["params_headless"] == 2 * 48 * 10
    assert found["params_by_module", "head"] == 10 * 10 + 10
    assert told["params"] == told["params_trainable"] == "480 complex weights count as two real ones each"
    assert (found["buffer_elements"], told["buffer_elements"]) == (
        2 * 10,
        "10 complex elements count as two real ones each",
    )
    assert found["macs"] == 4 * 48 * 10 + 10 * 10
    assert told["macs"] == "a product of complex numbers counts as four of real ones"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_precision_is_that_of_the_real_weights_and_complex_ones_keep_both_halves(offer, precision):
    model = build(offer(Complex, size=4, precision=precision))
    assert model.weight.dtype == model.phase.dtype == torch.complex64
    assert model.weight.imag.abs().sum() > 0
    assert model.head.weight.dtype == getattr(torch, precision)
    assert isinstance(model.weight, nn.Parameter)


def test_a_complex_model_is_timed_as_it_is(offer):
    rows = timing(offer(Complex, size=4, measure="timing", batch_size=2), Context(), min_seconds=0.01, blocks=2)
    assert all(row.value > 0 for row in rows)


# Lazy layers


def test_lazy_layers_see_an_image_before_they_are_counted(offer):
    found = counted(offer(lazy))
    assert (found["params"], found["macs"]) == (PARAMS, MACS)
    assert found["params_headless"] == PARAMS - (16 * 10 + 10)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_a_lazy_model_has_the_weights_of_its_seed_in_the_mode_and_layout_of_any_other(offer, layout):
    one, again, other = (build(offer(lazy, layout=layout), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one[5].weight, again[5].weight)
    assert not torch.equal(one[5].weight, other[5].weight)
    assert one.training
    assert one[1].training
    assert one[1].num_batches_tracked == 0
    assert one[1].running_mean.abs().sum() == 0


# Operators that hold no product


class Marked(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.DataParallel(small())

    def forward(self, images: Tensor) -> Tensor:
        with torch.autograd.profiler.record_function("all of it"):
            return self.net(images)


def weight_norm(of: Callable) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        model = small()
        model[0], model[5] = of(model[0]), of(model[5])
        return model

    return make


FREE: dict[str, Callable[[], nn.Module]] = {
    "weight norm, as it was": weight_norm(nn.utils.weight_norm),
    "weight norm": weight_norm(nn.utils.parametrizations.weight_norm),
    "marks of a profiler": Marked,
    "padding around": lambda: Around(lambda x: functional.pad(x, (1, 1, 1, 1), mode="circular")[:, :, 1:-1, 1:-1]),
    "sorting": lambda: Around(lambda x: x.flatten(2).sort(-1)[0].view_as(x).contiguous()),
    "embedding bag": lambda: Around(lambda x: x + functional.embedding_bag(torch.zeros(1, 1).long(), x[:1, 0, :1, 0])),
    "sampling a grid": lambda: Around(lambda x: functional.grid_sample(x, x[:, :2].movedim(1, 3), align_corners=False)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FREE)
def test_an_operator_without_a_product_costs_macs_nothing(offer, name):
    found = counted(offer(FREE[name]))
    assert found["macs"] == MACS
    assert found["coverage_pct"] == 100


@pytest.fixture
def library():
    made = torch.library.Library("ground_test", "DEF")
    made.define("window(Tensor(a) x) -> Tensor(a)")
    made.define("copy(Tensor x) -> Tensor")
    made.define("mapped(Tensor x) -> Tensor", tags=torch.Tag.pointwise)
    made.define("product(Tensor x) -> Tensor")
    for name, function in {
        "window": lambda x: x.as_strided(x.shape, x.stride()),
        "copy": lambda x: torch.empty_like(x),
        "mapped": lambda x: torch.empty_like(x),
        "product": lambda x: torch.empty_like(x),
    }.items():
        made.impl(name, function, "CompositeExplicitAutograd")
    yield made
    made._destroy()


def test_a_view_and_a_copy_of_any_library_are_free_and_its_product_is_named(offer, library):
    ours = torch.ops.ground_test
    found = counted(offer(lambda: Around(lambda x: ours.mapped(ours.copy(ours.window(x))))))
    assert found["macs"] == MACS
    case = offer(lambda: Around(ours.product))
    assert counted(case)["macs"] is None
    assert "ground_test::product (1 call)" in reasons(case)["macs"]


@pytest.mark.parametrize(("name", "free"), [
    ("torchvision::nms", True), ("torchvision::roi_align", True), ("torchvision::deform_conv2d", False),
    ("aten::special_expit", True), ("aten::_foreach_mul", True), ("aten::histc", True), ("aten::mse_loss", True),
    ("aten::fake_quantize_per_tensor_affine", True), ("aten::linalg_cross", True), ("aten::_trilinear", False),
    ("quantized::linear_dynamic", False), ("aten::_int_mm", False), ("aten::affine_grid_generator", False),
    ("aten::abs_", True), ("aten::permute_copy", True), ("aten::_weight_norm_interface", True),
    ("profiler::_record_function_enter_new", True), ("prims::view_of", True), ("some::clone", True),
    ("aten::_cdist_forward", False), ("aten::fft_rfft", False), ("aten::_fft_r2c", False), ("aten::lstm", False),
    ("aten::addmm_", False), ("aten::outer", False), ("some::product", False),
    ("prim::PythonOp.x", False), ("aten::linalg_solve", False), ("aten::stft", False),
])  # fmt: skip
def test_what_is_free_of_products_is_known_and_not_guessed(name, free):
    assert is_free_of_products(name) == free


# Wrapped models


def in_place() -> nn.Module:
    model = small()
    model.compile()
    return model


def compiled_inside() -> nn.Module:
    model = Around()
    model.net = torch.compile(model.net)
    return model


ALIKE: dict[str, Callable[[], nn.Module]] = {
    "compiled": lambda: torch.compile(small()),
    "compiled in place": in_place,
    "compiled inside": compiled_inside,
    "data parallel": lambda: nn.DataParallel(small()),
    "parallel and compiled": lambda: torch.compile(nn.DataParallel(small())),
    "a dict": lambda: Around(after=lambda y: {"logits": y, "more": [y, None]}),
    "a tuple": lambda: Around(after=lambda y: (y, (y,))),
    "a dataclass": lambda: Around(after=Answer),
}


@pytest.mark.parametrize("name", ALIKE)
def test_what_is_put_around_a_model_changes_no_count(offer, name):
    case = offer(ALIKE[name])
    found = counted(case)
    assert (found["params"], found["params_headless"]) == (PARAMS, PARAMS - 170)
    assert found["macs"] == found["macs_torch"] == found["macs_fvcore"] == MACS
    assert set(reasons(case).values()) == {None}  # at once: nothing was refused on the way


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [
    lambda: torch.jit.script(small()),
    lambda: torch.jit.trace(small().eval(), torch.zeros(1, 3, 32, 32)),
    lambda: nn.Sequential(*[torch.jit.script(one) for one in small()]),
], ids=["scripted", "traced", "scripted in parts"])  # fmt: skip
def test_a_scripted_model_has_its_counts_and_one_row_that_says_what_cannot_trace_it(offer, make):
    rows = list(static.static(offer(make), Context()))
    found = {row.metric: row for row in rows if row.part is None}
    assert (found["params"].value, found["params_headless"].value) == (PARAMS, PARAMS - 170)
    assert found["macs"].value == found["macs_torch"].value == MACS
    assert [row.metric for row in rows if row.status != "ok"] == ["macs_fvcore"]
    assert "fvcore cannot trace the model" in found["macs_fvcore"].reason


def test_the_elements_of_an_output_are_those_of_all_its_tensors():
    x = torch.zeros(2, 3)
    assert static.elements({"a": x, "b": [x, (x, None)]}) == 3 * 6
    assert static.elements(Answer(x, x)) == 2 * 6
    assert static.elements(Answer) == static.elements(None) == 0


# Refusals


class OwnError(Exception):
    """Of no kind that bench knows."""


@pytest.mark.parametrize("error", [AssertionError(), ValueError("no data"), OwnError("mine"), StopIteration("over")])
def test_whatever_an_author_raises_on_the_meta_device_the_cpu_takes_over(offer, error):
    def refuse(images: Tensor) -> Tensor:
        if images.is_meta:
            raise error
        return images

    case = offer(lambda: Around(refuse))
    assert counted(case)["macs"] == MACS
    assert f"on the meta device: {type(error).__name__}" in reasons(case)["macs"]


def test_a_refusal_on_the_cpu_too_is_the_failure(offer):
    def refuse(images: Tensor) -> Tensor:
        raise OwnError(f"on {images.device.type}")

    with pytest.raises(OwnError, match="on cpu"):
        counted(offer(lambda: Around(refuse)))


def test_an_interrupt_and_benchs_own_errors_are_no_refusal():
    from bench.errors import UsageError

    for error in (KeyboardInterrupt(), SystemExit(7), UsageError("no such model")):
        with pytest.raises(type(error)), wrappers.Attempt():
            raise error

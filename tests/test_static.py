"""Both counters give the multiply-accumulates that the shapes imply, and what they cannot count has a name."""

import subprocess
import sys
from collections.abc import Callable
from math import prod
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from bench.cost import closed_forms
from bench.execution.context import Context
from bench.measures import static
from bench.measures.instruments import counters, meta_device
from bench.measures.instruments.counters import count_fvcore, count_torch, is_free_of_products
from bench.registry import models
from tests import making


class Apply(nn.Module):
    """`function(x, *weights)` as a module, with weights of the given shapes."""

    def __init__(self, function: Callable[..., Tensor], *shapes: tuple[int, ...]):
        super().__init__()
        self.function = function
        self.weights = nn.ParameterList([nn.Parameter(torch.empty(shape)) for shape in shapes])

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.weights)


def attend(x: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(x, x, x)


class Attention(nn.Module):
    """`nn.MultiheadAttention` of a sequence with itself."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


# name -> how to make the module, shape of its input, multiply-accumulates
PRODUCTS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "linear": (lambda: nn.Linear(4, 5), (2, 4), 2 * 4 * 5),
    "linear on rows": (lambda: nn.Linear(4, 5), (2, 7, 4), 2 * 7 * 4 * 5),
    "linear on columns": (lambda: Apply(lambda x, w: functional.linear(x.mT, w), (5, 7)), (2, 7, 4), 2 * 4 * 7 * 5),
    "convolution": (lambda: nn.Conv2d(4, 6, 3), (1, 4, 8, 8), 6 * 6 * 6 * 4 * 9),
    "strided": (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1), (1, 4, 8, 8), 4 * 4 * 6 * 4 * 9),
    "dilated": (lambda: nn.Conv2d(4, 6, 3, dilation=2), (1, 4, 8, 8), 4 * 4 * 6 * 4 * 9),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, padding=1, groups=4), (1, 4, 8, 8), 8 * 8 * 4 * 9),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), (1, 4, 8, 8), 8 * 8 * 6 * 2 * 9),
    "padding same": (lambda: nn.Conv2d(4, 4, 3, padding="same", groups=4), (1, 4, 8, 8), 8 * 8 * 4 * 9),
    "convolution in 1 d": (lambda: nn.Conv1d(4, 6, 3), (1, 4, 8), 6 * 6 * 4 * 3),
    "convolution in 3 d": (lambda: nn.Conv3d(2, 3, 2), (1, 2, 4, 4, 4), 27 * 3 * 2 * 8),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2), (1, 4, 8, 8), 8 * 8 * 4 * 6 * 9),
    "transposed, grouped": (lambda: nn.ConvTranspose2d(4, 6, 3, groups=2), (1, 4, 8, 8), 8 * 8 * 4 * 3 * 9),
    "matmul": (lambda: Apply(torch.matmul, (4, 5)), (2, 3, 4), 2 * 3 * 4 * 5),
    "matmul, weight first": (lambda: Apply(lambda x, w: w @ x, (5, 3)), (2, 3, 4), 2 * 5 * 3 * 4),
    "matmul with a vector": (lambda: Apply(torch.matmul, (4,)), (2, 3, 4), 2 * 3 * 4),
    "mv": (lambda: Apply(torch.mv, (4,)), (3, 4), 3 * 4),
    "dot": (lambda: Apply(torch.dot, (4,)), (4,), 4),
    "addmm": (lambda: Apply(lambda x, w, b: torch.addmm(b, x, w), (4, 5), (5,)), (2, 4), 2 * 4 * 5),
    "addmv": (lambda: Apply(lambda x, w, b: torch.addmv(b, x, w), (4,), (3,)), (3, 4), 3 * 4),
    "bmm": (lambda: Apply(torch.bmm, (2, 4, 5)), (2, 3, 4), 2 * 3 * 4 * 5),
    "baddbmm": (lambda: Apply(lambda x, w, b: torch.baddbmm(b, x, w), (2, 4, 5), (2, 3, 5)), (2, 3, 4), 2 * 3 * 4 * 5),
    "addbmm": (lambda: Apply(lambda x, w, b: torch.addbmm(b, x, w), (2, 4, 5), (3, 5)), (2, 3, 4), 2 * 3 * 4 * 5),
    "tensordot": (lambda: Apply(lambda x, w: torch.tensordot(x, w, 2), (3, 4, 5)), (2, 3, 4), 2 * 3 * 4 * 5),
    "einsum": (lambda: Apply(lambda x, w: torch.einsum("bnc,mn->bmc", x, w), (5, 3)), (2, 3, 4), 2 * 3 * 4 * 5),
    "einsum, untied": (lambda: Apply(lambda x, w: torch.einsum("bnc,cmn->bmc", x, w), (4, 5, 3)), (2, 3, 4), 120),
    "einsum, implicit": (lambda: Apply(lambda x, w: torch.einsum("ij,jk", x, w), (4, 5)), (3, 4), 3 * 4 * 5),
    "einsum, dots": (lambda: Apply(lambda x, w: torch.einsum("...c,dc->...d", x, w), (5, 4)), (2, 3, 4), 2 * 3 * 4 * 5),
    "einsum, one summed out": (lambda: Apply(lambda x, w: torch.einsum("ij,jk->k", x, w), (4, 5)), (3, 4), 4 * 5),
    "einsum of one": (lambda: Apply(lambda x: torch.einsum("ij->ji", x)), (3, 4), 0),
    "attention": (lambda: Apply(attend), (2, 3, 7, 8), 2 * 3 * (7 * 7 * 8 + 7 * 7 * 8)),
    "multi-head": (lambda: Attention(8, 2), (1, 7, 8), 7 * 8 * 3 * 8 + 2 * 7 * 7 * 8 + 7 * 8 * 8),
    "norms and pooling": (
        lambda: nn.Sequential(
            nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.GELU(), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1)
        ),
        (1, 4, 8, 8),
        0,
    ),
    "layer norm and resizing": (
        lambda: nn.Sequential(nn.LayerNorm(8), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Softmax(1)),
        (1, 4, 8, 8),
        0,
    ),
}


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_both_counters_find_the_products_that_the_shapes_imply(name, device):
    make, shape, macs = PRODUCTS[name]
    with torch.device(device):
        model, x = make().eval(), torch.zeros(shape)
    ours, fvcores = count_torch(model, x), count_fvcore(model, x)
    assert (ours.total, fvcores.total) == (macs, macs)
    assert not ours.unknown
    assert not fvcores.unknown


@pytest.mark.parametrize("name", [name for name, (_, _, macs) in PRODUCTS.items() if macs and name != "attention"])
def test_torchs_own_counting_mode_sees_no_more_than_ours(name):
    make, shape, macs = PRODUCTS[name]
    with torch.device("meta"):
        model, x = make().eval(), torch.zeros(shape)
    with torch.no_grad(), FlopCounterMode(display=False) as mode:
        model(x)
    assert mode.get_total_flops() in (0, 2 * macs)  # it sees nothing in a mv, dot, addmv or addbmm


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2), (2, 4, 9, 8)),
        (lambda: nn.Conv1d(4, 6, 5, groups=2), (2, 4, 9)),
        (lambda: nn.Conv3d(2, 3, (1, 2, 3)), (1, 2, 4, 4, 4)),
        (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1), (1, 4, 8, 8)),
        (lambda: nn.LayerNorm((3, 4)), (2, 3, 4)),
        (lambda: Apply(lambda x: x.mean(dim=(1, -1))), (2, 3, 4, 5)),
        (lambda: Apply(lambda x: x.mean(dim=1, keepdim=True)), (2, 3, 4)),
        (lambda: Apply(lambda x, w: x + w, (4,)), (2, 3, 4)),
        (lambda: Apply(lambda x, w: x + w, (3, 1)), (2, 1, 4)),
        (lambda: Apply(lambda x, w: w + x, (4,)), (2, 3, 4)),
        (lambda: Apply(lambda x: x + x.to(torch.float64)), (2, 3)),
        (lambda: Apply(lambda x: functional.gelu(x, approximate="tanh") + 1), (2, 3)),
        (lambda: Apply(lambda x, w: torch.mm(x, w), (3, 4)), (2, 3)),
    ],
)
def test_quick_shapes_are_the_shapes_and_types_of_real_results(make, shape):
    real = make()(torch.zeros(shape))
    with torch.device("meta"):
        model, x = make(), torch.zeros(shape)
    with torch.no_grad(), meta_device.QuickShapes():
        quick = model(x)
    assert (quick.shape, quick.dtype) == (real.shape, real.dtype)


@pytest.mark.parametrize(
    ("name", "free"),
    [
        ("aten::gelu", True),  # pointwise
        ("aten::add_", True),
        ("aten::mean", True),  # a reduction
        ("aten::permute", True),  # a view
        ("aten::layer_norm", True),
        ("aten::hardswish_", True),
        ("aten::mm", False),
        ("aten::lstm", False),
        ("aten::bilinear", False),
        ("aten::no_such_operator", False),
        ("other::gelu", False),
        ("prim::PythonOp.Secret", False),
    ],
)
def test_an_operator_is_free_of_products_only_when_that_is_known(name, free):
    assert is_free_of_products(name) == free


def test_counting_leaves_the_fast_path_of_attention_as_it_was():
    before = torch.backends.mha.get_fastpath_enabled()
    with counters.attention_in_parts():
        assert not torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.mha.get_fastpath_enabled() == before


def test_an_einsum_of_three_factors_is_refused_by_fvcore_and_not_guessed():
    model = Apply(lambda x, v, w: torch.einsum("ij,jk,kl->il", x, v, w), (4, 5), (5, 6))
    with pytest.raises(RuntimeError, match="ij,jk,kl->il"):
        count_fvcore(model, torch.zeros(3, 4))


def register(monkeypatch, make: Callable[[], nn.Module]) -> None:
    """Offer `make` as the model `probe` for one test."""
    monkeypatch.setitem(models._factories, "probe", lambda *, num_classes, image_size: make())


def measure(factory: str, classes: int = 10, size: int = 8, **args) -> list:
    case = making.case("static", factory, model_args=args, num_classes=classes, image_size=size)
    return list(static.static(case, Context()))


def values(rows: list, metric: str) -> dict:
    return {row.part: row.value for row in rows if row.metric == metric}


def only(rows: list, metric: str):
    (row,) = [row for row in rows if row.metric == metric]
    return row


def small() -> nn.Sequential:
    """8 x 8 pixels of 3 channels -> 10 logits."""
    deep = nn.Sequential(nn.Conv2d(3, 4, 2, stride=2, bias=False))  # "0.0"; its "0.0.0" is too deep for a row
    stem = nn.Sequential(deep, nn.BatchNorm2d(4))
    return nn.Sequential(stem, nn.Flatten(), nn.Linear(4 * 4 * 4, 10))


def test_the_parameters_of_a_small_model_are_listed_in_total_by_module_and_without_its_head(monkeypatch):
    register(monkeypatch, small)
    rows = measure("probe")
    stem, head = 3 * 4 * 2 * 2 + 2 * 4, 64 * 10 + 10
    assert values(rows, "params") == {None: stem + head}
    assert values(rows, "params_headless") == {None: stem}
    assert values(rows, "params_by_module") == {"0": stem, "0.0": 3 * 4 * 2 * 2, "0.1": 2 * 4, "2": head}
    assert values(rows, "buffer_elements") == {None: 4 + 4 + 1}  # means, variances, batches seen
    assert values(rows, "output_elements") == {"0": 4 * 4 * 4, "1": 64, "2": 10}


def test_multiply_accumulates_of_a_small_model_agree_and_add_up_by_operator(monkeypatch):
    register(monkeypatch, small)
    rows = measure("probe")
    stem, head = 4 * 4 * 4 * 3 * 2 * 2, 64 * 10
    for metric in ("macs", "macs_torch", "macs_fvcore"):
        assert values(rows, metric) == {None: stem + head}
    assert values(rows, "macs_by_operator") == {"convolution": stem, "addmm": head}
    assert values(rows, "coverage_pct") == {None: 100}
    assert not values(rows, "uncounted_calls")


def test_frozen_parameters_are_counted_but_not_as_trainable_and_shared_ones_once(monkeypatch):
    def make():
        first, second = nn.Linear(192, 192), nn.Linear(192, 192)
        second.weight = first.weight
        first.bias.requires_grad_(False)
        return nn.Sequential(nn.Flatten(), first, second, nn.Linear(192, 10))

    register(monkeypatch, make)
    rows = measure("probe")
    assert values(rows, "params") == {None: 192 * 192 + 192 + 192 + 192 * 10 + 10}
    assert values(rows, "params_trainable") == {None: 192 * 192 + 192 + 192 * 10 + 10}


def test_the_last_one_by_one_convolution_can_be_the_head_and_no_head_is_a_failed_row(monkeypatch):
    register(monkeypatch, lambda: nn.Sequential(nn.Conv2d(3, 10, 1), nn.Conv2d(10, 10, 1), nn.Conv2d(10, 10, 3)))
    assert values(measure("probe"), "params_headless") == {None: (3 * 10 + 10) + (10 * 10 * 9 + 10)}
    row = only(measure("probe", classes=7), "params_headless")
    assert (row.status, row.value) == ("failed", None)
    assert "7 outputs" in row.reason


def test_an_operator_no_counter_knows_leaves_macs_without_a_value_and_is_named(monkeypatch):
    bilinear = Apply(lambda x, w: functional.bilinear(x.flatten(1), x.flatten(1), w), (10, 192, 192))
    register(monkeypatch, lambda: bilinear)
    rows = measure("probe")
    row = only(rows, "macs")
    assert (row.status, row.value) == ("failed", None)
    assert "aten::_trilinear (1 call)" in row.reason
    assert values(rows, "uncounted_calls") == {"torch: aten::_trilinear": 1, "fvcore: aten::bilinear": 1}
    assert values(rows, "coverage_pct")[None] < 100


def test_an_operator_of_somebody_elses_library_is_named(monkeypatch):
    @torch.library.custom_op("bench_test::secret", mutates_args=())
    def secret(x: Tensor) -> Tensor:
        return x @ x.mT

    secret.register_fake(lambda x: x.new_empty(x.shape[0], x.shape[0]))
    register(monkeypatch, lambda: Apply(lambda x: secret(x.flatten(1))))
    rows = measure("probe")
    assert "bench_test::secret" in only(rows, "macs").reason
    assert values(rows, "uncounted_calls")["torch: bench_test::secret"] == 1


def test_counters_that_differ_name_the_operator_one_of_them_lacks(monkeypatch):
    class Chain(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Parameter(torch.zeros(64, 5)), nn.Parameter(torch.zeros(5, 4))

        def forward(self, images):
            return torch.linalg.multi_dot([images.flatten(2)[0], self.first, self.second])

    register(monkeypatch, Chain)
    rows = measure("probe")
    assert values(rows, "macs_torch") == {None: 3 * 64 * 5 + 3 * 5 * 4}
    assert only(rows, "macs").status == "failed"
    assert "fvcore does not know aten::linalg_multi_dot (1 call)" in only(rows, "macs").reason


def test_counters_that_differ_name_the_kind_and_both_counts(monkeypatch):
    monkeypatch.setitem(counters.FVCORE_HANDLES, "aten::linear", lambda inputs, outputs: 700)
    register(monkeypatch, small)
    assert "matrix products: torch aten::addmm 640; fvcore aten::linear 700" in only(measure("probe"), "macs").reason


@pytest.mark.parametrize(("fvcores", "status"), [(1000, "ok"), (999, "ok"), (1001, "ok"), (998, "failed")])
def test_a_thousandth_is_the_tolerance(fvcores, status):
    def tally(macs):
        return counters.Tally(counters.Counter({"aten::mm": macs}), calls=1)

    seen = static.Look(nn.Identity(), {}, tally(1000), tally(fvcores))
    assert only(list(static.mac_rows(seen, None)), "macs").status == status


def test_a_closed_form_that_differs_leaves_no_value(monkeypatch):
    wrong = closed_forms.Counts(params=659, params_headless=56, macs=1000, activation_bytes=0)
    monkeypatch.setitem(closed_forms.FAMILIES, "probe", lambda *, num_classes, image_size: wrong)
    register(monkeypatch, small)
    rows = measure("probe")
    assert "706" in only(rows, "params").reason  # 48 + 8 + 650
    assert only(rows, "params_headless").value == 56
    assert "the closed form 1,000" in only(rows, "macs").reason


def test_a_model_that_needs_data_is_counted_on_the_cpu_and_says_so(monkeypatch):
    class Peeks(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(192, 10)

        def forward(self, images):
            scale = 2.0 if images.sum().item() > 0 else 1.0
            return self.head(images.flatten(1) * scale)

    register(monkeypatch, Peeks)
    row = only(measure("probe"), "macs")
    assert (row.value, row.status) == (192 * 10, "ok")
    assert "on the CPU" in row.reason


def test_a_model_that_cannot_be_traced_keeps_torchs_count_and_the_reason(monkeypatch):
    class Unordered(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(192, 10)

        def forward(self, images):
            return {self.head(images.flatten(1))}  # a trace cannot return a set

    register(monkeypatch, Unordered)
    rows = measure("probe")
    assert only(rows, "macs_fvcore").status == "failed"
    assert only(rows, "macs").value == 192 * 10
    assert "cannot trace" in only(rows, "macs").reason


OWN = [
    ("mlp_mixer", {"variant": "S/32"}, 224),
    ("mlp_mixer", {"variant": "S/16", "depth": 2, "untied": True}, 32),
    ("mlp_mixer", {"variant": "S/16", "depth": 2, "groups": 2, "pyramid": [0]}, 32),
    ("mlp_mixer", {"variant": "H/14"}, 224),
    ("hybrid_mixer", {"variant": "S/16", "patch_size": 4, "interleave_every": 2}, 32),
    ("hybrid_mixer", {"variant": "S/16", "patch_size": 4, "stem": "standard", "interleave_every": 3}, 32),
    ("conv_mixer", {"variant": "256/8"}, 32),
    ("conv_mixer", {"variant": "768/32"}, 224),
    ("conv_mixer", {"variant": "1536/20"}, 224),
]


@pytest.mark.parametrize(("factory", "args", "size"), OWN, ids=lambda value: str(value))
def test_own_models_count_exactly_as_their_closed_form(factory, args, size):
    rows = measure(factory, 10, size, **args)
    closed = closed_forms.closed_form(factory, args, num_classes=10, image_size=size)
    for metric in ("macs", "macs_torch", "macs_fvcore", "macs_closed_form"):
        assert values(rows, metric) == {None: closed.macs}
    assert values(rows, "params") == {None: closed.params}
    assert values(rows, "params_headless") == {None: closed.params_headless}
    assert values(rows, "coverage_pct") == {None: 100}


def test_the_stem_keeps_the_token_grid_and_its_parts_are_listed():
    args = {"patch_size": 4, "width": 128, "depth": 2, "token_mlp": 64, "channel_mlp": 256}
    separable, standard = (
        measure("hybrid_mixer", size=32, **args, stem=s) for s in ("depthwise_separable", "standard")
    )
    elements = values(separable, "output_elements")
    assert elements["patch_embedding"] == elements["stem"] == prod((32 // 4, 32 // 4, 128))
    modules = values(separable, "params_by_module")
    assert modules["stem.depthwise"] + modules["stem.pointwise"] == 3 * 3 * 128 + 128 * 128
    assert values(standard, "params_by_module")["stem.conv"] == 3 * 3 * 128 * 128


OTHERS = [
    ("mobilevit_xxs", {}, 32),
    ("torchvision:resnet50", {}, 224),
    ("torchvision:vit_b_16", {}, 224),
    ("timm:vit_base_patch16_224", {"fused_attention": True}, 224),
    ("timm:deit_base_patch16_224", {"fused_attention": True}, 224),
    ("timm:resmlp_big_24_224", {}, 224),
    ("timm:mobilevit_xxs", {"fused_attention": True}, 256),
]


@pytest.mark.parametrize(("factory", "args", "size"), OTHERS, ids=lambda value: str(value))
def test_counters_agree_on_the_reference_models_with_nothing_left_out(factory, args, size):
    if factory.startswith("timm:"):
        pytest.importorskip("timm", exc_type=ImportError)
    rows = measure(factory, 10, size, **args)
    assert all(row.status == "ok" for row in rows)
    assert values(rows, "macs_torch") == values(rows, "macs_fvcore") == values(rows, "macs")
    assert values(rows, "coverage_pct") == {None: 100}


def test_vit_b_16_is_its_projections_its_mlps_and_two_products_of_attention():
    tokens, width, layers = 196 + 1, 768, 12
    layer = 4 * tokens * width**2 + 2 * tokens**2 * width + 2 * tokens * width * 4 * width
    macs = 196 * (3 * 16 * 16) * width + layers * layer + width * 10
    assert values(measure("torchvision:vit_b_16", 10, 224), "macs") == {None: macs}


def test_a_mixer_h_14_is_counted_in_600_mb_without_importing_torchs_compiler():
    # Not getrusage: a child begins with the peak of the process that started it. VmHWM is its own.
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak memory of a process is read from /proc")
    code = (
        "import sys\n"
        "from bench.execution.context import Context\n"
        "from bench.measures.static import static\n"
        "from bench.plan.case import Case\n"
        "case = Case('', '', '', '', 'static', '', 'mlp_mixer', model_args={'variant': 'H/14'})\n"
        "assert all(row.status == 'ok' for row in static(case, Context()))\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(int(peak.split()[1]) // 1024, 'torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    peak_mb, compiler = done.stdout.split()
    assert int(peak_mb) < 600
    assert compiler == "False"

"""The closed forms show their arithmetic, meet the published tables, and agree with models built by others."""

import subprocess
import sys

import pytest

from bench.cost import closed_forms
from bench.cost.closed_forms import Layers, closed_form, convolution, linear
from bench.statistics.intervals import power_law

CIFAR = {"patch_size": 4, "width": 128, "depth": 8, "token_mlp": 64, "channel_mlp": 256}
TINY = {"patch_size": 2, "width": 6, "depth": 3, "token_mlp": 5, "channel_mlp": 7}
EMBEDDING = 3 * 2 * 2 * 6 + 6  # of TINY: 2 x 2 patches of 3 channels to 6
CHANNELS = (6 * 7 + 7) + (7 * 6 + 6)  # of TINY: the channel MLP
NORMS = 2 * (2 * 6)


def of(factory, classes=10, image_size=8, **args):
    found = closed_form(factory, args, num_classes=classes, image_size=image_size)
    assert found is not None
    return found


def test_a_linear_layer_has_one_weight_per_pair_and_one_bias_per_output():
    assert linear(4, 8, rows=5) == Layers(params=4 * 8 + 8, macs=5 * 4 * 8, outputs=5 * 8)


def test_a_grouped_convolution_has_a_groups_share_of_the_weights():
    assert convolution(8, 12, 3, positions=25, groups=4) == Layers(
        params=8 // 4 * 12 * 9 + 12, macs=25 * 8 // 4 * 12 * 9, outputs=25 * 12
    )


def test_a_tiny_mixer_is_the_sum_of_its_layers():
    tokens = (8 // 2) ** 2
    token_mlp = (tokens * 5 + 5) + (5 * tokens + tokens)
    headless = EMBEDDING + 3 * (NORMS + token_mlp + CHANNELS) + 2 * 6
    macs = tokens * 3 * 4 * 6 + 3 * (6 * 2 * tokens * 5 + tokens * 2 * 6 * 7) + 6 * 10
    elements = tokens * 6 + 3 * (6 * (5 + tokens) + tokens * (7 + 6)) + 10
    assert of("mlp_mixer", **TINY) == closed_forms.Counts(headless + 6 * 10 + 10, headless, macs, 4 * elements)


def test_untied_token_mixing_repeats_its_weights_for_every_channel_at_the_same_cost():
    tied, untied = of("mlp_mixer", **TINY), of("mlp_mixer", **TINY, untied=True)
    token_mlp = (16 * 5 + 5) + (5 * 16 + 16)
    assert untied.params == tied.params + 3 * (6 - 1) * token_mlp
    assert untied.macs == tied.macs


def test_grouping_two_channels_doubles_the_sides_of_the_token_matrices_at_the_same_cost():
    tied, grouped = of("mlp_mixer", **TINY), of("mlp_mixer", **TINY, groups=2)
    assert grouped.params - tied.params == 3 * ((2 * 16 * 5 + 5 + 5 * 2 * 16 + 2 * 16) - (16 * 5 + 5 + 5 * 16 + 16))
    assert grouped.macs == tied.macs


def test_a_pyramid_step_maps_16_tokens_to_4_and_later_blocks_see_4():
    token_mlps = (16 * 5 + 5 + 5 * 4 + 4) + 2 * (4 * 5 + 5 + 5 * 4 + 4)
    pyramid = of("mlp_mixer", **TINY, pyramid=[0])
    assert pyramid.params_headless == EMBEDDING + 3 * (NORMS + CHANNELS) + token_mlps + 2 * 6
    token_macs = 6 * 5 * (16 + 4) + 2 * 6 * 5 * (4 + 4)
    assert pyramid.macs == 16 * 3 * 4 * 6 + token_macs + 3 * 4 * 2 * 6 * 7 + 6 * 10


@pytest.mark.parametrize(
    ("variant", "millions"),
    [("S/32", 19), ("S/16", 18), ("B/32", 60), ("B/16", 59), ("L/32", 206), ("L/16", 207), ("H/14", 431)],
)
def test_headless_parameters_at_224_meet_table_1_to_half_a_unit(variant, millions):
    headless = of("mlp_mixer", variant=variant, classes=1000, image_size=224).params_headless
    assert abs(headless / 1e6 - millions) <= 0.5


def test_a_size_beside_a_variant_wins_over_the_variants_own():
    spelled_out = {"patch_size": 16, "width": 512, "depth": 2, "token_mlp": 256, "channel_mlp": 2048}
    shallow = of("mlp_mixer", variant="S/16", depth=2, image_size=224)
    assert shallow == of("mlp_mixer", **spelled_out, image_size=224)


@pytest.mark.parametrize(
    ("stem", "weights"), [("standard", 3 * 3 * 128 * 128), ("depthwise_separable", 3 * 3 * 128 + 128 * 128)]
)
def test_a_stem_adds_the_weights_of_its_equation_and_a_batch_norm(stem, weights):
    assert weights in (147_456, 17_536)  # equations 3 and 6 of the report
    plain = of("mlp_mixer", **CIFAR, image_size=32)
    hybrid = of("hybrid_mixer", **CIFAR, stem=stem, image_size=32)
    assert hybrid.params - plain.params == weights + 2 * 128
    assert hybrid.macs - plain.macs == weights * (32 // 4) ** 2


@pytest.mark.parametrize(("every", "blocks"), [(0, 0), (1, 8), (2, 4), (3, 2), (8, 1)])
def test_interleaving_every_kth_of_eight_blocks_adds_eight_over_k_rounded_down(every, blocks):
    stem_only = of("hybrid_mixer", **CIFAR, image_size=32)
    interleaved = of("hybrid_mixer", **CIFAR, image_size=32, interleave_every=every)
    assert interleaved.params - stem_only.params == blocks * (9 * 128 + 128 * 128 + 2 * 128)


def test_without_a_stem_interleaved_blocks_are_depthwise_separable():
    plain = of("mlp_mixer", **CIFAR, image_size=32)
    interleaved = of("hybrid_mixer", **CIFAR, image_size=32, stem="none", interleave_every=4)
    assert interleaved.params - plain.params == 2 * (9 * 128 + 128 * 128 + 2 * 128)


def test_convmixer_parameters_are_the_sum_over_its_layers():
    h, d, p, k, classes = 6, 2, 2, 3, 10
    headless = (3 * p * p * h + h + 2 * h) + d * ((k * k * h + h + 2 * h) + (h * h + h + 2 * h))
    macs = 16 * (3 * p * p * h + d * (k * k * h + h * h)) + h * classes
    found = of("conv_mixer", width=h, depth=d, patch_size=p, kernel_size=k)
    assert found == closed_forms.Counts(
        headless + h * classes + classes, headless, macs, 4 * (16 * h * (1 + 2 * d) + classes)
    )


@pytest.mark.parametrize(("variant", "millions"), [("1536/20", 51.6), ("768/32", 21.1)])
def test_convmixer_parameters_meet_the_published_table_to_half_a_unit(variant, millions):
    assert abs(of("conv_mixer", variant=variant, classes=1000, image_size=224).params / 1e6 - millions) <= 0.05


def test_no_closed_form_for_an_unknown_family_or_an_argument_that_the_equations_do_not_know():
    assert closed_form("timm:resnet50", {}, num_classes=10, image_size=32) is None
    assert closed_form("mlp_mixer", {**TINY, "gating": True}, num_classes=10, image_size=8) is None
    assert closed_form("conv_mixer", {"variant": "256/8", "token_mlp": 3}, num_classes=10, image_size=8) is None


def test_an_argument_given_as_none_counts_as_not_given():
    assert of("mlp_mixer", variant="S/16", width=None, image_size=224) == of(
        "mlp_mixer", variant="S/16", image_size=224
    )


def test_token_mixing_is_linear_in_the_tokens_and_attention_quadratic():
    assert closed_forms.token_mixing_macs(tokens=4, width=3, hidden=5) == 3 * (4 * 5 + 5 * 4)
    assert closed_forms.self_attention_macs(tokens=4, width=3) == 4 * 4 * 3 + 4 * 4 * 3 + 4 * (4 * 3 * 3)
    sizes = (196, 392, 784)
    mixing = power_law(sizes, [closed_forms.token_mixing_macs(tokens, 768, 384) for tokens in sizes])
    attention = power_law(sizes, [closed_forms.self_attention_macs(tokens, 768, False) for tokens in sizes])
    assert (mixing.point, attention.point) == (pytest.approx(1), pytest.approx(2))


def test_attention_with_its_projections_scales_between_linear_and_quadratic():
    sizes = (196, 392, 784)
    assert 1 < power_law(sizes, [closed_forms.self_attention_macs(tokens, 768) for tokens in sizes]).point < 2


def test_counting_needs_neither_torch_nor_a_model():
    heavy = ("torch", "fvcore", "bench.models")
    code = f"import sys, bench.cost.closed_forms; print(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


SHARED = {
    "mixer_s32_224": ("mlp_mixer", "S/32"),
    "mixer_s16_224": ("mlp_mixer", "S/16"),
    "mixer_b32_224": ("mlp_mixer", "B/32"),
    "mixer_b16_224": ("mlp_mixer", "B/16"),
    "mixer_l16_224": ("mlp_mixer", "L/16"),
    "convmixer_768_32": ("conv_mixer", "768/32"),
    "convmixer_1536_20": ("conv_mixer", "1536/20"),
    "convmixer_1024_20_ks9_p14": ("conv_mixer", "1024/20"),
}


@pytest.mark.parametrize("name", SHARED)
def test_parameters_agree_exactly_with_an_independent_implementation(name):
    pytest.importorskip("bench.torchvision_import", exc_type=ImportError)
    timm = pytest.importorskip("timm")
    import torch

    family, variant = SHARED[name]
    found = of(family, variant=variant, classes=1000, image_size=224)
    with torch.device("meta"):
        theirs = timm.create_model(name)
    params = sum(p.numel() for p in theirs.parameters())
    assert (found.params, found.params_headless) == (params, params - sum(p.numel() for p in theirs.head.parameters()))


OWN_MODELS = [
    ("mlp_mixer", TINY),
    ("mlp_mixer", {**TINY, "untied": True}),
    ("mlp_mixer", {**TINY, "groups": 3}),
    ("mlp_mixer", {**TINY, "groups": 2, "untied": True, "pyramid": [1]}),
    ("mlp_mixer", {"variant": "S/16", "patch_size": 4, "depth": 1}),
    ("hybrid_mixer", {**TINY, "stem": "none", "interleave_every": 2}),
    ("hybrid_mixer", {**TINY, "stem": "standard", "interleave_every": 1}),
    ("hybrid_mixer", {**TINY, "stem": "depthwise_separable", "interleave_every": 3}),
    ("conv_mixer", {"width": 6, "depth": 2, "patch_size": 2, "kernel_size": 3}),
    ("conv_mixer", {"variant": "256/8", "kernel_size": 9}),
]


@pytest.mark.parametrize(("factory", "args"), OWN_MODELS, ids=lambda value: str(value))
def test_parameters_and_activation_bytes_agree_with_the_registered_model(factory, args):
    torch = pytest.importorskip("torch")
    from torch.utils._python_dispatch import TorchDispatchMode

    from bench.measures.instruments.model import call_factory

    class Outputs(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if func.overloadpacket in PRODUCTS:
                self.elements += out.numel()
            return out

    aten = torch.ops.aten
    PRODUCTS = {aten.convolution, aten.addmm, aten.mm, aten.bmm}
    with torch.device("meta"):
        model = call_factory(factory, num_classes=10, image_size=8, **args).eval()
        with torch.no_grad(), Outputs() as outputs:
            model(torch.empty(1, 3, 8, 8))
    found = of(factory, **args)
    assert found.params == sum(p.numel() for p in model.parameters())
    assert found.activation_bytes == 4 * outputs.elements

"""MobileViT-XXS: its parameters add up to the published 0.44 M, its blocks equal independent implementations."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench.errors import UsageError
from bench.models.mobilevit_xxs import InvertedResidual, MobileVit, MobileVitBlock, fold, mobilevit_xxs, unfold
from bench.torchvision_import import torchvision
from tests.making import params, unsettle


def small(**arguments) -> MobileVit:
    torch.manual_seed(0)
    return mobilevit_xxs(
        **{"num_classes": 10, "image_size": 32, "widths": (8, 16), "depths": (1, 2), **arguments}
    ).eval()


def conv(inputs: int, outputs: int, kernel: int = 1, groups: int = 1) -> int:
    return kernel**2 * inputs // groups * outputs


def norm(width: int) -> int:
    return 2 * width


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def inverted_residual(inputs: int, outputs: int) -> int:
    hidden = 2 * inputs
    filters = conv(hidden, hidden, 3, groups=hidden)
    return conv(inputs, hidden) + norm(hidden) + filters + norm(hidden) + conv(hidden, outputs) + norm(outputs)


def mobilevit_block(width: int, depth: int) -> int:
    attention = linear(width, 3 * width) + linear(width, width)
    mlp = linear(width, 2 * width) + linear(2 * width, width)
    local = conv(width, width, 3) + norm(width) + conv(width, width)
    fuse = conv(width, width) + norm(width) + conv(2 * width, width, 3) + norm(width)
    return local + depth * (norm(width) + attention + norm(width) + mlp) + norm(width) + fuse


def test_the_parameters_add_up_stage_by_stage_to_the_published_0_44_million():
    stem = conv(3, 16, 3) + norm(16)
    stages = sum(
        inverted_residual(inputs, width) + inverted_residual(width, width) + mobilevit_block(width, depth)
        for inputs, width, depth in [(16, 24, 2), (24, 48, 4), (48, 64, 3)]
    )
    model = mobilevit_xxs(num_classes=10, image_size=32)
    assert params(model) == stem + stages + linear(64, 10) == 440_266
    assert round(params(model) / 1e6, 2) == 0.44


def assert_parity(mine: nn.Module, theirs: nn.Module, images: torch.Tensor) -> None:
    """Both write the same layers in the same order."""
    unsettle(mine)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), mine.state_dict().values(), strict=True)))
    with torch.no_grad():
        torch.testing.assert_close(mine.eval()(images), theirs.eval()(images), rtol=0, atol=1e-5)


def test_the_mobilevit_block_equals_timms_on_copied_weights():
    pytest.importorskip("timm")
    from timm.layers import ConvNormAct
    from timm.models.byobnet import LayerFn
    from timm.models.mobilevit import MobileVitBlock as TimmBlock

    torch.manual_seed(0)
    layers = LayerFn(conv_norm_act=partial(ConvNormAct, act_layer=nn.SiLU), act=nn.SiLU)
    theirs = TimmBlock(8, 8, transformer_dim=16, transformer_depth=2, patch_size=2, num_heads=4, layers=layers)
    assert_parity(MobileVitBlock(8, 16, 2), theirs, torch.randn(2, 8, 8, 12))


@pytest.mark.parametrize(("outputs", "stride"), [(8, 1), (12, 1), (8, 2)])
def test_the_inverted_residual_equals_torchvisions_with_silu_on_copied_weights(outputs, stride):
    torch.manual_seed(0)
    theirs = torchvision.models.mobilenetv2.InvertedResidual(8, outputs, stride, expand_ratio=2)
    for parent in list(theirs.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(parent, name, nn.SiLU())
    assert_parity(InvertedResidual(8, outputs, stride), theirs, torch.randn(2, 8, 8, 8))


def test_fold_undoes_unfold_and_a_row_of_tokens_is_one_place_in_every_patch():
    images = torch.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    tokens = unfold(images)
    assert tokens.shape == (2 * 4, 4 * 6 // 4, 3)
    assert torch.equal(tokens[0], images[0, :, ::2, ::2].flatten(1).T)  # top left of every patch
    assert torch.equal(tokens[1], images[0, :, ::2, 1::2].flatten(1).T)  # top right
    assert torch.equal(fold(tokens, images.shape), images)


def test_attention_is_visible_to_a_counter_as_matrix_products():
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        small(widths=(8,), depths=(1,))(torch.randn(1, 3, 32, 32))
    places, tokens, width = 4, 16 * 16 // 4, 8
    queries_with_keys = weights_with_values = 2 * places * tokens * tokens * width
    assert counter.get_flop_counts()["Global"][torch.ops.aten.bmm] == queries_with_keys + weights_with_values


def test_every_stage_halves_the_side_and_the_stem_does_not():
    model = small()
    shapes = []
    for module in (model.stem, *model.stages):
        module.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape)))
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    assert shapes == [(2, 16, 32, 32), (2, 8, 16, 16), (2, 16, 8, 8)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 28}, "image_size 28 is not a multiple of 8, which 2 stages need"),
        ({"widths": (8, 18)}, "width 18 is not a multiple of 4 heads"),
        ({"widths": (8, 16, 24)}, "3 widths but 2 depths"),
    ],
)
def test_a_bad_argument_is_a_usage_error_that_says_the_numbers(arguments, message):
    with pytest.raises(UsageError) as caught:
        small(**arguments)
    assert message in str(caught.value)

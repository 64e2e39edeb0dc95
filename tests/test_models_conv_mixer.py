"""ConvMixer against its arithmetic and against timm with copied weights and statistics."""

import pytest
import torch
from torch import nn

from bench.errors import UsageError
from bench.models.conv_mixer import VARIANTS, ConvMixer, conv_mixer
from bench.torchvision_import import torchvision
from tests.making import params, unsettle

assert torchvision  # timm imports it

SMALL = {"width": 16, "depth": 2, "patch_size": 4, "kernel_size": 3}


def small(**arguments) -> ConvMixer:
    torch.manual_seed(0)
    return conv_mixer(**{"num_classes": 10, "image_size": 16, **SMALL, **arguments}).eval()


def conv_mixer_params(width: int, depth: int, patch: int, kernel: int, classes: int) -> int:
    norm = 2 * width
    embedding = 3 * patch**2 * width + width + norm
    block = (kernel**2 * width + width + norm) + (width * width + width + norm)
    return embedding + depth * block + width * classes + classes


# Width, depth, patch, kernel, classes and image of each named model; the millions that the paper prints, where it does.
NAMED = [
    ("1536/20", (1536, 20, 7, 9, 1000), 224, 51.6),
    ("768/32", (768, 32, 7, 7, 1000), 224, 21.1),
    ("1024/20", (1024, 20, 14, 9, 1000), 224, 24.4),
    ("256/8", (256, 8, 2, 5, 10), 32, None),
]


@pytest.mark.parametrize(("variant", "sizes", "image", "millions"), NAMED, ids=[row[0] for row in NAMED])
def test_a_variant_has_the_parameters_its_sizes_multiply_out_to(variant, sizes, image, millions):
    with torch.device("meta"):
        model = conv_mixer(num_classes=sizes[-1], image_size=image, variant=variant)
    assert params(model) == conv_mixer_params(*sizes)
    assert millions is None or round(params(model) / 1e6, 1) == millions


def test_every_variant_is_tested():
    assert set(VARIANTS) == {row[0] for row in NAMED}


def assert_parity(mine: nn.Module, theirs: nn.Module, image_size: int) -> None:
    """Both write embedding, blocks, head in this order, with the same layers inside a block."""
    unsettle(mine)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), mine.state_dict().values(), strict=True)))
    images = torch.randn(2, 3, image_size, image_size)
    with torch.no_grad():
        torch.testing.assert_close(mine(images), theirs.eval()(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("activation", "module"), [("gelu", nn.GELU), ("relu", nn.ReLU)])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_logits_equal_timms_convmixer_on_copied_weights(activation, module, kernel_size):
    timm_convmixer = pytest.importorskip("timm.models.convmixer")
    mine = small(activation=activation, kernel_size=kernel_size)
    theirs = timm_convmixer.ConvMixer(16, 2, kernel_size=kernel_size, patch_size=4, num_classes=10, act_layer=module)
    assert_parity(mine, theirs, image_size=16)


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("768/32", "convmixer_768_32"),
        ("1536/20", "convmixer_1536_20"),
        ("1024/20", "convmixer_1024_20_ks9_p14"),
    ],
)
def test_a_named_model_has_timms_shapes_and_activation(variant, name):
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        mine, theirs = (
            conv_mixer(num_classes=10, image_size=224, variant=variant),
            timm.create_model(name, num_classes=10),
        )
    shapes = [[weight.shape for weight in model.state_dict().values()] for model in (mine, theirs)]
    assert shapes[0] == shapes[1]
    assert type(mine.patch_embedding.activation) is type(theirs.stem[1])


def test_logits_of_768_32_equal_timms_registered_model_on_copied_weights():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    mine = conv_mixer(num_classes=10, image_size=28, variant="768/32").eval()
    assert_parity(mine, timm.create_model("convmixer_768_32", num_classes=10), image_size=28)


def test_an_argument_beside_a_variant_wins():
    with torch.device("meta"):
        model = conv_mixer(num_classes=10, image_size=32, variant="256/8", kernel_size=7, activation="relu")
    assert params(model) == conv_mixer_params(256, 8, 2, 7, 10)
    assert isinstance(model.blocks[0].depthwise.activation, nn.ReLU)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "768/23"}, "no ConvMixer variant '768/23'. Did you mean '768/32'?"),
        ({"activation": "rely"}, "no activation 'rely'. Did you mean 'relu'?"),
        ({"kernel_size": 4}, "kernel_size 4 is even"),
        ({"patch_size": 7}, "image_size 16 is not a multiple of patch_size 7"),
        ({"width": None}, "without a variant, width must be given"),
    ],
)
def test_a_bad_argument_is_a_usage_error_that_says_what_was_possible(arguments, message):
    with pytest.raises(UsageError) as caught:
        small(**arguments)
    assert message in str(caught.value)

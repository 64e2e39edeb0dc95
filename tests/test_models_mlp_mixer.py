"""MLP-Mixer against its arithmetic, against timm with copied weights, and against its own symmetry."""

import pytest
import torch
from torch import nn

from bench.errors import UsageError
from bench.models.mlp_mixer import VARIANTS, MlpMixer, mlp_mixer, resize_tokens
from bench.torchvision_import import torchvision
from tests.making import params

assert torchvision  # timm imports it

SMALL = {"patch_size": 8, "width": 16, "depth": 2, "token_mlp": 8, "channel_mlp": 64}
CIFAR = {"patch_size": 4, "width": 128, "depth": 8, "token_mlp": 64, "channel_mlp": 256}


def small(**arguments) -> MlpMixer:
    torch.manual_seed(0)
    return mlp_mixer(**{"num_classes": 10, "image_size": 32, **SMALL, **arguments}).eval()


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def mixer_params(patch: int, width: int, depth: int, token_mlp: int, channel_mlp: int, image: int, classes: int) -> int:
    tokens = (image // patch) ** 2
    norm = 2 * width
    token = linear(tokens, token_mlp) + linear(token_mlp, tokens)
    channel = linear(width, channel_mlp) + linear(channel_mlp, width)
    return linear(3 * patch**2, width) + depth * (norm + token + norm + channel) + norm + linear(width, classes)


# The paper's Table 1, each row beside the millions it prints, for 224 pixels and without the classifier head.
TABLE_1 = [
    ("S/32", (32, 512, 8, 256, 2048), 19),
    ("S/16", (16, 512, 8, 256, 2048), 18),
    ("B/32", (32, 768, 12, 384, 3072), 60),
    ("B/16", (16, 768, 12, 384, 3072), 59),
    ("L/32", (32, 1024, 24, 512, 4096), 206),
    ("L/16", (16, 1024, 24, 512, 4096), 207),
    ("H/14", (14, 1280, 32, 640, 5120), 431),
]


@pytest.mark.parametrize(("variant", "sizes", "millions"), TABLE_1, ids=[row[0] for row in TABLE_1])
def test_a_variant_has_the_parameters_its_table_row_multiplies_out_to(variant, sizes, millions):
    with torch.device("meta"):
        model = mlp_mixer(num_classes=1000, image_size=224, variant=variant)
    assert params(model) == mixer_params(*sizes, image=224, classes=1000)
    assert round((params(model) - params(model.head)) / 1e6) == millions


def test_every_variant_of_the_table_is_tested():
    assert set(VARIANTS) == {row[0] for row in TABLE_1}


def test_the_cifar_size_multiplies_out():
    model = mlp_mixer(num_classes=10, image_size=32, **CIFAR)
    block = 2 * 2 * 128 + 2 * (64 * 64 + 64) + (128 * 256 + 256) + (256 * 128 + 128)
    assert params(model) == (3 * 4 * 4 * 128 + 128) + 8 * block + 2 * 128 + (128 * 10 + 10)


def test_a_size_given_beside_a_variant_wins():
    with torch.device("meta"):
        model = mlp_mixer(num_classes=10, image_size=224, variant="S/32", depth=2)
    assert params(model) == mixer_params(32, 512, 2, 256, 2048, image=224, classes=10)


def test_untied_token_mixing_has_the_token_parameters_once_per_channel():
    token_params = 2 * (linear(16, 8) + linear(8, 16))  # two blocks of 16 tokens
    assert params(small(untied=True)) - params(small()) == (16 - 1) * token_params


def test_joining_g_channels_makes_the_token_mlp_g_times_as_wide_at_its_ends():
    more = 2 * (linear(4 * 16, 8) + linear(8, 4 * 16) - linear(16, 8) - linear(8, 16))
    assert params(small(groups=4)) - params(small()) == more


def test_a_pyramid_step_leaves_a_quarter_of_the_tokens_to_the_blocks_after_it():
    fewer = (linear(8, 16) - linear(8, 4)) + (linear(16, 8) + linear(8, 16) - linear(4, 8) - linear(8, 4))
    assert params(small()) - params(small(pyramid=[0])) == fewer


def copy_to_timm(mine: MlpMixer, theirs: nn.Module) -> None:
    """Both write patch embedding, blocks, norm, head in this order, with the same layers inside a block."""
    theirs.load_state_dict(dict(zip(theirs.state_dict(), mine.state_dict().values(), strict=True)))


def test_logits_equal_timms_mixer_on_copied_weights():
    timm_mixer = pytest.importorskip("timm.models.mlp_mixer")
    mine = small()
    theirs = timm_mixer.MlpMixer(num_classes=10, img_size=32, patch_size=8, num_blocks=2, embed_dim=16).eval()
    copy_to_timm(mine, theirs)
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(mine(images), theirs(images), rtol=0, atol=1e-5)


def test_logits_of_s32_equal_timms_registered_mixer_on_copied_weights():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    mine = mlp_mixer(num_classes=10, image_size=224, variant="S/32").eval()
    theirs = timm.create_model("mixer_s32_224", num_classes=10).eval()
    copy_to_timm(mine, theirs)
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(mine(images), theirs(images), rtol=0, atol=1e-5)


def cut(images: torch.Tensor, patch: int) -> torch.Tensor:
    """(B, 3, H, W) -> (B, 3, S, P, P), patches in row order."""
    side = images.shape[2] // patch
    return images.unflatten(2, (side, patch)).unflatten(4, (side, patch)).transpose(3, 4).flatten(2, 3)


def paste(patches: torch.Tensor) -> torch.Tensor:
    side = round(patches.shape[2] ** 0.5)
    return patches.unflatten(2, (side, side)).transpose(3, 4).flatten(2, 3).flatten(3, 4)


def permute_token_weights(model: MlpMixer, order: torch.Tensor) -> None:
    """Columns of the first matrix, rows of the second and its bias: the same function for patches in that order."""
    with torch.no_grad():
        for block in model.blocks:
            block.token_mlp.fc1.weight.copy_(block.token_mlp.fc1.weight[:, order])
            block.token_mlp.fc2.weight.copy_(block.token_mlp.fc2.weight[order])
            block.token_mlp.fc2.bias.copy_(block.token_mlp.fc2.bias[order])


def test_permuted_patches_are_the_same_function_with_permuted_token_weights():
    model = small()
    images = torch.randn(4, 3, 32, 32)
    assert torch.equal(paste(cut(images, 8)), images)
    order = torch.randperm(16)
    shuffled = paste(cut(images, 8)[:, :, order])
    with torch.no_grad():
        before, without_weights = model(images), model(shuffled)
        permute_token_weights(model, order)
        after = model(shuffled)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)
    assert (without_weights - before).abs().max() > 1e-3  # the permutation alone is not a no-op


def test_pixels_permuted_alike_in_every_patch_are_the_same_function_with_permuted_embedding():
    model = small()
    images = torch.randn(4, 3, 32, 32)
    order = torch.randperm(64)
    shuffled = paste(cut(images, 8).flatten(3)[..., order].unflatten(3, (8, 8)))
    with torch.no_grad():
        before = model(images)
        filters = model.patch_embedding.weight
        filters.copy_(filters.flatten(2)[..., order].unflatten(2, (8, 8)))
        torch.testing.assert_close(model(shuffled), before, rtol=0, atol=1e-5)


def test_untied_channels_with_equal_weights_are_the_tied_mixer():
    tied, untied = small(), small(untied=True)
    weights = tied.state_dict()
    for name, weight in untied.state_dict().items():
        weights[name] = weights[name].expand_as(weight) if "token_mlp" in name else weights[name]
    untied.load_state_dict(weights)
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(untied(images), tied(images), rtol=0, atol=1e-5)


def test_joined_channels_with_block_diagonal_weights_are_the_plain_mixer():
    plain, joined = small(), small(groups=2, token_mlp=16)
    weights = plain.state_dict()
    for name, weight in weights.items():
        if "token_mlp" in name:
            weights[name] = torch.block_diag(weight, weight) if weight.ndim == 2 else torch.cat([weight, weight])
    joined.load_state_dict(weights)
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(joined(images), plain(images), rtol=0, atol=1e-5)


def test_a_pyramid_ends_with_a_quarter_of_the_tokens_per_step():
    model = small(pyramid=[0, 1])
    with torch.no_grad():
        assert model.blocks(torch.randn(2, 16, 16)).shape == (2, 16 // 4 // 4, 16)
        assert model(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_a_pyramid_step_hands_on_the_mean_of_two_by_two_neighbours():
    block = small(pyramid=[0]).blocks[0]
    for mlp in (block.token_mlp, block.channel_mlp):
        nn.init.zeros_(mlp.fc2.weight)
        nn.init.zeros_(mlp.fc2.bias)
    x = torch.randn(1, 16, 16)
    first_four = x[0, [0, 1, 4, 5]]  # the top left corner of a 4 x 4 grid in row order
    torch.testing.assert_close(block(x)[0, 0], first_four.mean(dim=0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("extra", [{}, {"untied": True}, {"groups": 4}], ids=["tied", "untied", "joined"])
def test_tokens_resized_to_the_same_grid_change_no_bit(extra):
    model = small(**extra)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(resize_tokens(model, 4)(images), model(images))


@pytest.mark.parametrize("extra", [{}, {"untied": True}, {"groups": 4}], ids=["tied", "untied", "joined"])
def test_a_mixer_resized_to_twice_the_grid_takes_images_of_twice_the_side(extra):
    model = small(**extra)
    resized = resize_tokens(model, 8)
    with torch.no_grad():
        assert resized(torch.randn(2, 3, 64, 64)).shape == (2, 10)
        assert model(torch.randn(2, 3, 32, 32)).shape == (2, 10)  # the original is left as it was


def test_resized_token_weights_answer_alike_to_tokens_that_are_all_the_same():
    """Doubling a side keeps every picture's sum times 4, and the scale S/S' = 1/4 takes that back."""
    model = small()
    mixing, resized = model.blocks[0].token_mlp, resize_tokens(model, 8).blocks[0].token_mlp
    level = torch.randn(5, 1)
    with torch.no_grad():
        hidden = mixing.fc1(level.expand(5, 16))
        torch.testing.assert_close(resized.fc1(level.expand(5, 64)), hidden, rtol=0, atol=1e-5)
        small_picture = mixing.fc2(hidden).reshape(5, 1, 4, 4)
        large_picture = nn.functional.interpolate(small_picture, size=(8, 8), mode="bilinear", align_corners=False)
        torch.testing.assert_close(resized.fc2(hidden), large_picture.flatten(1), rtol=0, atol=1e-5)


def test_dropout_acts_in_training_only():
    model = small(dropout=0.5)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(images), model(images))
        assert torch.equal(model(images), small()(images))
        model.train()
        assert not torch.equal(model(images), model(images))


def test_dropout_stands_after_the_activation_and_after_the_second_linear_of_both_mlps():
    block = small(dropout=0.15).blocks[0]
    for mlp, inputs in ((block.token_mlp, 16), (block.channel_mlp, 16)):
        order = []
        for name, module in mlp.named_children():
            module.register_forward_hook(lambda *_, name=name, order=order: order.append(name))
        mlp(torch.randn(2, inputs))
        assert order == ["fc1", "activation", "dropout1", "fc2", "dropout2"]
        assert mlp.dropout1.p == mlp.dropout2.p == 0.15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch_size": 5}, "image_size 32 is not a multiple of patch_size 5"),
        ({"variant": "S/61"}, "no Mixer variant 'S/61'. Did you mean 'S/16'?"),
        ({"width": None, "depth": None}, "without a variant, width, depth must be given"),
        ({"groups": 3}, "width 16 is not a multiple of groups 3"),
        ({"pyramid": [2]}, "no block 2, depth is 2"),
        ({"pyramid": [0, 1], "patch_size": 16}, "2 x 2 tokens cannot be halved 2 times"),
    ],
)
def test_a_bad_argument_is_a_usage_error_that_says_the_numbers(arguments, message):
    with pytest.raises(UsageError) as caught:
        small(**arguments)
    assert message in str(caught.value)


def test_a_pyramid_is_not_resized():
    with pytest.raises(UsageError, match="no single grid"):
        resize_tokens(small(pyramid=[0]), 8)

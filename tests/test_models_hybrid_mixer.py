"""Hybrid Mixer: its extra parameters, where its convolutions stand, and what it shares with the plain Mixer."""

import pytest
import torch
from torch import nn

from bench.errors import UsageError
from bench.models.hybrid_mixer import HybridMixer, hybrid_mixer
from bench.models.mlp_mixer import mlp_mixer
from tests.making import params

CIFAR = {"patch_size": 4, "width": 128, "depth": 8, "token_mlp": 64, "channel_mlp": 256}
SMALL = {"patch_size": 8, "width": 16, "depth": 4, "token_mlp": 8, "channel_mlp": 64}

# Equations 3-6 of the report at C = 128, and BatchNorm's weight and bias.
STANDARD = 3 * 3 * 128 * 128
SEPARABLE = 3 * 3 * 128 + 128 * 128
NORM = 2 * 128


def small(seed: int = 0, **arguments) -> HybridMixer:
    torch.manual_seed(seed)
    return hybrid_mixer(**{"num_classes": 10, "image_size": 32, **SMALL, **arguments}).eval()


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ({"stem": "none"}, 0),
        ({"stem": "depthwise_separable"}, SEPARABLE + NORM),
        ({"stem": "standard"}, STANDARD + NORM),
        ({"interleave_every": 2}, (1 + 8 // 2) * (SEPARABLE + NORM)),
        ({"interleave_every": 3}, (1 + 8 // 3) * (SEPARABLE + NORM)),
        ({"stem": "standard", "interleave_every": 4}, (1 + 8 // 4) * (STANDARD + NORM)),
        ({"stem": "none", "interleave_every": 4}, (8 // 4) * (SEPARABLE + NORM)),
    ],
)
def test_a_hybrid_has_the_mixers_parameters_and_those_of_its_convolutions(arguments, extra):
    plain = mlp_mixer(num_classes=10, image_size=32, **CIFAR)
    assert params(hybrid_mixer(num_classes=10, image_size=32, **CIFAR, **arguments)) == params(plain) + extra


def test_the_stems_convolutions_have_the_published_weights():
    separable = hybrid_mixer(num_classes=10, image_size=32, **CIFAR).stem
    full = hybrid_mixer(num_classes=10, image_size=32, **CIFAR, stem="standard").stem
    assert separable.depthwise.weight.numel() + separable.pointwise.weight.numel() == 1_152 + 16_384 == 17_536
    assert full.conv.weight.numel() == 147_456
    assert round(100 * (1 - 17_536 / 147_456)) == 88


def test_without_stem_and_interleaving_it_is_the_mixer_bit_for_bit():
    torch.manual_seed(0)
    plain = mlp_mixer(num_classes=10, image_size=32, **SMALL).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(small(stem="none")(images), plain(images))


def test_the_same_seed_starts_mixer_and_hybrid_from_the_same_shared_weights():
    plain, hybrid = small(stem="none").state_dict(), small(interleave_every=2).state_dict()
    assert all(torch.equal(hybrid[name], weight) for name, weight in plain.items())


def test_convolutions_follow_every_kth_block_also_the_last():
    assert list(small(interleave_every=2).interleaved) == ["2", "4"]
    assert list(small(interleave_every=3).interleaved) == ["3"]
    order = []
    model = small(interleave_every=2)
    named = {"stem": model.stem, **{f"block {number}": block for number, block in enumerate(model.blocks, start=1)}}
    named |= {f"conv {number}": conv for number, conv in model.interleaved.items()}
    for name, module in named.items():
        module.register_forward_hook(lambda *_, name=name: order.append(name))
    model(torch.randn(1, 3, 32, 32))
    assert order == ["stem", "block 1", "block 2", "conv 2", "block 3", "block 4", "conv 4"]


def test_the_forward_pass_is_the_one_written_out_by_hand():
    """One block, one convolution after it: reshaped to the grid, no residual, flattened again."""
    model = small(depth=1, interleave_every=1)
    images = torch.randn(2, 3, 32, 32)

    def convolved(conv: nn.Module, grid: torch.Tensor) -> torch.Tensor:
        return nn.functional.gelu(conv.norm(conv.pointwise(conv.depthwise(grid))))

    with torch.no_grad():
        grid = convolved(model.stem, model.patch_embedding(images))
        x = model.blocks[0](grid.reshape(2, 16, 4 * 4).permute(0, 2, 1))
        grid = convolved(model.interleaved["1"], x.permute(0, 2, 1).reshape(2, 16, 4, 4))
        expected = model.head(model.norm(grid.reshape(2, 16, 4 * 4).permute(0, 2, 1)).mean(1))
        torch.testing.assert_close(model(images), expected, rtol=0, atol=1e-6)


def test_tokens_and_width_are_preserved_by_the_stem_and_between_blocks():
    model = small(interleave_every=2)
    shapes = []
    for module in (model.patch_embedding, model.stem, *model.interleaved.values()):
        module.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape)))
    model(torch.randn(2, 3, 32, 32))
    assert shapes == [(2, 16, 4, 4)] * 4


@pytest.mark.parametrize(("stem", "equal"), [("none", True), ("depthwise_separable", False), ("standard", False)])
def test_a_convolution_breaks_the_invariance_to_patch_order(stem, equal):
    model = small(stem=stem)
    images = torch.randn(4, 3, 32, 32)
    rows = torch.tensor([2, 0, 3, 1])  # rows of patches: the tokens move in runs of four
    shuffled = images.unflatten(2, (4, 8))[:, :, rows].flatten(2, 3)
    order = (rows[:, None] * 4 + torch.arange(4)).flatten()
    with torch.no_grad():
        before = model(images)
        for block in model.blocks:
            block.token_mlp.fc1.weight.copy_(block.token_mlp.fc1.weight[:, order])
            block.token_mlp.fc2.weight.copy_(block.token_mlp.fc2.weight[order])
            block.token_mlp.fc2.bias.copy_(block.token_mlp.fc2.bias[order])
        difference = (model(shuffled) - before).abs().max()
    assert bool(difference < 1e-5) == equal


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stem": "depthwise"}, "no stem 'depthwise'. Did you mean 'depthwise_separable'?"),
        ({"interleave_every": 5}, "interleave_every 5 must lie between 0 (never) and depth 4"),
        ({"interleave_every": -1}, "interleave_every -1 must lie between"),
        ({"patch_size": 5}, "image_size 32 is not a multiple of patch_size 5"),
        ({"variant": "B/61"}, "no Mixer variant 'B/61'. Did you mean 'B/16'?"),
    ],
)
def test_a_bad_argument_is_a_usage_error_that_says_what_was_possible(arguments, message):
    with pytest.raises(UsageError) as caught:
        small(**arguments)
    assert message in str(caught.value)

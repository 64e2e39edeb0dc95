"""Models of timm and torchvision by name: sizes passed on, attention countable, unknown names answered."""

import importlib
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.errors import UsageError
from bench.registry import models

NAMES = [
    "torchvision:resnet18",
    "torchvision:vit_b_16",
    "timm:mixer_s32_224",
    "timm:resnet18",
    "timm:vit_tiny_patch16_224",
]


def make(name: str, *, device: str = "meta", num_classes: int = 10, image_size: int = 64, **arguments):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    with torch.device(device):
        return models.get(name)(
            name.partition(":")[2], num_classes=num_classes, image_size=image_size, **arguments
        ).eval()


@pytest.mark.parametrize("name", NAMES)
def test_a_named_model_takes_the_suites_image_size_and_classes(name):
    assert make(name)(torch.randn(2, 3, 64, 64, device="meta")).shape == (2, 10)


def test_resnet50_has_the_parameters_its_blocks_multiply_out_to():
    def bottleneck(inputs: int, width: int, *, first: bool) -> int:
        convolutions = inputs * width + 9 * width**2 + width * 4 * width + (inputs * 4 * width if first else 0)
        return convolutions + 2 * (width + width + 4 * width + (4 * width if first else 0))

    def stage(inputs: int, width: int, blocks: int) -> int:
        return bottleneck(inputs, width, first=True) + (blocks - 1) * bottleneck(4 * width, width, first=False)

    stem = 7 * 7 * 3 * 64 + 2 * 64
    stages = stage(64, 64, 3) + stage(256, 128, 4) + stage(512, 256, 6) + stage(1024, 512, 3)
    for classes in (10, 1000):
        expected = stem + stages + 2048 * classes + classes
        for name in ("torchvision:resnet50", "timm:resnet50"):
            assert sum(weight.numel() for weight in make(name, num_classes=classes).parameters()) == expected


def batched_product_flops(**arguments) -> int:
    """On the CPU, where fused attention is one operator; on the meta device torch takes it apart again."""
    model = make("timm:vit_tiny_patch16_224", device="cpu", depth=1, **arguments)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.randn(1, 3, 64, 64))
    return counter.get_flop_counts()["Global"].get(torch.ops.aten.bmm, 0)


def test_attention_of_timm_is_matrix_products_unless_fused_attention_is_asked_for():
    tokens, width = (64 // 16) ** 2 + 1, 192
    queries_with_keys = weights_with_values = 2 * tokens * tokens * width
    assert batched_product_flops() == queries_with_keys + weights_with_values
    assert batched_product_flops(fused_attention=True) == 0


def test_fused_and_unfused_attention_are_the_same_function():
    unfused = make("timm:vit_tiny_patch16_224", device="cpu", depth=1)
    fused = make("timm:vit_tiny_patch16_224", device="cpu", depth=1, fused_attention=True)
    fused.load_state_dict(unfused.state_dict())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(fused(images), unfused(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:mixer_b16_242", "no timm model 'mixer_b16_242'. Did you mean 'mixer_b16_224'"),
        ("timm:hf-hub:timm/resnet18", "no timm model 'hf-hub:timm/resnet18'."),
        ("torchvision:resnet55", "no torchvision model 'resnet55'. Did you mean 'resnet50'"),
        ("torchvision:fcn_resnet50", "no torchvision model 'fcn_resnet50'."),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, message):
    with pytest.raises(UsageError) as caught:
        make(name)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["timm:resnet18", "torchvision:resnet18"])
def test_an_argument_the_model_does_not_take_is_a_usage_error(name):
    with pytest.raises(UsageError, match=f"{name}: .*depht"):
        make(name, depht=3)


def test_without_timm_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.delitem(sys.modules, "bench.models.timm", raising=False)
    with pytest.raises(UsageError, match="pip install timm"):
        importlib.import_module("bench.models.timm")

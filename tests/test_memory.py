"""Peak bytes by hand: weights, batch and the activations that are alive at once, in elements of four bytes."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from bench.errors import MeasurementError
from bench.execution.context import Context
from bench.measures.instruments.live_bytes import LiveBytes
from bench.measures.memory import forward_peak, memory, train_step_peak
from bench.plan.case import Case
from bench.registry import measures, models
from tests import making

PIXELS = 3 * 2 * 2  # an image of 2 x 2 pixels
FLOAT = 4  # bytes


@models.register("layers")
def layers(*, num_classes: int, image_size: int, widths: tuple[int, ...] = (), buffer: int = 0) -> nn.Module:
    """Linear layers one after the other, the last to `num_classes`."""
    sizes = [3 * image_size**2, *widths, num_classes]
    model = nn.Sequential(nn.Flatten(), *(nn.Linear(*pair) for pair in pairwise(sizes)))
    model.register_buffer("extra", torch.zeros(buffer))
    return model


@models.register("tied")
def tied(*, num_classes: int, image_size: int) -> nn.Module:
    layer = nn.Linear(3 * image_size**2, 3 * image_size**2, bias=False)
    return nn.Sequential(nn.Flatten(), layer, layer)


def case(factory: str = "layers", **fields) -> Case:
    return making.case("memory", factory, **({"num_classes": 8, "image_size": 2, "batch_size": 2} | fields))


def test_a_linear_layer_holds_its_weights_its_input_and_its_output():
    weights, batch, output = PIXELS * 8 + 8, 2 * PIXELS, 2 * 8
    assert forward_peak(case()) == FLOAT * (weights + batch + output)


def test_buffers_count_and_half_precision_counts_half():
    elements = (PIXELS * 8 + 8) + 100 + 2 * PIXELS + 2 * 8
    wide = case(model_args={"buffer": 100})
    assert forward_peak(wide) == FLOAT * elements
    assert forward_peak(case(model_args={"buffer": 100}, precision="bfloat16")) == FLOAT // 2 * elements


def test_only_the_activations_alive_at_once_count():
    weights = (PIXELS * 16 + 16) + (16 * 64 + 64) + (64 * 8 + 8)
    # 16 and 64 wide outputs are alive together, then 64 and 8; all three never are.
    alive = 2 * max(16 + 64, 64 + 8)
    assert forward_peak(case(model_args={"widths": (16, 64)})) == FLOAT * (weights + 2 * PIXELS + alive)


def test_a_shared_weight_counts_once():
    assert forward_peak(case("tied")) == FLOAT * (PIXELS * PIXELS + 2 * PIXELS + 2 * 2 * PIXELS)


def test_each_further_image_adds_its_pixels_and_its_activations():
    assert forward_peak(case(batch_size=5)) - forward_peak(case(batch_size=2)) == FLOAT * 3 * (PIXELS + 8)


def test_a_small_training_step_peaks_in_adamw_with_four_copies_and_two_temporaries():
    weight, bias = PIXELS * 8, 8
    copies = 4 * (weight + bias)  # weights, gradients, first and second moments
    steps = 2  # AdamW's step counter of each parameter
    temporaries = 2 * weight  # the root of the second moment, and that divided by its bias correction
    labels = 2 * 8  # bytes: two whole numbers
    assert train_step_peak(case()) == FLOAT * (copies + steps + temporaries + 2 * PIXELS) + labels


def test_a_wide_training_step_keeps_every_activation_for_the_backward_pass():
    wide = {"widths": (512,) * 4}
    weights = (PIXELS * 512 + 512) + 3 * (512 * 512 + 512) + (512 * 8 + 8)
    batch_size = 4096  # activations far outweigh the weights
    saved = batch_size * (PIXELS + 4 * 512 + 8)
    in_flight = 2 * batch_size * 512 + 4 * batch_size * 8  # gradients of two neighbouring layers, and of the loss
    peak = train_step_peak(case(batch_size=batch_size, model_args=wide))
    assert FLOAT * (3 * weights + saved) < peak < FLOAT * (4 * weights + saved + in_flight)


def test_the_tracker_forgets_what_dies_and_counts_views_and_in_place_results_once():
    held = torch.zeros(10)
    with LiveBytes([held]) as live:
        fresh = torch.ones(100)
        fresh.view(10, 10).add_(1)
        assert live.now == FLOAT * (10 + 100)
        del fresh
        assert live.now == FLOAT * 10
        torch.ones(50)
    assert live.peak == FLOAT * (10 + 100)


def test_the_measure_yields_both_peaks_or_the_forward_pass_alone():
    both = {row.metric: row.value for row in memory(case(), Context())}
    assert both == {"forward_peak_bytes": forward_peak(case()), "train_step_peak_bytes": train_step_peak(case())}
    assert [row.metric for row in memory(case(), Context(), train_step=False)] == ["forward_peak_bytes"]
    assert measures.get("memory") is memory


def test_a_compiled_model_is_not_measured_on_the_cpu():
    with pytest.raises(MeasurementError, match="compiled"):
        list(memory(case(compiled=True), Context()))

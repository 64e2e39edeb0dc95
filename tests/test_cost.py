"""Costs follow from first principles; which cells of the published Table 2 (claims C3 to C8) follow, and which do not.

A cell follows when the recomputed value, rounded like the printed one, gives the printed one.
"""

import pytest

from bench.cost.devices import CPU_CORE, DEVICES, UTILISATION, device, read, recognise
from bench.cost.money import cost_of, cost_of_seconds, expected_seconds, roofline, scaled_cost, training_flops, weaker
from bench.errors import UsageError

IMAGENET = 1_281_167  # training images of ImageNet-1k
EPOCHS = 100  # the basis of Table 2

# Table 2 as printed: model -> FLOPs, then device -> (hours, dollars).
FLOPS = {"768/32": 7.5e18, "1536/20": 1.9e19}
CELLS = {
    "768/32": {"t4": (420, 150), "v100": (140, 350), "a100": (52, 190)},
    "1536/20": {"t4": (1040, 360), "v100": (346, 860), "a100": (130, 480)},
}


def follows(value: float, printed: float, unit: float) -> bool:
    return abs(value - printed) <= unit / 2


def convmixer_macs(width: int, depth: int, kernel: int, patch: int, image: int = 224, *, classes: int = 1000) -> dict:
    """Multiply-accumulates of one image by operator; and what a counter adds for BatchNorm, two per element."""
    positions = (image // patch) ** 2
    return {
        "embedding": 3 * patch**2 * width * positions,
        "depthwise": depth * kernel**2 * width * positions,
        "pointwise": depth * width**2 * positions,
        "head": width * classes,
        "batch_norm": (2 * depth + 1) * 2 * width * positions,
    }


def complete(macs: dict) -> int:
    return macs["embedding"] + macs["depthwise"] + macs["pointwise"] + macs["head"]


def without_depthwise(macs: dict) -> int:
    """What fvcore counts when the depthwise convolution pads by name ("same"): an operator that it does not know."""
    return sum(macs.values()) - macs["depthwise"]


SMALL = convmixer_macs(768, 32, kernel=7, patch=7)
LARGE = convmixer_macs(1536, 20, kernel=9, patch=7)


def test_a_training_step_is_three_passes_of_two_flops_per_multiply_accumulate():
    assert training_flops(macs=5, images=7, epochs=11) == 2 * 3 * 5 * 7 * 11


def test_c3_follows_from_macs_called_flops_and_without_the_depthwise_convolutions():
    # 3 passes, but 1 instead of 2 per multiply-accumulate. fvcore counts 19.55e9 and 48.68e9 in timm's two models.
    assert follows(without_depthwise(SMALL) / 1e9, 19.55, 0.01)
    assert follows(without_depthwise(LARGE) / 1e9, 48.68, 0.01)
    assert follows(3 * without_depthwise(SMALL) * IMAGENET * EPOCHS, 7.5e18, 1e17)
    assert follows(3 * without_depthwise(LARGE) * IMAGENET * EPOCHS, 1.9e19, 1e18)


def test_c3_does_not_follow_from_first_principles_which_give_about_twice_as_much():
    small = training_flops(complete(SMALL), IMAGENET, EPOCHS)
    large = training_flops(complete(LARGE), IMAGENET, EPOCHS)
    assert not follows(small, FLOPS["768/32"], 1e17)
    assert not follows(large, FLOPS["1536/20"], 1e18)
    # Twice for the FLOPs of a multiply-accumulate, and 5.8 % and 5.0 % for the depthwise convolutions left out.
    assert small / (3 * without_depthwise(SMALL) * IMAGENET * EPOCHS) == pytest.approx(2 * 1.058, abs=0.001)
    assert large / (3 * without_depthwise(LARGE) * IMAGENET * EPOCHS) == pytest.approx(2 * 1.050, abs=0.001)


@pytest.mark.parametrize(("name", "unit"), [("t4", 10), ("v100", 10), ("a100", 1)])
def test_c4_hours_of_768_32_follow_from_the_printed_flops(name, unit):
    # 7.5e18 / 5e12 / 3600 = 416.7, / 15e12 = 138.9, / 40e12 = 52.1
    assert follows(cost_of(7.5e18, name).hours, CELLS["768/32"][name][0], unit)


@pytest.mark.parametrize(("name", "unit"), [("t4", 10), ("v100", 1), ("a100", 1)])
def test_c4_hours_of_1536_20_follow_from_unrounded_flops_only(name, unit):
    printed = CELLS["1536/20"][name][0]
    assert not follows(cost_of(1.9e19, name).hours, printed, unit)  # 1056, 352, 132 hours
    assert follows(cost_of(3 * without_depthwise(LARGE) * IMAGENET * EPOCHS, name).hours, printed, unit)


@pytest.mark.parametrize("model", CELLS)
@pytest.mark.parametrize("name", ["t4", "v100", "a100"])
def test_c5_dollars_follow_from_printed_hours_at_one_price_per_device(model, name):
    hours, dollars = CELLS[model][name]
    implied, listed = device(name).prices
    assert follows(hours * implied.value, dollars, 10)
    assert follows(hours * listed.value, dollars, 10)


def test_c6_a_thousandth_is_an_order_of_magnitude_not_a_value():
    images = 50_000 / IMAGENET  # 1 / 25.6
    same_model_on_small_images = images * (32 / 224) ** 2
    own_model = images * complete(convmixer_macs(256, 8, 5, 2, image=32, classes=10)) / complete(SMALL)
    assert 1 / same_model_on_small_images == pytest.approx(1256, abs=1)
    assert 1 / own_model == pytest.approx(3577, abs=1)


def test_c7_forty_minutes_follow_only_when_the_unit_is_tera():
    epoch_of_subset = FLOPS["1536/20"] / EPOCHS / 10  # 100 of 1000 classes
    assert epoch_of_subset == pytest.approx(1.9e4 * 1e12)  # printed as 1.9e4 GFLOPs
    assert follows(epoch_of_subset / 8e12 / 60, 40, 1)
    seconds_as_printed = 1.9e4 * 1e9 / 8e12
    assert seconds_as_printed == pytest.approx(2.4, abs=0.1)


def test_c8_sixteen_tflops_follow_from_twenty_minutes_and_need_half_precision():
    published = FLOPS["1536/20"] / EPOCHS / 10 / (20 * 60)
    assert follows(published / 1e12, 16, 1)
    assert published > device("t4").peak_flops_per_s["float32"]
    # Counted in full it is 33 TFLOP/s, about half of the tensor cores' peak.
    in_full = training_flops(complete(LARGE), IMAGENET / 10, 1) / (20 * 60)
    assert in_full / device("t4").peak_flops_per_s["float16"] == pytest.approx(0.5, abs=0.01)


def test_every_figure_of_the_table_carries_label_source_and_date():
    for entry in DEVICES.values():
        for figure in (*entry.effective, *entry.prices):
            assert figure.basis in ("published", "estimated")
            assert figure.source
            assert figure.dated
            assert figure.value > 0
        assert entry.datasheet


def test_a_cost_is_labelled_by_its_weakest_part():
    assert weaker("measured", "published") == "published"
    assert weaker("published", "estimated", "measured") == "estimated"
    # Nobody published these hours: dividing by a published throughput is still arithmetic of our own.
    assert (cost_of(1e18, "t4").basis, cost_of(1e18, "t4").usd_basis) == ("estimated", "estimated")
    assert (cost_of(1e18, "h100").basis, cost_of(1e18, "h100").usd_basis) == ("estimated", "estimated")
    measured = cost_of_seconds(7200, "t4")
    assert (measured.hours, measured.basis, measured.usd_basis) == (2, "measured", "published")
    assert measured.usd == pytest.approx(2 * (150 + 360) / (420 + 1040))


def test_an_own_assumption_can_be_asked_for_beside_the_published_one():
    assert cost_of(3.6e18, "t4").hours == pytest.approx(3.6e18 / 5e12 / 3600)
    assert cost_of(3.6e18, "t4", basis="estimated").hours == pytest.approx(3.6e18 / (UTILISATION * 65e12) / 3600)
    assert "assumption" in cost_of(3.6e18, "t4", basis="estimated").source


def test_published_seconds_on_a_t4_scale_to_other_devices_by_effective_throughput():
    # 46.5 s per epoch, 30 epochs, on a T4 (5 TFLOP/s); a V100 has 15.
    scaled = scaled_cost(46.5 * 30, "t4", "v100")
    assert scaled.hours == pytest.approx(46.5 * 30 / 3600 * 5 / 15)
    assert scaled.basis == scaled.usd_basis == "estimated"


def test_the_plan_expects_twice_the_cores_to_take_half_the_time():
    one, two = (expected_seconds(42e6, 50_000, 30, cores=cores) for cores in (1, 2))
    assert one == pytest.approx(2 * two)
    assert expected_seconds(42e6, 0, 1, test_images=600) == pytest.approx(expected_seconds(42e6, 200, 1))
    assert expected_seconds(42e6, 1, 1, "cuda") == expected_seconds(42e6, 1, 1, "t4") == 2 * 3 * 42e6 / 5e12


def test_a_roofline_has_its_ridge_at_peak_over_bandwidth():
    ridge = 312e12 / 1555e9
    below, above = roofline("a100", "bfloat16", ridge / 2, 1), roofline("a100", "bfloat16", ridge * 2, 1)
    assert (below.bound, below.attainable_flops_per_s) == ("memory", pytest.approx(312e12 / 2))
    assert (above.bound, above.attainable_flops_per_s) == ("compute", 312e12)


def test_a_device_is_found_by_key_or_by_its_drivers_name_and_never_guessed():
    assert recognise("NVIDIA A100-SXM4-40GB") is DEVICES["a100"]
    assert recognise("Tesla T4") is DEVICES["t4"]
    assert recognise("NVIDIA B200") is None
    with pytest.raises(UsageError, match="Did you mean 'a100'"):
        cost_of(1, "a1000")
    with pytest.raises(UsageError, match=r"T4.* no peak for 'bfloat16'.*Known: float32, float16"):
        roofline("t4", "bfloat16", 1, 1)


# The table as data


TABLE_2 = "ConvMixer reproduction, Table 2"
ASSUMED = "30% of the half-precision peak, an assumption (PaLM, Table 3 spans 21 to 46 %)"
GOOGLE = "as listed by Google Cloud, us-central1, on demand"
# The figures as they stood in code: peaks, bandwidth, effective FLOP/s, dollars per hour.
FIGURES = {
    "t4": (
        {"float32": 8.1e12, "float16": 65e12}, 300e9, [(5e12, TABLE_2), (0.30 * 65e12, ASSUMED)],
        [
            ((150 + 360) / (420 + 1040), f"implied by {TABLE_2}: (150, 360) $ for (420, 1040) h"),
            (0.35, f"{GOOGLE}, the GPU without its machine"),
        ],
    ),
    "v100": (
        {"float32": 15.7e12, "float16": 125e12}, 900e9, [(15e12, TABLE_2), (0.30 * 125e12, ASSUMED)],
        [
            ((350 + 860) / (140 + 346), f"implied by {TABLE_2}: (350, 860) $ for (140, 346) h"),
            (2.48, f"{GOOGLE}, the GPU without its machine"),
        ],
    ),
    "a100": (
        {"float32": 19.5e12, "tensorfloat32": 156e12, "bfloat16": 312e12, "float16": 312e12}, 1555e9,
        [(40e12, TABLE_2), (0.30 * 312e12, ASSUMED)],
        [
            ((190 + 480) / (52 + 130), f"implied by {TABLE_2}: (190, 480) $ for (52, 130) h"),
            (3.673385, f"{GOOGLE}, machine a2-highgpu-1g"),
        ],
    ),
    "h100": (
        {"float32": 67e12, "tensorfloat32": 494.7e12, "bfloat16": 989.4e12, "float16": 989.4e12}, 3350e9,
        [(0.30 * 989.4e12, ASSUMED)],
        [
            (10.9791, f"{GOOGLE}, machine a3-highgpu-1g"),
            (6.88, "as listed by AWS, us-east-1, on demand, p5.48xlarge / 8"),
        ],
    ),
}  # fmt: skip


def test_the_file_of_devices_gives_the_figures_that_stood_in_code():
    assert list(DEVICES)[: len(FIGURES)] == list(FIGURES)
    for name, (peaks, bandwidth, effective, prices) in FIGURES.items():
        entry = DEVICES[name]
        assert (entry.peak_flops_per_s, entry.bandwidth_bytes_per_s) == (peaks, bandwidth)
        assert [(each.value, each.source) for each in entry.effective] == effective
        assert [(each.value, each.source) for each in entry.prices] == prices
    assert (CPU_CORE.value, CPU_CORE.basis, CPU_CORE.dated) == (28e9, "estimated", "2026-11")


FILE = """
utilisation = { value = 0.5, basis = "estimated", source = "a guess", dated = "2026" }
cpu_core = { value = 1e9, basis = "estimated", source = "a guess", dated = "undated" }
[devices.x]
title = "X"
datasheet = "a page"
bandwidth_bytes_per_s = 1e9
peak_flops_per_s = { float32 = 4e12 }
cache_bytes = 1e6
effective = [{ of_peak = "float32" }]
prices = [{ usd = [10, 20], hours = [4, 6], basis = "published", source = "a table", dated = "2026-11-25" }]
"""


def test_a_share_of_a_peak_and_a_price_behind_a_table_are_worked_out():
    entry = read(FILE, "x.toml").devices["x"]
    assert entry.effective[0].value == 0.5 * 4e12
    assert entry.prices[0].value == (10 + 20) / (4 + 6)


@pytest.mark.parametrize(("right", "wrong", "told"), [
    ("title", "titel", r"x.toml \[devices.x.titel\]: Extra inputs"),
    ('of_peak = "float32"', 'of_peak = "float23"', "no peak 'float23'. Did you mean 'float32'"),
    ("bandwidth_bytes_per_s = 1e9", "bandwidth_bytes_per_s = -1", "bandwidth_bytes_per_s.*greater than 0"),
    ("2026-11-25", "last week", r"\[devices.x.prices.0.*dated\]"),
    ("prices = [", "prices = ", "x.toml: "),
])  # fmt: skip
def test_a_table_that_is_wrong_is_refused_with_its_place(right, wrong, told):
    with pytest.raises(UsageError, match=told):
        read(FILE.replace(right, wrong), "x.toml")

"""What a step does, traced without data, and how long it takes elsewhere: by hand, and beside what was published."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from bench.cost import devices, this_machine, training
from bench.cost.devices import device, read, recognise, with_additions
from bench.cost.efficiencies import family_of, fitted, interval
from bench.cost.prediction import Conditions, fastest_seconds, largest_batch, predict_step
from bench.cost.this_machine import from_table
from bench.cost.work import PerBatch, as_mapping, from_mapping
from bench.errors import UsageError
from bench.measures.memory import forward_peak, train_step_peak
from bench.prediction import accounts, here, published
from bench.prediction.asking import account, predicted
from bench.prediction.calibrate import calibrate
from bench.prediction.fit import collected
from bench.prediction.fit import predicted as all_predicted
from bench.prediction.tracing import account_of, traceable
from bench.report import predicted_costs
from bench.suite.read import load
from tests.making import bench, case

TABLES = Path(os.environ.get("BENCH_PUBLISHED") or Path(__file__).parents[2] / "shared" / "published") / "throughput"
published_tables = pytest.mark.skipif(
    not TABLES.is_dir(), reason="needs the public tables (BENCH_PUBLISHED or ../shared/published)"
)


def traced(model: nn.Module, size: int = 16, **how: bool):
    return account_of(model.to("meta"), size, **how)


def only(found, kind, backward=False):
    (operator,) = [each for each in found.operators if (each.kind, each.backward) == (kind, backward)]
    return operator


# The account


def test_a_convolution_is_counted_by_hand():
    found = only(traced(nn.Conv2d(3, 8, 3, padding=1, bias=False)), "convolution")
    # 8 x 16 x 16 outputs, each of 3 x 3 x 3 products of two FLOPs; four bytes a number.
    assert found.flops == PerBatch(per_image=2 * 8 * 256 * 27)
    assert found.read == PerBatch(fixed=4 * 8 * 27, per_image=4 * 3 * 256)
    assert found.written == PerBatch(per_image=4 * 8 * 256)
    assert (found.terms, found.width, found.calls) == (27, 8, 1)


@pytest.mark.parametrize(("layer", "kind"), [
    (nn.Conv2d(8, 8, 1), "pointwise"), (nn.Conv2d(8, 8, 3, groups=8), "depthwise"),
    (nn.Conv2d(8, 8, 3, groups=2), "grouped"),
])  # fmt: skip
def test_a_convolution_has_the_class_of_its_groups_and_kernel(layer, kind):
    assert only(traced(nn.Sequential(nn.Conv2d(3, 8, 3), layer)), kind).flops.per_image > 0


def test_a_backward_pass_of_groups_costs_twice_its_forward_pass_and_no_more():
    layers = (nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = traced(nn.Sequential(*layers), training=True)
    forward, backward = only(found, "grouped"), only(found, "grouped", backward=True)
    assert backward.flops.per_image == 2 * forward.flops.per_image


def test_mixed_precision_halves_products_and_leaves_norms_whole():
    model = nn.Sequential(nn.Flatten(), nn.Linear(768, 8), nn.LayerNorm(8))
    plain, mixed = traced(model), traced(model, mixed=True)
    assert only(mixed, "product").written.per_image == only(plain, "product").written.per_image / 2
    assert only(mixed, "rows").read.per_image >= only(plain, "rows").read.per_image
    assert mixed.launches() == plain.launches() + 4  # images, weight and bias to half, and what the norm reads to whole


def test_fused_attention_is_one_operator_with_its_two_products():
    class Attends(nn.Module):
        def forward(self, x):
            rows = x.flatten(2).transpose(1, 2)  # 256 rows of 3
            return nn.functional.scaled_dot_product_attention(rows, rows, rows).mean(1)

    found = only(traced(Attends()), "attention")
    assert found.flops.per_image == 2 * 2 * 256 * 256 * 3
    assert (found.read.per_image, found.written.per_image) == (4 * 3 * 768, 4 * 768)


@pytest.mark.parametrize(("factory", "args", "size", "batches"), [
    ("timm:resnet18", {}, 64, (2, 9)), ("conv_mixer", {"variant": "256/8"}, 32, (3, 16)),
    ("mobilevit_xxs", {}, 64, (2, 8)),
])  # fmt: skip
def test_one_trace_tells_the_memory_of_every_batch(factory, args, size, batches):
    asked = case("memory", factory, model_args=args, image_size=size, num_classes=10)
    for batch in batches:
        sized = replace(asked, batch_size=batch)
        assert account(asked).peak_bytes(batch) == pytest.approx(forward_peak(sized), rel=0.02)
        assert account(asked, training=True).peak_bytes(batch) == pytest.approx(train_step_peak(sized), rel=0.02)


def test_an_account_survives_being_written_down():
    found = traced(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    assert from_mapping(json.loads(json.dumps(as_mapping(found)))) == found


def test_tracing_allocates_nothing_and_leaves_attention_as_it_was():
    plain = nn.functional.scaled_dot_product_attention

    class Refuses(nn.Linear):
        def forward(self, x):
            raise RuntimeError("not today")

    with traceable():
        model = Refuses(2**20, 2**20)  # 4 TiB
    assert all(each.is_meta for each in model.parameters())
    with pytest.raises(RuntimeError, match="not today"):
        account_of(model, 4)
    assert nn.functional.scaled_dot_product_attention is plain


# The prediction


RESNET = case("timing", "timm:resnet50")


def step(name="t4", **conditions):
    known = from_table(name)
    asked = Conditions(**{"batch": 32, "precision": "float32"} | conditions)
    return predict_step(account(RESNET, mixed=asked.mixed), known.device, asked, known.efficiencies)


def test_a_small_batch_waits_for_its_host_and_a_large_one_does_not():
    one, many = step(batch=1, launch_s=60e-6), step(batch=256, launch_s=60e-6)
    assert (one.bound, many.bound == "launches") == ("launches", False)
    assert one.seconds == pytest.approx(60e-6 * account(RESNET).launches(), rel=0.05)


def test_a_compiled_step_moves_and_launches_less():
    assert step(compiled=True).traffic_s < step().traffic_s
    assert step(compiled=True).host_s < step().host_s


def test_no_prediction_is_faster_than_its_device():
    for name in devices.DEVICES:
        on, asked = from_table(name), Conditions(64)
        found = predict_step(account(RESNET), on.device, asked, on.efficiencies)
        assert found.seconds > fastest_seconds(account(RESNET), on.device, asked)
        assert sum(found.parts.values()) == pytest.approx(found.device_s)


def test_the_largest_batch_fits_and_the_next_does_not():
    t4, found = device("t4"), account(RESNET, training=True)
    most = largest_batch(found, t4, Conditions(1))
    free = t4.memory_bytes * 0.95 - 0.6e9
    assert found.peak_bytes(most) <= free < found.peak_bytes(most + 1)
    assert largest_batch(found, device("avx2:4"), Conditions(1)) is None


def test_conditions_that_nobody_knows_are_refused():
    with pytest.raises(UsageError, match="Did you mean 'float16'"):
        Conditions(1, "flota16")
    with pytest.raises(UsageError, match="mixed precision"):
        predict_step(account(RESNET), device("t4"), Conditions(1, "amp"), fitted().efficiencies["gpu"])


def test_an_interval_is_that_of_family_and_sort():
    assert family_of(account(RESNET)) == "convolution"
    assert family_of(account(case("timing", "mlp_mixer", model_args={"variant": "S/16"}))) == "mlp"
    for sort in ("gpu", "cpu"):
        low, high = interval(account(RESNET), sort)
        assert 0 < low < high


def test_a_training_waits_for_what_takes_longest():
    plan = training.Plan(epochs=2, images=1000, test_images=100)
    fast = training.length(plan, 100, step_s=0.1, test_step_s=0.05, pipeline=training.Pipeline())
    assert (fast.epoch_s, fast.seconds, fast.waits) == (pytest.approx(1.05), pytest.approx(2.1), "device")
    # 1000 images of 4 ms on two workers take 2 s, longer than ten steps.
    slow = training.length(plan, 100, 0.1, 0.05, training.Pipeline(core_s=0.004, workers=2))
    assert (slow.pipeline_s, slow.waits) == (pytest.approx(2.0), "pipeline")


# Devices


MORE = """
[devices.mine]
title = "My card"
datasheet = "its box"
bandwidth_bytes_per_s = 5e11
peak_flops_per_s = { float32 = 2e13, float16 = 8e13 }
words = ["my", "9000"]
cache_bytes = 8e6
memory_bytes = 12e9
"""


def test_a_user_adds_a_device_in_toml():
    table = read((Path(devices.__file__).with_name("devices.toml")).read_text(), "devices.toml")
    more = with_additions(MORE, "mine.toml", table)
    assert more.devices["mine"].memory_bytes == 12e9
    assert set(table.devices) < set(more.devices)
    with pytest.raises(UsageError, match=r"mine.toml \[devices.mine.peek\]"):
        with_additions(MORE + "peek = 1\n", "mine.toml", table)


def test_a_device_of_a_users_file_is_predicted(tmp_path):
    (tmp_path / "mine.toml").write_text(MORE)
    answer = bench("predict", "conv_mixer", "--arg", "variant=256/8", "--device", "mine,t4", "--image-size", "32",
                   "--classes", "10", "--json", BENCH_DEVICES=str(tmp_path / "mine.toml"))  # fmt: skip
    mine, t4 = json.loads(answer.stdout)
    assert (mine["device"], mine["basis"], t4["device"]) == ("mine", "predicted", "t4")
    assert mine["step_s_low"] < mine["step_s"] < mine["step_s_high"]


def test_cpus_are_told_by_instruction_set_and_cores():
    four, eight = device("avx2:4"), device("avx2:8")
    assert eight.peak_flops_per_s["float32"] == 2 * four.peak_flops_per_s["float32"]
    with pytest.raises(UsageError, match="avx2:CORES"):
        device("avx3:4")


@pytest.mark.parametrize(("driver", "name"), [
    ("NVIDIA A100-SXM4-80GB", "a100_80gb"), ("NVIDIA A100-SXM4-40GB", "a100"), ("Tesla V100-SXM2-32GB", "v100_32gb"),
    ("NVIDIA GeForce RTX 2080 Ti", "rtx2080ti"), ("NVIDIA L40S", "l40s"), ("NVIDIA L4", "l4"), ("NVIDIA H200", "h200"),
])  # fmt: skip
def test_a_driver_name_with_more_words_is_the_closer_device(driver, name):
    assert recognise(driver) is devices.DEVICES[name]


# This machine


def test_a_calibration_stands_for_this_machine_in_place_of_a_data_sheet(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    found = calibrate("cpu", each_s=0.004)
    assert this_machine.calibration(found.device_name, found.cores) is None
    this_machine.keep(found)
    known = here.device("cpu")
    assert known.device.bandwidth_bytes_per_s == found.bandwidth_bytes_per_s
    assert known.device.peak_flops_per_s["float32"] == found.flops_per_s["float32"]
    assert known.calibrated == found.measured
    # A typical convolution takes what it took: its rate is the share of the peak, times the peak.
    share = known.efficiencies.arithmetic["convolution"]
    assert share * found.flops_per_s["float32"] == pytest.approx(found.arithmetic["convolution"])


def test_a_calibration_that_is_damaged_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    path = this_machine.keep(calibrate("cpu", each_s=0.001))
    path.write_text("{")
    assert here.device("cpu").calibrated is None


# The command


def test_a_training_is_predicted_with_its_money():
    answer = bench("predict", "conv_mixer", "--arg", "variant=256/8", "--classes", "10", "--image-size", "32",
                   "--device", "t4", "--train", "25", "--images", "50000", "--json")  # fmt: skip
    (row,) = json.loads(answer.stdout)
    assert row["training_s"] == pytest.approx(25 * row["epoch_s"])
    assert row["usd"] == pytest.approx(row["training_s"] / 3600 * row["usd_per_hour"])


def test_a_training_without_its_images_is_refused():
    told = bench("predict", "timm:resnet18", "--train", "3", code=2).stderr
    assert "--train EPOCHS needs --images N" in told


# Beside what was published


def ratios(name, precision):
    """Batch -> predicted over published, ResNet-50's inference, the host's launch cost being that of batch 1."""
    points = [
        each
        for each in published.points(TABLES)
        if (each.device, each.model, each.conditions.precision) == (name, "resnet50", precision) and not each.training
    ]
    (one,) = [each for each in points if each.conditions.batch == 1]
    launch_s = one.seconds / account(RESNET, mixed=precision == "amp").launches()
    asked = {each: replace(each.conditions, launch_s=launch_s) for each in points}
    return {
        each.conditions.batch: predicted(RESNET, from_table(name), how).step.seconds / each.seconds
        for each, how in asked.items()
    }


BOARDS = [("t4", "float32"), ("t4", "amp"), ("v100", "float32"), ("v100", "amp")]


@published_tables
@pytest.mark.parametrize(("name", "precision"), BOARDS)
def test_small_batches_are_within_their_goal_once_the_launch_cost_is_given(name, precision):
    small = {batch: ratio for batch, ratio in ratios(name, precision).items() if batch < 32}
    assert len(small) == 5
    assert all(abs(ratio - 1) < 0.30 for ratio in small.values()), small


MISSED = pytest.mark.xfail(reason="misses its goal of 15 %: docs/prediction.md has the figures", strict=False)


@published_tables
@pytest.mark.parametrize(("name", "precision"), [
    ("t4", "float32"), *(pytest.param(*board, marks=MISSED) for board in BOARDS[1:]),
])  # fmt: skip
def test_large_batches_of_resnet_50_are_within_their_goal_on_cards_that_nobody_fitted(name, precision):
    large = {batch: ratio for batch, ratio in ratios(name, precision).items() if batch >= 32}
    assert len(large) == 4
    assert all(abs(ratio - 1) < 0.15 for ratio in large.values()), large


SAMPLE = ("resnet50", "resnext50_32x4d", "vit_base_patch16_224", "convnext_tiny", "mixer_b16_224", "densenet121",
          "regnetx_032", "deit_small_patch16_224", "efficientnet_b0", "mobilenetv2_100", "swin_tiny_patch4_window7_224",
          "resmlp_24_224")  # fmt: skip


@published_tables
def test_models_on_a_card_that_was_kept_out_are_within_the_goal_in_the_median():
    points = {
        each.model: each for each in published.points(TABLES) if each.device == "rtx5090" and each.model in SAMPLE
    }
    known = {
        each.account: account_of(accounts.untouched(each.model, each.image_size), each.image_size, mixed=True)
        for each in points.values()
    }
    found = collected(list(points.values()), known)
    errors = np.abs(all_predicted(found, fitted().efficiencies["gpu"]) / found.seconds - 1)
    assert len(errors) >= 8
    assert np.median(errors) < 0.10, dict(zip(points, errors, strict=True))


@pytest.mark.parametrize(("name", "key"), [
    ("cifar_mixers", "mlp_mixer"), ("cifar_mixers", "hybrid_interleaved"), ("convmixer", "convmixer_256_8"),
])  # fmt: skip
def test_the_epochs_that_the_sources_logged_on_a_t4_are_within_their_goal(name, key):
    suite = load(Path(__file__).parents[1] / "suites" / f"{name}.toml").suite
    cost = suite.costs[key]
    model, recipe = suite.models[cost.model], suite.recipes[cost.recipe].settings
    of = case(
        "timing", model.factory, model_args=model.args, num_classes=model.num_classes, image_size=model.image_size
    )
    assert cost.published_device == "T4"
    for step in (True, False):
        account(of, training=step, mixed=recipe.precision != "float32")
    found = predicted_costs.predicted(suite, cost, "t4")
    assert found.length.waits == "pipeline"  # the card would take a fraction of it
    assert found.length.steps_s < 0.5 * found.length.epoch_s
    assert cost.published_epoch_s / 1.3 < found.length.epoch_s < cost.published_epoch_s * 1.3
    assert found.low < found.length.seconds < found.high


def test_what_is_faster_than_its_device_is_known_for_impossible():
    asked = Conditions(256, "amp")
    fastest = fastest_seconds(account(RESNET, mixed=True), device("t4"), asked)
    # 8.2 GFLOPs an image at 65 TFLOP/s: 7,900 images/s and no more.
    assert 256 / fastest == pytest.approx(65e12 / 8.2e9, rel=0.02)

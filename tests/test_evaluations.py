"""Numbers from logits: top-5, calibration, and those of a stranger; and metrics that a suite declares."""

import math
from pathlib import Path

import pytest
import torch

from bench.errors import MeasurementError, SuiteError
from bench.evaluations.calibration import calibration_error
from bench.evaluations.top5 import top5
from bench.execution.context import Context
from bench.execution.executor import stream
from bench.measures.instruments.from_logits import evaluated, try_out
from bench.plan.case import Case
from bench.plan.fingerprint import Code
from bench.records import metrics
from bench.records.measurement import Reading
from bench.records.metrics import METRICS
from bench.registry import Evaluations, evaluations
from bench.suite import read
from bench.suite.recipe import Recipe
from tests.making import PAPER, bench, case, mixer_text, suite_text

OWN = """
import torch
from bench.registry import evaluations


@evaluations.register("confidence_pct")
def confidence(logits, labels):
    return 100 * float(logits.softmax(1).max(1).values.mean())
"""
DECLARED = """
[metrics.confidence_pct]
unit = "%"
better = "neither"
depends = "data"
meaning = "mean confidence of the first choice"
"""


@pytest.fixture(autouse=True)
def only_for_one_test():
    """What a test registers is forgotten after it, and what it imports is not."""
    places = METRICS, evaluations._factories, evaluations._promised
    before = [dict(place) for place in places]
    yield
    for place, known in zip(places, before, strict=True):
        for name in place.keys() - known.keys() - {"test_top5_pct", "test_ece_pct"}:
            del place[name]


def logits_of(*confidences: float) -> torch.Tensor:
    """Two classes, of which class 0 has the confidence: its logit is log(p / (1 - p)), the other's 0."""
    return torch.tensor([[math.log(p / (1 - p)), 0.0] for p in confidences])


def test_the_fifth_likeliest_class_counts_and_the_sixth_does_not():
    logits = torch.tensor([[6.0, 5, 4, 3, 2, 1, 0]] * 3)
    assert top5(logits, torch.tensor([0, 4, 5])) == pytest.approx(100 * 2 / 3)
    assert top5(torch.full((1, 7), math.nan), torch.tensor([0])) == 0
    assert top5(torch.zeros(1, 5), torch.tensor([0])) is None


def test_the_calibration_error_is_the_gap_of_each_bin_weighted_by_its_images():
    # Confidences 0.8, 0.8 share a bin (0.8 to 0.867 excludes its lower end, so both lie in 0.733 to 0.8); one is right.
    # 0.95 lies in another and is right: (|1 + 0 - 1.6| + |1 - 0.95|) / 3.
    error = calibration_error(logits_of(0.8 - 1e-6, 0.8 - 1e-6, 0.95), torch.tensor([0, 1, 0]))
    assert error == pytest.approx(100 * (abs(1 - 1.6) + 0.05) / 3, abs=1e-3)
    # In one bin, too sure and too unsure cancel: 0.75 right and 0.79 wrong have a gap of 1 - 1.54.
    error = calibration_error(logits_of(0.75, 0.79), torch.tensor([0, 1]))
    assert error == pytest.approx(100 * abs(1 - 1.54) / 2, abs=1e-3)


def test_a_model_that_is_as_sure_as_it_is_right_has_no_calibration_error():
    labels = torch.tensor([0, 0, 0, 1])  # three of four
    assert calibration_error(logits_of(0.75, 0.75, 0.75, 0.75), labels) == pytest.approx(0, abs=1e-4)


def test_an_evaluation_that_fails_costs_only_its_own_number():
    registry_only = evaluations.register
    registry_only("broken", unit="1", better="lower", meaning="nothing")(lambda logits, labels: logits.item())
    registry_only("by_half", unit="1", better="lower", meaning="parts")(lambda logits, labels: {"a": 1.0, "b": 2})
    found = list(evaluated(torch.eye(8, 10), torch.arange(8), epoch=3))
    told = {(each.metric, each.part): each for each in found}
    assert told["broken", None].status == "failed"
    assert "RuntimeError" in str(told["broken", None].reason)
    assert (told["by_half", "a"].value, told["by_half", "b"].value) == (1.0, 2)
    assert told["test_top5_pct", None].value == 100  # the true class has the largest logit of all
    assert {each.epoch for each in found} == {3}
    with pytest.raises(MeasurementError, match="'broken' failed: RuntimeError"):
        try_out(100, 10)


def test_an_evaluation_without_a_metric_is_told_before_the_training():
    evaluations.register("nobody_knows")(lambda logits, labels: 1.0)
    with pytest.raises(MeasurementError, match=r"\[metrics.nobody_knows\] with unit, better and meaning"):
        try_out(100, 10)


def test_a_training_ends_with_what_the_evaluations_say():
    def trained(**fields: object) -> list[Reading]:
        of_data = {"dataset": "synthetic", "dataset_args": {"n_train": 64, "n_test": 32, "n_classes": 8}}
        recipe = Recipe.from_mapping({"epochs": 2, "batch_size": 32, "optimizer": "sgd", "lr": 0.01})
        args = {"patch_size": 16, "width": 8, "depth": 1, "token_mlp": 4, "channel_mlp": 8}
        small: Case = case(
            "accuracy", model_args=args, num_classes=8, image_size=32, seed=0, recipe=recipe, **of_data, **fields
        )
        return [each for each in stream(small, Context()) if isinstance(each, Reading)]

    evaluations.register("loss_again", unit="nats", better="lower", meaning="mean negative log-likelihood")(
        lambda logits, labels: float(torch.nn.functional.cross_entropy(logits, labels))
    )
    by_name = {(each.metric, each.epoch): each.value for each in trained()}
    assert by_name["loss_again", 2] == pytest.approx(by_name["test_loss", 2], rel=1e-5)
    assert 0 <= by_name["test_ece_pct", 2] <= 100
    assert by_name["test_top5_pct", 2] >= by_name["test_top1_pct", 2]
    assert ("test_top5_pct", 1) not in by_name


# What a suite declares


def written(folder: Path, *tables: str, **top: object) -> Path:
    """A suite of a small Mixer and one claim on its parameters."""
    claim = """
[quantities.size]
metric = "params"
model = "net"
[claims.A1]
says = "It has parameters"
kind = "recount"
source = "paper"
where = "Table 1"
measured = "size"
unit = "parameters"
above = 1
tolerance_why = "a test"
[measures.static]
models = ["net"]
[profiles.quick]
label = "q"
reduced = false
"""
    path = folder / f"{top.get('name', 'made')}.toml"
    path.write_text(suite_text(PAPER, mixer_text("net"), claim, *tables, **top))
    return path


def test_a_metric_that_a_suite_declares_is_known_and_listed(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    path = written(tmp_path, DECLARED, plugins=["own.py"])
    loaded = read.load(path)
    assert loaded.suite.metrics["confidence_pct"].unit == "%"
    assert metrics.METRICS["confidence_pct"].meaning == "mean confidence of the first choice"
    listed = bench("list", "metrics", str(path)).stdout
    assert "confidence_pct" in listed
    assert "confidence_pct" in bench("list", "evaluations", str(path)).stdout


@pytest.mark.parametrize(("table", "told"), [
    ('[metrics.params]\nunit = "1"\nbetter = "lower"\nmeaning = "mine"', "metric 'params' is there already"),
    ('[metrics.mine]\nunit = "seconds"\nbetter = "lower"\nmeaning = "x"', "no unit 'seconds'. Did you mean 's'?"),
    ('[metrics.mine]\nunit = "J"\nbetter = "smaller"\nmeaning = "x"', "better: = 'smaller' is not known"),
    ('[metrics.mine]\nunit = "J"\nbeter = "lower"\nmeaning = "x"', "no key 'beter'. Did you mean 'better'?"),
])  # fmt: skip
def test_a_declaration_that_is_wrong_is_told(tmp_path, table, told):
    with pytest.raises(SuiteError) as caught:
        read.load(written(tmp_path, table))
    assert told in str(caught.value).replace("better = 'smaller'", "better: = 'smaller'")


def test_two_suites_that_declare_one_name_differently_do_not_go_together(tmp_path):
    first = written(tmp_path, DECLARED, name="first")
    second = written(tmp_path, DECLARED.replace('unit = "%"', 'unit = "points"'), name="second")
    with pytest.raises(SuiteError, match=r"second.toml \[metrics.confidence_pct\]: .*first.toml .*another unit"):
        read.load_all([first, second])
    assert read.load(first).suite.id == "first"
    assert read.load(second).suite.metrics["confidence_pct"].unit == "points"  # alone, each has its own


@pytest.mark.parametrize("unit", ["J", "W", "mAP", "dB", "tokens/s", "J/image", "°C", "Elo"])
def test_a_suite_may_use_any_unit(tmp_path, unit):
    declared = f'[metrics.own]\nunit = "{unit}"\nbetter = "lower"\nmeaning = "x"\n'
    constant = f'[quantities.k]\nvalue = 3\nunit = "{unit}"\nsource = "paper"\n'
    assert read.load(written(tmp_path, declared, constant)).suite.quantities["k"].unit == unit


def test_units_of_ones_own_are_not_added_to_others(tmp_path):
    tables = """
[quantities.power]
value = 3
unit = "W"
source = "paper"
[quantities.precision]
value = 3
unit = "mAP"
source = "paper"
[claims.A2]
says = "x"
kind = "arithmetic"
source = "paper"
where = "here"
published = 6
unit = "mAP"
follows = "power + precision"
"""
    with pytest.raises(SuiteError, match="power is in J / s, and precision is in mAP"):
        read.load(written(tmp_path, tables))


def test_an_evaluation_is_part_of_the_code_of_a_training_and_of_nothing_else(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    trained, counted = case("accuracy"), case("static")
    before = [Code(["own.py"], tmp_path).of(each) for each in (trained, counted)]
    (tmp_path / "own.py").write_text(OWN.replace("100 *", "1 *"))
    after = [Code(["own.py"], tmp_path).of(each) for each in (trained, counted)]
    assert before[0] != after[0]
    assert before[1] == after[1]
    assert isinstance(evaluations, Evaluations)

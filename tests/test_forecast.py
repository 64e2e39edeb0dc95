"""The plan's times are estimates that follow the size of the work."""

from dataclasses import replace

import pytest

from bench.plan.forecast import elsewhere, expected, seconds, total, untraced, usd
from bench.prediction import asking
from bench.suite.recipe import Recipe
from tests import making

RECIPE = Recipe(epochs=30, batch_size=128, optimizer="adamw", lr=1e-3)
MIXER = {"patch_size": 4, "width": 128, "depth": 8, "token_mlp": 64, "channel_mlp": 256}
CASE = making.case(
    "accuracy", model_args=MIXER, num_classes=10, image_size=32, dataset="cifar10", recipe=RECIPE, profile="paper"
)


def test_a_training_takes_as_long_as_its_epochs_and_images():
    assert seconds(replace(CASE, recipe=RECIPE.model_copy(update={"epochs": 60})), cores=2) == pytest.approx(
        2 * seconds(CASE, cores=2)
    )
    assert seconds(CASE, cores=4) == pytest.approx(seconds(CASE, cores=2) / 2)
    tenth = replace(CASE, dataset_args={"n_train": 5_000, "n_test": 1_000})
    assert seconds(tenth, cores=2) == pytest.approx(seconds(CASE, cores=2) / 10)
    assert seconds(replace(CASE, dataset_args={"train_fraction": 0.1, "n_test": 1_000}), cores=2) == pytest.approx(
        seconds(tenth, cores=2)
    )


def test_what_cannot_be_said_is_counted_and_not_guessed():
    unknown = replace(CASE, factory="timm:resnet18")
    assert seconds(unknown, cores=2) is None
    assert seconds(replace(CASE, dataset="image_folder"), cores=2) is None
    assert total([CASE, unknown], cores=2) == (seconds(CASE, cores=2), 1)


def test_money_is_said_only_for_a_device_with_a_price():
    assert usd(3600, "Tesla T4") == pytest.approx(2 * usd(1800, "Tesla T4"))
    assert usd(3600, "AMD EPYC (AVX512)") is None


@pytest.mark.parametrize(
    "args", [{"variant": "S/99"}, {**MIXER, "patch_size": 0}, {**MIXER, "width": "big"}, {"depth": 2}]
)
def test_a_model_that_cannot_be_sized_has_no_forecast_and_stops_no_plan(args):
    assert seconds(replace(CASE, model_args=args), cores=2) is None


def test_a_traced_model_is_predicted_elsewhere_with_an_interval():
    case = replace(CASE, model_args={**MIXER, "depth": 7})  # which no other test traces
    assert elsewhere(case) is None
    assert untraced([case, replace(case, recipe=None)]) == [case]
    asking.keep([case])
    assert untraced([case]) == []
    there, slower = elsewhere(case, "t4"), elsewhere(case, "avx2:2")
    assert there.low < there.seconds < there.high < slower.low
    twice = replace(case, recipe=RECIPE.model_copy(update={"epochs": 60}))
    assert elsewhere(twice).seconds == pytest.approx(2 * there.seconds)


def test_without_an_account_the_interval_is_wide():
    found = expected(CASE, cores=2)
    assert (found.low, found.high) == (found.seconds / 2, found.seconds * 2)

"""A training that cannot be done is refused when its suite is read, with table and key, and at the latest before it."""

import pytest
from torch import nn

from bench.data.synthetic import synthetic
from bench.errors import MeasurementError, SuiteError
from bench.execution.context import Context
from bench.plan.answers import unanswered
from bench.suite import read
from bench.suite.recipe import Recipe
from bench.training.loop import train
from tests import making

CONV = """
[models.conv]
factory = "conv_mixer"
label = "C"
image_size = 32
args = { variant = "256/8" }
"""
REST = """
[datasets.data]
name = "synthetic"
label = "D"
classes = 10
args = { DATA }

[recipes.short]
label = "short"
settings = { epochs = 2, optimizer = "adamw", lr = 1e-3, SETTINGS }

[measures.accuracy]
models = ["*"]
datasets = ["data"]
recipes = ["short"]

[profiles.paper]
label = "p"
reduced = false

[claims.X1]
says = "It is so"
kind = "arithmetic"
source = "paper"
where = "p. 1"
published = 2
unit = "1"
follows = "1 + 1"
"""


@pytest.fixture
def problems_of(tmp_path):
    def problems(data: str, settings: str, model: str = CONV) -> list[str]:
        path = tmp_path / "made.toml"
        text = making.suite_text(making.PAPER, model, REST.replace("DATA", data).replace("SETTINGS", settings))
        path.write_text(text)
        try:
            read.load(path, unanswered)
        except SuiteError as error:
            return [problem.removeprefix(f"{path} ") for problem in error.problems]
        return []

    return problems


OF_33 = "[recipes.short.settings].batch_size: the last of 33 images is a batch of one image, over which 'conv' would"


@pytest.mark.parametrize(("data", "settings", "told"), [
    ("n_train = 33", "batch_size = 32", OF_33),
    ("n_train = 33", "batch_size = 16", OF_33),
    ("n_train = 330, train_fraction = 0.1", "batch_size = 32", OF_33),
    ("n_train = 33", "batch_size = 32, drop_last = true", None),
    ("n_train = 34", "batch_size = 32", None),
    ("n_train = 33", "batch_size = 64", None),
    ("n_train = 33", "batch_size = 1", "[recipes.short.settings].batch_size: every batch is a batch of one image"),
    ("n_train = 10, train_fraction = 0.01", "batch_size = 4",
     "[recipes.short.settings].batch_size: there is no training image: the share of the data that is asked for"),
    ("image_size = 30, order = 'patches'", "batch_size = 4",
     "[datasets.data.args]: patch_size: patches of 4 do not tile images of 30 px"),
    ("image_size = 30, order = 'pixels'", "batch_size = 4", None),
    ("image_size = 4", "batch_size = 4, augment = [{ name = 'crop' }]",
     "[recipes.short.settings].augment[0].crop.padding: 4 moves images of 4 px out of sight"),
    ("n_train = 33", "batch_size = 64, drop_last = true",
     "[recipes.short.settings].drop_last: leaves out all 33 images: a batch has 64"),
    ("n_train = 33", "batch_size = 32, label_smoothing = 1.5",
     "[recipes.short.settings].label_smoothing: 1.5 is out of range: up to 1"),
    ("n_classes = 1", "batch_size = 4", "[datasets.data.args]: n_classes: 1 is out of range: 2 to 65536"),
])  # fmt: skip
def test_a_recipe_that_the_data_cannot_follow_is_told_with_its_key(problems_of, data, settings, told):
    found = problems_of(data, settings)
    assert [problem.startswith(told or "") for problem in found] == [True] * (told is not None), found


def test_a_last_batch_of_one_is_no_matter_without_batch_normalisation(problems_of):
    assert problems_of("n_train = 33", "batch_size = 32", making.mixer_text("mixer")) == []


@pytest.mark.parametrize(("images", "batch"), [(33, 32), (4, 1)])
def test_a_model_whose_file_says_nothing_is_refused_before_its_first_batch(images, batch):
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(192, 4))
    recipe = Recipe.from_mapping({"epochs": 1, "batch_size": batch, "optimizer": "sgd", "lr": 0.1})
    curve = train(
        model, synthetic(n_train=images, n_test=4, image_size=8, n_classes=4), recipe, seed=0, context=Context()
    )
    with pytest.raises(MeasurementError, match=f"{images} images in batches of {batch} leave a batch of one"):
        next(curve)
    assert model[0].num_batches_tracked == 0

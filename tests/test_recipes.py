"""Recipes: everything wrong is told at once, with the nearest known word; what is left out gets its default."""

from typing import get_args

import pytest

from bench.errors import UsageError
from bench.suite.recipe import Augmentation, Changes, Crop, Flip, Recipe, Schedule
from bench.suite.schema import Suite

# ruff: noqa: E501
LEAST = {"epochs": 3, "batch_size": 128, "optimizer": "adamw", "lr": 3e-3}


def problems(**changes):
    with pytest.raises(UsageError) as caught:
        Recipe.from_mapping(LEAST | changes, "s.toml [recipes.r]")
    return str(caught.value).splitlines()


def test_what_is_left_out_gets_its_default():
    recipe = Recipe.from_mapping(LEAST | {"augment": [{"name": "crop"}]})
    assert recipe.schedule.name == "constant"
    assert recipe.augment == (Crop(name="crop", padding=4),)
    assert recipe.precision == "float32"
    assert recipe.drop_last is False


def test_an_unknown_key_is_named_with_its_nearest_neighbour():
    (told,) = problems(batchsize=3)
    assert told.startswith("s.toml [recipes.r]: no key 'batchsize'. Did you mean 'batch_size'?")


def test_every_problem_is_told_at_once():
    told = problems(
        epochs="x",
        optimizer="adamm",
        lr=-1,
        drop_last=1,
        normalize={"mean": 1, "std": 2},
        schedule={"name": "cosin"},
        augment=[{"name": "flop"}, {"name": "flip", "q": 1}, {"name": "erasing", "p": 2}],
    )
    keys = (
        "epochs", "optimizer", "schedule", "lr", "augment[0]", "augment[1]", "augment[2]",
        "normalize.mean", "normalize.std", "drop_last",
    )  # fmt: skip
    assert len(told) == len(keys)
    for key, line in zip(keys, told, strict=True):
        assert line.startswith(f"s.toml [recipes.r].{key}"), line


def test_a_flag_is_not_a_number():
    assert problems(weight_decay=True) == [
        "s.toml [recipes.r].weight_decay: input should be a valid number (found True)"
    ]


def test_the_learning_rate_follows_from_piecewise_points_and_may_not_contradict_them():
    points = {"name": "piecewise", "step": "batch", "points": [[0, 0], [0.4, 0.05], [0.8, 0.0025], [1, 0]]}
    without = {key: value for key, value in LEAST.items() if key != "lr"}
    assert Recipe.from_mapping(without | {"schedule": points}).lr == 0.05
    assert problems(schedule=points, lr=0.1)[0].endswith(
        "lr: 0.1 is not the highest of the schedule's points, which is 0.05"
    )


def test_a_learning_rate_is_required_otherwise():
    with pytest.raises(UsageError, match="key 'lr' is missing"):
        Recipe.from_mapping({key: value for key, value in LEAST.items() if key != "lr"})


@pytest.mark.parametrize("at", [[0, 0.5], [0.1, 1], [0, 0.5, 0.5, 1], [0, 0.7, 0.3, 1]])
def test_piecewise_points_rise_from_0_to_1(at):
    (told,) = problems(schedule={"name": "piecewise", "points": [[fraction, 3e-3] for fraction in at]})
    assert "must rise from 0 to 1" in told


def test_erasing_comes_last_because_it_acts_on_the_normalised_image():
    (told,) = problems(augment=[{"name": "erasing"}, {"name": "flip"}])
    assert "must be the last entry" in told


def test_a_resized_crop_comes_first_because_it_cuts_the_file():
    (told,) = problems(augment=[{"name": "flip"}, {"name": "resized_crop"}])
    assert "must be the first entry" in told
    assert Recipe.from_mapping(LEAST | {"augment": [{"name": "resized_crop"}]}).augment[0].ratio == (3 / 4, 4 / 3)


def test_every_named_schedule_and_augmentation_can_be_written_with_its_required_keys():
    needed = {"piecewise": {"points": [[0, 0], [1, 3e-3]]}, "rotation": {"degrees": 15}}
    for union, key in ((Schedule, "schedule"), (Augmentation, "augment")):
        for kind in get_args(get_args(union)[0]):
            (name,) = get_args(kind.model_fields["name"].annotation)
            part = {"name": name, **needed.get(name, {})}
            recipe = Recipe.from_mapping(LEAST | {key: [part] if key == "augment" else part})
            assert isinstance(recipe.augment[0] if key == "augment" else recipe.schedule, kind)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"betas": [1.0, 0.999]}, ".betas[0]: 1.0 is out of range: below 1"),
        ({"betas": [0.9]}, ".betas: one more number is needed"),
        ({"momentum": 1.0}, ".momentum: 1.0 is out of range: below 1"),
        ({"lr": float("nan")}, ".lr: nan is not a finite number"),
        ({"weight_decay": float("inf")}, ".weight_decay: inf is not a finite number"),
        ({"epochs": 10**30}, ".epochs: a number of more than 18 digits is out of range: up to 100000"),
        ({"augment": [{"name": "erasing", "scale": [0.3, 0.1]}]}, ".augment[0].erasing.scale: the lower end comes first, not [0.3, 0.1]"),
        ({"schedule": {"t_max": 3}}, ".schedule: a table that says its name is needed: name = … (found a table)"),
        ({"schedule": {"name": "cosine", "tmax": 3}}, ".schedule.cosine: no key 'tmax'. Did you mean 't_max'?"),
        ({"schedule": {"name": "piecewise", "points": [[0, 0], [1, 0]]}}, ".schedule.piecewise.points: one of the learning rates must be above 0"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)  # fmt: skip
def test_what_torch_would_refuse_an_hour_later_is_refused_at_the_door(wrong, message):
    told = problems(**wrong)
    assert told[0].startswith(f"s.toml [recipes.r]{message}"), told
    assert len(told) == 1


def canonical(**changes) -> dict:
    return Recipe.from_mapping(LEAST | changes).canonical()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"lr": 1}, {"lr": 1.0}),
        ({"optimizer": "sgd"}, {"optimizer": "sgd", "momentum": 0.9}),
        ({"optimizer": "sgd"}, {"optimizer": "sgd", "betas": [0.5, 0.5], "eps": 1.0}),
        ({}, {"momentum": 0.5}),
        ({}, {"betas": [0.9, 0.999], "drop_last": False, "augment": []}),
        ({}, {"schedule": {"name": "constant", "step": "batch"}}),
        ({}, {"selection": "best"}),
        ({"augment": [{"name": "crop"}]}, {"augment": [{"padding": 4, "name": "crop"}]}),
        ({"schedule": {"name": "cosine"}}, {"schedule": {"name": "cosine", "t_max": 3, "eta_min": 0}}),
    ],
)
def test_equal_trainings_are_equal_however_they_are_written(one, other):
    assert canonical(**one) == canonical(**other)
    assert Recipe.from_mapping(canonical(**one)).canonical() == canonical(**one)


@pytest.mark.parametrize(
    "change",
    [
        {"betas": [0.8, 0.999]}, {"eps": 1e-3}, {"optimizer": "sgd"}, {"schedule": {"name": "cosine"}}, {"lr": 1e-3},
        {"schedule": {"name": "constant", "warmup_epochs": 1}}, {"augment": [{"name": "flip", "p": 0.4}]},
        {"drop_last": True}, {"normalize": {"mean": [0.5, 0.5, 0.5], "std": [1, 1, 1]}},
    ],
)  # fmt: skip
def test_trainings_that_differ_stay_apart(change):
    assert canonical(**change) != canonical()


def test_a_change_replaces_what_was_written_and_leaves_what_follows_to_follow():
    points = {"name": "piecewise", "points": [[0, 0.05], [1, 0]]}
    recipe = Recipe.from_mapping({key: LEAST[key] for key in LEAST if key != "lr"} | {"schedule": points})
    lower = Changes.model_validate({"schedule": {"name": "piecewise", "points": [[0, 0.01], [1, 0]]}, "epochs": 2})
    assert (recipe.lr, recipe.changed(lower).lr, recipe.changed(lower).epochs) == (0.05, 0.01, 2)
    with pytest.raises(UsageError, match=r"\[profiles.quick.recipe\] on r: key 'lr' is missing"):
        recipe.changed(Changes.model_validate({"schedule": {"name": "constant"}}), "[profiles.quick.recipe] on r")


def test_an_editor_can_complete_and_explain_every_key_of_a_recipe():
    tables = Suite.model_json_schema()["$defs"]
    for name in ("Recipe", "Changes", "Cosine", "OneCycle", "Piecewise", "ResizedCrop", "Erasing", "Statistics"):
        undescribed = [key for key, about in tables[name]["properties"].items() if "description" not in about]
        assert undescribed in ([], ["name"]), name
    assert tables["Training"]["properties"]["settings"] == {"$ref": "#/$defs/Recipe"}
    assert tables["Profile"]["properties"]["recipe"]["$ref"] == "#/$defs/Changes"
    assert set(tables["Changes"]["properties"]) == set(tables["Recipe"]["properties"])
    assert "required" not in tables["Changes"]
    assert Flip.model_json_schema()["properties"]["p"]["maximum"] == 1


def test_an_editor_can_complete_the_arguments_of_what_bench_brings():
    tables = Suite.model_json_schema()["$defs"]
    assert tables["MeasureTable"]["properties"]["options"]["properties"]["blocks"] == {
        "description": "Of energy, timing."
    }
    assert "train_fraction" in tables["DatasetTable"]["properties"]["args"]["properties"]
    assert "token_mlp" in tables["Model"]["properties"]["args"]["properties"]

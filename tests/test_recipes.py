"""Recipes: everything wrong is told at once, with the nearest known word; what is left out gets its default."""

import pytest

from bench.errors import UsageError
from bench.suite.recipe import AUGMENTATIONS, RECIPE_KEYS, SCHEDULES, Recipe

LEAST = {"epochs": 3, "batch_size": 128, "optimizer": "adamw", "lr": 3e-3}


def problems(**changes):
    with pytest.raises(UsageError) as caught:
        Recipe.from_mapping(LEAST | changes, "s.toml [recipes.r]")
    return str(caught.value).splitlines()


def test_what_is_left_out_gets_its_default():
    recipe = Recipe.from_mapping(LEAST | {"augment": [{"name": "crop"}]})
    assert recipe.schedule.name == "constant"
    assert recipe.augment[0]["padding"] == AUGMENTATIONS["crop"]["padding"].default
    assert recipe.precision == RECIPE_KEYS["precision"].default == "float32"
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
    keys = ("epochs", "optimizer", "lr", "schedule", "augment[0]", "augment[1]", "augment[2]", "normalize", "drop_last")
    assert len(told) == len(keys)
    for key, line in zip(keys, told, strict=True):
        assert line.startswith(f"s.toml [recipes.r].{key}"), line


def test_a_flag_is_not_a_number():
    assert problems(weight_decay=True) == ["s.toml [recipes.r].weight_decay: a number is needed, not True"]


def test_the_learning_rate_follows_from_piecewise_points_and_may_not_contradict_them():
    points = {"name": "piecewise", "step": "batch", "points": [[0, 0], [0.4, 0.05], [0.8, 0.0025], [1, 0]]}
    without = {key: value for key, value in LEAST.items() if key != "lr"}
    assert Recipe.from_mapping(without | {"schedule": points}).lr == 0.05
    assert problems(schedule=points, lr=0.1)[0].endswith("lr = 0.1 but the highest of the schedule's points is 0.05")


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
    assert Recipe.from_mapping(LEAST | {"augment": [{"name": "resized_crop"}]}).augment[0]["ratio"] == (3 / 4, 4 / 3)


def test_every_named_schedule_and_augmentation_can_be_written_with_its_required_keys():
    needed = {"points": [[0, 0], [1, 3e-3]], "degrees": 15}
    for table, key in ((SCHEDULES, "schedule"), (AUGMENTATIONS, "augment")):
        for name, keys in table.items():
            part = {"name": name} | {word: needed[word] for word in needed if word in keys}
            Recipe.from_mapping(LEAST | {key: [part] if key == "augment" else part})

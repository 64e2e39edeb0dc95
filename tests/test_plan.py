"""A suite and a profile make cases: each question once, with an id that says what was asked."""

from dataclasses import replace

import pytest

from bench.errors import NothingSelected, UsageError
from bench.plan.case import Case, asked_today, id_of
from bench.plan.planner import plan, select, selected_by
from bench.suite.recipe import Recipe
from bench.suite.schema import Quantity, Suite
from tests import making

WRITTEN = {"epochs": 30, "batch_size": 128, "optimizer": "adamw", "lr": 1e-3}
RECIPE = Recipe(epochs=3, batch_size=8, optimizer="adamw", lr=1e-3)


def suite(**changes) -> Suite:
    tables = {
        "models": {
            "a": {"factory": "mlp_mixer", "label": "A", "args": {"depth": 2}},
            "b": {"factory": "mlp_mixer", "label": "B", "args": {"depth": 3}},
        },
        "datasets": {
            "full": {"name": "cifar10", "label": "Full", "classes": 10},
            "small": {"name": "cifar10_sample", "label": "Small", "classes": 10},
        },
        "recipes": {"r": {"label": "R", "settings": WRITTEN}},
        "measures": {
            "static": {"models": ["*"]},
            "timing": {"models": ["a"], "batch_sizes": [1, 128]},
            "accuracy": {"models": ["*"], "datasets": ["full"], "recipes": ["r"], "seeds": 3},
        },
        "profiles": {
            "quick": {
                "label": "q", "reduced": True, "default": True, "seeds": 1,
                "datasets": {"full": "small"}, "recipe": {"epochs": 2},
            },
            "paper": {"label": "p", "reduced": False},
        },
        "claims": {"X1": making.claim(kind="open", unavailable="no")},
    }  # fmt: skip
    return making.suite(**(tables | changes))


def test_cases_are_every_combination_in_the_suites_order():
    names = [case.name for case in plan(suite(), "sha", "paper")]
    assert names == [
        "static/a", "static/b", "timing/a/batch1", "timing/a/batch128",
        "accuracy/a/full/r/seed0", "accuracy/a/full/r/seed1", "accuracy/a/full/r/seed2",
        "accuracy/b/full/r/seed0", "accuracy/b/full/r/seed1", "accuracy/b/full/r/seed2",
    ]  # fmt: skip


def test_a_reduced_profile_swaps_data_shortens_the_recipe_and_says_so():
    case = next(case for case in plan(suite(), "sha", "quick") if case.measure == "accuracy")
    assert (case.dataset, case.dataset_key, case.recipe.epochs) == ("cifar10_sample", "full", 2)
    assert case.deviations == "Small in place of Full; epochs 2 in place of 30"


def test_a_model_has_the_classes_of_the_data_set_that_is_used_and_without_one_those_of_the_suite():
    models = {"a": {"factory": "mlp_mixer", "label": "A", "num_classes": 1000}}
    datasets = {
        "full": {"name": "cifar100", "label": "Full", "classes": 100},
        "small": {"name": "cifar10_sample", "label": "Small", "classes": 10},
    }

    def classes(profile: str) -> dict[str, int]:
        cases = plan(suite(models=models, datasets=datasets), "sha", profile)
        return {case.measure: case.num_classes for case in cases}

    assert classes("paper") == {"static": 1000, "timing": 1000, "accuracy": 100}
    assert classes("quick") == {"static": 1000, "timing": 1000, "accuracy": 10}, "the profile swaps the data"


def test_the_same_question_has_the_same_id_whatever_it_is_called():
    quick, paper = (plan(suite(), "sha", profile)[0] for profile in ("quick", "paper"))
    assert quick.profile != paper.profile
    assert quick.id == paper.id
    assert replace(paper, name="other", model="renamed", suite="elsewhere").id == paper.id


@pytest.mark.parametrize(
    "change",
    [
        {"device": "cuda"}, {"model_args": {"depth": 4}}, {"seed": 1}, {"batch_size": 2}, {"precision": "bfloat16"},
        {"compiled": True}, {"image_size": 64}, {"options": {"blocks": 3}}, {"dataset": "cifar100"},
        {"recipe": RECIPE},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_whatever_can_change_the_answer_changes_the_id(change):
    case = Case("n", "s", "sha", "paper", "accuracy", "a", "mlp_mixer", model_args={"depth": 2}, seed=0, batch_size=1)
    assert replace(case, **change).id != case.id


def test_a_question_asked_twice_is_planned_once():
    twice = {"static": {"models": ["*"]}, "again": {"measure": "static", "models": ["a"]}}
    assert [case.name for case in plan(suite(measures=twice), "sha", "paper")] == ["static/a", "static/b"]


def test_seeds_can_be_asked_for():
    asked = [case.seed for case in plan(suite(), "sha", "quick", seeds=2) if case.measure == "accuracy"]
    assert asked == [0, 1, 0, 1]


def test_seeds_that_a_suite_writes_are_honoured_without_a_recipe_too():
    timing = {"models": ["a"], "batch_sizes": [1], "seeds": [3, 5]}
    cases = plan(suite(measures={"timing": timing, "static": {"models": ["a"]}}), "sha", "paper")
    assert [(case.name, case.seed) for case in cases] == [
        ("timing/a/batch1/seed3", 3), ("timing/a/batch1/seed5", 5), ("static/a", None),
    ]  # fmt: skip


def trained(**settings) -> str:
    """The id of the one training of a suite whose recipe says so."""
    recipes = {"r": {"label": "R", "settings": WRITTEN | settings}}
    one = {"accuracy": {"models": ["a"], "datasets": ["full"], "recipes": ["r"]}}
    (case,) = plan(suite(recipes=recipes, measures=one), "sha", "paper")
    return case.id


def test_a_default_written_out_is_the_same_question():
    assert trained(lr=1) == trained(lr=1.0)
    assert (
        trained(optimizer="sgd", momentum=0.9) == trained(optimizer="sgd", betas=[0.5, 0.6]) == trained(optimizer="sgd")
    )
    assert trained(momentum=0.5) == trained(selection="best") == trained(schedule={"name": "constant"}) == trained()
    assert (
        len({trained(), trained(betas=[0.5, 0.6]), trained(optimizer="sgd"), trained(optimizer="sgd", momentum=0.5)})
        == 4
    )


def test_a_question_of_an_older_bench_is_asked_again_in_todays_form():
    (case,) = plan(suite(measures={"accuracy": {"models": ["a"], "datasets": ["full"], "recipes": ["r"]}}), "", "paper")
    older = {**case.question, "recipe": WRITTEN}
    assert id_of(older) != case.id
    assert id_of(asked_today(older)) == case.id
    assert asked_today(case.question) == case.question
    impossible = {**older, "recipe": {**WRITTEN, "momentum": 1.0}}
    assert asked_today(impossible) == impossible


def test_selection_is_by_name_and_an_empty_one_says_what_there_was():
    cases = plan(suite(), "sha", "paper")
    assert len(select(cases, ["static*"])) == 2
    assert len(select(cases, ["static/a", "timing/*"])) == 3
    with pytest.raises(NothingSelected, match=r"no case matches statics\. There are: static/a"):
        select(cases, ["statics"])


def test_a_quantity_selects_by_the_suites_names_also_where_a_profile_swaps_them():
    quantity = Quantity(metric="test_top1_pct", model="b", dataset="full")
    assert [case.name for case in selected_by(quantity, plan(suite(), "sha", "quick"))] == ["accuracy/b/full/r/seed0"]
    assert selected_by(Quantity(metric="params", model="b"), plan(suite(), "sha", "quick"))[0].name == "static/b"


def test_an_unknown_profile_offers_the_nearest():
    with pytest.raises(UsageError, match=r"no profile 'papper'\. Did you mean 'paper'"):
        plan(suite(), "sha", "papper")

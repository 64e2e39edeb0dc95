"""A claim and hand-made rows give the verdict, the reason and the command that they should."""

import math
from statistics import NormalDist

import pandas
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.plan.planner import plan
from bench.records.measurement import Measurement, columns
from bench.records.metrics import METRICS
from bench.records.packed import packed_bits
from bench.suite.schema import Suite
from bench.verdicts import WORDS, CheckVerdict, Verdict, exit_code, findings, judge, judged_any, tally
from tests import making

T2 = 0.95 * math.sqrt(2 / (1 - 0.95**2))  # Student's t at 95 % with 2 degrees of freedom, in closed form: 4.303
QUANTITIES = {
    "known": {"value": 100.0, "unit": "parameters", "source": "paper"},
    "small_params": {"metric": "params", "model": "small"},
    "large_params": {"metric": "params", "model": "large"},
    "stem_params": {"metric": "params_by_module", "model": "small", "part": "stem"},
    "any_params": {"metric": "params"},
    "small_top1": {"metric": "test_top1_pct", "model": "small"},
    "large_top1": {"metric": "test_top1_pct", "model": "large"},
    "small_best": {"metric": "test_top1_pct", "model": "small", "at": "best"},
    "small_loss": {"metric": "test_loss", "model": "small"},
    "lowest_loss": {"metric": "test_loss", "model": "small", "at": "best"},
    "small_curve": {"metric": "test_loss", "model": "small", "at": "all"},
    "large_curve": {"metric": "test_loss", "model": "large", "at": "all"},
    "small_early": {"metric": "test_loss", "model": "small", "at": [1, 2]},
    "small_epoch_s": {"metric": "epoch_s", "model": "small", "at": "all"},
    "small_bytes": {"metric": "forward_peak_bytes", "model": "small"},
    "small_fps": {"metric": "fps", "model": "small"},
    "large_fps": {"metric": "fps", "model": "large"},
}


def suite(**claims: dict) -> Suite:
    model = {"factory": "mlp", "args": {"width": 8}}
    return making.suite(
        models={
            "small": {**model, "label": "Small"},
            "large": {**model, "label": "Large", "args": {"width": 16}},
        },
        datasets={
            "cifar": {"name": "cifar10", "label": "CIFAR-10", "classes": 10},
            "sample": {"name": "sample", "label": "a sample", "classes": 10},
        },
        recipes={
            "run": {"label": "as run", "settings": {"epochs": 3, "batch_size": 8, "optimizer": "adamw", "lr": 1e-3}}
        },
        measures={
            "static": {"models": ["*"]},
            "timing": {"models": ["*"], "batch_sizes": [1]},
            "memory": {"models": ["*"], "batch_sizes": [1]},
            "accuracy": {"models": ["*"], "datasets": ["cifar"], "recipes": ["run"], "seeds": 3},
        },
        profiles={
            "quick": {
                "label": "quick",
                "reduced": True,
                "default": True,
                "datasets": {"cifar": "sample"},
                "recipe": {"epochs": 2},
            },
            "paper": {"label": "paper", "reduced": False},
        },
        quantities=QUANTITIES,
        claims={key: making.claim(**claim) for key, claim in claims.items()},
    )


ANY = suite(any={"kind": "open", "unit": "parameters", "measured": "known"})


def rows(name: str, metric: str, values, *, profile="paper", device="cpu", seeds=None, **changes) -> list[dict]:
    """One row per value of a case: by epoch for what is trained, by repeat for other lists, alone for a number."""
    (case,) = [case for case in plan(ANY, "0", profile, device, seeds) if case.name == name]
    trained = case.seed is not None
    series = values if isinstance(values, list) else [values] * (case.recipe.epochs if trained else 1)
    row = {
        **dict.fromkeys(columns(Measurement)),
        **{"run_id": "run1", "case_id": case.id, "suite": "made", "profile": profile, "model": case.model},
        **{
            "started_at": "2026-01-01T00:00:00",
            "seed": case.seed,
            "device": device,
            "device_name": "Xeon",
            "threads": 2,
        },
        **{
            "seed": case.seed,
            "precision": "float32",
            "metric": metric,
            "protocol": METRICS[metric].protocol,
            "status": "ok",
        },
        **({"dataset_sha256": "d1", "n_train": 50_000, "n_test": 10_000} if trained else {}),
    }
    by = "epoch" if trained else "repeat" if isinstance(values, list) else None
    return [{**row, **({by: i} if by else {}), "value": value, **changes} for i, value in enumerate(series, start=1)]


def trained(model: str, by_seed, metric="test_top1_pct", **changes) -> list[dict]:
    """Rows of one training per seed; a list is a curve over three epochs, a number stands in every epoch."""
    found = dict(enumerate(by_seed)) if isinstance(by_seed, list) else by_seed
    more = {"seeds": max(found) + 1} if max(found) > 2 else {}
    return [
        row
        for seed, values in found.items()
        for row in rows(f"accuracy/{model}/cifar/run/seed{seed}", metric, values, **more, **changes)
    ]


def frame(*found: list[dict]) -> pandas.DataFrame:
    return pandas.DataFrame([row for part in found for row in part], columns=list(columns(Measurement)))


def verdict(claim: dict, *found: list[dict]) -> Verdict:
    (only,) = judge(suite(H1=claim), "0", frame(*found), suite_path="suites/made.toml")
    return only


def check(claim: dict, *found: list[dict]) -> CheckVerdict:
    return verdict(claim, *found).checks[0]


COUNT = {"kind": "recount", "published": 100, "unit": "parameters", "measured": "small_params"}
TOP1 = {"kind": "retrain", "published": 81.0, "unit": "%", "measured": "small_top1", "tolerance": 3.0}
GAIN = {"kind": "ordering", "unit": "points", "measured": "large_top1 - small_top1", "above": 0.0}
RATIO = {"kind": "speed", "unit": "ratio", "measured": "small_fps / large_fps", "above": 1.0}


# Counts


def test_a_count_as_published_is_reproduced():
    found = check(COUNT, rows("static/small", "params", 100))
    assert (found.verdict, found.reason) == ("reproduced", "Measured 100 parameters, as published.")
    assert (found.measured.low, found.measured.high, found.measured.n, found.difference) == (100, 100, 1, 0)


def test_one_parameter_more_is_a_contradiction_and_says_on_which_side():
    found = check(COUNT, rows("static/small", "params", 101))
    assert (found.verdict, found.side) == ("contradicted", "above")
    assert "above the published 100 parameters, off by +1 parameters: more than published" in found.reason


def test_an_exact_difference_writes_its_subtraction_out():
    claim = {**COUNT, "measured": "large_params - small_params", "published": 250 - 100}
    found = check(claim, rows("static/small", "params", 100), rows("static/large", "params", 250))
    assert found.calculation == ("large_params − small_params = 250 − 100 = 150 parameters",)


def test_a_count_of_a_quick_run_is_full_evidence_because_the_question_is_the_same():
    found = check(COUNT, rows("static/small", "params", 100, profile="quick"))
    assert (found.verdict, found.conditions["profile"]) == ("reproduced", "quick")


# Trainings


def test_three_seeds_give_students_interval():
    found = check(TOP1, trained("small", [80.0, 81.0, 82.0]))
    half = T2 * 1.0 / math.sqrt(3)  # mean 81, standard deviation sqrt((1 + 0 + 1) / 2)
    assert found.measured.low == pytest.approx(81 - half)
    assert found.measured.high == pytest.approx(81 + half)
    assert [(sample.seed, sample.value) for sample in found.samples] == [(0, 80.0), (1, 81.0), (2, 82.0)]
    assert found.verdict == "reproduced"
    assert found.conditions["data"] == "CIFAR-10, 10,000 test images"


@pytest.mark.parametrize(("values", "side", "words"), [([70.0] * 3, "below", "worse"), ([90.0] * 3, "above", "better")])
def test_better_than_published_is_a_finding_too(values, side, words):
    found = check(TOP1, trained("small", values))
    assert (found.verdict, found.side) == ("contradicted", side)
    assert f"{words} than published" in found.reason


def test_an_interval_across_the_edge_decides_nothing():
    found = check(TOP1, trained("small", [82.0, 84.0, 86.0]))  # 84 ± 4.97 around the edge 81 + 3
    assert found.verdict == "inconclusive"
    assert "which leaves open whether it is within the published 81 % (± 3.0 points)" in found.reason


def test_one_of_three_seeds_is_inconclusive_and_says_what_it_suggests():
    found = check(TOP1, trained("small", [82.0]))
    assert found.verdict == "inconclusive"
    assert found.reason.startswith("1 of 3 seeds: 82.00 %")
    assert found.reason.endswith("so far, within the published 81 % (± 3.0 points).")


def test_a_single_accuracy_has_the_resolution_of_its_test_set():
    found = check({**TOP1, "min_seeds": 1}, trained("small", [80.0]))
    # Of looks at 1, 2 and 3 seeds the first may spend an eighth of the 5 % of those before the last.
    z = NormalDist().inv_cdf(1 - 0.05 / 8 / 2)
    assert found.measured.high - found.measured.point == pytest.approx(z * 40 / math.sqrt(10_000), rel=0.03)
    half = 100 * 1.959964 * math.sqrt(0.8 * 0.2 / 10_000)  # ± 0.78 points
    assert found.resolution == pytest.approx(half, rel=1e-6)
    assert (found.verdict, "Wilson" in found.measured.method) == ("reproduced", True)


def test_the_resolutions_of_a_difference_add_as_squares():
    found = check({**GAIN, "min_seeds": 1}, trained("small", [80.0]), trained("large", [90.0]))
    one, other = (196 * math.sqrt(p * (1 - p) / 10_000) for p in (0.8, 0.9))
    z = NormalDist().inv_cdf(1 - 0.05 / 8 / 2)  # the first of three looks
    expected = math.sqrt(one**2 + other**2) * z / 1.96
    assert found.measured.high - found.measured.point == pytest.approx(expected, rel=1e-4)
    assert (found.verdict, found.measured.method) == (
        "reproduced",
        "99.4 % resolution of 10,000 test images, one training",
    )


def test_a_single_loss_has_no_interval_and_decides_nothing():
    claim = {
        "kind": "retrain",
        "published": 0.5,
        "unit": "nats",
        "measured": "small_loss",
        "tolerance": 9.0,
        "min_seeds": 1,
    }
    found = check(claim, trained("small", [0.5], "test_loss"))
    assert (found.verdict, found.measured.bounded) == ("inconclusive", False)


def test_seeds_are_paired_so_that_a_steady_gain_shows_through_scattered_seeds():
    found = check(GAIN, trained("small", [60.0, 70.0, 80.0]), trained("large", [61.0, 71.5, 82.0]))
    assert [sample.value for sample in found.samples] == [61.0 - 60.0, 71.5 - 70.0, 82.0 - 80.0]
    half = T2 * 0.5 / math.sqrt(3)  # of 1, 1.5, 2; each model alone scatters by ± 25 points
    assert found.measured.low == pytest.approx(1.5 - half)
    assert (found.verdict, found.reason.endswith("above 0 points.")) == ("reproduced", True)


def test_only_seeds_that_every_quantity_has_are_paired():
    found = check(GAIN, trained("small", [60.0, 70.0, 80.0]), trained("large", {0: 61.0, 2: 82.0}))
    assert [sample.seed for sample in found.samples] == [0, 2]
    assert "2 of 3 seeds" in found.reason


def test_a_seed_that_nobody_planned_is_shown_and_decides_nothing():
    planned = trained("small", [81.0, 81.5, 82.0])
    found, more = check(TOP1, planned), check(TOP1, planned, trained("small", {4: 12.0, 5: 99.0}))
    assert (more.verdict, more.measured, more.conditions["seeds"]) == (found.verdict, found.measured, "0, 1, 2")
    assert [(sample.seed, sample.value) for sample in more.further] == [(4, 12.0), (5, 99.0)]
    assert found.further == ()


def test_seeds_beyond_the_plan_never_stand_in_for_a_planned_one():
    found = check(TOP1, trained("small", {0: 81.0, 1: 81.5, 7: 82.0}))  # the profile plans 0, 1 and 2
    assert [sample.seed for sample in found.samples] == [0, 1]
    assert "2 of 3 seeds" in found.reason


def test_a_check_that_needs_more_seeds_than_are_planned_is_decided_by_the_first_of_them():
    found = check({**TOP1, "min_seeds": 4}, trained("small", [80.0, 81.0, 82.0, 81.0, 10.0]))
    assert [sample.seed for sample in found.samples] == [0, 1, 2, 3]
    assert [sample.seed for sample in found.further] == [4]


def test_a_plugins_accuracy_without_seeds_still_needs_the_seeds_that_its_check_asks_for():
    claim = {"kind": "retrain", "published": 100, "unit": "parameters", "measured": "small_params", "min_seeds": 3}
    found = check(claim, rows("static/small", "params", 100))
    assert (found.verdict, found.reason[:12]) == ("inconclusive", "0 of 3 seeds")


def test_two_seeds_that_agree_by_chance_have_the_spread_of_their_test_images():
    claim = {**TOP1, "published": 80.0, "tolerance": 0.04, "min_seeds": 2}
    found = check(claim, trained("small", [80.05, 80.05], n_test=2_000))
    half = 196 * math.sqrt(0.8005 * 0.1995 / 2_000)  # ± 1.75 points, as of one seed: they say no more than it
    assert found.measured.high - found.measured.point == pytest.approx(half, rel=1e-4)
    assert found.verdict == "inconclusive"  # an interval of no width would lie wholly above 80.04


def test_seeds_that_scatter_more_than_their_test_images_resolve_keep_students_interval():
    found = check({**TOP1, "min_seeds": 2}, trained("small", [80.0, 90.0]))
    assert found.measured.method == "95 % Student's t of the mean"


def test_equal_differences_of_paired_seeds_have_the_spread_of_both_accuracies():
    found = check({**GAIN, "min_seeds": 2}, trained("small", [80.0, 81.0]), trained("large", [80.1, 81.1]))
    both = 196 * math.sqrt((0.8 * 0.2 + 0.801 * 0.199) / 10_000)
    assert found.measured.high - found.measured.point == pytest.approx(both, rel=1e-3)
    assert found.verdict == "inconclusive"


def test_equal_losses_say_nothing_of_their_spread():
    claim = {"kind": "retrain", "published": 0.6, "unit": "nats", "measured": "small_loss", "tolerance": 0.05}
    found = check({**claim, "min_seeds": 2}, trained("small", [0.5, 0.5], "test_loss"))
    assert (found.verdict, found.measured.bounded) == ("inconclusive", False)


def test_seeds_that_had_every_image_right_still_have_an_interval():
    found = check({**TOP1, "published": 100.0, "tolerance": 0.0}, trained("small", [100.0] * 3))
    assert found.measured.low < 100.0


def test_the_spread_of_other_models_of_the_recipe_is_pooled_and_the_page_says_whose_it_is():
    own, other = [81.0, 81.0, 81.0], [70.0, 70.2, 70.4]
    found = check(TOP1, trained("small", own), trained("large", other))
    # Squares 0 and 0.08 with two degrees of freedom each; never below the 0.04 of the other model.
    half = scipy.stats.t.ppf(0.975, 4) * math.sqrt(0.08 / 2 / 3)
    assert found.measured.high - found.measured.point == pytest.approx(half)
    freedom = "0.20 points (standard deviation, 4 degrees of freedom)"
    assert found.spread.words == f"{freedom}, of Small and Large, trained by one recipe on the same data"
    assert found.measured.method == "95 % Student's t of the mean, spread of 2 models (4 degrees of freedom)"


@pytest.mark.parametrize("changes", [{"precision": "bfloat16"}, {"n_test": 2_000}, {"torch": "2.0"}, {"protocol": 0}])
def test_models_measured_under_other_conditions_are_no_pool(changes):
    alone = check(TOP1, trained("small", [80.0, 81.0, 82.0]))
    found = check(TOP1, trained("small", [80.0, 81.0, 82.0]), trained("large", [70.0, 70.2, 70.4], **changes))
    assert found.measured == alone.measured
    assert found.spread.words.endswith("of these seeds alone")


def test_a_claim_that_flips_when_more_seeds_come_says_so():
    many = {0: 70.0, 1: 70.1, 2: 81.0}
    found = check({**TOP1, "tolerance": 1.0}, trained("small", many))
    assert found.history == ((2, "contradicted"), (3, "inconclusive"))
    assert found.reason.endswith("It flips: with 2 seeds it was contradicted.")
    steady = check({**TOP1, "tolerance": 1.0}, trained("small", [81.0, 81.1, 81.0]))
    assert [word for _, word in steady.history] == ["reproduced", "reproduced"]
    assert "flips" not in steady.reason


def test_seeds_beyond_the_plan_that_would_change_the_word_are_told():
    found = check(TOP1, trained("small", [81.0, 81.1, 81.0]), trained("small", {3: 12.0}))
    assert found.verdict == "reproduced"
    assert found.reason.endswith("It flips: with all 4 seeds, more than the 3 planned, it would be inconclusive.")


def test_two_seeds_of_three_decide_a_clear_case_and_one_never_does():
    assert check(TOP1, trained("small", [70.0, 70.1])).verdict == "contradicted"
    assert check(TOP1, trained("small", [70.0])).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("measured", "value"),
    [
        ("small_loss", 0.7),
        ("lowest_loss", 0.5),  # the best loss is the lowest
        ("max(small_curve)", 0.9),
        ("mean(small_early)", (0.9 + 0.5) / 2),
        ("max(large_curve - small_curve)", max(1.0 - 0.9, 0.7 - 0.5, 0.6 - 0.7)),
    ],
)
def test_a_quantity_says_which_epochs_of_its_curve_it_means(measured, value):
    curves = trained("small", {0: [0.9, 0.5, 0.7]}, "test_loss"), trained("large", {0: [1.0, 0.7, 0.6]}, "test_loss")
    found = check({"kind": "open", "unit": "nats", "measured": measured}, *curves)
    assert found.measured.point == pytest.approx(value)
    assert found.verdict == "answered"


def test_the_best_accuracy_is_the_highest():
    claim = {"kind": "open", "unit": "%", "measured": "small_best"}
    assert check(claim, trained("small", {0: [70.0, 90.0, 80.0]})).measured.point == 90.0


def test_a_curve_that_nothing_reduces_is_no_number():
    found = check({**TOP1, "measured": "small_curve"}, trained("small", [1.0, 1.0, 1.0], "test_loss"))
    assert (found.verdict, "reduce it with max, min or mean" in found.reason) == ("not measured", True)


def test_a_loss_that_is_not_finite_is_named_and_never_averaged_away():
    broken = trained("small", {2: [0.5, None, 0.5]}, "test_loss")
    broken[1] |= {"status": "failed", "reason": "not finite in 3 test images of epoch 2"}
    claim = {"kind": "open", "unit": "nats", "measured": "max(small_curve)"}
    found = check(claim, trained("small", [0.5, 0.5], "test_loss"), broken)
    assert (found.verdict, found.measured) == ("inconclusive", None)
    assert "test_loss of small is NaN at epoch 2 (seed 2): not finite in 3 test images of epoch 2" in found.reason
    assert check(claim, broken).verdict == "not measured"


def test_a_loss_that_recovered_is_finite_where_it_is_asked_for():
    broken = trained("small", {0: [0.5, float("inf"), 0.4]}, "test_loss")
    assert check({"kind": "open", "unit": "nats", "measured": "small_loss"}, broken).measured.point == 0.4
    assert "is inf at epoch 2" in check({"kind": "open", "unit": "nats", "measured": "lowest_loss"}, broken).reason


# Fixed weights


def fixed(value: float, **check: object) -> CheckVerdict:
    """A check of fixed weights on a fixed test set of 50,000 images: nothing is trained."""
    asks = {"measure": "accuracy", "models": ["small"], "datasets": ["cifar"]}
    quantities = {"top1": {"metric": "test_top1_pct", "model": "small", "measure": "fixed"}}
    claim = making.claim(kind="retrain", unit="%", measured="top1", published=76.5, **check)
    plain = {"models", "datasets", "profiles"}
    made = making.suite(
        **suite().model_dump(include=plain, exclude_unset=True),
        measures={"fixed": asks},
        quantities=quantities,
        claims={"E1": claim},
    )
    (case,) = plan(made, "0", "paper")
    row = {
        **rows("static/small", "params", 1.0)[0],
        **{"case_id": case.id, "metric": "test_top1_pct", "protocol": METRICS["test_top1_pct"].protocol},
        **{"value": value, "dataset_sha256": "d1", "n_test": 50_000},
    }
    return judge(made, "0", frame([row]), suite_path="suites/made.toml")[0].checks[0]


@pytest.mark.parametrize(
    ("value", "word"), [(76.506, "reproduced"), (76.549, "reproduced"), (76.56, "contradicted"), (76.4, "contradicted")]
)
def test_fixed_weights_on_fixed_images_are_judged_to_the_printed_digit(value, word):
    found = fixed(value)  # 76.5 as printed is anything from 76.45 to 76.55
    assert (found.verdict, found.measured.low, found.measured.high) == (word, value, value)
    assert fixed(value, sampling="exact").verdict == word


def test_of_new_images_the_same_weights_have_wilsons_interval():
    found = fixed(76.506, sampling="new images", tolerance=0.1, tolerance_why="made")
    theirs = scipy.stats.binomtest(38_253, 50_000).proportion_ci(0.95, method="wilson")
    assert (found.measured.low, found.measured.high) == pytest.approx((100 * theirs.low, 100 * theirs.high))
    assert (found.verdict, "Wilson" in found.measured.method) == ("inconclusive", True)


def test_new_images_widen_the_interval_of_a_training_by_what_they_resolve():
    seeds = trained("small", [80.0, 81.0, 82.0])
    alone, wide = check(TOP1, seeds), check({**TOP1, "sampling": "new images"}, seeds)
    half = (alone.measured.high - alone.measured.low) / 2
    images = 196 * math.sqrt(0.8 * 0.2 / 10_000)
    assert (wide.measured.high - wide.measured.low) / 2 == pytest.approx(math.hypot(half, images), rel=1e-3)


# Clocks


def test_blocks_of_one_run_are_paired_and_their_median_has_an_order_statistics_interval():
    small, large = [20.0, 22.0, 24.0, 26.0, 28.0, 30.0], [10.0, 10.0, 12.0, 13.0, 10.0, 10.0]
    found = check(RATIO, rows("timing/small/batch1", "fps", small), rows("timing/large/batch1", "fps", large))
    ratios = sorted([2.0, 2.2, 2.0, 2.0, 2.8, 3.0])
    assert (found.measured.low, found.measured.high) == (ratios[0], ratios[-1])  # six processes: 1 - 2 / 2**6 = 97 %
    assert found.measured.point == (ratios[2] + ratios[3]) / 2
    assert (found.verdict, "6 processes" in found.reason) == ("reproduced", True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run_id": "run2"}, "run_id is run1 for small_fps, run2 for large_fps"),
        ({"run_id": "run2", "threads": 8}, "threads is 2 for small_fps, 8 for large_fps"),
        ({"run_id": "run2", "device_name": "Epyc"}, "device_name is Xeon for small_fps, Epyc for large_fps"),
    ],
)
def test_clocks_of_different_runs_are_not_divided(changes, words):
    found = check(
        RATIO, rows("timing/small/batch1", "fps", [2.0] * 6), rows("timing/large/batch1", "fps", [1.0] * 6, **changes)
    )
    assert (found.verdict, found.reason) == ("not measured", f"Not comparable: {words}.")
    assert found.command.endswith("--only timing/small/batch1 --only timing/large/batch1 --force")


def test_the_newest_run_that_timed_both_is_taken():
    old, new = {"run_id": "old"}, {"run_id": "new", "started_at": "2026-02-01T00:00:00"}
    both = [
        *rows("timing/small/batch1", "fps", [2.0] * 6, **old),
        *rows("timing/large/batch1", "fps", [1.0] * 6, **old),
    ]
    found = check(RATIO, both, rows("timing/small/batch1", "fps", [9.0] * 6, **new))
    assert (found.measured.point, {sample.run_id for sample in found.samples}) == (2.0 / 1.0, {"old"})


def test_the_epochs_of_a_clock_repeat_the_same_work():
    claim = {"kind": "speed", "published": 46.0, "unit": "s", "measured": "small_epoch_s", "tolerance": 5.0}
    found = check(claim, trained("small", {0: [45.0, 46.0, 47.0]}, "epoch_s"))
    assert (found.measured.point, len(found.samples), found.verdict) == (46.0, 3, "inconclusive")


def test_seeds_of_a_clock_are_one_sample_each():
    claim = {"kind": "open", "unit": "s", "measured": "small_epoch_s"}
    found = check(claim, trained("small", [[1.0, 2.0, 9.0], [1.0, 3.0, 9.0], [1.0, 4.0, 9.0]], "epoch_s"))
    assert [sample.value for sample in found.samples] == [2.0, 3.0, 4.0]  # the median of its epochs


def test_peak_bytes_are_counted_not_timed():
    claim = {"kind": "recount", "published": 4096, "unit": "bytes", "measured": "small_bytes"}
    assert check(claim, rows("memory/small/batch1", "forward_peak_bytes", 4096)).verdict == "reproduced"


def test_a_speed_counts_on_the_named_hardware_alone():
    claim = {**RATIO, "measured": "small_fps", "unit": "images/s", "hardware": "*T4*"}
    found = check(claim, rows("timing/small/batch1", "fps", [2.0] * 6))
    assert found.reason == "Published for *T4*, measured on Xeon (2 images/s): not comparable."
    assert check(claim, rows("timing/small/batch1", "fps", [2.0] * 6, device_name="Tesla T4")).verdict == "reproduced"


# Which rows count


def test_rows_of_cpu_and_cuda_are_never_mixed_and_the_device_with_more_seeds_speaks():
    on_cpu, on_cuda = trained("small", [80.0, 81.0, 82.0]), trained("small", {0: 10.0}, device="cuda")
    found = check(TOP1, on_cpu, on_cuda)
    assert ([sample.value for sample in found.samples], found.conditions["set apart"]) == (
        [80.0, 81.0, 82.0],
        "cuda rows",
    )
    found = check(TOP1, on_cpu, trained("small", [81.0] * 3, device="cuda"))
    assert [sample.value for sample in found.samples] == [81.0] * 3
    assert found.conditions["set apart"] == "cpu rows"


NEWER = {"run_id": "run2", "started_at": "2026-02-01T00:00:00"}
FAILED = {"run_id": "run3", "started_at": "2026-03-01T00:00:00", "status": "failed", "reason": "killed"}


def test_the_newest_run_replaces_an_older_one():
    found = check(COUNT, rows("static/small", "params", 99), rows("static/small", "params", 100, **NEWER))
    assert (found.verdict, found.samples[0].run_id) == ("reproduced", "run2")


@pytest.mark.parametrize("value", [100, 99])
def test_a_count_that_the_newest_run_could_not_take_is_open_whatever_an_older_one_counted(value):
    found = check(COUNT, rows("static/small", "params", value), rows("static/small", "params", None, **FAILED))
    assert (found.verdict, found.side, found.samples[0].run_id) == ("inconclusive", None, "run1")
    assert found.reason.endswith("But run run3 could not measure it since: killed.")


def test_an_open_question_of_a_count_is_not_answered_by_a_run_before_the_failure():
    claim = {"kind": "open", "unit": "parameters", "measured": "small_params"}
    failed = rows("static/small", "params", None, **{**FAILED, "status": "timeout", "reason": "60 s"})
    assert check(claim, rows("static/small", "params", 99), failed).verdict == "inconclusive"


def test_a_training_is_judged_and_names_the_newer_run_that_failed():
    failed = rows("accuracy/small/cifar/run/seed1", "train_loss", None, **FAILED, epoch=None)
    found = check(TOP1, trained("small", [80.0, 81.0, 82.0]), failed[:1])
    assert found.verdict == "reproduced"
    assert found.reason.endswith("But run run3 could not measure it since: killed.")


@pytest.mark.parametrize("changes", [{"status": "skipped"}, {"started_at": "2025-01-01T00:00:00"}, {"run_id": "run1"}])
def test_what_was_skipped_or_failed_before_says_nothing_against_a_count(changes):
    failed = rows("static/small", "params", None, **{**FAILED, **changes})
    found = check(COUNT, rows("static/small", "params", 100), failed)
    assert (found.verdict, found.reason) == ("reproduced", "Measured 100 parameters, as published.")


def test_a_clock_that_failed_on_another_machine_says_nothing_against_this_one():
    claim = {"kind": "open", "unit": "images/s", "measured": "small_fps"}
    good = rows("timing/small/batch1", "fps", [2.0] * 6)
    elsewhere = rows("timing/small/batch1", "fps", None, **FAILED, device_name="Epyc")
    assert "could not" not in check(claim, good, elsewhere).reason
    assert "could not" in check(claim, good, rows("timing/small/batch1", "fps", None, **FAILED)).reason


@pytest.mark.parametrize(("key", "other"), [("n_test", 2_000), ("dataset_sha256", "d2"), ("precision", "bfloat16")])
def test_seeds_under_different_conditions_are_not_pooled(key, other):
    changed = trained("small", {2: 82.0}, run_id="run2", **{key: other})
    found = check(TOP1, trained("small", [80.0, 81.0]), changed)
    assert found.verdict == "not measured"
    assert found.reason.startswith(f"Not comparable: {key} is ")
    assert str(other) in found.reason


def test_models_tested_on_different_images_are_not_compared():
    found = check(GAIN, trained("small", [80.0] * 3), trained("large", [81.0] * 3, n_test=2_000))
    assert found.reason == "Not comparable: n_test is 2000 in run run1, 10000 in run run1."


def test_a_quantity_that_fits_several_cases_is_never_pooled():
    found = check({**COUNT, "measured": "any_params"}, rows("static/small", "params", 100))
    assert "fits several cases, static/small and static/large" in found.reason
    assert (found.verdict, found.command) == ("not measured", None)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([], "Never run: static/small."),
        (rows("static/small", "params", None, status="failed", reason="boom"), "Failed (static/small): boom."),
        (rows("static/small", "params", None, status="skipped", reason="no data"), "Skipped (static/small): no data."),
        (
            rows("static/small", "params", None, status="timeout", reason="60 s"),
            "Ran out of time (static/small): 60 s.",
        ),
        (rows("static/small", "params", 100, protocol=0), "Protocol 0 measured params; the current one is 1."),
        (rows("static/small", "params_by_module", 1, part="head"), "No params came of static/small."),
        (
            rows("static/small", "params", 100, case_id="of an older suite"),
            "What the suite asks of Small has changed since run run1 measured it.",
        ),
    ],
)
def test_what_is_not_measured_says_why_and_how_to_measure_it(found, words):
    judged = check(COUNT, found)
    assert (judged.verdict, judged.reason) == ("not measured", words)
    assert judged.command == "bench run suites/made.toml --profile paper --only static/small"


def test_a_training_that_stopped_early_has_no_last_epoch():
    found = check(TOP1, trained("small", {0: [80.0, 81.0]}))
    assert found.reason == "Stopped after epoch 2 of 3 (accuracy/small/cifar/run/seed0, run run1)."
    failed = {"status": "failed", "reason": "out of memory", "epoch": None}
    found = check(TOP1, trained("small", {0: [80.0]}), trained("small", {0: [None]}, "train_loss", **failed))
    assert found.reason == "Failed (accuracy/small/cifar/run/seed0): out of memory."
    gap = [row for row in trained("small", {0: 80.0}) if row["epoch"] != 2]
    assert check({**TOP1, "measured": "small_best"}, gap).reason.startswith("Epoch 2 of 3 is not there")
    early = {"kind": "open", "unit": "nats", "measured": "mean(small_early)"}  # epochs 1 and 2 are there
    assert check(early, trained("small", {0: [0.9, 0.5]}, "test_loss")).verdict == "answered"


def test_a_module_that_the_rows_do_not_have_is_named():
    found = check({**COUNT, "measured": "stem_params"}, rows("static/small", "params_by_module", 1, part="head"))
    assert found.reason == "No params_by_module for part 'stem' came of static/small."


def test_what_nobody_can_measure_says_so_in_the_words_of_the_suite():
    found = check({**COUNT, "unavailable": "needs ImageNet"}, rows("static/small", "params", 100))
    assert (found.verdict, found.reason, found.command) == ("not measured", "Needs ImageNet.", None)


def test_a_failed_seed_is_told_beside_those_that_finished():
    failed = rows(
        "accuracy/small/cifar/run/seed2", "train_loss", None, status="failed", reason="out of memory", epoch=None
    )
    found = check({**TOP1, "min_seeds": 3}, trained("small", [81.0, 81.0]), failed[:1])
    assert found.reason.startswith("2 of 3 seeds")
    assert found.reason.endswith("Failed (accuracy/small/cifar/run/seed2): out of memory.")


def test_only_what_is_complete_is_measured_again_by_force():
    assert check(TOP1, trained("small", [81.0] * 3)).command.endswith("--force")
    assert not check(TOP1, trained("small", [81.0])).command.endswith("--force")


def test_more_seeds_than_the_profile_plans_are_asked_for_in_the_command():
    found = check({**TOP1, "min_seeds": 5})
    assert found.command == "bench run suites/made.toml --profile paper --only 'accuracy/small/cifar/run/*' --seeds 5"


# Reduced profiles


def test_a_quick_run_is_an_indication_and_never_a_verdict():
    quick = {"profile": "quick", "n_test": 2_000}
    small, large = ([*trained(model, {0: value}, **quick)] for model, value in (("small", 40.0), ("large", 44.1)))
    found = check(GAIN, small, large)
    assert (found.verdict, found.measured) == ("not measured", None)
    assert found.reason == "Only the quick profile has been run, and its rows decide no claim."
    assert found.indication == "quick profile points the same way: +4.10 points (1 seed, 2 epochs, 2,000 test images)"
    other_way = check({**GAIN, "measured": "small_top1 - large_top1"}, small, large)
    assert "points the other way: −4.10 points" in other_way.indication
    sized = {**GAIN, "kind": "retrain", "above": None, "published": -5.0, "tolerance": 1.0}
    assert "points the other way: +4.10 points" in check(sized, small, large).indication
    assert check(TOP1, small).indication == "quick profile: 40.00 % (1 seed, 2 epochs, 2,000 test images)"


# Arithmetic


@pytest.mark.parametrize(
    ("claim", "word", "words"),
    [
        (
            {"published": 5.56, "follows": "82.27 - 76.71"},
            "reproduced",
            "82.27 − 76.71 = 5.56 points, within the published",
        ),
        (
            {"published": 5.65, "follows": "82.27 - 76.71"},
            "inconsistent",
            "82.27 − 76.71 = 5.56 points, below the published",
        ),
        ({"published": 5.6, "follows": "82.27 - 76.71"}, "reproduced", "(± 0.05 points)"),
        ({"published": 6, "follows": "82.27 - 76.71", "tolerance": 0.1}, "inconsistent", "(± 0.1 points)"),
        ({"follows": "82.27 - 76.71", "above": 0.0}, "reproduced", "above 0 points"),
        ({"follows": "76.71 - 82.27", "above": 0.0}, "inconsistent", "not above 0 points"),
    ],
)
def test_arithmetic_follows_within_the_rounding_of_what_was_published(claim, word, words):
    found = check({"kind": "arithmetic", "unit": "points", **claim})
    assert (found.verdict, words in found.reason) == (word, True), found.reason
    assert found.calculation[0].startswith(claim["follows"].replace("-", "−"))


def test_a_source_that_contradicts_itself_is_inconsistent_even_where_the_measurement_agrees():
    measured = rows("static/small", "params", 100)
    found = check({**COUNT, "follows": "known + 1"}, measured)
    assert found.verdict == "inconsistent"
    assert found.reason == (
        "The source contradicts itself: known + 1 = 100 + 1 = 101 parameters, above the published 100 parameters "
        "(± 0.5 parameters). Measured 100 parameters, as published."
    )
    assert check({**COUNT, "follows": "known"}, measured).verdict == "reproduced"
    assert check({**COUNT, "follows": "known"}).verdict == "not measured"


def test_the_tolerance_of_a_measurement_does_not_excuse_arithmetic():
    claim = {**TOP1, "published": 80.0, "tolerance": 9.0, "follows": "70 + 11"}  # 81, off by 1 where 0.5 is rounding
    assert check(claim).verdict == "inconsistent"


def test_a_claim_can_be_named_in_an_expression():
    claims = suite(H1=COUNT, H2={"kind": "arithmetic", "published": 200, "unit": "parameters", "follows": "2 * H1"})
    assert (
        judge(claims, "0", frame(), suite_path="s")[1].checks[0].reason.startswith("2 × H1 = 2 × 100 = 200 parameters")
    )


# Several checks, several claims


def test_the_strongest_word_of_its_checks_is_the_claims():
    contradicting = {**COUNT, "says": "Half of it", "published": 50}
    found = verdict({**COUNT, "also": [contradicting]}, rows("static/small", "params", 100))
    assert (found.verdict, [each.verdict for each in found.checks]) == ("contradicted", ["reproduced", "contradicted"])
    assert found.checks[0].reason == "Measured 100 parameters, as published."


def test_tally_exit_code_and_findings():
    wrong, inconsistent = (
        {**COUNT, "published": 99},
        {"kind": "arithmetic", "published": 1, "unit": "1", "follows": "2"},
    )
    claims = suite(H1=GAIN, H2=COUNT, H3=inconsistent, H4=wrong)
    judged = judge(claims, "0", frame(rows("static/small", "params", 100)), suite_path="s")
    one_each = ("not measured", "reproduced", "inconsistent", "contradicted")
    assert tally(judged) == {word: int(word in one_each) for word in WORDS}
    assert (exit_code(judged), exit_code(judged[:3])) == (1, 0)
    assert (judged_any(judged[:1]), judged_any(judged[1:2])) == (False, True)
    assert [told.claim for told, _ in findings(judged)] == ["H4", "H3", "H2", "H1"]
    assert [told.claim for told, _ in findings(judged, limit=1)] == ["H4"]
    assert findings(judged)[0][1].startswith("It is so. Contradicted. Measured 100 parameters, above the published 99")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-2.9, 2.9), min_size=3, max_size=3), st.floats(0, 30))
def test_no_seed_outside_the_band_is_needed_to_doubt_but_all_of_them_to_contradict(offsets, tolerance):
    judged = check({**TOP1, "tolerance": tolerance}, trained("small", [81.0 + offset for offset in offsets]))
    low, high = 81 - tolerance, 81 + tolerance
    if judged.verdict == "reproduced":
        assert low <= judged.measured.point <= high
    elif judged.verdict == "contradicted":
        assert not low <= judged.measured.point <= high
    wider = check({**TOP1, "tolerance": tolerance + 10}, trained("small", [81.0 + offset for offset in offsets]))
    assert (judged.verdict, wider.verdict) not in {("reproduced", "contradicted"), ("inconclusive", "contradicted")}


# The same test images


def on_images(model: str, right: list[bool], seed: int = 0) -> list[dict]:
    rows = trained(model, {seed: [10.0, 20.0, 100 * sum(right) / len(right)]}, n_test=len(right))
    rows[-1]["detail"] = packed_bits(right)
    return rows


RIGHT_LARGE = [True] * 60 + [False] * 40
RIGHT_SMALL = [False] * 15 + [True] * 50 + [False] * 35  # alone right on 5, wrong on 15 that the large one has


def test_a_difference_says_what_both_had_right_seed_by_seed():
    found = check(GAIN, on_images("large", RIGHT_LARGE), on_images("small", RIGHT_SMALL))
    (pair,) = found.paired
    assert (pair.seed, pair.first, pair.second) == (0, "large", "small")
    assert (pair.only_first, pair.only_second, pair.images) == (15, 5, 100)
    assert pair.difference.point == pytest.approx(100 * (15 - 5) / 100)
    # McNemar: 2 P(Bin(20, 1/2) <= 5)
    assert pair.p == pytest.approx(2 * sum(math.comb(20, i) for i in range(6)) / 2**20)


def test_one_pair_of_trainings_is_told_but_decides_nothing():
    found = check(GAIN, on_images("large", [True] * 100), on_images("small", [False] * 100))
    assert found.paired[0].p < 1e-20
    assert found.verdict == "inconclusive"


@pytest.mark.parametrize("changed", [{"dataset_sha256": "d2"}, {"detail": None}])
def test_without_the_same_images_nothing_is_paired(changed):
    other = [{**row, **changed} for row in on_images("small", RIGHT_SMALL)]
    assert check(GAIN, on_images("large", RIGHT_LARGE), other).paired == ()


def test_one_model_alone_has_no_pair():
    assert check(TOP1, on_images("small", RIGHT_SMALL)).paired == ()


def three(claim: dict, *found: list[dict]) -> CheckVerdict:
    """Judged in a suite with a third model, and with a second data set beside the first."""
    raw = suite(H1=claim).model_dump(by_alias=True, exclude_none=True, exclude_unset=True)
    raw["models"]["third"] = {"factory": "mlp", "args": {"width": 32}, "label": "Third"}
    raw["datasets"]["other"] = {"name": "cifar100", "label": "CIFAR-100", "classes": 100}
    raw["measures"]["accuracy"]["datasets"] = ["cifar", "other"]
    raw["quantities"] = {
        f"{model}_{data}": {"metric": "test_top1_pct", "model": model, "dataset": data}
        for model in ("small", "large", "third")
        for data in ("cifar", "other")
    }
    made = Suite.model_validate(raw)
    named = {case.name: case for case in plan(made, "0", "paper")}
    told = frame([{**row, "case_id": named[row["case"]].id} for part in found for row in part])
    (only,) = judge(made, "0", told, suite_path="x")
    return only.checks[0]


def on(model: str, data: str, right: list[bool], **changes) -> list[dict]:
    """Rows of one training whose last epoch says which images it had right."""
    rows = on_images("small", right)
    return [{**row, "model": model, "case": f"accuracy/{model}/{data}/run/seed0", **changes} for row in rows]


BETTER = {"kind": "ordering", "unit": "points", "above": 0.0, "min_seeds": 1}


def test_three_models_are_no_pair_and_two_of_them_are():
    rows = [on("large", "cifar", RIGHT_LARGE), on("small", "cifar", RIGHT_SMALL), on("third", "cifar", RIGHT_SMALL)]
    two = three({**BETTER, "measured": "large_cifar - small_cifar"}, *rows)
    assert [(pair.first, pair.second) for pair in two.paired] == [("large", "small")]
    all_three = three({**BETTER, "measured": "large_cifar - max(small_cifar, third_cifar)"}, *rows)
    assert all_three.measured.point == pytest.approx(two.measured.point)
    assert all_three.paired == ()


def test_of_two_test_sets_the_smaller_one_is_named_and_gives_the_coarser_resolution():
    rows = [
        on("small", "cifar", [True] * 50 + [False] * 50),
        on("small", "other", ([True] * 50 + [False] * 50) * 4, dataset_sha256="d2"),
    ]
    for measured in ("small_cifar - small_other", "small_other - small_cifar"):
        found = three({**BETTER, "measured": measured}, *rows)
        # 50 % of n images: 100 * 1.96 * sqrt(0.25 / n) = 9.8 points of 100 images and 4.9 of 400
        assert found.resolution == pytest.approx(9.8, abs=0.05)
        z = NormalDist().inv_cdf(1 - 0.05 / 8 / 2)  # the first of three looks
        assert found.measured.high == pytest.approx(math.hypot(9.8, 4.9) * z / 1.96, abs=0.05)
        assert "100 test images" in found.measured.method


# Units


def test_multiply_accumulates_are_judged_as_flops_where_a_claim_is_in_flops():
    claims = {"A": {"kind": "recount", "published": 200, "unit": "flops", "measured": "small_macs"}}
    raw = suite(**claims).model_dump(by_alias=True, exclude_unset=True)
    raw["quantities"] = {"small_macs": {"metric": "macs", "model": "small"}}
    (found,) = judge(Suite.model_validate(raw), "0", frame(rows("static/small", "macs", 100)), suite_path="x")
    assert (found.verdict, found.checks[0].measured.point) == ("reproduced", 2 * 100)


def test_an_expression_whose_units_do_not_fit_is_not_judged():
    found = check({**COUNT, "unit": "%"}, rows("static/small", "params", 100))
    assert (found.verdict, "is in parameters" in found.reason) == ("not measured", True)

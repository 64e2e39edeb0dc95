"""Two runs metric by metric: what is compared, by how much it differs, and what is not comparable and why."""

import json
import math
import random
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bench.plan.case import Case
from bench.records.measurement import Measurement, as_row, canonical_json
from bench.statistics import intervals
from bench.store import Store
from bench.suite.recipe import Recipe
from bench.verdicts.between_runs import tables
from bench.verdicts.between_runs.compare import compare
from bench.verdicts.between_runs.effects import ratio_of_medians
from tests import making

ROOT = Path(__file__).parent.parent
A, B = "run-a", "run-b"
RECIPE = Recipe(epochs=3, batch_size=8, optimizer="adamw", lr=1e-3)


def case(**changes) -> Case:
    return making.case(**({"model": "mixer", "model_args": {"width": 8, "depth": 2}} | changes))


@pytest.fixture
def run(material):
    """A run as the store gives it: rows from (case, metric, value, more columns) and an environment."""

    def made(run_id: str, *rows: tuple, **facts):
        found = []
        for each, metric, value, more in rows:
            columns = {"params_json": canonical_json(each.question), "device_name": "EPYC", "threads": 2, **more}
            made = material.row(
                each, metric, value, **{k: v for k, v in more.items() if k in ("epoch", "repeat", "part")}
            )
            found.append(replace(made, run_id=run_id, **columns))
        environment = as_row(material.environment(**({"run_id": run_id} | facts)))
        return environment, material.frame(found)

    return made


def blocks(centre: float, seed: int, n: int = 20, **more) -> list[tuple]:
    draw = random.Random(seed)
    timing = case(measure="timing", batch_size=1)
    return [(timing, "fps", centre * (1 + draw.gauss(0, 0.005)), {"repeat": i, **more}) for i in range(n)]


def curve(values: list[float], seed: int, **more) -> list[tuple]:
    training = case(
        measure="accuracy", dataset="cifar10", seed=seed, recipe=RECIPE.model_copy(update={"epochs": len(values)})
    )
    return [(training, "test_top1_pct", value, {"epoch": i + 1, **more}) for i, value in enumerate(values)]


def only(comparison):
    assert len(comparison.compared) == 1, comparison
    return comparison.compared[0]


# Counts


def test_a_count_is_equal_or_different_and_more_parameters_are_worse(run):
    first = run(A, (case(), "params", 1000, {}), (case(), "macs", 500, {}))
    second = run(B, (case(), "params", 1100, {}), (case(), "macs", 500, {}))
    params, macs = compare(first, second).compared
    assert (params.word, params.better, params.effect.point) == ("different", False, 1100 / 1000)
    assert (macs.word, macs.changed, macs.effect.point) == ("equal", False, 1.0)


def test_one_multiply_accumulate_more_is_seen_in_all_digits(run):
    sides = [run(name, (case(), "macs", count, {})) for name, count in ((A, 42_337_536), (B, 42_337_537))]
    (row,) = tables.compared(compare(*sides))
    assert (row["first"], row["second"]) == ("42,337,536 MACs", "42,337,537 MACs")
    assert row["change"] == "+1, under 0.01 %"


def test_a_count_that_was_nothing_is_told_as_a_difference(run):
    found = only(compare(run(A, (case(), "uncounted_calls", 0, {})), run(B, (case(), "uncounted_calls", 3, {}))))
    assert (found.scale, found.effect.point, found.word) == ("difference", 3.0, "different")


def test_parts_are_compared_each_with_its_own(run):
    rows = [(case(), "params_by_module", value, {"part": part}) for part, value in (("stem", 10), ("head", 20))]
    found = compare(run(A, *rows), run(B, *reversed(rows))).compared
    assert [(each.what, each.word) for each in found] == [("mixer, stem", "equal"), ("mixer, head", "equal")]


# Clocks


def test_a_speed_is_a_ratio_whose_interval_holds_both_medians_and_is_called_no_gate(run):
    found = compare(run(A, *blocks(100.0, 1)), run(B, *blocks(90.0, 2)))
    fps = only(found)
    assert fps.effect.low < 0.9 < fps.effect.high < 1
    assert (fps.word, fps.better, fps.clocked, fps.values) == ("worse", False, True, (20, 20))
    assert found.notes[-1] == tables.NO_GATE
    assert tables.compared(found)[0]["word"] == "worse (no gate)"


def test_the_interval_of_a_ratio_is_made_from_the_order_statistics_of_both_medians():
    # n = 20: 2 P(Bin(20, 1/2) <= 4) = 0.0118 <= 0.025 < 2 P(Bin <= 5) = 0.041, so k = 5: x(5) and x(16).
    first, second = [100.0 + i for i in range(20)], [200.0 + i for i in range(20)]
    found = ratio_of_medians(first, second)
    assert (found.low, found.high) == (204 / 115, 215 / 104)
    assert found.point == 209.5 / 109.5


def test_the_interval_of_a_ratio_holds_the_true_one_at_least_95_times_in_100():
    draw = random.Random(0)
    hits = 0
    for _ in range(300):
        first = [draw.lognormvariate(0, 0.1) for _ in range(12)]
        second = [1.05 * draw.lognormvariate(0, 0.3) for _ in range(20)]
        found = ratio_of_medians(first, second)
        hits += found.low <= 1.05 <= found.high
    assert hits / 300 >= 0.95


def test_equal_speeds_show_no_change_and_six_blocks_have_no_interval(run):
    assert only(compare(run(A, *blocks(100, 1)), run(B, *blocks(100, 2)))).word == "no change shown"
    few = only(compare(run(A, *blocks(100, 1, n=6)), run(B, *blocks(50, 2, n=6))))
    assert (few.word, few.changed, few.effect.bounded) == ("no interval", False, False)
    assert tables.compared(compare(run(A, *blocks(100, 1, n=6)), run(B, *blocks(50, 2, n=6))))[0]["interval"] == ""


def test_one_value_of_a_clock_on_each_side_has_no_interval(run):
    rows = [(case(measure="timing", batch_size=1), "latency_p50_s", value, {}) for value in (0.010, 0.012)]
    found = only(compare(run(A, rows[0]), run(B, rows[1])))
    assert (found.kind, found.word, found.effect.point) == ("single", "no interval", 0.012 / 0.010)


# Accuracies


def test_accuracies_are_differences_in_points_paired_by_seed(run):
    first = run(A, *curve([50, 60.0], 0), *curve([50, 64.0], 1), *curve([50, 62.0], 2))
    second = run(B, *curve([50, 65.0], 2), *curve([50, 61.0], 0), *curve([50, 66.0], 1))
    last, best = compare(first, second).compared
    assert last.what == "mixer, cifar10, last epoch"
    assert best.what == "mixer, cifar10, best epoch"
    # 61 - 60, 66 - 64, 65 - 62: mean 2, standard deviation 1, t(0.975, 2) = 4.303.
    students = intervals.mean_interval([1.0, 2.0, 3.0])
    assert (last.effect.low, last.effect.high) == pytest.approx((students.low, students.high))
    assert last.effect.low == pytest.approx(2 - 4.3027 / math.sqrt(3), abs=1e-3)
    assert (last.word, last.effect_unit) == ("no change shown", "points")
    assert tables.compared(compare(first, second))[0]["change"] == "+2.00 points"


def test_the_last_and_the_best_epoch_are_told_apart(run):
    first, second = run(A, *curve([70.0, 60.0], 0)), run(B, *curve([71.0, 64.0], 0))
    assert [each.effect.point for each in compare(first, second).compared] == [4.0, 1.0]


def test_the_order_of_the_rows_in_the_store_says_nothing(run):
    rows = curve([50, 60.0, 70.0], 0)
    found = compare(run(A, *rows), run(B, rows[2], rows[0], rows[1]))
    assert [each.word for each in found.compared] == ["equal", "equal"]


def test_one_seed_has_no_interval_and_equal_curves_are_equal(run):
    last, _ = compare(run(A, *curve([60.0], 0)), run(B, *curve([61.0], 0))).compared
    assert last.word == "no interval"
    same, _ = compare(run(A, *curve([60.0], 0)), run(B, *curve([60.0], 0))).compared
    assert same.word == "equal"


def test_seeds_of_one_run_only_are_named_and_left_out_of_the_pairs(run):
    found = compare(run(A, *curve([60.0], 0), *curve([61.0], 1)), run(B, *curve([60.5], 0), *curve([70.0], 7)))
    assert found.compared[0].values == (1, 1)
    assert tables.apart(found) == [{"not comparable": "test_top1_pct mixer, cifar10: seeds 0, 1 | 0, 7"}]


def test_an_interrupted_training_is_not_compared_by_its_last_epoch(run):
    short = curve([50, 60.0, 70.0], 0)[:2]
    found = compare(run(A, *curve([50, 60.0, 70.0], 0)), run(B, *short))
    assert found.compared == ()
    assert tables.apart(found) == [{"not comparable": "test_top1_pct mixer, cifar10, seed 0: last epoch 3 | 2"}]


def test_a_seed_whose_loss_was_not_finite_is_named_and_not_stepped_over(run):
    nan = {"epoch": 3, "status": "failed", "reason": "the value was nan"}
    broken = [*curve([50, 60.0, 70.0], 0)[:2], (curve([50, 60.0, 70.0], 0)[0][0], "test_top1_pct", None, nan)]
    good = curve([50, 60.0, 70.0], 1)
    found = compare(run(A, *broken, *good), run(B, *broken, *good))
    assert {each.values for each in found.compared} == {(1, 1)}, "seed 1 alone"
    line = "test_top1_pct mixer, cifar10: status failed: the value was nan | failed: the value was nan"
    assert tables.apart(found) == [{"not comparable": line}]


def test_equal_differences_in_every_seed_are_no_proof_that_an_accuracy_got_better(run):
    first, second = run(A, *curve([80.0], 0), *curve([81.0], 1)), run(B, *curve([80.1], 0), *curve([81.1], 1))
    last, _ = compare(first, second).compared
    # 10,000 test images resolve sqrt(0.8 * 0.2 + 0.801 * 0.199) of a share on the pair, 1.11 points; two seeds of it
    half = 196 * math.sqrt((0.8 * 0.2 + 0.801 * 0.199) / 10_000)
    assert last.effect.high - last.effect.point == pytest.approx(half, rel=1e-3)
    assert last.word == "no change shown"


def test_equal_differences_of_a_loss_have_no_interval(run):
    def losses(value: float) -> list[tuple]:
        return [(each, "test_loss", value, more) for seed in (0, 1) for each, _, _, more in curve([value], seed)]

    assert only(compare(run(A, *losses(0.5)), run(B, *losses(0.25)))).word == "no interval"


@pytest.mark.parametrize(("metric", "word"), [("params", "different, more"), ("coverage_pct", "different, higher")])
def test_a_count_that_differs_is_more_or_fewer_and_neither_better_nor_worse(run, metric, word):
    found = compare(run(A, (case(), metric, 90.0, {})), run(B, (case(), metric, 91.0, {})))
    assert tables.compared(found)[0]["word"] == word
    back = compare(run(A, (case(), "params", 91, {})), run(B, (case(), "params", 90, {})))
    assert tables.compared(back)[0]["word"] == "different, fewer"


def test_what_changed_without_an_interval_is_not_hidden_with_what_did_not_change(run):
    timing = case(measure="timing", batch_size=1)
    first = run(A, *curve([21.7], 0), (timing, "latency_p50_s", 0.010, {}), (case(), "params", 9, {}))
    second = run(B, *curve([19.35], 0), (timing, "latency_p50_s", 0.0187, {}), (case(), "params", 9, {}))
    found = compare(first, second, only_changed=True)
    assert [each.metric for each in found.compared] == ["test_top1_pct", "test_top1_pct", "latency_p50_s"]
    assert found.notes[0] == "1 quantity without a change is left out."


# What is not comparable


def test_modules_that_only_one_run_has_are_named(run):
    rows = [(case(), "params_by_module", 5, {"part": part}) for part in ("6", "7", "8")]
    found = compare(run(A, rows[0]), run(B, *rows))
    assert tables.apart(found) == [{"not comparable": "params_by_module mixer (7, 8): measured no | yes"}]


def test_other_threads_are_named_with_both_values(run):
    found = compare(run(A, *blocks(100, 1, threads=1)), run(B, *blocks(100, 2, threads=2)))
    assert found.compared == ()
    assert tables.apart(found) == [{"not comparable": "fps mixer: threads 1 | 2"}]


def test_of_several_the_nearest_is_named(run):
    sizes = [case(measure="timing", batch_size=size) for size in (1, 64)]
    sides = [
        [(each, "fps", 100.0, {"threads": threads, "batch_size": each.batch_size}) for each in sizes]
        for threads in (1, 2)
    ]
    found = compare(run(A, *sides[0]), run(B, *reversed(sides[1])))
    assert tables.apart(found) == [{"not comparable": "fps mixer: threads 1 | 2"}], "and not the batch size as well"


def test_a_count_does_not_ask_for_the_same_threads(run):
    rows = [(case(), "params", 1000, {"threads": threads}) for threads in (1, 2)]
    assert only(compare(run(A, rows[0]), run(B, rows[1]))).word == "equal"


def test_another_protocol_is_not_compared(run):
    rows = [(case(), "macs", 500, {"protocol": protocol}) for protocol in (1, 2)]
    assert tables.apart(compare(run(A, rows[0]), run(B, rows[1]))) == [{"not comparable": "macs mixer: protocol 1 | 2"}]


def test_another_argument_of_the_model_is_named_once_for_all_its_metrics(run):
    wide = case(model_args={"width": 16, "depth": 2})
    first = run(A, (case(), "params", 1, {}), (case(), "macs", 1, {}))
    second = run(B, (wide, "params", 2, {}), (wide, "macs", 2, {}))
    line = "params, macs mixer: model_args.width 8 | 16"
    assert tables.apart(compare(first, second)) == [{"not comparable": line}]


def test_what_only_one_run_measured_is_said(run):
    first = run(A, (case(), "params", 1, {}))
    second = run(B, (case(), "params", 1, {}), (case(model="hybrid"), "params", 1, {}))
    assert tables.apart(compare(first, second)) == [{"not comparable": "params hybrid: measured no | yes"}]


def test_a_failed_row_is_named_with_its_reason(run):
    first = run(A, (case(), "macs", 1, {}))
    second = run(B, (case(), "macs", None, {"status": "failed", "reason": "out of memory"}))
    line = "macs mixer: status ok | failed: out of memory"
    assert tables.apart(compare(first, second)) == [{"not comparable": line}]


def test_batch_sizes_of_one_model_are_paired_with_their_own_and_named(run):
    rows = [(case(measure="timing", batch_size=size), "latency_p50_s", size / 1000, {}) for size in (1, 64)]
    found = compare(run(A, *rows), run(B, *reversed(rows)))
    assert [(each.what, each.word) for each in found.compared] == [
        ("mixer, batch_size 1", "no interval"),
        ("mixer, batch_size 64", "no interval"),
    ]
    assert [each.effect.point for each in found.compared] == [1.0, 1.0]


def test_torch_is_always_shown_and_other_facts_where_they_differ(run):
    first = run(A, (case(), "params", 1, {}), commit="aaaa")
    packages = json.dumps({"numpy": "2.5.0", "fvcore": "0.1.5.post20221221"})
    second = run(B, (case(), "params", 1, {}), commit="bbbb", packages_json=packages)
    assert tables.facts(compare(first, second)) == [
        {"condition": "run", "first": A, "second": B},
        {"condition": "torch", "first": "2.13.0", "second": "2.13.0"},
        {"condition": "commit", "first": "aaaa", "second": "bbbb"},
        {"condition": "numpy", "first": "2.4.1", "second": "2.5.0"},
    ]


# Order and selection


def test_only_changed_leaves_out_the_rest_and_says_how_much(run):
    first = run(A, (case(), "params", 1000, {}), (case(), "macs", 500, {}), *blocks(100, 1))
    second = run(B, (case(), "params", 1100, {}), (case(), "macs", 500, {}), *blocks(100, 2))
    found = compare(first, second, only_changed=True)
    assert [each.metric for each in found.compared] == ["params"]
    assert found.notes == ("2 quantities without a change are left out.",)


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        (None, ["params", "macs", "buffer_elements"]),
        ("change", ["macs", "params", "buffer_elements"]),  # 50 %, 10 %, none
        ("metric", ["buffer_elements", "macs", "params"]),
        ("word", ["params", "macs", "buffer_elements"]),  # worse, better, equal
    ],
)
def test_the_order_is_the_one_asked_for(run, sort, order):
    names = ("params", "macs", "buffer_elements")
    first = run(A, *((case(), name, 1000, {}) for name in names))
    second = run(B, *((case(), name, value, {}) for name, value in zip(names, (1100, 500, 1000), strict=True)))
    assert [each.metric for each in compare(first, second, sort=sort).compared] == order


# The command


@pytest.fixture
def store(run, material, tmp_path):
    opened = Store(tmp_path / "store")
    runs = [
        run(A, (case(), "params", 1000, {}), *blocks(100.0, 1), *curve([60.0], 0)),
        run(B, (case(), "params", 1100, {}), *blocks(90.0, 2), *curve([61.0], 0)),
    ]
    for number, (environment, rows) in enumerate(runs):
        begun = f"2026-11-2{number}T09:30:00+00:00"
        opened.append_environment(material.environment(run_id=environment["run_id"], started_at=begun))
        whole = rows.astype(object).where(rows.notna(), None).to_dict("records")
        opened.append([Measurement(**{**row, "started_at": begun}) for row in whole])
    return tmp_path


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return making.bench("compare", *arguments, "--store", "store", cwd=folder, code=None)


def test_the_command_prints_a_table_and_says_that_speed_is_no_gate(store):
    done = command(store, "run-a", "last")
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "mixer params 1,000 parameters 1,100 parameters +100, +10.00 % different, more" in lines
    assert any(line.startswith("mixer fps") and line.endswith("worse (no gate)") for line in lines)
    assert "`bench check` is" in done.stderr


def test_the_command_prints_json_with_null_for_a_bound_that_is_not_there(store):
    found = json.loads(command(store, A, B, "--json", "--only-changed").stdout)
    assert found["runs"] == [A, B]
    assert {each["metric"] for each in found["compared"]} == {"params", "fps", "test_top1_pct"}
    whole = json.loads(command(store, A, B, "--json").stdout)
    assert next(e for e in whole["compared"] if e["metric"] == "test_top1_pct")["effect"]["low"] is None


def test_a_run_that_is_not_there_is_an_error_with_those_that_are(store):
    done = command(store, "run-a", "nothing")
    assert done.returncode == 2
    assert "no run 'nothing'" in done.stderr
    assert A in done.stderr


def test_the_command_line_offers_every_order():
    import runner
    from bench.verdicts.between_runs.compare import SORTS

    assert tuple(next(option for option in runner.compare.params if option.name == "sort").type.choices) == SORTS

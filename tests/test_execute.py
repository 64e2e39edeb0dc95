"""Cases become rows; a failure becomes a row with its reason, and the cases after it are measured all the same."""

import math
import sys
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bench.errors import DataAbsent, MeasurementError
from bench.execution.context import Context
from bench.execution.executor import execute
from bench.execution.signals import Ended
from bench.execution.yielded import checked
from bench.plan.case import Case
from bench.records.measurement import DataFacts, Environment, Reading
from bench.registry import measures
from tests import making

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@measures.register("counting_for_a_test")
def counting(case, context, *, upto=2):
    yield DataFacts("d" * 64, 5, 3)
    for i in range(upto):
        yield Reading("test_top1_pct", 10.0 * i, epoch=i + 1, detail=f"epoch {i + 1}")


@measures.register("breaking_for_a_test")
def breaking(case, context, *, error):
    yield Reading("params", 4.0)
    raise {
        "absent": DataAbsent("no data. Get it: bench fetch"),
        "broken": MeasurementError("the net is torn"),
        "bug": KeyError("k"),
    }[error]


@measures.register("interrupted_for_a_test")
def interrupted(case, context):
    yield Reading("params", 4.0)
    raise KeyboardInterrupt


def environment() -> Environment:
    return making.environment(run_id="run1", device_name="Test CPU", threads=2)


def case(measure: str, **options) -> Case:
    return making.case(measure, name=f"{measure}/m", profile="paper", options=options, seed=7, deviations="less")


def outcomes(*cases: Case):
    ticks = iter(range(100))
    return list(execute(cases, Context(), environment(), now=lambda: NOW, clock=lambda: float(next(ticks))))


def test_a_row_carries_the_question_the_conditions_and_the_data():
    (outcome,) = outcomes(case("counting_for_a_test"))
    assert [row.value for row in outcome.rows] == [0.0, 10.0]
    row = outcome.rows[1]
    assert (row.run_id, row.seed, row.epoch, row.n_train, row.n_test, row.dataset_sha256) == (
        "run1",
        7,
        2,
        5,
        3,
        "d" * 64,
    )
    assert (row.unit, row.protocol, row.status, row.device_name, row.threads) == ("%", 1, "ok", "Test CPU", 2)
    assert (row.started_at, row.duration_s, row.deviations) == ("2026-01-02T03:04:05.000+00:00", 1.0, "less")
    assert row.case_id == outcome.case.id
    assert '"seed":7' in row.params_json
    assert row.detail == "epoch 2"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        ("absent", "skipped", "no data. Get it: bench fetch"),
        ("broken", "failed", "MeasurementError: the net is torn (test_execute.py:"),
        ("bug", "failed", "KeyError: 'k' (test_execute.py:"),
    ],
)
def test_a_failure_is_a_row_beside_what_was_measured_before_it(error, status, reason):
    broken, after = outcomes(case("breaking_for_a_test", error=error), case("counting_for_a_test", upto=1))
    assert [row.value for row in broken.rows] == [4.0, None]
    assert broken.rows[1].status == status
    assert broken.rows[1].reason.startswith(reason)
    assert broken.failed == (status == "failed")
    assert after.rows[0].status == "ok"


def test_a_measure_that_yields_nothing_or_does_not_take_an_option_has_failed():
    silent, strange = outcomes(case("counting_for_a_test", upto=0), case("counting_for_a_test", colour=1))
    assert "yielded nothing" in silent.problem.reason
    assert "unexpected keyword argument 'colour'" in strange.problem.reason


def test_an_interrupt_ends_the_run_and_keeps_what_was_handed_over():
    running = execute([case("counting_for_a_test"), case("interrupted_for_a_test")], Context(), environment())
    assert len(next(running).rows) == 2
    with pytest.raises(KeyboardInterrupt):
        next(running)


def scalar_tensor():
    import torch

    return torch.tensor(0.5)


class Unprintable(Exception):
    def __str__(self):
        raise ValueError


@measures.register("odd_for_a_test")
def odd(case, context, *, what):
    yield Reading("params", 4.0)
    yield ODD[what]() if what in ODD else Reading("params", 5.0)
    yield Reading("params", 6.0)


ODD = {
    "an unknown metric": lambda: Reading("colour", 1.0),
    "a metric that is no name": lambda: Reading(None, 1.0),
    "text": lambda: Reading("params", "4"),
    "a flag": lambda: Reading("params", True),
    "a numpy flag": lambda: Reading("params", np.bool_(True)),
    "several numbers": lambda: Reading("params", np.ones(2)),
    "a complex number": lambda: Reading("params", 1j),
    "neither value nor reason": lambda: Reading("params"),
    "a status that nobody knows": lambda: Reading("params", None, status="broken"),
    "an epoch that is text": lambda: Reading("params", 1.0, epoch="1"),
    "an epoch beyond every column": lambda: Reading("params", 1.0, epoch=2**63),
    "a part that is no text": lambda: Reading("params", 1.0, part=3),
    "a part that is not UTF-8": lambda: Reading("params", 1.0, part="\ud800"),
    "facts without a number": lambda: DataFacts("d" * 64, None, 3),
    "a number alone": lambda: 4.0,
    "nothing": lambda: None,
    "an exit": lambda: sys.exit(7),
    "an error that cannot be printed": lambda: (_ for _ in ()).throw(Unprintable()),
    "an end of its own": lambda: (_ for _ in ()).throw(GeneratorExit()),
}


@pytest.mark.parametrize("what", ODD)
def test_whatever_a_measure_yields_that_is_no_number_of_a_known_metric_fails_its_case_alone(what):
    broken, after = outcomes(case("odd_for_a_test", what=what), case("counting_for_a_test", upto=1))
    assert [(row.value, row.status) for row in broken.rows] == [(4.0, "ok"), (None, "failed")]
    assert not broken.complete
    assert after.rows[0].status == "ok"


def test_an_exit_is_told_with_its_code():
    (broken,) = outcomes(case("odd_for_a_test", what="an exit"))
    assert broken.problem.reason.startswith("ended with exit code 7 (test_execute.py:")


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), Fraction(1, 2), scalar_tensor()], ids=repr)
def test_a_number_of_another_library_is_a_number(value):
    assert checked(Reading("params", value)).value == 0.5
    assert type(checked(Reading("params", value)).value) is float


@pytest.mark.parametrize("value", [math.nan, math.inf, np.float64("nan")])
def test_a_value_that_is_not_finite_is_a_failed_row_that_says_so_and_the_measure_goes_on(value):
    ODD["not finite"] = lambda: Reading("params", value)
    (outcome,) = outcomes(case("odd_for_a_test", what="not finite"))
    assert [(row.value, row.status) for row in outcome.rows] == [(4.0, "ok"), (None, "failed"), (6.0, "ok")]
    assert outcome.rows[1].reason == f"the value was {value}"


def test_a_measure_that_is_no_generator_fails_with_what_it_returned():
    measures.register("returning_for_a_test")(lambda case, context: 4.0)
    (broken,) = outcomes(case("returning_for_a_test"))
    assert "returned a float in place of its readings" in broken.problem.reason


def test_a_row_without_a_metric_of_its_own_bears_the_name_of_the_measure():
    (outcome,) = outcomes(case("counting_for_a_test", upto=0))
    assert [(row.metric, row.unit, row.value) for row in outcome.rows] == [("counting_for_a_test", "1", None)]


def test_a_reason_holds_no_path():
    @measures.register("reading_for_a_test")
    def reading(case, context):
        Path("/home/alice/secret/weights.pt").read_bytes()
        yield Reading("params", 1.0)

    (outcome,) = outcomes(case("reading_for_a_test"))
    assert "/home" not in outcome.problem.reason
    assert "'…/weights.pt'" in outcome.problem.reason


def test_a_signal_that_ends_the_run_is_no_failure_of_the_measure():
    @measures.register("ended_for_a_test")
    def ended(case, context):
        yield Reading("params", 1.0)
        raise Ended(143)

    with pytest.raises(Ended):
        outcomes(case("ended_for_a_test"))


@measures.register("telling_for_a_test")
def telling(case, context, *, how):
    """Ends in an error that names the data folder, or says in a detail which device it was given."""
    yield Reading("params", 1.0, detail=context.device)
    if how == "absent":
        raise DataAbsent(f"no cifar10 in {context.data_dir}. Get it: bench fetch")
    if how == "broken":
        raise MeasurementError(f"{context.data_dir / 'cifar10' / 'batch 1'} is torn")


@pytest.mark.parametrize(("of_the_case", "of_the_run"), [("meta", "cpu"), ("cuda", "cpu"), ("cpu", "cuda")])
def test_a_measure_is_told_the_device_of_its_case_whatever_that_of_the_run_is(of_the_case, of_the_run):
    asked = replace(case("telling_for_a_test", how="well"), device=of_the_case)
    (outcome,) = execute([asked], Context(device=of_the_run), environment())
    assert [(row.detail, row.device) for row in outcome.rows] == [(of_the_case, of_the_case)]


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ("absent", "skipped", "no cifar10 in DIR. Get it: bench fetch"),
        ("broken", "failed", "MeasurementError: DIR/cifar10/batch 1 is torn (test_execute.py:"),
    ],
)
def test_the_data_folder_is_called_dir_in_a_reason_and_no_text_of_a_row_holds_its_path(tmp_path, how, status, reason):
    folder = tmp_path / "data of alice"
    (outcome,) = execute([case("telling_for_a_test", how=how)], Context(data_dir=folder), environment())
    assert outcome.problem.status == status
    assert outcome.problem.reason.startswith(reason)
    texts = [text for row in outcome.rows for text in vars(row).values() if isinstance(text, str)]
    assert not [text for text in texts if str(tmp_path) in text or "alice" in text]

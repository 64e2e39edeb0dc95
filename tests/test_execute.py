"""Cases become rows; a failure becomes a row with its reason, and the cases after it are measured all the same."""

from datetime import UTC, datetime

import pytest

from bench.errors import DataAbsent, MeasurementError
from bench.execution.context import Context
from bench.execution.executor import execute
from bench.plan.case import Case
from bench.records.measurement import DataFacts, Environment, Reading, columns
from bench.registry import measures

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
    kinds = {"int64": 1, "float64": 1.0, "string": "x", "bool": True}
    filled = {name: None if nullable else kinds[kind] for name, (kind, nullable) in columns(Environment).items()}
    return Environment(**{**filled, "run_id": "run1", "device_name": "Test CPU", "threads": 2})


def case(measure: str, **options) -> Case:
    return Case(
        f"{measure}/m", "s", "sha", "paper", measure, "m", "mlp_mixer", options=options, seed=7, deviations="less"
    )


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


def test_a_measure_is_told_the_device_of_its_case():
    seen = []

    @measures.register("device_for_a_test")
    def device(case, context):
        seen.append(context.device)
        yield Reading("params", 1.0)

    outcomes(case("device_for_a_test"))
    assert seen == ["cpu"]

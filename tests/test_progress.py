"""Progress: lines where there is no terminal, three bars where there is one, time left by what is expected."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from bench.commands import bars
from bench.commands.bars import Bars
from bench.execution.executor import Outcome
from bench.plan.case import Case

FIRST = Case("accuracy/a/seed0", "s", "sha", "p", "accuracy", "a", "mlp_mixer", seed=0)
SECOND = Case("accuracy/a/seed1", "s", "sha", "p", "accuracy", "a", "mlp_mixer", seed=1)
EXPECTED = {FIRST.id: 30.0, SECOND.id: 10.0}


@pytest.fixture
def written(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(bars, "say", Console(file=stream, width=200))
    return stream


def test_without_a_terminal_each_epoch_and_each_case_is_one_line(written):
    follower = bars.Follower(EXPECTED)
    assert list(follower.announcing([FIRST, SECOND])) == [FIRST, SECOND]
    told = [
        (1, "epoch 1/2"),
        (2, "epoch 1/2, test 50.00 % after epoch 1"),
        (3, "epoch 2/2, test 50.00 % after epoch 1"),
        (4, "epoch 2/2, test 61.25 % after epoch 2"),
    ]
    for done, note in told:
        follower.step(done, 4, note)
    follower.end(Outcome(FIRST, [], 95.0))
    lines = [line.strip() for line in written.getvalue().splitlines()]
    assert lines == [
        "test 50.00 % after epoch 1",
        "test 61.25 % after epoch 2",
        "1/2 accuracy/a/seed0  ok, 0 rows, 2 min",
    ]


def test_bars_show_the_run_by_expected_time_the_case_by_steps_and_the_epoch_by_its_own(written):
    shown = Progress(console=Console(file=io.StringIO()))
    several = Bars(EXPECTED, shown)
    several.begin(FIRST)
    several.step(30, 40, "epoch 2/2, test 50.00 % after epoch 1")
    run, case, epoch = shown.tasks
    assert (run.completed, run.total) == (30.0 * 30 / 40, 30.0 + 10.0)
    assert (case.description, case.completed, case.total) == ("accuracy/a/seed0", 30, 40)
    assert (epoch.visible, epoch.completed, epoch.total) == (True, 30 - 20, 20)
    several.end(Outcome(FIRST, [], 1.0))
    several.begin(SECOND)
    assert (run.completed, run.fields["at"]) == (30.0, "1/2 cases")
    assert not epoch.visible

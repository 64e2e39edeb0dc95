"""Progress: lines where there is no terminal, three bars where there is one, time left by what is expected."""

import io
from datetime import datetime

import pytest
from rich.console import Console
from rich.progress import Progress

from bench.commands import bars
from bench.commands.bars import Bars
from bench.execution.context import Progress as Told
from bench.execution.outcome import Outcome
from bench.plan.case import Case

FIRST = Case("accuracy/a/seed0", "s", "sha", "p", "accuracy", "a", "mlp_mixer", seed=0)
SECOND = Case("accuracy/a/seed1", "s", "sha", "p", "accuracy", "a", "mlp_mixer", seed=1)
EXPECTED = {FIRST.id: 30.0, SECOND.id: 10.0}


@pytest.fixture
def written(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(bars, "say", Console(file=stream, width=200))
    return stream


def at(done, epoch, newest=None, resumed=False):
    """The progress of a training of two epochs with two batches each; `newest` is an epoch and its accuracy."""
    newest_epoch, newest_pct = newest or (None, None)
    return Told(done, 4, epoch=epoch, epochs=2, newest_epoch=newest_epoch, newest_pct=newest_pct, resumed=resumed)


def test_without_a_terminal_each_epoch_and_the_begin_and_end_of_each_case_is_one_line(written):
    follower = bars.Follower(EXPECTED, now=lambda: datetime(2026, 1, 2, 15, 41))
    follower.begin(FIRST)
    for told in (at(1, 1), at(2, 1, (1, 50.0)), at(3, 2, (1, 50.0)), at(4, 2, (2, 61.25))):
        follower.step(FIRST, told)
    follower.end(Outcome(FIRST, [], 95.0))
    assert lines_of(written) == [
        "1/2 accuracy/a/seed0  began 15:41, expected 30 s",
        "test 50.00 % after epoch 1 of 2",
        "test 61.25 % after epoch 2 of 2",
        "1/2 accuracy/a/seed0  ok, 0 rows, 2 min",
    ]


def test_a_training_that_is_taken_up_again_says_so(written):
    follower = bars.Follower(EXPECTED)
    follower.begin(FIRST)
    follower.step(FIRST, at(2, 1, (1, 50.0), resumed=True))
    assert lines_of(written)[1:] == ["goes on after epoch 1 of 2, where an earlier run stopped"]


def test_of_several_cases_in_hand_each_line_says_whose_it_is(written):
    follower = bars.Follower({**EXPECTED, SECOND.id: None})
    for case in (FIRST, SECOND):
        follower.begin(case)
    follower.step(SECOND, at(2, 1, (1, 50.0)))
    follower.said(FIRST, "one\ntwo")
    follower.wait(SECOND)
    follower.leave_out(SECOND)
    assert "its length is unknown" in lines_of(written)[1]
    assert lines_of(written)[2:] == [
        "accuracy/a/seed1: test 50.00 % after epoch 1 of 2",
        "accuracy/a/seed0 said: one",
        "accuracy/a/seed0 said: two",
        "accuracy/a/seed1 is in the hands of another run, and is looked at again when that is done",
        "1/2 accuracy/a/seed1  measured by another run meanwhile",
    ]


def lines_of(stream):
    return [line.strip() for line in stream.getvalue().splitlines()]


def test_bars_show_the_run_by_expected_time_the_case_by_steps_and_the_epoch_by_its_own(written):
    shown = Progress(console=Console(file=io.StringIO()))
    several = Bars(EXPECTED, shown)
    several.begin(FIRST)
    several.step(FIRST, at(3, 2, (1, 50.0)))
    run, epoch, case = shown.tasks
    assert (run.completed, run.total) == (30.0 * 3 / 4, 30.0 + 10.0)
    assert (case.description, case.completed, case.total) == ("accuracy/a/seed0", 3, 4)
    assert (epoch.visible, epoch.completed, epoch.total) == (True, 3 - 2, 2)
    assert epoch.description == "  epoch 2/2, test 50.00 % after epoch 1"
    several.begin(SECOND)
    several.step(SECOND, at(2, 1))
    assert run.completed == 30.0 * 3 / 4 + 10.0 * 2 / 4, "both cases in hand count"
    several.end(Outcome(FIRST, [], 1.0))
    assert (run.completed, run.fields["at"]) == (30.0 + 10.0 * 2 / 4, "1/2 cases")
    assert {task.description for task in shown.tasks} == {"run", "accuracy/a/seed1", "  epoch 1/2"}

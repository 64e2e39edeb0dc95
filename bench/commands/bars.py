"""How far a run is: bars with the time left for run, case and epoch on a terminal, plain lines elsewhere.

Shows what it is told and estimates nothing but the time; decides nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from bench.commands.terminal import say
from bench.execution.context import Progress as Told
from bench.execution.outcome import Outcome
from bench.plan.case import Case
from bench.plan.forecast import seconds
from bench.records.written import duration

_MOST_BARS = 12  # cases in hand that have bars of their own: a terminal has so many lines
_UNKNOWN_S = 60.0  # the weight of a case whose length nobody knows in the bar of the run


@contextmanager
def following(cases: Sequence[Case], cores: int) -> Iterator["Follower"]:
    """Show the progress of these cases for as long as the block lasts."""
    expected = {case.id: seconds(case, cores) for case in cases}
    if not say.is_terminal:
        yield Follower(expected)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[at]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=say, transient=True) as progress:
        yield Bars(expected, progress)


class Follower:
    """Told of each step and each case; writes a line when a case begins, for a finished epoch, and when it ends."""

    def __init__(self, expected: Mapping[str, float | None], now: Callable[[], datetime] = datetime.now):
        self.expected = expected
        self.begun = 0
        self.finished = 0
        self.lost = 0
        self._now = now
        self._newest: dict[str, int] = {}  # of the cases in hand, the newest epoch that was told

    def begin(self, case: Case, where: str | None = None) -> None:
        """A case starts, here or on another machine."""
        self.begun += 1
        self._newest[case.id] = 0
        self._announce(case, where)

    def lose(self, case: Case, why: str) -> None:
        """A case in hand is lost, and will begin again."""
        self.begun -= case.id in self._newest
        self.lost += 1
        self._newest.pop(case.id, None)
        self._write(f"        {case.name} is lost: {why}. It begins again")

    def step(self, case: Case, told: Told) -> None:
        """A case in hand is so far: a new epoch is a line."""
        epoch = told.newest_epoch or 0
        if case.id not in self._newest or epoch <= self._newest[case.id]:
            return
        self._newest[case.id] = epoch
        whose = f"{case.name}: " if len(self._newest) > 1 else ""
        after = f"after epoch {epoch} of {told.epochs}"
        if told.resumed:
            self._write(f"        {whose}goes on {after}, where an earlier run stopped")
        else:
            self._write(f"        {whose}test {told.newest_pct:.2f} % {after}")

    def wait(self, case: Case) -> None:
        """Another run has a case in hand."""
        self._write(f"        {case.name} is in the hands of another run, and is looked at again when that is done")

    def leave_out(self, case: Case) -> None:
        """Another run has measured a case meanwhile."""
        self.begun += 1
        self.finished += 1
        self._write(f"{self._count(self.finished)} {case.name}  measured by another run meanwhile")

    def said(self, case: Case, text: str) -> None:
        """What a case printed."""
        for line in text.splitlines():
            self._write(f"        {case.name} said: {line}")

    def end(self, outcome: Outcome) -> None:
        """A case is finished and its rows are stored."""
        self.finished += 1
        self._newest.pop(outcome.case.id, None)
        problem = outcome.problem
        became = f"ok, {len(outcome.rows)} rows" if problem is None else f"{problem.status}: {problem.reason}"
        self._write(f"{self._count(self.finished)} {outcome.case.name}  {became}, {duration(outcome.duration_s)}")

    def _announce(self, case: Case, where: str | None) -> None:
        length = self.expected[case.id]
        expected = "its length is unknown" if length is None else f"expected {duration(length)}"
        there = f" on {where}" if where else ""
        self._write(f"{self._count(self.begun)} {case.name}  began {self._now():%H:%M}{there}, {expected}")

    def _count(self, number: int) -> str:
        return f"{number:>3}/{len(self.expected)}"

    def _write(self, line: str) -> None:
        say.print(Text(line))


class Bars(Follower):
    """The same on a terminal: a bar for the run, weighted by expected time, and for each case in hand two more."""

    def __init__(self, expected: Mapping[str, float | None], progress: Progress):
        super().__init__(expected)
        self._progress = progress
        self._behind = 0.0  # expected seconds of the cases that are finished
        self._part: dict[str, float] = {}  # of the cases in hand, the expected seconds that are done
        total = sum(self._weight(case_id) for case_id in expected)
        self._run_bar = progress.add_task("run", total=total, at=self._of_all())
        self._of_case: dict[str, tuple[TaskID, TaskID]] = {}

    def begin(self, case: Case, where: str | None = None) -> None:
        """A case starts: its bars begin at zero."""
        super().begin(case, where)
        if len(self._of_case) < _MOST_BARS:
            epoch = self._progress.add_task("", total=None, at="", visible=False)
            name = f"{case.name} on {where} since {self._now():%H:%M}" if where else case.name
            bar = self._progress.add_task(name, total=None, at="")
            self._of_case[case.id] = (bar, epoch)
        self._move_run()

    def lose(self, case: Case, why: str) -> None:
        """Its bars go, and what it had done is to be done again."""
        super().lose(case, why)
        self._forget(case.id)
        self._move_run()

    def step(self, case: Case, told: Told) -> None:
        """The bars of the case and that of the run move."""
        super().step(case, told)
        if told.total and case.id in self._newest:
            self._part[case.id] = self._weight(case.id) * told.done / told.total
            self._move_run()
        if case.id not in self._of_case:
            return
        bar, of_epoch = self._of_case[case.id]
        self._move(bar, told.done, told.total, f"{told.done}/{told.total}")
        if told.epoch is not None and told.epochs:
            steps = max(1, told.total // told.epochs)
            within = told.done - (told.epoch - 1) * steps
            newest = f", test {told.newest_pct:.2f} %" if told.newest_pct is not None else ""
            after = f" after epoch {told.newest_epoch}" if newest else ""
            description = f"  epoch {told.epoch}/{told.epochs}{newest}{after}"
            self._progress.update(of_epoch, description=description, visible=True)
            self._move(of_epoch, within, steps, f"{within}/{steps}")

    def leave_out(self, case: Case) -> None:
        """The run's bar leaps over it."""
        super().leave_out(case)
        self._behind += self._weight(case.id)
        self._move_run()

    def end(self, outcome: Outcome) -> None:
        """The line of the case, and the run's bar at its end."""
        super().end(outcome)
        self._forget(outcome.case.id)
        self._behind += self._weight(outcome.case.id)
        self._move_run()

    def _announce(self, case: Case, where: str | None) -> None:
        """Its bar says so."""

    def _forget(self, case_id: str) -> None:
        for task in self._of_case.pop(case_id, ()):
            self._progress.remove_task(task)
        self._part.pop(case_id, None)

    def _weight(self, case_id: str) -> float:
        return self.expected[case_id] or _UNKNOWN_S

    def _move_run(self) -> None:
        done = self._behind + sum(self._part.values())
        self._progress.update(self._run_bar, completed=done, at=self._of_all())

    def _move(self, bar: TaskID, done: int, total: int, at: str) -> None:
        self._progress.update(bar, completed=done, total=total, at=at)

    def _of_all(self) -> str:
        lost = f", {self.lost} lost" if self.lost else ""
        in_hand = f", {len(self._newest)} in hand" if len(self._newest) > 1 else ""
        return f"{self.finished}/{len(self.expected)} cases{in_hand}{lost}"

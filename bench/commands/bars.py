"""How far a run is: bars with the time left for run, case and epoch on a terminal, plain lines elsewhere.

Shows what it is told and estimates nothing but the time; decides nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from bench.commands.terminal import say
from bench.execution.executor import Outcome
from bench.plan.case import Case
from bench.plan.forecast import seconds
from bench.records.written import duration

_UNKNOWN_S = 60.0  # the weight of a case whose length nobody knows in the bar of the run
_EPOCH = re.compile(r"epoch (\d+)/(\d+)")


@contextmanager
def following(cases: Sequence[Case], cores: int) -> Iterator["Follower"]:
    """Show the progress of these cases for as long as the block lasts."""
    expected = {case.id: seconds(case, cores) or _UNKNOWN_S for case in cases}
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
    """Told of each step and each finished case; writes a line for a finished epoch and for a finished case."""

    def __init__(self, expected: Mapping[str, float]):
        self.expected = expected
        self.finished = 0
        self._newest = ""

    def announcing(self, cases: Iterable[Case]) -> Iterator[Case]:
        """The same cases; each is shown as begun at the moment it is asked for."""
        for case in cases:
            self.begin(case)
            yield case

    def begin(self, case: Case) -> None:
        """A case starts."""

    def step(self, done: int, total: int, note: str) -> None:
        """The case in hand is `done` steps of `total` on; `note` is `epoch 3/30, test 61.20 % after epoch 2`."""
        newest = note.partition(", ")[2]
        if newest and newest != self._newest:
            say.print(Text(f"        {newest}"))
        self._newest = newest

    def end(self, outcome: Outcome) -> None:
        """A case is finished and its rows are stored."""
        self.finished += 1
        problem = outcome.problem
        became = f"ok, {len(outcome.rows)} rows" if problem is None else f"{problem.status}: {problem.reason}"
        count = f"{self.finished:>3}/{len(self.expected)}"
        say.print(Text(f"{count} {outcome.case.name}  {became}, {duration(outcome.duration_s)}"))


class Bars(Follower):
    """The same on a terminal: a bar for the run, weighted by expected time, one for the case, one for the epoch."""

    def __init__(self, expected: Mapping[str, float], progress: Progress):
        super().__init__(expected)
        self._progress = progress
        self._behind = 0.0  # expected seconds of the cases that are finished
        self._case: Case | None = None
        self._run_bar = progress.add_task("run", total=sum(expected.values()), at=self._count())
        self._case_bar = progress.add_task("", total=None, at="")
        self._epoch_bar = progress.add_task("", total=None, at="", visible=False)

    def begin(self, case: Case) -> None:
        """A case starts: its bars begin at zero."""
        self._case = case
        self._progress.reset(self._case_bar, description=case.name, total=None, at="")
        self._progress.reset(self._epoch_bar, description="", total=None, at="", visible=False)

    def step(self, done: int, total: int, note: str) -> None:
        """All three bars move."""
        self._move(self._case_bar, done, total, f"{done}/{total}")
        if self._case is not None and total:
            gone = self._behind + self.expected[self._case.id] * done / total
            self._progress.update(self._run_bar, completed=gone)
        if named := _EPOCH.search(note):
            epoch, epochs = int(named[1]), int(named[2])
            steps = max(1, total // epochs)
            self._progress.update(self._epoch_bar, description=f"  {note}", visible=True)
            within = done - (epoch - 1) * steps
            self._move(self._epoch_bar, within, steps, f"{within}/{steps}")

    def end(self, outcome: Outcome) -> None:
        """The line of the case, and the run's bar at its end."""
        super().end(outcome)
        self._behind += self.expected[outcome.case.id]
        self._progress.update(self._run_bar, completed=self._behind, at=self._count())

    def _move(self, bar: TaskID, done: int, total: int, at: str) -> None:
        self._progress.update(bar, completed=done, total=total, at=at)

    def _count(self) -> str:
        return f"{self.finished}/{len(self.expected)} cases"

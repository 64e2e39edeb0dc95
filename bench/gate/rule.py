"""Rounds in, verdict out: whether a candidate's code is slower than its baseline's, and how sure that is.

Pure arithmetic: measures nothing, reads no file, draws no random number, and divides no number by a stored one.

The unit of evidence is a round: one fresh pair of processes, of which only the ratio of the two times is kept. With
equal code the two processes are exchangeable, so each value is symmetric about 0 whatever the noise looks like, and
Wilcoxon's signed-rank test is exact. Hence `false_alarm_bound`, which needs nothing but independent rounds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from bench.errors import SuiteError
from bench.statistics import exact_tests, intervals
from bench.statistics.intervals import Interval
from bench.suite.guard import Rule

Step = Literal["more", "confirm", "pass", "unconfirmed", "regression", "faster", "inconclusive"]
End = Literal["open", "pass", "flagged", "inconclusive"]
Columns = tuple[tuple[float, ...], tuple[float, ...] | None]  # wall, and CPU where it was measured
CONFIRM_ALPHA = 0.05  # of the confirmations of a whole suite

SHOWN: dict[Step, str] = {
    "more": "UNFINISHED",
    "confirm": "UNFINISHED",
    "pass": "PASS",
    "unconfirmed": "PASS (unconfirmed)",
    "regression": "REGRESSION",
    "faster": "FASTER",
    "inconclusive": "INCONCLUSIVE",
}


@dataclass(frozen=True)
class Round:
    """log(t_candidate / t_baseline) of one fresh pair of processes. `cpu` is None where only wall time counts (CUDA).

    Raises ValueError for a value that is not finite: a round without a ratio is no round.
    """

    wall: float
    cpu: float | None

    def __post_init__(self) -> None:
        if not math.isfinite(self.wall) or not math.isfinite(self.cpu or 0.0):
            raise ValueError(f"a round needs finite ratios, not wall {self.wall}, cpu {self.cpu}")


@dataclass(frozen=True)
class RuleLimits:
    """The rule in numbers. Changes and probabilities are shares (0.01 is one percent).

    After `looks` rounds the check may end; `confirm` fresh rounds follow a suspicion and are judged alone. Where they
    still promise something, as many again join them: each of the two looks has half of `confirm_alpha`.
    """

    tolerated: float
    min_effect: float
    looks: tuple[int, int, int]
    confirm: int
    alpha: float
    confirm_alpha: float

    @property
    def ceilings(self) -> tuple[float, float, float]:
        """At each look, the change up to which a check passes: from `tolerated` to `min_effect` (1, 2 and 2.5 %)."""
        return self.tolerated, (self.tolerated + 2 * self.min_effect) / 3, self.min_effect

    @property
    def confirm_looks(self) -> tuple[int, int]:
        """After how many fresh rounds a suspicion may be confirmed."""
        return self.confirm, 2 * self.confirm


@dataclass(frozen=True)
class Change:
    """What is reported of one configuration.

    The intervals are Hodges and Lehmann's, in percent (exp(m) - 1); p is one-sided, in the direction that was judged.
    All of them come from the rounds that decided: the confirmation where there was one, since the rounds before it
    were followed up for being large. `reason` is one sentence with numbers, `line` what a terminal shows.
    """

    word: Step
    wall: Interval
    cpu: Interval | None
    p_wall: float
    p_cpu: float | None
    rounds: int
    confirmation_rounds: int
    reason: str
    line: str


def limits(rule: Rule, configurations: int) -> RuleLimits:
    """The rule for a suite of that many configurations: together they keep the false-alarm bound of one.

    The confirmation's level is 0.05 / N for N configurations, so that N times the bound of each is the bound of one. A
    level that the rule's confirmation rounds cannot resolve gets more rounds: enough that rounds which all agree
    confirm at the first look.

    Raises:
        SuiteError: a rule that no check could follow.
    """
    if found := list(rule.problems()):
        raise SuiteError(found)
    first, second, third = rule.looks
    level = CONFIRM_ALPHA / max(configurations, 1)
    looks, confirm = (first, second, third), max(rule.confirm, math.ceil(math.log2(2 / level)))
    return RuleLimits(rule.tolerated_pct / 100, rule.min_effect_pct / 100, looks, confirm, rule.alpha, level)


def false_alarm_bound(limits: RuleLimits, metrics: int = 2) -> float:
    """The most likely a "regression" of one configuration can be for equal code: two looks of `metrics` tests, at each
    of two stages.

    The stages see different rounds, so their bounds multiply: 2 * 2 * 0.01 times 2 * 2 * 0.025 is 0.4 %.
    """
    return min(1.0, 2 * metrics * limits.alpha) * min(1.0, metrics * limits.confirm_alpha)


def step(rounds: Sequence[Round], confirmation: Sequence[Round], limits: RuleLimits) -> Step:
    """What comes next, or the verdict. Cheap enough to ask after every round.

    "more" wants another round, "confirm" another round of the confirmation; the other words are final. Each look sees
    only the rounds that it had when it was taken, so rounds measured beyond a decision never change it.

    Raises:
        ValueError: some rounds have CPU times and others do not.
    """
    return _step(_first_stage(rounds, limits), confirmation, limits)[0]


def change(rounds: Sequence[Round], confirmation: Sequence[Round], limits: RuleLimits) -> Change:
    """The verdict with its estimates and its reason; of an unfinished check too, whose word is "more" or "confirm".

    Raises:
        ValueError: no round at all, or some rounds with CPU times and others without.
    """
    if not rounds:
        raise ValueError("no rounds: there is no change to report")
    stage = _first_stage(rounds, limits)
    word, fresh_rounds = _step(stage, confirmation, limits)
    first, fresh = _columns(rounds[: stage.rounds]), _columns(confirmation[:fresh_rounds])
    confirmed = word in ("regression", "faster", "unconfirmed")
    (wall, cpu), margin = (fresh, 0.0) if confirmed else (first, limits.tolerated)
    turn = stage.suspect or 1
    p_wall = _p(wall, turn, margin)
    p_cpu = None if cpu is None else _p(cpu, turn, margin)
    wall_pct, cpu_pct = _percent(wall), None if cpu is None else _percent(cpu)
    counts = len(first[0]), len(fresh[0])
    reason = _reason(word, stage, first, fresh, limits)
    return Change(word, wall_pct, cpu_pct, p_wall, p_cpu, *counts, reason, _line(word, wall_pct, cpu_pct, *counts))


@dataclass(frozen=True)
class _Stage:
    """How the rounds before a confirmation ended."""

    suspect: int | None  # the direction to confirm: +1 slower, -1 faster
    rounds: int  # how many rounds count
    slower: End
    slower_rounds: int  # after how many the search for a slowdown had ended
    open: bool  # whether either search wants another round


def _first_stage(rounds: Sequence[Round], limits: RuleLimits) -> _Stage:
    """Two one-sided searches over the same rounds, each ending by its own rule; the first suspicion ends both.

    Looking for a speed-up may ask for more rounds, but a search for a slowdown that has passed stays passed: so the
    one never adds a false alarm to the other.
    """
    columns = _columns(rounds)
    ends = {turn: _search(columns, turn, limits) for turn in (1, -1)}
    flagged = {n: turn for turn, (end, n) in ends.items() if end == "flagged"}
    used = min(flagged) if flagged else max(n for _, n in ends.values())
    still = not flagged and any(end == "open" for end, _ in ends.values())
    return _Stage(flagged.get(used), used, *ends[1], still)


def _step(stage: _Stage, confirmation: Sequence[Round], limits: RuleLimits) -> tuple[Step, int]:
    """What comes next, and how many rounds of the confirmation count."""
    if stage.open:
        return "more", 0
    if stage.suspect is None:
        return ("inconclusive" if stage.slower == "inconclusive" else "pass"), 0
    columns, there = _columns(confirmation), len(confirmation)
    for n in limits.confirm_looks:
        if there < n:
            return "confirm", there
        fresh = _first(columns, n)
        if _exceeds(fresh, stage.suspect, 0.0, limits.confirm_alpha / 2, limits):
            return ("regression" if stage.suspect > 0 else "faster"), n
        # A suspicion that fresh rounds do not share at all ends here: more of them could only be luck.
        if _at_most(fresh, stage.suspect, limits.ceilings[1]):
            break
    return "unconfirmed", n


def _search(columns: Columns, turn: int, limits: RuleLimits) -> tuple[End, int]:
    """How the search for a slowdown (turn +1) or a speed-up (-1) ends, and after how many rounds."""
    there = len(columns[0])
    for look, (n, ceiling) in enumerate(zip(limits.looks, limits.ceilings, strict=True)):
        if there < n:
            return "open", there
        seen = _first(columns, n)
        # The first look only passes, so that it spends nothing of the false-alarm bound.
        if look > 0 and _exceeds(seen, turn, limits.tolerated, limits.alpha, limits):
            return "flagged", n
        if _at_most(seen, turn, ceiling):
            return "pass", n
    return "inconclusive", limits.looks[-1]


def _at_most(columns: Columns, turn: int, ceiling: float) -> bool:
    """Whether neither time grew by more than the ceiling."""
    return all(turn * _centre(values) <= math.log1p(ceiling) for values in columns if values is not None)


def _exceeds(columns: Columns, turn: int, margin: float, level: float, limits: RuleLimits) -> bool:
    """Whether wall time, or CPU time with wall time following, grew by the minimum effect, surely above `margin`."""
    wall, cpu = columns
    effect, followed = math.log1p(limits.min_effect), math.log1p(limits.tolerated)
    centre = turn * _centre(wall)
    if centre > effect and _p(wall, turn, margin) <= level:
        return True
    if cpu is None or centre <= followed:
        return False
    return turn * _centre(cpu) > effect and _p(cpu, turn, margin) <= level


def _columns(rounds: Sequence[Round]) -> Columns:
    cpu = tuple(each.cpu for each in rounds if each.cpu is not None)
    if cpu and len(cpu) != len(rounds):
        raise ValueError(f"{len(cpu)} of {len(rounds)} rounds have CPU times: all of them or none")
    return tuple(each.wall for each in rounds), cpu or None


def _first(columns: Columns, n: int) -> Columns:
    wall, cpu = columns
    return wall[:n], None if cpu is None else cpu[:n]


@lru_cache(maxsize=64)  # both searches, and every look of the next question, ask for the same centres
def _centre(values: tuple[float, ...]) -> float:
    return intervals.hodges_lehmann(values).point


def _p(values: Sequence[float], turn: int, margin: float) -> float:
    """Exact one-sided p of a change of more than `margin` in the direction of `turn`."""
    return exact_tests.signed_rank([turn * value - math.log1p(margin) for value in values], "greater").p


def _percent(values: Sequence[float]) -> Interval:
    """Hodges and Lehmann's interval as a change in percent. A bound that is missing stays infinite."""
    found = intervals.hodges_lehmann(values)
    low, high, point = (100 * math.expm1(m) if math.isfinite(m) else m for m in (found.low, found.high, found.point))
    return Interval(low, high, point, f"{found.method}, as a change in percent", found.n)


def _reason(word: Step, stage: _Stage, first: Columns, fresh: Columns, limits: RuleLimits) -> str:
    n, turn, found = stage.rounds, stage.suspect or 1, _told(first)
    if word == "more":
        wanted = next(look for look in limits.looks if look > n)
        return f"unfinished, {n} of {wanted} rounds: {found}"
    if word == "confirm":
        wanted = next(look for look in limits.confirm_looks if look > len(fresh[0]))
        return f"unfinished, {len(fresh[0])} of {wanted} confirmation rounds, after {n} rounds with {found}"
    if word == "inconclusive":
        return (
            f"after {n} rounds {found} ({_ps(first, 1, limits.tolerated)}): above the {_share(limits.min_effect)} "
            f"that would pass, too unsure to be followed up (p at most {limits.alpha:g} is asked, with wall time "
            f"above {_share(limits.tolerated)})"
        )
    if word == "pass":
        most = dict(zip(limits.looks, limits.ceilings, strict=True))[stage.slower_rounds]
        passed = f"after {stage.slower_rounds} rounds not more than {_share(most)} slower"
        return f"{passed}: {found}" if n == stage.slower_rounds else f"{passed}, after {n} not surely faster: {found}"
    asked = f"{_ps(fresh, turn, 0.0)}, at most {limits.confirm_alpha / 2:g} is asked"
    confirmed = f"{len(fresh[0])} fresh rounds give {_told(fresh)} ({asked})"
    if word == "unconfirmed":
        return f"{n} rounds suggested a {'slowdown' if turn > 0 else 'speed-up'}, {found}, but {confirmed}"
    advice = "" if word == "regression" else "; accept a new baseline to guard it"
    return f"{n} rounds with {found}, and {confirmed}{advice}"


def _told(columns: Columns) -> str:
    names = ("wall time", "CPU time")
    return ", ".join(
        f"{name} {_signed(100 * math.expm1(_centre(values)))} %"
        for name, values in zip(names, columns, strict=True)
        if values is not None
    )


def _ps(columns: Columns, turn: int, margin: float) -> str:
    return "p " + " and ".join(f"{_p(values, turn, margin):.2g}" for values in columns if values is not None)


def _share(share: float) -> str:
    return f"{100 * share:.3g} %"


def _line(word: Step, wall: Interval, cpu: Interval | None, rounds: int, confirmation_rounds: int) -> str:
    counts = f"{rounds} + {confirmation_rounds}" if confirmation_rounds else f"{rounds}"
    plural = "round" if rounds + confirmation_rounds == 1 else "rounds"
    cpu_part = [] if cpu is None else [f"cpu {_bounds(cpu)}"]
    return "  ".join([f"wall {_bounds(wall)}", *cpu_part, f"{counts} {plural}", SHOWN[word]])


def _bounds(change: Interval) -> str:
    between = f"[{_signed(change.low)}, {_signed(change.high)}]" if change.bounded else "[no bounds]"
    return f"{_signed(change.point)} % {between}"


def _signed(percent: float) -> str:
    return f"{round(percent, 1) + 0.0:+.1f}"  # adding 0.0 turns -0.0 into +0.0

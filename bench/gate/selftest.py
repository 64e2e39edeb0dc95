"""What a gate can see on this machine: checks of equal code and of code slowed on purpose, counted and told in words.

Judges no candidate and stores nothing of its own accord: every check goes to `record` as soon as it has ended, so that
an interruption loses none.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from bench.errors import DataAbsent, DataCorrupt, StoreError
from bench.gate.pairs.compare import Side, Speed, Subject
from bench.gate.power import Count, Simulated, least_caught_pct, resampled
from bench.gate.rule import Round, RuleLimits, Step, false_alarm_bound
from bench.statistics import intervals

Compare = Callable[..., list[Speed]]  # `bench.gate.throughput.compare`, or what stands in for it
Progress = Callable[[str, int, Speed], None]

# Checks of each subject, by the slowdown injected in percent.
CHECKS: Mapping[float, int] = {0.0: 10, 3.0: 5, 5.0: 5, 10.0: 5}
FEWEST_TO_DRAW_FROM = 20  # recorded rounds of a subject, below which nothing is simulated from them
BRIEF_BUDGET_S, BRIEF_ROUNDS, BRIEF_FEWEST = 12.0, 6, 3

# Small enough that a token is some 25 ms on any machine of the last years, and of the kind that the suites measure.
SMALL = Subject(
    "small mixer",
    "mlp_mixer",
    {"patch_size": 4, "width": 64, "depth": 4, "token_mlp": 64, "channel_mlp": 128},
    num_classes=10,
    image_size=32,
    batch_size=16,
)


@dataclass(frozen=True)
class SelfTestCheck:
    """One check of one subject, with its raw round values. With a `failure`, `word` is what it had come to."""

    subject: str
    effect_pct: float  # injected; 0: equal code
    seed: int
    word: Step
    rounds: tuple[Round, ...]
    confirmation: tuple[Round, ...]
    seconds: float
    failure: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types; `check_of` reads it back."""
        return asdict(self)


@dataclass(frozen=True)
class SelfTestTally:
    """All checks with one effect: the verdicts, how many were a confirmed regression, and what they cost."""

    effect_pct: float
    words: Mapping[str, int]
    regressions: Count
    median_s: float
    median_rounds: float


@dataclass(frozen=True)
class Summary:
    """What the checks come to. `spread_pct` is the standard deviation of a round of equal code, by subject.

    `simulated` is drawn from the recorded rounds of equal code, `drawn_from` of them; empty where they were too few.
    """

    tallies: tuple[SelfTestTally, ...]
    failures: tuple[str, ...]
    spread_pct: Mapping[str, float]
    bound_pct: float
    simulated: tuple[Simulated, ...]
    drawn_from: int

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Brief:
    """A look at the noise in seconds: the spread of some rounds of equal code, and what it would let a gate see."""

    rounds: tuple[Round, ...]
    seconds: float
    spread_pct: float | None = None
    least_caught_pct: float | None = None
    failure: str | None = None

    @property
    def says(self) -> str:
        """One sentence."""
        if self.spread_pct is None:
            return f"the noise of a speed check could not be measured: {self.failure or 'too few rounds'}"
        noise = f"{len(self.rounds)} pairs of equal processes differ by {self.spread_pct:.1f} % (standard deviation)"
        if self.least_caught_pct is None:
            return f"{noise}: `bench check` would not even see a time that doubles"
        return f"{noise}: `bench check` would catch about {self.least_caught_pct:g} % in 19 of 20 checks (simulated)"


def self_test(
    compare: Compare,
    subjects: Sequence[Subject],
    baseline: Side,
    candidate: Side,
    limits: RuleLimits,
    *,
    seed: int,
    record: Callable[[SelfTestCheck], None],
    checks: Mapping[float, int] = CHECKS,
    device: str = "cpu",
    time_limit_s: float = 120.0,
    progress: Progress = lambda key, rounds, speed: None,
) -> list[SelfTestCheck]:
    """Check every subject so often with every injected slowdown, in mixed order; both sides hold the same code.

    Args:
        compare: the engine.
        seed: of the order, and of all rounds; every check gets another one.
        record: gets each check when it has ended; `appending` makes one that writes to a file.
        checks: slowdown in percent -> checks of each subject.
    """
    # Mixed, so that a neighbour who comes for an hour disturbs checks of every kind.
    order = [effect for effect, times in checks.items() for _ in range(times)]
    draw = random.Random(seed)
    draw.shuffle(order)
    done = []
    for effect_pct in order:
        own = draw.randrange(2**31)
        speeds = compare(
            subjects, baseline, candidate, limits,
            device=device, seed=own, inject_pct=effect_pct, time_limit_s=time_limit_s, progress=progress,
        )  # fmt: skip
        for speed in speeds:
            done.append(_check(speed, effect_pct, own))
            record(done[-1])
    return done


def appending(path: Path) -> Callable[[SelfTestCheck], None]:
    """A `record` that adds one JSON line to a file and waits until the disk has it. A line cut short is taken off.

    The record raises StoreError where the file cannot be written.
    """

    def record(check: SelfTestCheck) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a+b") as file:
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
                file.write(json.dumps(check.as_json()).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"cannot add a check to {path}: {error.strerror}") from error

    return record


def read(path: Path) -> list[SelfTestCheck]:
    """The checks of a file that `appending` wrote, but for a last line that was cut short.

    Raises:
        DataAbsent: no such file.
        DataCorrupt: a line that is no check. The message names file and line.
    """
    try:
        text = path.read_bytes().decode(errors="replace")
    except OSError as error:
        raise DataAbsent(f"cannot read the checks of {path}: {error.strerror}") from error
    found = []
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            found.append(check_of(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise DataCorrupt(f"{path}, line {number}: no check of a self-test ({error!r})") from error
    return found


def check_of(known: Mapping[str, Any]) -> SelfTestCheck:
    """A check from its JSON form. Raises ValueError, KeyError or TypeError where it is none."""
    if known["word"] not in get_args(Step):
        raise ValueError(f"no verdict '{known['word']}'")
    rounds, confirmation = (tuple(Round(**each) for each in known[key]) for key in ("rounds", "confirmation"))
    return SelfTestCheck(**{**known, "rounds": rounds, "confirmation": confirmation})


def summary(checks: Sequence[SelfTestCheck], limits: RuleLimits, *, seed: int, simulated_checks: int = 1000) -> Summary:
    """Counts, costs and spreads of the checks, and the power curve that their rounds of equal code give.

    Args:
        checks: at least one that did not fail.
        seed: of the simulation.
        simulated_checks: how many for every effect; 0 for none.
    """
    whole = [check for check in checks if check.failure is None]
    pools = {key: rounds for key, rounds in equal_rounds(whole).items() if len(rounds) >= FEWEST_TO_DRAW_FROM}
    curve = resampled(list(pools.values()), limits, seed=seed, checks=simulated_checks) if pools else []
    metrics = 1 if any(each.cpu is None for check in whole for each in check.rounds) else 2
    return Summary(
        tallies=tuple(_tally(whole, effect) for effect in sorted({check.effect_pct for check in whole})),
        failures=tuple(f"{check.subject}: {check.failure}" for check in checks if check.failure is not None),
        spread_pct={key: spread_pct(rounds) for key, rounds in equal_rounds(whole).items() if len(rounds) > 1},
        bound_pct=100 * false_alarm_bound(limits, metrics),
        simulated=tuple(curve),
        drawn_from=sum(len(rounds) for rounds in pools.values()),
    )


def equal_rounds(checks: Sequence[SelfTestCheck]) -> dict[str, list[Round]]:
    """All rounds of equal code, by subject."""
    found: dict[str, list[Round]] = {}
    for check in checks:
        if check.effect_pct == 0:
            found.setdefault(check.subject, []).extend((*check.rounds, *check.confirmation))
    return found


def spread_pct(rounds: Sequence[Round]) -> float:
    """The standard deviation of the rounds' wall ratios, in percent. Raises ValueError with fewer than two."""
    return 100 * intervals.sample_sd([each.wall for each in rounds])


def lines(found: Summary) -> list[str]:
    """What a gate on this machine can see, in words: measured first, then what was simulated."""
    told = [_told(tally, found.bound_pct) for tally in found.tallies]
    for key, spread in found.spread_pct.items():
        told.append(f"{key}: a round of equal code varies by {spread:.1f} % (standard deviation of the wall ratio)")
    if found.simulated:
        curve = ", ".join(f"+{each.effect_pct:g} % in {each.caught.pct:.1f} %" for each in found.simulated)
        told.append(
            f"simulated, {found.simulated[0].caught.checks} checks for each effect from {found.drawn_from} recorded "
            f"rounds of equal code: a regression is reported for {curve}"
        )
    return told + [f"not measured: {failure}" for failure in found.failures]


def brief(
    compare: Compare,
    side: Side,
    limits: RuleLimits,
    *,
    seed: int,
    subject: Subject = SMALL,
    device: str = "cpu",
    budget_s: float = BRIEF_BUDGET_S,
    clock: Callable[[], float] = time.perf_counter,
) -> Brief:
    """Rounds of one small model against itself, for about `budget_s` seconds, and what their spread promises."""
    begun = clock()
    asked = [begun]

    def decide(rounds: Sequence[Round], confirmation: Sequence[Round], limits: RuleLimits) -> Step:
        """Never a verdict: enough rounds, or another one while the budget has room for one like the last."""
        asked.append(clock())
        full = asked[-1] - begun + asked[-1] - asked[-2] > budget_s
        return "pass" if len(rounds) >= (BRIEF_FEWEST if full else BRIEF_ROUNDS) else "more"

    speed = compare([subject], side, side, limits, device=device, seed=seed, decide=decide, time_limit_s=30.0)[0]
    rounds = tuple(record.value for record in speed.rounds)
    spent_s = clock() - begun
    if len(rounds) < BRIEF_FEWEST:
        return Brief(rounds, spent_s, failure=speed.failure)
    spread = spread_pct(rounds)
    least = least_caught_pct(spread / 100, limits, seed=seed)
    return Brief(rounds, spent_s, spread, least, speed.failure)


def _check(speed: Speed, effect_pct: float, seed: int) -> SelfTestCheck:
    rounds, confirmation = (tuple(each.value for each in part) for part in (speed.rounds, speed.confirmation))
    return SelfTestCheck(
        speed.subject.key, effect_pct, seed, speed.step, rounds, confirmation, speed.seconds, speed.failure
    )


def _tally(checks: Sequence[SelfTestCheck], effect_pct: float) -> SelfTestTally:
    chosen = [check for check in checks if check.effect_pct == effect_pct]
    words: Counter[str] = Counter(check.word for check in chosen)
    rounds = [len(check.rounds) + len(check.confirmation) for check in chosen]
    cost = intervals.median([check.seconds for check in chosen]), intervals.median(rounds)
    return SelfTestTally(effect_pct, dict(words), Count(words["regression"], len(chosen)), *cost)


def _told(tally: SelfTestTally, bound_pct: float) -> str:
    count = tally.regressions
    counted = f"{count.hits} of {count.checks}"
    others = {word: n for word, n in tally.words.items() if word not in ("regression", "pass")}
    rest = "".join(f"; {n} {word}" for word, n in sorted(others.items()))
    cost = f"median {tally.median_s:.0f} s, {tally.median_rounds:g} rounds{rest}"
    if tally.effect_pct == 0:
        rate = f"95 % upper bound {count.at_most_pct:.1f} %; the rule's own bound {bound_pct:.2g} %"
        return f"{counted} false alarms with equal code ({rate}); {cost}"
    rate = f"95 % lower bound {count.at_least_pct:.0f} %"
    return f"a change of {tally.effect_pct:g} % is caught in {counted} checks ({rate}); {cost}"

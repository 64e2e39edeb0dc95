"""Rounds are fair and complete, and what goes wrong on one side is a failure of that side, never a verdict."""

import itertools
import json
import math
import random
import sys
import time
from pathlib import Path

import pytest

from bench import machine
from bench.execution.processes import WorkerFailed
from bench.gate.pairs import rounds
from bench.gate.pairs.compare import compare
from bench.gate.pairs.rounds import (
    Side,
    Subject,
    Times,
    Void,
    budget_s,
    error_of,
    forwards_per_token,
    job,
    measure,
    quads,
    seed_of,
    shared_cores,
    value,
)
from bench.gate.rule import Round, RuleLimits

LIMITS = RuleLimits(tolerated=0.01, min_effect=0.025, looks=(6, 10, 20), confirm=10, alpha=0.01, confirm_alpha=0.05)
needs_cpu_clock = pytest.mark.skipif(sys.platform == "win32", reason="needs a fine clock of CPU time")

PLUGIN = """
import os, time
import torch
from bench import machine
from bench.registry import models

class Spin(torch.nn.Module):
    # Works for so many milliseconds of this thread's own time, however long that takes.
    def __init__(self, ms):
        super().__init__()
        self.ms = ms
    def forward(self, x):
        until = time.thread_time() + self.ms / 1000
        while time.thread_time() < until: pass

@models.register("spin")
def spin(*, num_classes, image_size, ms):
    with open("cores.txt", "a") as seen:
        print(*machine.usable_cores(), file=seen)
    return Spin(ms * SLOWER)

class Trap(torch.nn.Module):
    def forward(self, x):
        if SLOWER > 1: DOES

@models.register("trap")
def trap(*, num_classes, image_size):
    return Trap()
"""


def made_tree(folder: Path, slower: float, does: str = "pass") -> Side:
    folder.mkdir()
    (folder / "plugin.py").write_text(PLUGIN.replace("SLOWER", str(slower)).replace("DOES", does))
    return Side(folder)


def subject(key: str = "spin", factory: str = "spin", **args) -> Subject:
    return Subject(key, factory, args, num_classes=1, image_size=1, batch_size=1, plugins=("plugin.py",))


def after(first: int, confirmation: int = 0):
    """A rule that ends after so many rounds, whatever they say."""

    def decide(seen, fresh, limits):
        if len(seen) < first:
            return "more"
        return "confirm" if len(fresh) < confirmation else "pass"

    return decide


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch):
    """A round lasts three quads of short tokens here instead of two seconds."""
    monkeypatch.setattr(rounds, "TOKEN_S", 0.005)
    monkeypatch.setattr(rounds, "ENOUGH_S", 0.0)
    monkeypatch.setattr(rounds, "ENOUGH_QUADS", 3)
    monkeypatch.setattr(rounds, "SURE", math.inf)


@needs_cpu_clock
def test_identical_code_gives_ratios_near_1_and_half_as_much_again_is_seen_at_once(tmp_path, hired):
    same, slow = made_tree(tmp_path / "old", 1), made_tree(tmp_path / "new", 1.5)
    (quiet,) = compare([subject(ms=5)], same, same, LIMITS, hired=hired, seed=1, decide=after(3))
    (found,) = compare([subject(ms=5)], same, slow, LIMITS, hired=hired, seed=1, decide=after(3))
    # Side by side: whatever a busy machine does to both, half as much again lies nearer to log(1.5) than to log(1).
    for equal, slower in zip(quiet.rounds, found.rounds, strict=True):
        assert abs(equal.value.cpu) < math.log(1.5) / 2 < slower.value.cpu < 2 * math.log(1.5)


@needs_cpu_clock
def test_injected_work_is_really_done_on_the_candidates_side_only(tmp_path, hired):
    same = made_tree(tmp_path / "old", 1)
    (found,) = compare([subject(ms=5)], same, same, LIMITS, hired=hired, seed=1, decide=after(2), inject_pct=50)
    for record in found.rounds:
        # The work is done by a thread's own clock, so no load makes it less; and 1 % for what clocks round.
        assert min(record.baseline.cpu_s) > 0.99 * 0.005
        assert min(record.candidate.cpu_s) > 0.99 * 1.5 * 0.005  # 5 ms + 50 %
        assert min(record.candidate.wall_s) > 0.99 * 1.5 * 0.005
        assert math.log(1.5) / 2 < record.value.cpu < 2 * math.log(1.5), "on one side only"


@needs_cpu_clock
def test_a_real_rule_ends_with_a_regression_for_half_as_much_again(tmp_path, hired):
    same, slow = made_tree(tmp_path / "old", 1), made_tree(tmp_path / "new", 1.5)
    limits = RuleLimits(tolerated=0.01, min_effect=0.025, looks=(4, 5, 6), confirm=6, alpha=0.05, confirm_alpha=0.05)
    (found,) = compare([subject(ms=5)], same, slow, limits, hired=hired, seed=1)
    assert found.step == "regression"  # the least p of 5 rounds is 1/32 = 0.031, of 6 it is 0.016
    assert (len(found.rounds), len(found.confirmation)) == (5, 6)


def test_subjects_take_turns_and_one_that_is_decided_drops_out(tmp_path, hired):
    same = made_tree(tmp_path / "old", 1)
    told = []
    found = compare(
        [subject("a", ms=5), subject("b", ms=5)],
        same, same, LIMITS, hired=hired, seed=1,
        decide=lambda seen, fresh, limits: "pass" if len(seen) >= 2 + bool(seen and len(told) % 2) else "more",
        progress=lambda key, number, speed: told.append((key, number, speed.step)),
    )  # fmt: skip
    assert told == [("a", 1, "more"), ("b", 1, "more"), ("a", 2, "pass"), ("b", 2, "more"), ("b", 3, "pass")]
    assert [speed.step for speed in found] == ["pass", "pass"]


def test_a_record_holds_every_time_and_goes_into_json(tmp_path, hired):
    same = made_tree(tmp_path / "old", 1)
    (found,) = compare([subject(ms=5)], same, same, LIMITS, hired=hired, seed=7, decide=after(1, confirmation=1))
    (record,) = found.rounds
    assert len(record.baseline.wall_s) == len(record.candidate.wall_s) == 2 * len(record.order) == 6
    assert set(record.order) <= {"ABBA", "BAAB"}
    assert record.value == value(record.baseline, record.candidate)
    assert record.seed == seed_of(7, "spin", "rounds", 0, 0)
    assert record.seed != found.confirmation[0].seed
    assert found.seconds > record.seconds > sum(record.baseline.wall_s + record.candidate.wall_s)
    stored = json.loads(json.dumps(found.as_json()))
    assert stored["rounds"][0]["candidate"]["wall_s"] == list(record.candidate.wall_s)
    assert stored["subject"]["factory"] == "spin"


@pytest.mark.skipif(machine.cores() < 2, reason="with one core there is nothing to choose")
def test_both_sides_of_a_round_run_on_one_core_and_rounds_use_every_core(tmp_path, hired):
    same = made_tree(tmp_path / "old", 1)
    (found,) = compare([subject(ms=1)], same, same, LIMITS, hired=hired, seed=1, decide=after(12))
    ran_on = (tmp_path / "old" / "cores.txt").read_text().splitlines()[2:]  # each side was built once before
    # Both sides have one tree here, so a round's two workers have written one line each.
    assert ran_on[0::2] == ran_on[1::2] == [f"{record.cores[0]}" for record in found.rounds]
    assert {len(record.cores) for record in found.rounds} == {1}
    assert len({record.cores for record in found.rounds}) > 1


def test_as_many_cores_as_threads_are_shared_and_none_where_there_is_no_choice(monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: (2, 3, 5, 7))
    draws = [shared_cores({"device": "cpu", "threads": 2}, random.Random(seed)) for seed in range(100)]
    assert {tuple(draw) for draw in draws} == set(itertools.combinations((2, 3, 5, 7), 2))
    assert shared_cores({"device": "cpu", "threads": 4}, random.Random(0)) == []
    assert shared_cores({"device": "cuda", "threads": 1}, random.Random(0)) == []
    monkeypatch.setattr(machine, "usable_cores", tuple)
    assert shared_cores({"device": "cpu", "threads": 1}, random.Random(0)) == []


@pytest.mark.parametrize(
    ("does", "stage", "failure"),
    [
        ("os.kill(os.getpid(), 9)", "lost", "candidate: the process was killed by signal 9"),
        ("time.sleep(6000)", "lost", "candidate: no answer within {limit_s} s"),
        ("raise ValueError('no such depth')", "forward", "candidate: ValueError: no such depth"),
    ],
    ids=["killed", "hanging", "raising"],
)
def test_what_goes_wrong_on_one_side_is_its_failure_and_the_other_subjects_go_on(tmp_path, does, stage, failure, hired):
    good, bad = made_tree(tmp_path / "old", 1), made_tree(tmp_path / "new", 1.5, does)
    begun = time.monotonic()
    compare([subject(ms=5)], good, bad, LIMITS, hired=hired, seed=1, decide=after(1))
    limit_s = max(4, math.ceil(5 * (time.monotonic() - begun)))  # what a round takes here and now, five times
    trapped, well = compare(
        [subject("trap", "trap"), subject(ms=5)],
        good, bad, LIMITS, hired=hired, seed=1, decide=after(1), time_limit_s=limit_s,
    )  # fmt: skip
    assert trapped.failure.startswith(failure.format(limit_s=limit_s))
    assert (trapped.failed_side, trapped.failed_stage, trapped.step) == ("candidate", stage, "more")
    assert (well.failure, well.step, len(well.rounds)) == (None, "pass", 1)


def test_a_model_that_only_one_side_has_fails_on_the_other_before_anything_is_timed(tmp_path, hired):
    new = made_tree(tmp_path / "new", 1)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "plugin.py").write_text("")
    (found,) = compare([subject(ms=5)], Side(tmp_path / "old"), new, LIMITS, hired=hired, seed=1)
    assert (found.failed_side, found.failed_stage, found.rounds) == ("baseline", "lookup", ())
    assert "no model 'spin'" in found.failure


def test_a_model_that_no_side_has_is_the_candidates_failure(tmp_path, hired):
    same = made_tree(tmp_path / "old", 1)
    (found,) = compare([subject(factory="spun")], same, same, LIMITS, hired=hired, seed=1)
    assert (found.failed_side, found.failed_stage) == ("candidate", "lookup")
    assert "Did you mean 'spin'?" in found.failure


def test_a_name_never_reaches_a_shell(tmp_path, hired):
    same = made_tree(tmp_path / "old", 1)
    hostile = f"$(touch {tmp_path}/pwned); touch {tmp_path}/pwned #"
    found = compare(
        [subject(hostile, hostile), subject(hostile, ms=5)], same, same, LIMITS, hired=hired, seed=1, decide=after(1)
    )
    assert [speed.failed_stage for speed in found] == ["lookup", None]
    assert not (tmp_path / "pwned").exists()


class Scripted:
    """A worker whose tokens take as long as the test says, by the test's own clock."""

    def __init__(self, name: str, seconds: list[float], log: list[str], clock: list[float]):
        self.name, self.seconds, self.log, self.clock = name, itertools.cycle(seconds), log, clock

    def ask(self, message):
        self.log.append(self.name)
        taken = message["forwards"] * next(self.seconds)
        self.clock[0] += taken
        return {"wall_s": taken, "cpu_s": 1.0, "faults": 0}


def played(seconds: float, longest_s: float = 6.0, seed: int = 0, slow_b: tuple[float, ...] = (1.0,)):
    """`slow_b`: how many times `seconds` the tokens of B take, over and over."""
    log, clock = [], [0.0]
    workers = {
        "baseline": Scripted("A", [seconds], log, clock),
        "candidate": Scripted("B", [seconds * times for times in slow_b], log, clock),
    }
    order, tokens = quads(workers, 1, random.Random(seed), longest_s, lambda: clock[0])
    assert "".join(order) == "".join(log)
    return order, tokens, clock[0]


def test_a_round_ends_after_2_seconds_and_6_quads(monkeypatch):
    monkeypatch.setattr(rounds, "ENOUGH_S", 2.0)
    monkeypatch.setattr(rounds, "ENOUGH_QUADS", 6)
    assert len(played(0.03125)[0]) == 16  # 16 quads * 4 * 1/32 s = 2 s
    assert len(played(0.125)[0]) == 6  # 6 * 4 * 125 ms = 3 s
    assert len(played(0.375)[0]) == 4  # 4 * 4 * 375 ms = 6 s
    with pytest.raises(Void, match="2 of at least 3 quads"):
        played(1.0)  # 2 * 4 * 1 s = 8 s
    assert len(played(1.0, longest_s=18.0)[0]) == 5  # a model that is known to be slow gets its time


def test_pairs_that_disagree_get_up_to_six_seconds(monkeypatch):
    monkeypatch.setattr(rounds, "ENOUGH_S", 2.0)
    monkeypatch.setattr(rounds, "ENOUGH_QUADS", 6)
    monkeypatch.setattr(rounds, "SURE", 0.01)
    # One token of B in four takes half as long again: more than half of the pairs agree, so 2 s are enough.
    assert len(played(0.03125, slow_b=(1.0, 1.0, 1.0, 1.5))[0]) < 18
    # Every other one does: the pairs lie at log 1 and log 1.5, and no number of them within 6 s is sure.
    *_, seconds = played(0.03125, slow_b=(1.0, 1.5))
    assert 6.0 <= seconds < 6.0 + 4 * 0.03125 * 1.5


def test_how_far_pairs_disagree_is_the_same_with_the_sides_exchanged():
    values = [0.02, -0.01, 0.05, 0.04, -0.3]
    # median 0.02, distances 0, 0.03, 0.03, 0.02, 0.32: their median is 0.03
    assert error_of(values) == pytest.approx(math.sqrt(math.pi / 2) * 1.4826 * 0.03 / math.sqrt(5))
    assert error_of([-value for value in values]) == pytest.approx(error_of(values))


def test_both_orders_come_and_a_seed_repeats_them():
    orders = [played(0.025, seed=seed)[0] for seed in range(20)]
    assert {quad for order in orders for quad in order} == {"ABBA", "BAAB"}
    assert orders == [played(0.025, seed=seed)[0] for seed in range(20)]


class Played(Scripted):
    """A worker for a whole round: ready at once, then a token at a time."""

    def ask(self, message):
        if "factory" not in message:
            return super().ask(message)
        self.log.append(f"{self.name} is asked")
        counts = {"params": 0, "trainable": 0, "buffers": 0}
        return {"warm_up_faults": [0], "forward_s": 1.0, "torch": "2", "cores": message["cores"], "counts": counts}

    def close(self):
        self.log.append(f"{self.name} is closed")


def a_round(seed: int):
    """The record of one round of equal sides, and what happened in it, in order."""
    log, clock = [], [0.0]
    asked = job(subject(), Side(Path("tree")), "cpu", 0.0)

    def launch(name, padding):
        log.append(f"{name} is started")
        return Played(name, [0.03125], log, clock)

    return measure(launch, {"baseline": asked, "candidate": asked}, seed, 60.0, lambda: clock[0]), log


def test_either_side_is_started_first_about_as_often_as_a_fair_coin_falls_and_the_record_says_which():
    """The exactness of the test of signs rests on it: what the first one started gains must fall on both alike."""
    first = []
    for seed in range(400):
        record, log = a_round(seed)
        other = {"baseline": "candidate", "candidate": "baseline"}[record.started_first]
        begun = [f"{name} is {done}" for name in (record.started_first, other) for done in ("started", "asked")]
        assert log[:4] == begun
        first.append(record.started_first)
    assert abs(first.count("baseline") - 200) < 5 * 10  # five standard deviations of 400 fair coins, sqrt(400) / 2


def test_who_starts_first_who_leads_a_quad_and_who_is_padded_more_do_not_follow_from_each_other():
    """Of three coins all eight outcomes come; 0.875^400 is 6e-24 for one to be missing."""
    seen = set()
    for seed in range(400):
        record, _ = a_round(seed)
        more = record.baseline.padding_bytes > record.candidate.padding_bytes
        seen.add((record.started_first, record.order[0], more))
    assert len(seen) == 8


def test_a_seed_repeats_a_round():
    one, again, other = a_round(7)[0], a_round(7)[0], a_round(8)[0]
    drawn = [(found.order, found.cores, found.baseline.padding_bytes) for found in (one, again, other)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_token_holds_as_many_forwards_as_fill_25_ms_of_the_faster_side(monkeypatch):
    monkeypatch.setattr(rounds, "TOKEN_S", 0.025)
    assert forwards_per_token([0.004, 0.003]) == 9  # 9 * 3 ms = 27 ms
    assert forwards_per_token([0.050, 0.060]) == 1
    assert forwards_per_token([0.0, 1.0]) == forwards_per_token([1e-6, 1.0])  # a clock that stood still


def test_a_slow_model_gets_the_time_of_three_quads():
    ready = {"baseline": {"forward_s": 0.5}, "candidate": {"forward_s": 1.5}}
    assert budget_s(ready, 1) == 1.5 * 3 * (2 * 0.5 + 2 * 1.5)
    assert budget_s(ready, 0) == 6.0


def times(wall_s, cpu_s) -> Times:
    return Times(tuple(wall_s), None if cpu_s is None else tuple(cpu_s), 0.0, (), 0, "2")


def test_a_rounds_value_is_the_median_over_its_pairs_and_nothing_is_discarded():
    baseline, candidate = times([1, 1, 2, 4], [1, 1, 1, 1]), times([1.1, 9, 2.2, 4.8], [2, 2, 2, 2])
    # ratios 1.1, 9, 1.1, 1.2: the middle two are 1.1 and 1.2
    assert value(baseline, candidate).wall == pytest.approx((math.log(1.1) + math.log(1.2)) / 2)
    assert value(baseline, candidate).cpu == pytest.approx(math.log(2))
    assert value(candidate, baseline).wall == pytest.approx(-value(baseline, candidate).wall)
    assert value(times([1], None), times([2], None)) == Round(math.log(2), None)


def test_a_void_round_is_repeated_once(tmp_path, monkeypatch, hired):
    same = made_tree(tmp_path / "old", 1)
    tried, measure = [], rounds.measure

    def void_at_first(launch, jobs, seed, limit_s, clock):
        tried.append(seed)
        if len(tried) in voids:
            raise Void("1 of at least 3 quads")
        return measure(launch, jobs, seed, limit_s, clock)

    monkeypatch.setattr("bench.gate.pairs.compare.measure", void_at_first)
    voids = {1}
    (found,) = compare([subject(ms=5)], same, same, LIMITS, hired=hired, seed=1, decide=after(1))
    assert (found.step, len(set(tried)), found.rounds[0].seed) == ("pass", 2, tried[1])
    voids = {3, 4}
    (found,) = compare([subject(ms=5)], same, same, LIMITS, hired=hired, seed=1, decide=after(1))
    assert (found.failed_stage, found.failed_side, found.step) == ("void", None, "more")
    assert "two rounds without evidence: 1 of at least 3 quads" in found.failure


def test_a_failure_keeps_the_rounds_that_were_measured(tmp_path, monkeypatch, hired):
    same = made_tree(tmp_path / "old", 1)
    measured, measure = [], rounds.measure

    def dies_later(*arguments):
        if measured:
            raise WorkerFailed("baseline", "lost", "the process is gone")
        measured.append(measure(*arguments))
        return measured[-1]

    monkeypatch.setattr("bench.gate.pairs.compare.measure", dies_later)
    (found,) = compare([subject(ms=5)], same, same, LIMITS, hired=hired, seed=1, decide=after(5))
    assert found.rounds == tuple(measured)
    assert (found.failed_side, found.failure) == ("baseline", "baseline: the process is gone")

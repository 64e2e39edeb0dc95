"""What a self-test says of a machine: the counts, the bounds, the file it leaves, and its form for a few seconds."""

import json
import math
import random
import time
from fractions import Fraction
from pathlib import Path

import pytest

from bench.errors import DataAbsent, DataCorrupt, StoreError
from bench.gate import selftest
from bench.gate.pairs.compare import Side, Speed, Subject, compare
from bench.gate.pairs.rounds import RoundRecord, Times
from bench.gate.power import Count, least_caught_pct, resampled
from bench.gate.rule import Round, limits, step
from bench.gate.selftest import SelfTestCheck, brief, lines, self_test, summary
from bench.suite.guard import Rule
from tests import making
from tests.perf.src_layout import made

ONE = limits(Rule(why="the design's constants"), 1)
HERE = Side(Path(__file__).parent.parent)
SUBJECTS = [Subject(key, "mlp_mixer", {}, 10, 32, 16) for key in ("mixer", "hybrid")]


def record_of(value):
    """A round's record with the one thing that is looked at here."""
    times = Times((0.05,), (0.05,), 0.0, (), 0, "2.13.0")
    return RoundRecord(value, times, times, ("ABBA",), "baseline", 1, None, 0, 2.5)


def engine(spread, seen=None):
    """An engine whose rounds are drawn instead of measured: normal log ratios about the injected slowdown."""

    def drawn_compare(subjects, baseline, candidate, limits, *, device, seed, inject_pct=0.0, decide=step, **options):
        drawn, speeds = random.Random(seed), []
        shift = math.log1p(inject_pct / 100)
        for subject in subjects:
            first, fresh = [], []
            while (word := decide(first, fresh, limits)) in ("more", "confirm"):
                wall = drawn.gauss(shift, spread)
                (first if word == "more" else fresh).append(Round(wall, (wall + shift) / 2))
            parts = (tuple(record_of(each) for each in part) for part in (first, fresh))
            speeds.append(Speed(subject, *parts, step=word, seconds=2.5 * (len(first) + len(fresh))))
        if seen is not None:
            seen.append((inject_pct, seed))
        return speeds

    return drawn_compare


def quiet_test(record=lambda check: None, checks=None, seen=None):
    return self_test(
        engine(0.018, seen), SUBJECTS, HERE, HERE, ONE, seed=1, record=record, checks=checks or {0: 20, 5: 10}
    )


# --- counting --------------------------------------------------------------------------------------------------------


def test_none_of_forty_bounds_the_rate_as_the_closed_form_does():
    """(1 - u)^40 = 0.05 at u = 1 - 0.05^(1/40) = 7.2 %; and none missed of forty is the mirror of it."""
    assert Count(0, 40).at_most_pct == pytest.approx(100 * (1 - 0.05 ** (1 / 40)), abs=1e-5)
    assert round(Count(0, 40).at_most_pct, 1) == 7.2
    assert Count(40, 40).at_least_pct == pytest.approx(100 * 0.05 ** (1 / 40), abs=1e-5)
    assert (Count(40, 40).at_most_pct, Count(0, 40).at_least_pct) == (100, 0)


@pytest.mark.parametrize(("hits", "checks"), [(19, 20), (1, 7), (3, 40), (3, 3000)])
def test_at_the_bound_so_few_hits_have_a_chance_of_five_percent(hits, checks):
    def chance_of_at_most(hits, rate):
        exact = Fraction(rate)
        return float(sum(math.comb(checks, k) * exact**k * (1 - exact) ** (checks - k) for k in range(hits + 1)))

    assert chance_of_at_most(hits, Count(hits, checks).at_most_pct / 100) == pytest.approx(0.05, abs=1e-6)
    at_least = Count(hits, checks).at_least_pct / 100
    assert 1 - chance_of_at_most(hits - 1, at_least) == pytest.approx(0.05, abs=1e-6)


def test_a_count_of_no_checks_is_refused():
    with pytest.raises(ValueError, match="0 of 0"):
        Count(0, 0)


# --- running ---------------------------------------------------------------------------------------------------------


def test_every_effect_gets_its_checks_in_mixed_order_with_seeds_of_their_own():
    seen = []
    found = quiet_test(seen=seen, checks={0: 6, 5: 6})
    effects = [effect for effect, _ in seen]
    assert sorted(effects) == [0] * 6 + [5] * 6
    assert effects != sorted(effects)
    assert len({seed for _, seed in seen}) == 12
    assert [(check.effect_pct, check.seed) for check in found] == [each for each in seen for _ in SUBJECTS]


def test_each_check_is_in_the_file_before_the_next_one_begins(tmp_path):
    path = tmp_path / "deep" / "checks.jsonl"
    write = selftest.appending(path)
    written = []

    def record(check):
        write(check)
        written.append(check)
        assert selftest.read(path) == written

    assert quiet_test(record, checks={0: 2, 5: 1}) == written
    assert len(written) == 3 * len(SUBJECTS)


def test_a_line_that_was_cut_short_costs_that_check_only(tmp_path):
    path = tmp_path / "checks.jsonl"
    one, other = quiet_test(checks={0: 1})
    write = selftest.appending(path)
    write(one)
    with path.open("a") as file:
        file.write(json.dumps(other.as_json())[:50])
    assert selftest.read(path) == [one]
    write(other)
    assert selftest.read(path) == [one, other]


@pytest.mark.parametrize("line", ["not json", "[]", '{"word": "pass"}', '{"word": "slow"}'])
def test_a_line_that_is_no_check_is_named_with_its_file(tmp_path, line):
    path = tmp_path / "checks.jsonl"
    selftest.appending(path)(quiet_test(checks={0: 1})[0])
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataCorrupt, match=r"checks.jsonl, line 2"):
        selftest.read(path)


def test_a_file_that_is_not_there_or_cannot_be_written_is_an_error_with_a_way_out(tmp_path):
    with pytest.raises(DataAbsent, match="nothing"):
        selftest.read(tmp_path / "nothing.jsonl")
    with pytest.raises(StoreError, match="cannot add a check"):
        selftest.appending(tmp_path)(quiet_test(checks={0: 1})[0])


# --- saying ----------------------------------------------------------------------------------------------------------


def checks_of(word, effect_pct, times, failure=None):
    return [
        SelfTestCheck("mixer", effect_pct, seed, word, (Round(0.0, 0.0),), (), 19.0, failure) for seed in range(times)
    ]


def test_the_words_hold_the_counts_and_their_bounds():
    found = [*checks_of("pass", 0, 40), *checks_of("regression", 5, 19), *checks_of("unconfirmed", 5, 1)]
    told = lines(summary(found, ONE, seed=1, simulated_checks=1))
    bounds = "(95 % upper bound 7.2 %; the rule's own bound 0.4 %)"
    assert told[0].startswith(f"0 of 40 false alarms with equal code {bounds}")
    lower = round(Count(19, 20).at_least_pct)
    assert told[1].startswith(f"a change of 5 % is caught in 19 of 20 checks (95 % lower bound {lower} %); median 19 s")
    assert told[1].endswith("; 1 unconfirmed")


def test_a_check_that_failed_is_named_and_not_counted():
    found = summary([*checks_of("pass", 0, 3), *checks_of("more", 0, 1, failure="killed")], ONE, seed=1)
    assert found.tallies[0].regressions == Count(0, 3)
    assert lines(found)[-1] == "not measured: mixer: killed"


def test_a_quiet_machine_is_told_so_with_its_spread_and_a_curve_marked_as_simulated():
    found = summary(quiet_test(), ONE, seed=1, simulated_checks=100)
    assert found.tallies[0].regressions.hits == 0
    assert found.tallies[1].regressions == Count(20, 20)
    assert set(found.spread_pct) == {"mixer", "hybrid"}
    assert found.spread_pct["mixer"] == pytest.approx(1.8, abs=0.3)
    by_effect = {each.effect_pct: each.caught.pct for each in found.simulated}
    assert by_effect[0] < 1
    assert by_effect[1] < by_effect[3] <= by_effect[5]
    assert by_effect[5] > 95
    words = [line for line in lines(found) if line.startswith("simulated, 100 checks for each effect")]
    assert len(words) == 1
    assert f"from {found.drawn_from} recorded rounds" in words[0]
    assert json.loads(json.dumps(found.as_json()))["drawn_from"] == found.drawn_from


def test_too_few_rounds_of_equal_code_are_not_drawn_from():
    found = summary(checks_of("pass", 0, 19), ONE, seed=1)
    assert (found.simulated, found.drawn_from) == ((), 0)
    assert summary(checks_of("pass", 0, 20), ONE, seed=1, simulated_checks=1).drawn_from == 20


def test_the_same_seed_draws_the_same_checks():
    pool = [Round(random.Random(n).gauss(0, 0.03), None) for n in range(30)]
    first, again, other = (resampled([pool], ONE, seed=seed, checks=60, effects_pct=[3]) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_without_rounds_there_is_nothing_to_draw_from():
    with pytest.raises(ValueError, match="nothing to draw from"):
        resampled([[]], ONE, seed=1)


def test_a_noisier_machine_catches_only_larger_changes():
    """Without noise anything above the minimum effect of 2.5 % is caught, the first size above it being 3 %."""
    found = [least_caught_pct(spread, ONE, seed=1) for spread in (1e-6, 0.02, 0.06, 0.2)]
    assert found[0] == 3.0
    assert found == sorted(set(found))
    assert least_caught_pct(3.0, ONE, seed=1) is None


# --- the short form --------------------------------------------------------------------------------------------------


def test_the_short_form_ends_when_its_budget_would_not_hold_another_round():
    ticks = iter(range(0, 1000, 3))  # every look at the clock is three seconds after the last
    found = brief(engine(0.02), HERE, ONE, seed=1, budget_s=16.0, clock=lambda: next(ticks))
    # Begun at 0. Asked with 0 to 4 rounds at 3, 6, 9, 12 and 15 s: a round takes 3 s, and 15 + 3 > 16.
    assert len(found.rounds) == 4
    assert found.says.startswith("4 pairs of equal processes differ by ")
    assert found.says.endswith("in 19 of 20 checks (simulated)")


def test_the_short_form_stops_at_six_rounds_however_fast_they_are():
    assert len(brief(engine(0.02), HERE, ONE, seed=1, clock=lambda: 0.0).rounds) == 6


def test_a_machine_on_which_nothing_can_be_seen_is_told_so():
    assert "would not even see a time that doubles" in brief(engine(5.0), HERE, ONE, seed=1, clock=lambda: 0.0).says


def test_a_worker_that_fails_leaves_the_reason():
    def broken(subjects, *sides, **options):
        return [Speed(subjects[0], failure="baseline: killed by signal 9")]

    assert brief(broken, HERE, ONE, seed=1).says == (
        "the noise of a speed check could not be measured: baseline: killed by signal 9"
    )


def test_real_processes_give_the_short_form_and_no_more_rounds_than_a_short_budget_asks_for():
    begun = time.monotonic()
    found = brief(compare, HERE, ONE, seed=1, budget_s=1.0)
    took = time.monotonic() - begun
    assert found.failure is None
    assert len(found.rounds) == selftest.BRIEF_FEWEST
    assert found.spread_pct > 0
    assert 0 < found.seconds <= took, "the seconds of this look, by the clock of the test"


@pytest.mark.slow
def test_in_a_src_layout_with_an_editable_install_equal_code_passes_and_slowed_code_is_caught(tmp_path):
    home, python = made(tmp_path)
    asked = ("check", "ci.toml", "--self-test", "2", "--inject", "30", "--only", "mixer", "--seed", "3")
    told = making.bench(*asked, cwd=home, python=python).stdout
    assert "0 of 2 false alarms with equal code" in told
    assert "a change of 30 % is caught in 1 of 1 checks" in told

"""Machines are kept apart where a clock is involved, and pooled where conditions allow it."""

import pandas
import pytest

from bench.records.measurement import Measurement, columns
from bench.suite.schema import Suite
from bench.verdicts import judge
from bench.verdicts.judge import Verdict
from bench.verdicts.machines import Here, told_apart
from bench.verdicts.selection import fullest, of, selected
from tests.test_verdicts import COUNT, RATIO, TOP1, rows, suite, trained

FPS = {**RATIO, "measured": "small_fps", "unit": "images/s"}  # above 1
EPYC = {"machine": "aaaa", "device_name": "EPYC"}
MAC = {"machine": "bbbb", "device_name": "Apple M3", "run_id": "run2", "started_at": "2026-02-01T00:00:00"}
HERE = Here("aaaa")


def fps(value: float, **changes) -> list[dict]:
    return rows("timing/small/batch1", "fps", [value] * 6, **changes)


def frame(*found: list[dict]) -> pandas.DataFrame:
    return pandas.DataFrame([row for part in found for row in part], columns=list(columns(Measurement)))


def verdict(claim: dict, *found: list[dict], here: Here | None = None) -> Verdict:
    (only,) = judge(suite(H1=claim), "0", frame(*found), suite_path="suites/made.toml", here=here)
    return only


@pytest.mark.parametrize("newest", [EPYC, MAC], ids=["here", "elsewhere"])
def test_the_last_import_wins_nothing(newest):
    one, other = ({**each, "started_at": f"2026-0{3 if each is newest else 1}-01"} for each in (EPYC, MAC))
    found = verdict(FPS, fps(2.0, **one), fps(0.5, **other), here=HERE)
    assert (found.verdict, found.checks[0].measured.point, found.checks[0].machine) == ("reproduced", 2.0, "EPYC")
    assert found.checks[0].across == (
        "Machines disagree: reproduced on EPYC (2.00 images/s), contradicted on Apple M3 (0.50 images/s)."
    )
    for_all = verdict(FPS, fps(2.0, **one), fps(0.5, **other))
    assert (for_all.verdict, for_all.checks[0].machine) == ("contradicted", "Apple M3")
    assert [(each.machine_id, each.verdict) for each in for_all.checks[0].elsewhere] == [("aaaa", "reproduced")]


def test_where_machines_agree_the_others_are_told_beside_this_one():
    found = verdict(FPS, fps(2.0, **EPYC), fps(3.0, **MAC), here=HERE).checks[0]
    assert (found.verdict, found.across) == (
        "reproduced",
        "1 other machine has rows: reproduced on Apple M3 (3.00 images/s).",
    )
    assert found.reason.endswith(found.across)


def test_a_clock_that_only_others_have_read_is_not_measured_here():
    found = verdict(FPS, fps(2.0, **MAC), here=HERE).checks[0]
    assert (found.verdict, found.measured) == ("not measured", None)
    assert found.reason == (
        "Never run: timing/small/batch1. 1 other machine has rows: reproduced on Apple M3 (2.00 images/s)."
    )
    assert found.command.endswith("--only timing/small/batch1")


def test_a_claim_on_named_hardware_is_judged_where_that_hardware_is():
    claim = {**FPS, "hardware": "*M3*"}
    found = verdict(claim, fps(0.5, **EPYC), fps(2.0, **MAC))
    assert (found.verdict, found.checks[0].machine, found.checks[0].elsewhere) == ("reproduced", "Apple M3", ())
    here = verdict(claim, fps(0.5, **EPYC), fps(2.0, **MAC), here=HERE)
    assert here.verdict == "not measured"
    assert here.checks[0].reason.startswith("Published for *M3*, measured on EPYC (0.5 images/s): not comparable.")


def test_a_failure_on_one_machine_is_no_news_of_another():
    died = {"status": "failed", "reason": "killed", "run_id": "run3", "started_at": "2026-03-01"}
    failed = fps(None, **{**MAC, **died})[:1]
    found = verdict(FPS, fps(2.0, **EPYC), fps(3.0, **MAC), failed)
    both = {each.machine: each.reason for each in (found.checks[0], *found.checks[0].elsewhere)}
    assert "killed" in both["Apple M3"]
    assert "killed" not in both["EPYC"].partition("machine")[0]


def test_counts_and_accuracies_are_pooled_and_say_of_which_machines():
    count = verdict(COUNT, rows("static/small", "params", 99, **EPYC), rows("static/small", "params", 100, **MAC))
    assert (count.verdict, count.checks[0].machine, count.checks[0].elsewhere) == ("reproduced", None, ())
    learned = verdict(TOP1, trained("small", {0: 80.0, 1: 81.0}, **EPYC), trained("small", {2: 82.0}, **MAC)).checks[0]
    assert ([each.value for each in learned.samples], learned.machine) == ([80.0, 81.0, 82.0], None)
    assert learned.conditions["machines pooled"] == "Apple M3, EPYC"


def test_what_may_not_be_pooled_is_told_of_the_machine_with_most_seeds():
    ours = trained("small", [80.0, 81.0, 82.0], torch="2.13.0", **EPYC)
    theirs = trained("small", {2: 70.0}, torch="2.12.1", **MAC)
    found = verdict(TOP1, ours, theirs).checks[0]
    assert [each.value for each in found.samples] == [80.0, 81.0, 82.0]
    assert "These are the values of EPYC alone, other machines' are not comparable: torch is 2.13.0" in found.reason


def test_figures_show_the_clocks_of_one_machine_whichever_ran_last():
    made: Suite = suite(H1=FPS)
    large = rows("timing/large/batch1", "fps", [4.0] * 6, **EPYC)
    found = selected(made, "0", frame(fps(2.0, **EPYC), large, fps(0.5, **MAC))).rows
    assert {each.row.machine for each in of(found, "fps")} == {"aaaa", "bbbb"}
    assert {each.value for each in fullest(of(found, "fps"))} == {2.0, 4.0}, "the machine that timed both models"


def test_machines_that_are_built_alike_are_apart_only_by_several_names():
    def labels(*about: tuple) -> dict[str, str]:
        kinds = ["machine", "machine_name", "device", "device_name"]
        apart, machines = told_apart(pandas.DataFrame(about, columns=kinds))
        names = {each.key: each.label for each in machines}
        return [names[key] for key in apart["machine"]]

    plain, left, right = (("aaaa", name, "cpu", "EPYC") for name in (None, "left", "right"))
    assert labels(plain, plain) == ["EPYC", "EPYC"]
    assert labels(plain, left) == ["left", "left"], "a name that came later is the machine's all the same"
    assert labels(left, right, plain) == ["left", "right", "EPYC"]
    assert labels(plain, ("bbbb", None, "cpu", "EPYC")) == ["EPYC (aaaa)", "EPYC (bbbb)"]
    assert labels(plain, ("aaaa", None, "cuda", "NVIDIA H200")) == ["NVIDIA H200"] * 2, "one machine, by its card"
    assert labels(plain, (None, None, "cpu", "EPYC"), (None, None, "cpu", "Xeon")) == ["EPYC", "EPYC", "Xeon"]


def test_of_several_names_the_machine_at_hand_is_the_one_of_its_own():
    left, right = ({**EPYC, "machine_name": name, "run_id": name} for name in ("left", "right"))
    for name, value in (("left", 2.0), ("right", 3.0)):
        here = verdict(FPS, fps(2.0, **left), fps(3.0, **right), here=Here("aaaa", name)).checks[0]
        assert (here.measured.point, here.machine) == (value, name)
    unnamed = verdict(FPS, fps(2.0, **left), here=Here("aaaa")).checks[0]
    assert unnamed.measured.point == 2.0

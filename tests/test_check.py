"""`bench check` and `bench baseline` keep their contract: every kind of bad luck has its own words and its own code."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench.ci.outcome import CiOutcome
from bench.commands import ending
from bench.gate import check as gate
from bench.gate.pairs.compare import Speed, Subject
from bench.gate.pairs.rounds import RoundRecord, Times
from bench.gate.rule import Round, limits
from bench.gate.speed import Wish, told
from bench.suite.guard import Rule
from bench.suite.read import load
from runner import bench
from tests import making
from tests.making import commit, git

ROOT = Path(__file__).parent.parent
SUITE = making.suite_text(
    making.mixer_text("tiny"),
    making.mixer_text("other", depth=2),
    """
[guards.tiny]
model = "tiny"
why = "the smallest there is"
[guards.other]
model = "other"
why = "twice as deep"
""",
)
PLUGIN = """
import time
from torch import nn
from bench.registry import models


class Spinning(nn.Module):
    def __init__(self, width, spin_s, classes):
        super().__init__()
        self.mixer = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, width))
        self.head = nn.Linear(width, classes)
        self.spin_s = spin_s

    def forward(self, x):
        until = time.thread_time() + self.spin_s
        x = self.head(self.mixer(x))
        while time.thread_time() < until:
            pass
        return x


@models.register("steady")
def steady(*, num_classes, image_size):
    return Spinning(4, 0.010, num_classes)


@models.register("moving")
def moving(*, num_classes, image_size):
    return Spinning(@WIDTH@, @SPIN_S@, num_classes)
"""
WITH_PLUGIN = making.suite_text(
    """
[rule]
why = "as few rounds as can decide"
looks = [6, 7, 8]
confirm = 6
[models.steady]
factory = "steady"
label = "Steady"
num_classes = 3
image_size = 8
[models.moving]
factory = "moving"
label = "Moving"
num_classes = 3
image_size = 8
[guards.steady]
model = "steady"
why = "changes in nothing"
throughput = false
[guards.moving]
model = "moving"
why = "changes in everything"
batch_size = 1
""",
    plugins=["code/model.py"],
)


@dataclass(frozen=True)
class Project:
    """A repository with a suite of guards at `suites/ci.toml`, which is what the commands take when none is named."""

    folder: Path

    @property
    def suite(self) -> Path:
        return self.folder / "suites" / "ci.toml"

    @property
    def baseline(self) -> Path:
        return self.folder / "suites" / "ci.baseline.json"

    def bench(self, *arguments: str, code: int) -> Result:
        """The command in this process, which has imported torch already."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            done = CliRunner().invoke(bench, arguments)
        finally:
            os.chdir(before)
        assert done.exit_code == code, done.output
        assert "Traceback" not in done.stderr
        return done

    def rewrite(self, **changed: object) -> None:
        """Change keys of the baseline file by hand."""
        self.baseline.write_text(json.dumps(json.loads(self.baseline.read_text()) | changed))


@pytest.fixture(scope="session")
def accepted(tmp_path_factory) -> Path:
    """A project with its baseline accepted and committed; tests work on copies of it."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.suite.parent.mkdir()
    project.suite.write_text(SUITE)
    git(project.folder, "init", "--quiet")
    commit(project.folder)
    project.bench("baseline", "accept", "--reason", "first", code=0)
    commit(project.folder)
    return project.folder


@pytest.fixture
def project(accepted, tmp_path, monkeypatch) -> Project:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    shutil.copytree(accepted, tmp_path / "project")
    return Project(tmp_path / "project")


# The static part


def test_nothing_changed_ends_with_0_and_one_line_per_model(project):
    done = project.bench("check", "--static-only", code=0)
    first, second, last = done.stdout.splitlines()
    assert first.startswith("tiny   static PASS  6,")
    assert second.startswith("other  static PASS")
    assert last == "2 guarded, no regression (exit code 0)"
    assert done.stderr == "", "a clean tree needs no note"


def test_a_changed_width_ends_with_1_and_every_form_names_the_module(project, monkeypatch):
    changed = "depth = 1, token_mlp = 5"
    project.suite.write_text(SUITE.replace("depth = 1, token_mlp = 4", changed))
    files = {"--junit": "out/j.xml", "--badge": "out/b.json", "--benchmark-json": "out/c.json"}
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.folder / "summary.md"))
    done = project.bench(
        "check", "--static-only", "--github", "--json", *(word for pair in files.items() for word in pair), code=1
    )
    named = "blocks.0.token_mlp.fc1 has 25 parameters, the baseline 20"  # 4 tokens: 4 * 5 + 5, 4 * 4 + 4
    told = json.loads(done.stdout)
    assert told["exit_code"] == 1
    assert named in told["outcomes"][0]["details"]["differences"]
    assert named in done.stderr, "the lines for people, since standard output is the program's"
    assert "regression: tiny / static" in done.stderr
    assert "::error file=suites/ci.toml" in done.stderr
    assert named in (project.folder / "out/j.xml").read_text()
    assert "tiny / static" in (project.folder / "summary.md").read_text()
    assert json.loads((project.folder / "out/b.json").read_text())["message"] == "1 regression, 1 pass"
    assert json.loads((project.folder / "out/c.json").read_text())[0]["unit"] == "parameters"


def test_uncommitted_changes_are_told_and_are_what_is_checked(project):
    project.suite.write_text(SUITE + "\n# a remark\n")
    assert "note: uncommitted changes" in project.bench("check", "--static-only", code=0).stderr


def test_a_guard_that_is_not_accepted_yet_is_new_and_one_that_went_is_told(project):
    project.suite.write_text(SUITE.replace("[guards.other]", "[guards.third]"))
    done = project.bench("check", "--static-only", code=0)
    assert "third  static NEW" in done.stdout
    assert "note: other is in the baseline and guarded no more" in done.stderr


def test_a_looser_rule_than_the_accepted_one_is_told(project):
    project.suite.write_text(f'{SUITE}\n[rule]\nwhy = "in a hurry"\nmin_effect_pct = 50.0\n')
    done = project.bench("check", "--static-only", code=0)
    assert "note: [rule] min_effect_pct is 50.0, and 2.5 was accepted" in done.stderr


def test_a_model_that_no_longer_builds_here_ends_with_3_and_a_regression_beside_it_wins(project):
    broken = SUITE.replace("patch_size = 16, width = 8, depth = 2", "patch_size = 15, width = 8, depth = 2")
    project.suite.write_text(broken)
    done = project.bench("check", "--static-only", code=3)
    assert "other  static NOT MEASURED: other does not build or run: UsageError" in done.stdout
    project.suite.write_text(broken.replace("depth = 1", "depth = 3"))
    done = project.bench("check", "--static-only", code=1)
    assert "regression: tiny / static; not measured: other / static" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["check", "--only", "tyni"], 5, "no guard matches tyni. There are: tiny, other"),
        (["check", "suites/ci.tml"], 2, "no such file. Did you mean 'suites/ci.toml'?"),
        (["check", "suites/ci.tml"], 2, "bench check MY.toml, or in a test bench_check(GUARD, suite='MY.toml')"),
        (["check", "--static-only", "--throughput"], 2, "one leaves speed out, the other asks for it"),
        (["check", "--only", "tiny", "--ref-python", "pyton"], 2, "--ref-python: no program pyton"),
        (["check", "--baseline", "absent.json"], 2, "absent.json: no baseline file"),
        (["check", "--static-only", "--junit", "suites"], 3, "suites: cannot be written"),
        (["baseline", "accept"], 2, "Missing option '--reason'"),
        (["baseline", "accept", "--reason", " "], 2, "--reason is empty"),
        (["baseline", "accept", "--reason", "x", "--model", "tinny"], 2, "no guard 'tinny'. Did you mean 'tiny'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_says_what_was_possible_and_ends_with_its_code(project, arguments, code, words):
    assert words in project.bench(*arguments, code=code).stderr


def test_a_suite_without_guards_leaves_nothing_to_check(project):
    done = project.bench("check", str(ROOT / "suites/mobilevit_xxs.toml"), code=5)
    assert "has no guards" in done.stderr


def test_a_corrupt_and_a_newer_baseline_file_end_with_2_each_in_its_own_words(project):
    project.rewrite(schema=2)
    assert "a newer bench wrote it" in project.bench("check", code=2).stderr
    project.baseline.write_text("{")
    assert "the baseline file is damaged" in project.bench("check", code=2).stderr
    assert "the baseline file is damaged" in project.bench("baseline", "show", code=2).stderr
    project.baseline.unlink()
    assert "no baseline file" in project.bench("check", code=2).stderr


def test_a_terminal_lists_some_differences_and_counts_the_rest(project):
    project.suite.write_text(SUITE.replace("width = 8, depth = 1", "width = 16, depth = 3"))
    done = project.bench("check", "--static-only", "--json", "--only", "tiny", code=1)
    count = len(json.loads(done.stdout)["outcomes"][0]["details"]["differences"])
    assert f" and {count - 12} more, all of them in --json\n" in done.stderr


def test_a_bug_does_not_end_with_the_code_of_a_regression(capsys):
    with pytest.raises(SystemExit) as ended, ending.a_bug_is_no_finding():
        raise ZeroDivisionError("a bug")
    assert ended.value.code == 3
    assert "ZeroDivisionError: a bug" in capsys.readouterr().err


# Speed that cannot be compared


def test_a_commit_that_is_nowhere_ends_with_3(project):
    shutil.rmtree(project.folder / ".git")
    (project.folder / ".gitignore").write_text("*.baseline.json\n")
    git(project.folder, "init", "--quiet")
    commit(project.folder)
    project.rewrite(baseline_commit="f" * 40, baseline_tree="f" * 40)  # and no commit ever changed the baseline
    done = project.bench("check", code=3)
    assert f"baseline code not available: no commit '{'f' * 40}'" in done.stdout
    assert "static PASS" in done.stdout
    done = project.bench("check", "--only", "tiny", "--ref", "no-such-branch", code=3)
    assert "no commit 'no-such-branch'" in done.stdout


def test_a_shallow_clone_cannot_measure_speed_and_says_how_to_get_the_history(project, tmp_path):
    commit(project.folder)
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{project.folder}", "shallow")
    shallow = Project(tmp_path / "shallow")
    _half(shallow, "git fetch --unshallow")


def test_outside_of_a_repository_speed_cannot_be_measured(project):
    shutil.rmtree(project.folder / ".git")
    _half(project, "is not in a git repository")
    assert "not in a git repository" in project.bench("baseline", "accept", "--reason", "x", code=3).stderr


def test_a_checkout_that_git_does_not_trust_says_git_s_own_way_out(project, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    _half(project, "git config --global --add safe.directory")


def test_without_git_speed_cannot_be_measured(project, monkeypatch):
    monkeypatch.setenv("PATH", str(project.folder))
    _half(project, "no program 'git' on this machine")
    assert "no program 'git'" in project.bench("baseline", "accept", "--reason", "x", code=3).stderr


def _half(project: Project, words: str) -> None:
    """Half a check is never green; the half that can be done is asked for by name."""
    for more in ([], ["--throughput"], ["--strict"]):
        done = project.bench("check", *more, code=3)
        assert words in done.stdout
        assert "tiny   static PASS  speed NOT MEASURED: baseline code not available: " in done.stdout
        assert "Counts alone: --static-only" in done.stdout
    project.bench("check", "--static-only", "--strict", code=0)


def test_after_a_squash_the_commit_that_brought_the_baseline_is_compared_with_if_its_counts_are_equal(tmp_path):
    project = with_plugin(tmp_path)
    squashed = git(tmp_path, "rev-parse", "HEAD")
    project.rewrite(baseline_commit="f" * 40, baseline_tree="f" * 40)
    done = program(project, "check", "--json", "--seed", "1", code=0)
    assert f"note: commit {'f' * 12} is not here, as after a squash or a rebase; {squashed[:12]}" in done.stderr
    assert json.loads(done.stdout)["outcomes"][2]["details"]["commit"] == squashed


def test_a_commit_that_stands_in_and_has_other_counts_is_not_compared_with(tmp_path):
    project = with_plugin(tmp_path)
    code(project, width=5, spin_s=0.010)
    commit(tmp_path)
    program(project, "baseline", "accept", "--reason", "wider", code=0)
    project.rewrite(baseline_commit="f" * 40, baseline_tree=None)
    git(tmp_path, "add", "--all")
    done = program(project, "check", "--json", "--only", "moving", "--seed", "1", code=3)
    assert json.loads(done.stdout)["outcomes"][1]["details"]["speed"]["rounds"] == [], "nothing is timed in vain"
    # What last changed the file is the commit of width 4: 192 * 4 + 4 + 4 * 3 + 3, not 192 * 5 + 5 + 5 * 3 + 3.
    assert "has 787 parameters, the baseline 983: accept a new baseline" in done.stderr


def test_accepting_on_a_branch_says_which_merges_would_lose_the_commit_and_notes_its_tree(project):
    git(project.folder, "branch", "--move", "main")
    assert "merge" not in project.bench("baseline", "accept", "--reason", "again", code=0).stderr
    git(project.folder, "checkout", "--quiet", "-b", "faster")
    head = commit(project.folder)
    done = project.bench("baseline", "accept", "--reason", "again", code=0)
    assert f"main does not hold commit {head[:12]} yet" in done.stderr
    assert "squash" in done.stderr
    written = json.loads(project.baseline.read_text())
    assert written["baseline_tree"] == git(project.folder, "rev-parse", f"{head}^{{tree}}")


def test_a_speed_once_seen_changes_neither_outcome_nor_code(project):
    def outcomes() -> list[object]:
        done = project.bench("check", "--static-only", "--json", code=0)
        return json.loads(done.stdout)["outcomes"]

    without = outcomes()
    for speed in (1e-9, 762.0, 1e12):
        models = json.loads(project.baseline.read_text())["models"]
        seen = {"images_per_s": speed, "batch_size": 64, "threads": 1, "machine": {"cpu": "some", "cores": 2}}
        project.rewrite(models={key: model | {"last_seen": seen} for key, model in models.items()})
        assert outcomes() == without
        assert "(not compared)" in project.bench("baseline", "show", code=0).stdout


# What came of a guard's speed. The rounds are made: how they are measured is tested elsewhere.


def speed(*walls: float, confirmed: tuple[float, ...] = (), **changed: object) -> Speed:
    subject = Subject("tiny", "mlp_mixer", {}, 10, 32, batch_size=8)
    rounds, confirmation = (tuple(map(record, values)) for values in (walls, confirmed))
    return replace(Speed(subject, rounds, confirmation, seconds=3.0), **changed)


def record(wall: float) -> RoundRecord:
    times = Times((0.1, 0.2, 0.4), (0.1, 0.2, 0.4), 0.0, (0,), 0, "2.13.0")
    return RoundRecord(Round(wall, wall), times, times, ("ABBA",), "baseline", 2, 0.5, 1, 2.0)


@pytest.mark.parametrize(
    ("found", "status", "word", "words"),
    [
        (speed(*[0.0] * 6), "passed", "pass", "after 6 rounds"),
        (speed(*[0.1] * 10, confirmed=(0.1,) * 10), "failed", "regression", "10 fresh rounds"),
        (speed(*[0.1] * 10, confirmed=(0.0,) * 10), "passed", "unconfirmed", "suggested a slowdown"),
        (speed(*[-0.1] * 10, confirmed=(-0.1,) * 10), "passed", "faster", "accept a new baseline"),
        (speed(*[-0.2, 0.3] * 10), "skipped", "inconclusive", "after 20 rounds"),
        (
            speed(failure="no model 'x'", failed_side="baseline", failed_stage="lookup"),
            "passed",
            "new",
            "no such model",
        ),
        (
            speed(failure="KeyError: 1", failed_side="baseline", failed_stage="build"),
            "error",
            "error",
            "in the baseline",
        ),
        (
            speed(failure="killed", failed_side="candidate", failed_stage="lost"),
            "error",
            "error",
            "in the working tree",
        ),
        (speed(failure="too slow", failed_stage="void"), "error", "error", "on this machine"),
    ],
    ids=["pass", "regression", "unconfirmed", "faster", "inconclusive", "new", "baseline", "candidate", "machine"],
)
def test_every_end_of_a_comparison_has_its_status_and_its_words(project, found, status, word, words):
    rule = limits(Rule(why="the defaults"), 1)
    outcome = told(load(project.suite), found, "a" * 40, rule, Wish("cpu", 0))
    assert (outcome.status, outcome.word) == (status, word)
    assert words in outcome.reason
    json.dumps(outcome.details)


def test_images_per_s_are_the_median_token_s(project):
    outcome = told(load(project.suite), speed(*[0.0] * 6), "a" * 40, limits(Rule(why="x"), 1), Wish("cpu", 0))
    figures = {figure.name: figure for figure in outcome.figures}
    assert figures["images_per_s"].value == pytest.approx(8 * 2 / 0.2)  # 2 forwards of 8 images in 0.2 s
    assert figures["wall_change"].value == pytest.approx(0.0)


def outcome(status: str) -> CiOutcome:
    return CiOutcome("x", "y / static", "", status, "", "")


@pytest.mark.parametrize(
    ("statuses", "code", "strict_code"),
    [
        ([], 0, 0),
        (["passed"], 0, 0),
        (["passed", "skipped"], 0, 4),
        (["skipped", "error"], 3, 3),
        (["error", "failed", "skipped"], 1, 1),
    ],
)
def test_a_regression_wins_over_what_failed_and_that_over_what_stays_open(statuses, code, strict_code):
    found = [outcome(status) for status in statuses]
    assert gate.exit_code(found, strict=False) == code
    assert gate.exit_code(found, strict=True) == strict_code


# The baseline


def test_accepting_needs_a_clean_tree_but_for_the_baseline_itself(project):
    project.rewrite(reason="by hand")
    project.bench("baseline", "accept", "--reason", "again", code=0)
    (project.folder / "new.py").touch()
    done = project.bench("baseline", "accept", "--reason", "again", code=2)
    assert "there are uncommitted changes: new.py" in done.stderr


def test_accepting_moves_all_models_to_the_commit_and_prints_old_and_new(project):
    project.suite.write_text(SUITE.replace("depth = 1", "depth = 3"))
    head = commit(project.folder)
    done = project.bench("baseline", "accept", "--reason", "deeper", code=0)
    # A block: two norms 2 * 2 * 8, token MLP 4 * 4 + 4 twice, channel MLP 8 * 8 + 8 twice.
    block, before = 2 * 2 * 8 + 2 * 20 + 2 * 72, (16 * 16 * 3 * 8 + 8) + 2 * 8 + (8 * 10 + 10)
    assert f"tiny  params  {before + block:,} -> {before + 3 * block:,}" in done.stdout
    written = json.loads(project.baseline.read_text())
    assert (written["baseline_commit"], written["reason"]) == (head, "deeper")
    project.bench("check", "--static-only", code=0)


def test_one_model_accepted_alone_carries_its_own_commit_and_leaves_the_others(project):
    before = json.loads(project.baseline.read_text())
    project.suite.write_text(SUITE.replace("width = 8", "width = 16"))
    head = commit(project.folder)
    project.bench("baseline", "accept", "--reason", "wider", "--model", "tiny", code=0)
    after = json.loads(project.baseline.read_text())
    assert after["baseline_commit"] == before["baseline_commit"]
    assert after["models"]["other"] == before["models"]["other"]
    assert (after["models"]["tiny"]["commit"], after["models"]["tiny"]["reason"]) == (head, "wider")
    assert "tiny   static PASS" in project.bench("check", "--static-only", code=1).stdout
    assert head[:12] in project.bench("baseline", "show", code=0).stdout


def test_a_model_that_does_not_build_moves_no_baseline(project):
    project.suite.write_text(SUITE.replace("patch_size = 16", "patch_size = 15"))
    commit(project.folder)
    before = project.baseline.read_text()
    assert "The baseline stays as it is" in project.bench("baseline", "accept", "--reason", "x", code=3).stderr
    assert project.baseline.read_text() == before


def test_the_baseline_shown_as_json_is_the_file(project):
    done = project.bench("baseline", "show", "--json", code=0)
    assert json.loads(done.stdout) == json.loads(project.baseline.read_text())


# The real program on real code


def with_plugin(folder: Path) -> Project:
    project = Project(folder)
    (folder / "suites" / "code").mkdir(parents=True)
    project.suite.write_text(WITH_PLUGIN)
    code(project, width=4, spin_s=0.010)
    (folder / ".gitignore").write_text("__pycache__/\n")
    git(folder, "init", "--quiet")
    commit(folder)
    program(project, "baseline", "accept", "--reason", "first", code=0)
    commit(folder)
    return project


def code(project: Project, width: int, spin_s: float) -> None:
    text = PLUGIN.replace("@WIDTH@", str(width)).replace("@SPIN_S@", str(spin_s))
    (project.suite.parent / "code" / "model.py").write_text(text)


def program(project: Project, *arguments: str, code: int) -> subprocess.CompletedProcess[str]:
    return making.bench(*arguments, cwd=project.folder, code=code, before=making.SHORT_ROUNDS)


def test_code_that_became_wider_and_slower_is_caught_in_both_parts(tmp_path):
    """30 % more work in one of two models: 7 rounds raise the suspicion and 6 confirm it."""
    project = with_plugin(tmp_path)
    code(project, width=8, spin_s=0.013)
    done = program(project, "check", "--json", "--seed", "1", code=1)
    found = {each["name"]: each for each in json.loads(done.stdout)["outcomes"]}
    words = {"steady / static": "pass", "moving / static": "regression", "moving / speed": "regression"}
    assert {name: each["word"] for name, each in found.items()} == words
    wall = next(each for each in found["moving / speed"]["figures"] if each["name"] == "wall_change")
    assert 15 < wall["value"] < 45
    assert "mixer.1 has 1,544 parameters, the baseline 772" in done.stderr  # 192 * 8 + 8, 192 * 4 + 4
    assert git(project.folder, "worktree", "list").count("\n") == 0, "nothing is left behind"


def test_a_plugin_that_is_broken_here_is_said_and_no_regression(tmp_path):
    project = Project(tmp_path)
    (tmp_path / "suites" / "code").mkdir(parents=True)
    project.suite.write_text(WITH_PLUGIN)
    (tmp_path / "suites" / "code" / "model.py").write_text("def broken(:\n")
    assert "plug-in 'code/model.py': SyntaxError" in project.bench("check", code=2).stderr


def test_a_model_that_the_baseline_s_code_cannot_build_ends_with_3_and_says_on_which_side(tmp_path):
    project = with_plugin(tmp_path)
    code(project, width=-1, spin_s=0.010)
    older = commit(tmp_path)
    code(project, width=4, spin_s=0.010)
    done = program(project, "check", "--ref", older, "--only", "moving", code=3)
    assert f"could not be timed in the baseline, commit {older[:12]}" in done.stdout
    assert "static PASS  speed NOT MEASURED" in done.stdout


def test_a_suite_of_guards_alone_breaks_no_other_command(project):
    suite = "suites/ci.toml"
    assert json.loads(project.bench("validate", suite, "--json", code=0).stdout)[0]["claims"] == 0
    assert json.loads(project.bench("list", "suites", "--json", code=0).stdout)[0]["profiles"] == ""
    assert "for `bench check`" in project.bench("run", suite, "--profile", "quick", code=5).stderr
    assert "Guards are for `bench check`" in project.bench("report", suite, "--format", "md", "-o", "-", code=5).stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('model = "other"', 'model = "othr"', "[guards.other]: model: no model 'othr'. Did you mean 'other'?"),
        ("[guards.", "[curves.", "a suite needs at least one of [claims.…] and [guards.…]"),
    ],
)
def test_a_suite_s_guards_are_checked_before_anything_is_built(project, old, new, words):
    project.suite.write_text(SUITE.replace(old, new))
    assert words in project.bench("validate", "suites/ci.toml", code=2).stderr


def test_a_rule_that_was_changed_is_printed_when_it_is_accepted(project):
    project.suite.write_text(f'{SUITE}\n[rule]\nwhy = "in a hurry"\nmin_effect_pct = 50.0\n')
    commit(project.folder)
    done = project.bench("baseline", "accept", "--reason", "in a hurry", code=0)
    assert "[rule]  min_effect_pct  2.5 -> 50.0" in done.stdout

"""A user's own test says `bench_check("tiny")`: real pytest processes in a made project."""

from pathlib import Path

import pytest

from bench.gate import baseline
from bench.gate.facts import case_of, config_of, facts
from bench.suite.read import load
from tests import making
from tests.making import pytest_in

ROOT = Path(__file__).parent.parent
SUITE = making.suite_text(
    making.mixer_text("tiny", width="@WIDTH@"),
    """
[guards.tiny]
model = "tiny"
why = "the smallest there is"
[guards.other]
model = "tiny"
why = "not accepted yet"
""",
    name="ci",
)


@pytest.fixture
def project(tmp_path):
    """A project whose baseline holds the guard `tiny` at width 8, and whose suite asks for another width."""

    def made(width: int, test: str) -> Path:
        suite = tmp_path / "suites" / "ci.toml"
        suite.parent.mkdir()
        suite.write_text(SUITE.replace("@WIDTH@", "8"))
        case = case_of(load(suite).suite, "tiny")
        accepted = {"tiny": baseline.Accepted(**dict(facts(case)), config=config_of(case))}
        found = baseline.Baseline(
            schema=1, baseline_commit="0" * 40, updated="2026-11-21", reason="made", models=accepted
        )
        baseline.write(found, baseline.path_of(suite))
        suite.write_text(SUITE.replace("@WIDTH@", str(width)))
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        (tmp_path / "test_user.py").write_text(test)
        return tmp_path

    return made


def test_a_model_that_is_what_was_accepted_passes_and_its_outcome_is_given(project):
    test = """
def test_it(bench_check):
    (outcome,) = bench_check("tiny")
    assert outcome.name == "tiny / static"
    assert outcome.status == "passed"
"""
    done = pytest_in(project(8, test))
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_a_changed_width_fails_with_the_modules_that_changed_and_no_traceback(project):
    done = pytest_in(
        project(16, "def test_it(bench_check):\n    bench_check('tiny', suite='suites/ci.toml')\n"), "-W", "ignore"
    )
    assert done.returncode == 1
    # The embedding: 16 * 16 * 3 * 8 + 8 = 6,152 parameters before, twice as many now.
    assert "patch_embedding has 12,304 parameters, the baseline 6,152" in done.stdout, done.stdout
    assert "more\n" in done.stdout
    assert len([line for line in done.stdout.splitlines() if line.startswith("  ")]) == 8 + 1 + 1
    assert "tiny / static: regression" in done.stdout
    assert "Traceback" not in done.stdout
    assert "pytest_plugin.py" not in done.stdout


def test_a_guard_that_was_never_accepted_fails_for_it_guards_nothing(project):
    done = pytest_in(project(8, "def test_it(bench_check):\n    bench_check('other')\n"))
    assert done.returncode == 1
    assert "other / static: new" in done.stdout


def test_a_guard_that_is_not_there_fails_with_those_that_are(project):
    done = pytest_in(project(8, "def test_it(bench_check):\n    bench_check('tyni')\n"))
    assert done.returncode == 1
    assert "bench_check('tyni') could not be done: no guard matches tyni. There are: tiny, other" in done.stdout


def test_speed_that_was_asked_for_and_cannot_be_measured_fails(project):
    done = pytest_in(project(8, "def test_it(bench_check):\n    bench_check('tiny', speed=True, seed=0)\n"))
    assert done.returncode == 1, done.stdout
    assert "tiny / speed: error" in done.stdout
    assert "baseline code not available" in done.stdout


def test_a_suite_that_is_not_there_says_how_another_one_is_named(project):
    done = pytest_in(project(8, "def test_it(bench_check):\n    bench_check('tiny', suite='none.toml')\n"))
    assert done.returncode == 1
    assert "bench_check(GUARD, suite='MY.toml')" in done.stdout


def test_pytest_lists_the_fixture_with_its_arguments_and_that_it_counts(project):
    done = pytest_in(project(8, ""), "--fixtures")
    assert 'bench_check(guard, suite="suites/ci.toml", speed=False)' in done.stdout
    assert "by counts alone" in done.stdout


def test_paths_are_relative_to_the_root_folder_wherever_pytest_is_started(project):
    folder = project(8, "")
    (folder / "inner").mkdir()
    (folder / "inner" / "test_inner.py").write_text("def test_it(bench_check):\n    bench_check('tiny')\n")
    done = pytest_in(folder / "inner")
    assert done.returncode == 0, done.stdout


def test_pytest_starts_with_the_plug_in_without_anything_heavy(project):
    test = """
import sys
def test_it(bench_check):
    heavy = {"torch", "pandas", "numpy", "pyarrow", "pydantic", "matplotlib", "jinja2", "rich"}
    assert not heavy & set(sys.modules)
"""
    done = pytest_in(project(8, test))
    assert done.returncode == 0, done.stdout


def test_the_plug_in_is_registered_for_who_installs_the_package():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"bench": "bench.gate.pytest_plugin"}

"""A commit and the working tree lie side by side while they are needed, and leave no trace afterwards."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import MeasurementError
from bench.gate import trees
from bench.gate.trees import side_by_side
from bench.git import CommitMissing, GitFailed, NoGit, NotARepository, ShallowClone, full_name
from tests.making import git

ROOT = Path(trees.__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits: `model.py` says 1, then 2."""
    home = tmp_path / "repository"
    home.mkdir()
    git(home, "init", "-q")
    (home / ".gitignore").write_text("ignored\n")
    (home / "gone.py").write_text("")
    for number in (1, 2):
        (home / "model.py").write_text(f"number = {number}\n")
        git(home, "add", ".")
        git(home, "commit", "-q", "-m", f"the {number}.")
    return home


def worktrees(repository: Path) -> int:
    return git(repository, "worktree", "list").count("\n") + 1


def test_the_sides_are_a_commit_and_the_working_tree_with_what_is_not_committed(repository):
    (repository / "model.py").write_text("number = 3\n")
    (repository / "new folder").mkdir()
    (repository / "new folder" / "größe.py").write_text("new\n")
    (repository / "ignored").write_text("a secret\n")
    (repository / "gone.py").unlink()
    with side_by_side(repository, "HEAD~1") as found:
        assert (found.baseline / "model.py").read_text() == "number = 1\n"
        assert (found.candidate / "model.py").read_text() == "number = 3\n"
        assert (found.candidate / "new folder" / "größe.py").read_text() == "new\n"
        assert not (found.candidate / "ignored").exists()
        assert (found.baseline / "gone.py").exists()
        assert not (found.candidate / "gone.py").exists()
        assert found.baseline_commit == git(repository, "rev-parse", "HEAD~1")
        assert found.candidate_commit is None
    assert git(repository, "stash", "list") == ""
    assert (repository / "model.py").read_text() == "number = 3\n"


def test_both_folders_are_siblings_with_paths_of_one_length(repository):
    with side_by_side(repository, "HEAD") as found:
        assert found.baseline.parent == found.candidate.parent
        assert len(str(found.baseline)) == len(str(found.candidate))


def test_a_commit_can_stand_on_both_sides_and_the_working_tree_too(repository):
    with side_by_side(repository, "HEAD", "HEAD") as found:
        assert found.baseline_commit == found.candidate_commit == git(repository, "rev-parse", "HEAD")
        assert (found.candidate / "model.py").read_text() == "number = 2\n"
    with side_by_side(repository, None) as found:
        assert (found.baseline / "model.py").read_text() == (found.candidate / "model.py").read_text()


def test_a_folder_inside_the_repository_stands_for_all_of_it(repository):
    (repository / "suites").mkdir()
    with side_by_side(repository / "suites", "HEAD") as found:
        assert (found.candidate / "model.py").is_file()


def test_afterwards_neither_folder_nor_worktree_is_left(repository, tmp_path):
    inside = side_by_side(repository, "HEAD", parent=tmp_path)
    found = inside.__enter__()
    assert (found.baseline.is_dir(), worktrees(repository)) == (True, 2)
    failure = ValueError("of whoever uses them")
    assert not inside.__exit__(ValueError, failure, None)
    assert (found.baseline.parent.exists(), worktrees(repository)) == (False, 1)
    assert os.listdir(tmp_path) == ["repository"]


def test_a_worktree_that_cannot_be_seen_now_is_not_forgotten(repository, tmp_path):
    git(repository, "worktree", "add", "--detach", str(tmp_path / "on a drive"), "HEAD")
    (tmp_path / "on a drive").rename(tmp_path / "unplugged")
    with side_by_side(repository, "HEAD"):
        pass
    assert "on a drive" in git(repository, "worktree", "list")


def test_hooks_of_the_repository_do_not_run(repository, tmp_path):
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
    hook.chmod(0o755)
    with side_by_side(repository, "HEAD"):
        assert not (tmp_path / "ran").exists()


def test_inside_a_git_hook_the_right_repository_is_asked(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    with side_by_side(repository, "HEAD") as found:
        assert (found.candidate / "model.py").is_file()


SLEEPER = """
import sys, time
from pathlib import Path
from bench.gate.trees import side_by_side
with side_by_side(Path(sys.argv[1]), "HEAD", parent=Path(sys.argv[2])):
    print("ready", flush=True)
    time.sleep(6000)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_a_signal_ends_the_process_and_cleans_up(repository, tmp_path, number, code):
    place = tmp_path / "temporary"
    place.mkdir()
    command = [sys.executable, "-c", SLEEPER, str(repository), str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as sleeper:
        assert sleeper.stdout.readline() == b"ready\n"
        assert os.listdir(place) != []
        sleeper.send_signal(number)
        sleeper.send_signal(number)  # an impatient user: the cleaning up goes on
        assert sleeper.wait(timeout=120) == code
    assert os.listdir(place) == []
    assert worktrees(repository) == 1


def test_a_commit_is_found_by_any_name_that_git_knows(repository):
    git(repository, "tag", "-a", "v1", "-m", "a tag that is an object of its own")
    head = git(repository, "rev-parse", "HEAD")
    assert full_name(repository, "v1") == full_name(repository, head[:10]) == full_name(repository, "HEAD") == head


@pytest.mark.parametrize("name", ["0" * 40, "nowhere", "", "--git-dir", "HEAD; touch x", "HEAD:model.py"])
def test_what_is_no_commit_here_is_a_commit_missing(repository, name):
    with pytest.raises(CommitMissing, match="fetch it, or accept a new baseline"), side_by_side(repository, name):
        pass


def test_a_shallow_clone_says_how_to_get_the_history(repository, tmp_path):
    old = git(repository, "rev-parse", "HEAD~1")
    git(tmp_path, "clone", "-q", "--depth", "1", repository.as_uri(), "clone")
    with pytest.raises(ShallowClone, match=r"fetch with full history.*--unshallow"):
        full_name(tmp_path / "clone", old)
    assert full_name(tmp_path / "clone", "HEAD") == git(repository, "rev-parse", "HEAD")


def test_a_folder_that_no_repository_holds_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(NotARepository, match=f"{tmp_path} is not in a git repository"), side_by_side(tmp_path, "HEAD"):
        pass


def test_a_machine_without_git_is_told_so(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoGit, match="install git"), side_by_side(repository, "HEAD"):
        pass


def test_each_of_them_means_that_nothing_was_measured():
    assert {kind.exit_code for kind in (NoGit, NotARepository, CommitMissing, ShallowClone, GitFailed)} == {3}
    assert issubclass(GitFailed, MeasurementError)

"""A commit that a merge renamed is found by its tree or by the baseline file; submodules come with their commit."""

import shutil
from pathlib import Path

import pytest

from bench import git as asked
from bench.gate.basis import basis
from bench.gate.submodules import SubmoduleMissing
from bench.gate.trees import side_by_side
from bench.git import CommitMissing, NotTrusted, ShallowClone, main_branch_without, top_level, tree_of
from tests.making import commit, git

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
GONE = "f" * 40


def committed(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return commit(folder)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    home = tmp_path / "repository"
    home.mkdir()
    git(home, "init", "--quiet", "--initial-branch", "main")
    committed(home, "model.py", "1\n")
    return home


# The baseline's commit


def test_the_accepted_commit_itself_is_taken_without_a_word(repository):
    head = git(repository, "rev-parse", "HEAD")
    found = basis(repository, head, None, repository / "ci.baseline.json")
    assert (found.commit, found.note, found.counts_asked) == (head, None, False)


def test_after_a_rebase_the_commit_with_the_same_tree_stands_in(repository):
    tree = tree_of(repository, "HEAD")
    head = git(repository, "rev-parse", "HEAD")
    committed(repository, "model.py", "2\n")
    found = basis(repository, GONE, tree, repository / "ci.baseline.json")
    assert (found.commit, found.counts_asked) == (head, False)
    assert found.note == f"commit {GONE[:12]} is not here; {head[:12]} has the same tree and stands in for it"


def test_after_a_squash_the_commit_that_last_changed_the_baseline_stands_in_if_its_counts_are_the_accepted_ones(
    repository,
):
    squashed = committed(repository, "ci.baseline.json", "{}\n")
    committed(repository, "model.py", "2\n")
    for tree in (None, GONE):  # a baseline that does not say its tree, and a tree that is nowhere
        found = basis(repository, GONE, tree, repository / "ci.baseline.json")
        assert (found.commit, found.counts_asked) == (squashed, True)
        assert found.note is not None
        assert "as after a squash or a rebase" in found.note


def test_without_anything_that_could_stand_in_the_commit_is_missing(repository):
    with pytest.raises(CommitMissing, match="fetch it, or accept a new baseline"):
        basis(repository, GONE, None, repository / "ci.baseline.json")


def test_in_a_shallow_clone_only_the_same_tree_stands_in(repository, tmp_path):
    committed(repository, "ci.baseline.json", "{}\n")
    committed(repository, "model.py", "2\n")
    git(tmp_path, "clone", "-q", "--depth", "1", repository.as_uri(), "clone")
    clone = tmp_path / "clone"
    with pytest.raises(ShallowClone, match="shallow clone: fetch with full history"):
        basis(clone, GONE, None, clone / "ci.baseline.json")
    assert basis(clone, GONE, tree_of(clone, "HEAD"), clone / "ci.baseline.json").commit == git(
        clone, "rev-parse", "HEAD"
    )


def test_a_commit_on_a_branch_alone_is_told_apart_from_one_that_the_main_branch_holds(repository):
    assert main_branch_without(repository, git(repository, "rev-parse", "HEAD")) is None
    git(repository, "checkout", "--quiet", "-b", "faster")
    assert main_branch_without(repository, committed(repository, "model.py", "2\n")) == "main"


def test_a_checkout_that_git_does_not_trust_passes_git_s_own_way_out_on(repository, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(NotTrusted, match=r"dubious ownership.*git config --global --add safe\.directory"):
        top_level(repository)
    assert asked.code_state(repository / "bench").commit is None


# Submodules


@pytest.fixture
def nested(repository, tmp_path) -> Path:
    """The repository with a submodule `layers`, at 1 in the last commit and at 2 in the working tree."""
    layers = tmp_path / "layers"
    layers.mkdir()
    git(layers, "init", "--quiet")
    committed(layers, "layers.py", "1\n")
    git(repository, "submodule", "--quiet", "add", str(layers), "layers")
    git(repository, "commit", "--quiet", "--message", "with layers")
    committed(layers, "layers.py", "2\n")
    git(repository / "layers", "pull", "--quiet")
    return repository


def test_a_submodule_is_at_its_commit_on_one_side_and_as_it_lies_there_on_the_other(nested):
    (nested / "layers" / "new.py").write_text("not committed yet\n")
    with side_by_side(nested, "HEAD") as found:
        assert (found.baseline / "layers" / "layers.py").read_text() == "1\n"
        assert (found.candidate / "layers" / "layers.py").read_text() == "2\n"
        assert (found.candidate / "layers" / "new.py").exists()
    assert git(nested, "worktree", "list").count("\n") == 0
    with side_by_side(nested, "HEAD", "HEAD") as found:
        assert (found.candidate / "layers" / "layers.py").read_text() == "1\n"


def test_a_submodule_that_was_removed_meanwhile_is_filled_from_what_git_keeps_of_it(nested):
    old = git(nested, "rev-parse", "HEAD")
    git(nested, "rm", "--quiet", "--force", "layers")
    git(nested, "commit", "--quiet", "--message", "without")
    with side_by_side(nested, old) as found:
        assert (found.baseline / "layers" / "layers.py").read_text() == "1\n"
        assert not (found.candidate / "layers" / "layers.py").exists()


def test_a_submodule_without_the_commit_is_the_reason_and_one_that_nobody_filled_stays_empty_on_both_sides(
    nested, tmp_path
):
    git(tmp_path, "clone", "--quiet", str(nested), "clone")
    with side_by_side(tmp_path / "clone", "HEAD") as found:
        assert not (found.baseline / "layers" / "layers.py").exists()
        assert not (found.candidate / "layers" / "layers.py").exists()
    old = git(nested, "rev-parse", "HEAD")
    shutil.rmtree(nested / "layers")
    git(nested, "rm", "--quiet", "--force", "--cached", "layers")
    git(nested, "commit", "--quiet", "--all", "--message", "without")
    shutil.rmtree(nested / ".git" / "modules")
    with (
        pytest.raises(SubmoduleMissing, match=r"layers is at .*: git -C layers fetch origin"),
        side_by_side(nested, old),
    ):
        pass
    assert git(nested, "worktree", "list").count("\n") == 0

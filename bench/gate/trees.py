"""Two states of a repository side by side: a commit, and the working tree with all that is not committed yet.

Measures nothing, and changes nothing in the repository but the list of its worktrees, which it restores. The two
folders are siblings with paths of one length, so that no path can make one side's memory lie differently.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.errors import MeasurementError
from bench.gate.signals import ending_cleanly, undisturbed

NAMES = ("old", "new")  # equally long
# Inside a git hook, these speak of the commit that is being made, not of the folder that git is asked about.
_ABOUT_ANOTHER = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE", "GIT_NAMESPACE", "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
)  # fmt: skip


class NoGit(MeasurementError):
    """There is no program `git`."""


class NotARepository(MeasurementError):
    """The folder does not lie in a git working tree: a source archive, or an installed package."""


class CommitMissing(MeasurementError):
    """The repository has no such commit."""


class ShallowClone(CommitMissing):
    """The commit may exist, but this clone was made without its history."""


class GitFailed(MeasurementError):
    """Git refused, for a reason that its own words give."""


@dataclass(frozen=True)
class Trees:
    """Both folders, and the full names of the commits in them; None for the working tree."""

    baseline: Path
    candidate: Path
    baseline_commit: str | None
    candidate_commit: str | None


def top_level(folder: Path) -> Path:
    """The root of the working tree that a folder lies in.

    Raises:
        NoGit, NotARepository
    """
    done = git(folder, "rev-parse", "--show-toplevel")
    if done.returncode or not done.stdout.strip():
        said = done.stderr.strip() or "it has no working tree"
        raise NotARepository(f"{folder} is not in a git repository, so there is no baseline code to run: {said}")
    return Path(done.stdout.removesuffix("\n"))


def full_name(repository: Path, commit: str) -> str:
    """The 40 digits of a commit that may be named in any way git knows.

    Raises:
        NoGit, NotARepository
        ShallowClone: it is not here, and this clone has only a part of the history.
        CommitMissing: it is not here.
    """
    root = top_level(repository)
    if commit and not commit.startswith("-"):  # which git would take for an option
        done = git(root, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
        if done.returncode == 0:
            return done.stdout.strip()
    if git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        raise ShallowClone(
            f"commit {commit} is not in this shallow clone of {root.name}: fetch with full history "
            "(git fetch --unshallow; in a GitHub workflow, actions/checkout with fetch-depth: 0)"
        )
    raise CommitMissing(f"no commit '{commit}' in {root}: fetch it, or accept a new baseline")


@contextmanager
def side_by_side(
    repository: Path, baseline: str | None, candidate: str | None = None, parent: Path | None = None
) -> Iterator[Trees]:
    """The two states, each in a folder of its own, until the block ends: also by Ctrl-C, SIGTERM or SIGHUP.

    Args:
        repository: a folder in the working tree.
        baseline, candidate: commits; None is the working tree as it is: what git tracks and what is new in it, but
            nothing that it ignores.
        parent: where the temporary folder is made; default the system's place.

    Raises:
        NoGit, NotARepository, ShallowClone, CommitMissing, GitFailed
    """
    root = top_level(repository)
    names = [None if commit is None else full_name(root, commit) for commit in (baseline, candidate)]
    with ending_cleanly(), ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="bench-", dir=parent)).resolve()
        stack.callback(_removed, root, home)
        for name, commit in zip(NAMES, names, strict=True):
            _filled(root, home / name, commit)
        yield Trees(home / NAMES[0], home / NAMES[1], *names)


def _filled(root: Path, folder: Path, commit: str | None) -> None:
    if commit is None:
        _copied(root, folder)
    else:
        _checked_out(root, folder, commit)


def _checked_out(root: Path, folder: Path, commit: str) -> None:
    # Detached: no branch is made, and one that is checked out already is no obstacle. Hooks are the repository's own
    # programs, made for people who change branches.
    hooks = ["-c", f"core.hooksPath={os.devnull}"]
    done = git(root, *hooks, "worktree", "add", "--detach", "--quiet", str(folder), commit)
    if done.returncode:
        raise GitFailed(f"git could not check out {commit} of {root}: {done.stderr.strip()}")


def _copied(root: Path, folder: Path) -> None:
    """What git tracks and what is new, as it lies there now."""
    done = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if done.returncode:
        raise GitFailed(f"git could not list the files of {root}: {done.stderr.strip()}")
    folder.mkdir()
    for name in sorted(set(filter(None, done.stdout.split("\0")))):
        source, target = root / name, folder / name
        # Neither what was deleted without being committed, nor the folder of another repository.
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def _removed(root: Path, home: Path) -> None:
    """Take the worktrees away and git's notes of them, whatever state they are in."""
    with undisturbed():
        for name in NAMES:
            if (home / name / ".git").exists():
                git(root, "worktree", "remove", "--force", "--force", str(home / name))
        shutil.rmtree(home, ignore_errors=True)
        # Pruning forgets every worktree that cannot be seen now, such as one on a drive that is not there.
        if str(home) in git(root, "worktree", "list", "--porcelain").stdout:
            git(root, "worktree", "prune")


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Git in a folder, its words in English, undisturbed by a git around it. Raises NoGit where there is none."""
    variables = {name: value for name, value in os.environ.items() if name not in _ABOUT_ANOTHER}
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True, check=False, env=variables | {"LC_ALL": "C"}, encoding="utf-8",
            errors="surrogateescape", stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise NoGit("no program 'git' on this machine, so the baseline's code cannot be had: install git") from error

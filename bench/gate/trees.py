"""Two states of a repository side by side: a commit, and the working tree with all that is not committed yet.

Measures nothing, and changes nothing in the repository but the list of its worktrees, which it restores. The two
folders are siblings with paths of one length, so that no path can make one side's memory lie differently.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.execution.signals import ending_cleanly, undisturbed
from bench.gate.submodules import fill_submodules, submodules
from bench.git import GitFailed, full_name, git, top_level

NAMES = ("old", "new")  # equally long


@dataclass(frozen=True)
class Trees:
    """Both folders, and the full names of the commits in them; None for the working tree."""

    baseline: Path
    candidate: Path
    baseline_commit: str | None
    candidate_commit: str | None


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
        NoGit, NotARepository, NotTrusted, ShallowClone, CommitMissing, GitFailed, SubmoduleMissing
    """
    root = top_level(repository)
    names = [None if commit is None else full_name(root, commit) for commit in (baseline, candidate)]
    with ending_cleanly(), ExitStack() as stack:
        try:
            home = Path(tempfile.mkdtemp(prefix="bench-", dir=parent)).resolve()
            stack.callback(_removed, root, home)
            for name, commit in zip(NAMES, names, strict=True):
                _filled(root, home / name, commit)
        except OSError as error:
            place = parent or "the system's temporary folder, which TMPDIR names"
            raise GitFailed(f"both states need room in {place}: {error.strerror or error}") from error
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
    fill_submodules(root, folder, commit)


def _copied(root: Path, folder: Path) -> None:
    """What git tracks and what is new, as it lies there now."""
    done = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if done.returncode:
        raise GitFailed(f"git could not list the files of {root}: {done.stderr.strip()}")
    folder.mkdir(parents=True, exist_ok=True)
    modules = submodules(root)
    for name in sorted(set(filter(None, done.stdout.split("\0")))):
        source, target = root / name, folder / name
        if name in modules:
            if (source / ".git").exists():  # a submodule as it lies there; one that was never filled stays empty
                _copied(source, target)
            continue
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

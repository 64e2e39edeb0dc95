"""What git knows of a folder: its root, its commits, what is not committed, which code runs.

Only looks: nothing here changes a file, a branch or the list of worktrees.
"""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import MeasurementError


def head(folder: Path) -> str:
    """The full name of the commit that is checked out.

    Raises:
        NoGit, NotARepository
        CommitMissing: the repository has no commit yet.
    """
    try:
        return full_name(folder, "HEAD")
    except CommitMissing as error:
        raise CommitMissing(f"the repository {top_level(folder)} has no commit yet: make one first") from error


def uncommitted(folder: Path, apart_from: Path | None = None) -> list[str]:
    """Paths with changes that no commit holds, relative to the root; a new file counts unless git ignores it.

    Raises:
        NoGit, NotARepository, GitFailed
    """
    root = top_level(folder)
    listed = git(root, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
    if listed.returncode:
        raise GitFailed(f"git cannot say what is uncommitted in {root}: {listed.stderr.strip()}")
    paths = [entry[3:] for entry in listed.stdout.split("\0") if entry]
    spared = apart_from.resolve() if apart_from else None
    return [path for path in paths if (root / path).resolve() != spared]


def relative_to_root(folder: Path, path: Path) -> str:
    """A path as both trees know it; as it is where it lies outside the repository, which holds no other state of it."""
    absolute = (folder / path).resolve()
    root = top_level(folder).resolve()
    return str(absolute.relative_to(root)) if absolute.is_relative_to(root) else str(absolute)


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


class NotTrusted(GitFailed):
    """The repository belongs to somebody else, and git does not read it until it is told to."""


def top_level(folder: Path) -> Path:
    """The root of the working tree that a folder lies in.

    Raises:
        NoGit, NotARepository, NotTrusted
    """
    done = git(folder, "rev-parse", "--show-toplevel")
    if done.returncode or not done.stdout.strip():
        said = " ".join(done.stderr.split()) or "it has no working tree"
        if "dubious ownership" in said or "safe.directory" in said:
            raise NotTrusted(f"git does not trust the repository of {folder}. In its own words: {said}")
        raise NotARepository(
            f"{folder} is not in a git repository, so there is no baseline code to run: clone the repository instead "
            f"of unpacking or installing a copy of it ({said})"
        )
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
            f"commit {commit} is not in this shallow clone: fetch with full history "
            "(git fetch --unshallow; in a GitHub workflow, actions/checkout with fetch-depth: 0)"
        )
    raise CommitMissing(f"no commit '{commit}' in {root}: fetch it, or accept a new baseline")


def tree_of(repository: Path, commit: str) -> str:
    """The name of a commit's tree: equal code has the same one, whatever the commit is called. Raises GitFailed."""
    done = git(repository, "rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}")
    if done.returncode:
        raise GitFailed(f"git does not know the tree of {commit}: {done.stderr.strip()}")
    return done.stdout.strip()


def commit_with(repository: Path, tree: str) -> str | None:
    """The newest commit of the history that is checked out which has this very tree."""
    listed = git(repository, "log", "--format=%H %T", "HEAD").stdout.splitlines()
    return next((line.split()[0] for line in listed if line.endswith(f" {tree}")), None)


def last_change_of(repository: Path, path: Path) -> str | None:
    """The commit of the history that is checked out which last changed a file; None for a file that git has not."""
    done = git(repository, "log", "-1", "--format=%H", "HEAD", "--", str(path.resolve()))
    return done.stdout.strip() or None


def main_branch_without(repository: Path, commit: str) -> str | None:
    """The main branch, if there is one that does not hold this commit yet."""
    said = git(repository, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD").stdout.strip()
    for name in filter(None, (said, "origin/main", "origin/master", "main", "master")):
        if git(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").returncode == 0:
            held = git(repository, "merge-base", "--is-ancestor", commit, name).returncode == 0
            return None if held else name
    return None


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


@dataclass(frozen=True)
class CodeState:
    """Which code runs. All None when it does not come from a git tree; `note` says why git would not tell."""

    commit: str | None = None
    dirty: bool | None = None
    diff_sha256: str | None = None  # of what differs from the commit, new files included; None when nothing does
    note: str | None = None


def code_state(package: Path) -> CodeState:
    """The git state of a package's folder and the `runner.py` beside it.

    An installed copy that merely lies below some git tree is not that tree's code.
    """
    home, code = package.parent, (package.name, "runner.py")
    try:
        commit = _commit(home)
        if commit is None or git(home, "ls-files", "--error-unmatch", f"{package.name}/__init__.py").returncode:
            return CodeState()
        new = _said(home, "ls-files", "-z", "--others", "--exclude-standard", "--", *code).decode()
        return _state(home, commit, code, [home / name for name in new.split("\0") if name])
    except MeasurementError as error:
        return CodeState(note=str(error))


def project_state(folder: Path, files: Iterable[Path]) -> CodeState:
    """The git state of the repository that a folder lies in: every tracked change, and which of `files` are new.

    Files that git is told to ignore, all of them, are not the repository's.
    """
    try:
        commit = _commit(folder)
        if commit is None:
            return CodeState()
        paths = sorted({path.resolve() for path in files})
        ignored = git(folder, "check-ignore", "-q", "--", *map(str, paths)).returncode == 0
        tracked = [path for path in paths if git(folder, "ls-files", "--error-unmatch", str(path)).returncode == 0]
        if ignored and not tracked:
            return CodeState()
        root = top_level(folder).resolve()
        new = [path for path in paths if path not in tracked and path.is_relative_to(root)]
        return _state(root, commit, (), new)
    except MeasurementError as error:
        return CodeState(note=str(error))


def _state(home: Path, commit: str, of: Iterable[str], new: Iterable[Path]) -> CodeState:
    """A commit, and a digest of what differs from it: tracked changes `of` these paths (all), and new files."""
    changed = _said(home, "diff", "HEAD", "--binary", "--", *of)
    digest, names = hashlib.sha256(changed), sorted(new)
    for path in names:
        digest.update(os.path.relpath(path, home).encode() + path.read_bytes())
    dirty = bool(changed or names)
    return CodeState(commit, dirty, digest.hexdigest() if dirty else None)


def _commit(folder: Path) -> str | None:
    """The commit that a folder is at; None outside of any repository.

    Raises:
        NoGit
        GitFailed: it refuses, such as for a repository that another user owns; its words, without a path.
    """
    done = git(folder, "rev-parse", "HEAD")
    if done.returncode == 0:
        return done.stdout.strip()
    said = done.stderr.strip().splitlines() or [""]
    if any("not a git repository" in line for line in said):
        return None
    if any("unknown revision" in line for line in said):
        raise GitFailed("the repository has no commit yet")
    raise GitFailed(f"git will not say which code this is: {_pathless(said[0])}")


def _said(folder: Path, *arguments: str) -> bytes:
    """What git prints. Raises GitFailed where it refuses."""
    done = git(folder, *arguments)
    if done.returncode:
        words = done.stderr.strip().splitlines() or [""]
        raise GitFailed(f"git {arguments[0]} failed: {_pathless(words[0])}")
    return done.stdout.encode(errors="surrogateescape")


def _pathless(words: str) -> str:
    """What git says, as a row may carry it."""
    return re.sub(r"'?(?:[A-Za-z]:)?[\\/][^\s']*'?", "…", words.removeprefix("fatal: "))

"""The repositories within a repository: each is filled in at the commit that the outer one names, from what is here.

Fetches nothing from anywhere, and changes nothing in the repositories that it copies from.
"""

import os
import subprocess
from pathlib import Path

from bench.errors import MeasurementError
from bench.git import GitFailed, git


class SubmoduleMissing(MeasurementError):
    """A commit needs a state of a submodule that is not on this machine."""


def submodules(repository: Path, commit: str | None = None) -> dict[str, str]:
    """Path from the root -> commit, of every submodule of a commit, or of what is checked out and staged."""
    asked = ["ls-files", "-z", "--stage"] if commit is None else ["ls-tree", "-z", "-r", commit]
    done = _git(repository, *asked)
    if done.returncode:
        raise GitFailed(f"git could not list the submodules of {repository}: {done.stderr.strip()}")
    found = {}
    for entry in filter(None, done.stdout.split("\0")):
        described, _, path = entry.partition("\t")
        if described.startswith("160000 "):
            found[path] = described.split()[1 if commit is None else 2]
    return found


def fill_submodules(root: Path, folder: Path, commit: str) -> None:
    """Fill the submodules of a commit that is checked out in `folder`, and those inside them.

    One that is empty in the working tree too stays empty: nobody here needs it.

    Args:
        root: the working tree that has their objects.

    Raises:
        SubmoduleMissing: this machine has the submodule in other states only.
        GitFailed
    """
    now = submodules(root)
    for path, wanted in submodules(root, commit).items():
        source = _with_objects(root, folder, path, wanted)
        if source is not None:
            _cloned(source, folder / path, wanted)
            fill_submodules(source, folder / path, wanted)
        elif path not in now or (root / path / ".git").exists():
            raise SubmoduleMissing(
                f"the submodule {path} is at {wanted[:12]} in commit {commit[:12]}, and this machine does not have "
                f"that state of it: git -C {path} fetch origin {wanted}"
            )


def _with_objects(root: Path, folder: Path, path: str, commit: str) -> Path | None:
    """The repository on this machine that holds a submodule's commit: where it lies now, or where git keeps it."""
    places = [root / path] if (root / path / ".git").exists() else []
    told = git(folder, "config", "--file", ".gitmodules", "--get-regexp", r"^submodule\..*\.path$").stdout
    for line in told.splitlines():
        key, _, where = line.partition(" ")
        if where == path:
            name = key.removeprefix("submodule.").removesuffix(".path")
            kept = _git(root, "rev-parse", "--git-path", f"modules/{name}").stdout.strip()
            places.append(root / kept)
    for place in places:
        if place.is_dir() and _git(place, "cat-file", "-e", f"{commit}^{{commit}}").returncode == 0:
            return place
    return None


def _git(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Git in a working tree, or in a folder of git's own whose working tree is gone, where it would refuse to work."""
    if (place / ".git").exists():
        return git(place, *arguments)
    return git(place, f"--git-dir={place.resolve()}", f"--work-tree={place.resolve()}", *arguments)


def _cloned(source: Path, target: Path, commit: str) -> None:
    """The commit in a folder of its own, which borrows the objects: also those that no branch holds any more."""
    hooks = ["-c", f"core.hooksPath={os.devnull}"]
    steps = (
        git(source.parent, *hooks, "clone", "--quiet", "--shared", "--no-checkout", str(source.resolve()), str(target)),
        git(target, *hooks, "checkout", "--quiet", "--detach", commit),
    )
    for done in steps:
        if done.returncode:
            raise GitFailed(f"git could not fill the submodule {target.name} at {commit[:12]}: {done.stderr.strip()}")

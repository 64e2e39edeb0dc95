"""What a baseline needs to know of its suite's repository: the commit checked out, and what is not committed.

Only looks: nothing here changes a file, a branch or the list of worktrees.
"""

from pathlib import Path

from bench.gate import trees


def head(folder: Path) -> str:
    """The full name of the commit that is checked out.

    Raises:
        NoGit, NotARepository
        CommitMissing: the repository has no commit yet.
    """
    try:
        return trees.full_name(folder, "HEAD")
    except trees.CommitMissing as error:
        raise trees.CommitMissing(
            f"the repository {trees.top_level(folder)} has no commit yet: make one first"
        ) from error


def uncommitted(folder: Path, apart_from: Path | None = None) -> list[str]:
    """Paths with changes that no commit holds, relative to the root; a new file counts unless git ignores it.

    Raises:
        NoGit, NotARepository, GitFailed
    """
    root = trees.top_level(folder)
    listed = trees.git(root, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
    if listed.returncode:
        raise trees.GitFailed(f"git cannot say what is uncommitted in {root}: {listed.stderr.strip()}")
    paths = [entry[3:] for entry in listed.stdout.split("\0") if entry]
    spared = apart_from.resolve() if apart_from else None
    return [path for path in paths if (root / path).resolve() != spared]


def relative_to_root(folder: Path, path: Path) -> str:
    """A path as both trees know it; as it is where it lies outside the repository, which holds no other state of it."""
    absolute = (folder / path).resolve()
    root = trees.top_level(folder).resolve()
    return str(absolute.relative_to(root)) if absolute.is_relative_to(root) else str(absolute)

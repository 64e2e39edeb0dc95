"""The commit whose code a check runs as the baseline, where the accepted one is gone: a squash or a rebase renames it.

Runs no code. Another commit stands in for the accepted one only with a word to the reader.
"""

from dataclasses import dataclass
from pathlib import Path

from bench.git import CommitMissing, ShallowClone, commit_with, full_name, last_change_of


@dataclass(frozen=True)
class Basis:
    """A commit to compare with. With `counts_asked`, its models have yet to show that they have the accepted counts."""

    commit: str
    note: str | None = None
    counts_asked: bool = False


def basis(repository: Path, commit: str, tree: str | None, file: Path) -> Basis:
    """The accepted commit; else one of this history with its very tree; else the one that last changed the baseline.

    Args:
        repository: the root of the working tree.
        tree: the name of the accepted commit's tree; None in a baseline that does not say it.
        file: the baseline file.

    Raises:
        ShallowClone: neither the commit nor its tree is here, and this clone has only a part of the history.
        CommitMissing: nothing can stand in for the commit.
    """
    try:
        return Basis(full_name(repository, commit))
    except CommitMissing as error:
        short = commit[:12]
        same = commit_with(repository, tree) if tree else None
        if same is not None:
            return Basis(same, f"commit {short} is not here; {same[:12]} has the same tree and stands in for it")
        # In a shallow clone every file was last changed by the oldest commit that is there, whatever it changed.
        last = None if isinstance(error, ShallowClone) else last_change_of(repository, file)
        if last is None:
            raise
        note = (
            f"commit {short} is not here, as after a squash or a rebase; {last[:12]}, which last changed {file.name}, "
            "stands in for it where its models have the accepted counts"
        )
        return Basis(last, note, counts_asked=True)

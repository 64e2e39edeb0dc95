"""`bench baseline`: show or move what a check compares with.

The only way in which a baseline moves.
"""

from pathlib import Path

import click

from bench.commands.loading import load
from bench.errors import UsageError

# The baseline


def accept(suite: Path, file: Path | None, reason: str, model: str | None, seen: Path | None, today: str) -> None:
    """Make what is committed here the baseline, and print what moved."""
    from bench.gate import accept as gate
    from bench.gate import baseline as kept
    from bench.git import head, main_branch_without, tree_of, uncommitted

    (loaded,) = load([suite])
    path, folder = file or kept.path_of(suite), suite.absolute().parent
    commit = head(folder)
    if changed := uncommitted(folder, apart_from=path):
        shown = ", ".join(changed[:5]) + (", …" if len(changed) > 5 else "")
        raise UsageError(f"a baseline is a commit, and there are uncommitted changes: {shown}. Commit them first")
    old = kept.read(path, suite) if path.exists() else None
    speeds = kept.seen_in(seen) if seen else None
    tree = tree_of(folder, commit)
    new = gate.accept(loaded, old, commit=commit, tree=tree, today=today, reason=reason, model=model, seen=speeds)
    kept.write(new, path)
    for line in gate.changes(old, new):
        click.echo(line)
    click.echo(f"{path} is written; commit it alone, so that it is reviewed like code", err=True)
    if main := main_branch_without(folder, commit):
        click.echo(
            f"note: {main} does not hold commit {commit[:12]} yet. A merge commit brings it there. A squash merge or a "
            "rebase merge loses it: a check then looks for a commit with its tree, or for the one that last changed "
            "this file",
            err=True,
        )


def show_baseline(suite: Path, file: Path | None, as_json: bool) -> None:
    """The baseline as a table: what was accepted, when and why; a speed only with the words that it is not compared."""
    from bench.commands.terminal import table
    from bench.gate import baseline as kept

    path = file or kept.path_of(suite)
    accepted = kept.read(path, suite)
    if as_json:
        click.echo(kept.render(accepted), nl=False)
        return
    click.echo(f"{path}: commit {accepted.baseline_commit[:12]}, {accepted.updated}: {accepted.reason}", err=True)
    table(kept.rows(accepted), as_json=False)

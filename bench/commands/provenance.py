"""Which repository the suites of a run lie in, with their plug-ins, and in what state.

Names no path and no address; what git refuses to say is said aloud.
"""

from collections.abc import Sequence

import click

from bench import git
from bench.commands.loading import code_of
from bench.git import CodeState
from bench.suite.read import LoadedSuite


def of_suites(loaded: Sequence[LoadedSuite]) -> CodeState:
    """The git state of the suites' repository; of several repositories, their commits one after the other."""
    found: dict[CodeState, None] = {}
    for each in loaded:
        files = [each.path, *code_of(each).files()]
        found[git.project_state(each.path.resolve().parent, files)] = None
    states = [state for state in found if state != CodeState()]
    for state in states:
        if state.note:
            click.echo(f"bench: the suite's commit is not recorded: {state.note}", err=True)
    known = [state for state in states if state.commit]
    notes = dict.fromkeys(state.note for state in states if state.note)
    return CodeState(
        ", ".join(str(state.commit) for state in known) or None,
        any(state.dirty for state in known) if known else None,
        ", ".join(state.diff_sha256 for state in known if state.diff_sha256) or None,
        "; ".join(notes) or None,
    )

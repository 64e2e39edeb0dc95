"""How a command ends when it broke: our own bug never looks like a finding, and no letter ends it.

Handles no error that a user can act on.
"""

import io
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import click

from bench.errors import BenchError

BROKE = 3  # a measurement or a save failed, or our own code


def nothing_unprintable() -> None:
    """Print a question mark for what standard output's encoding has no letter for, in place of a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


@contextmanager
def a_bug_is_no_finding() -> Iterator[None]:
    """End with 3 where Python would end with 1: a command that broke has found nothing. The traceback is printed."""
    broke = True
    try:
        yield
        broke = False
    except (
        BenchError, click.ClickException, click.exceptions.Exit, click.Abort, SystemExit, KeyboardInterrupt,
        BrokenPipeError,
    ):  # fmt: skip
        broke = False
        raise
    finally:
        if broke:
            traceback.print_exc()
            raise SystemExit(BROKE)

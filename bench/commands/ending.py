"""How a command ends when it broke: our own bug never looks like a finding.

Handles no error that a user can act on.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import click

from bench.commands.check import COULD_NOT_MEASURE
from bench.errors import BenchError


@contextmanager
def a_bug_is_no_finding() -> Iterator[None]:
    """End with 3 where Python would end with 1: a check that broke has found nothing. The traceback is printed."""
    broke = True
    try:
        yield
        broke = False
    except (BenchError, click.ClickException, click.exceptions.Exit, click.Abort, SystemExit, KeyboardInterrupt):
        broke = False
        raise
    finally:
        if broke:
            traceback.print_exc()
            raise SystemExit(COULD_NOT_MEASURE)

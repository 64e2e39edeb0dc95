"""The errors a user can act on, each with the exit code the command line ends with.

A message says where, what, and what was possible. Anything else that escapes is a bug and keeps its traceback.
"""

import difflib


class BenchError(Exception):
    """Base of the tree. Never raised itself: raise the branch that names the way out."""

    exit_code = 2


class UsageError(BenchError):
    """The command line asks for something that does not exist."""


class SuiteError(BenchError):
    """A suite file is wrong. Carries every problem found, not only the first."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


class DataError(BenchError):
    """A data set cannot be used."""

    exit_code = 3


class DataAbsent(DataError):
    """The data set is not on this machine. The message ends in the command that would get it."""


class DataCorrupt(DataError):
    """A data file is damaged. The message names the file, the checksum expected and the one found."""


class MeasurementError(BenchError):
    """A case could not be measured, for a reason the row will carry."""

    exit_code = 3


class StoreError(BenchError):
    """Rows could not be written to or read from the result store."""

    exit_code = 3


class NothingJudged(BenchError):
    """Under --strict, no claim could be judged."""

    exit_code = 4


class NothingSelected(BenchError):
    """The selection leaves nothing to do. The message lists what there was to select from."""

    exit_code = 5


def near(word: str, known: list[str]) -> str:
    """` Did you mean 'depth'? Known: depth, dim.` — the tail of a message about a word that is not known."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"{hint} Known: {', '.join(known) or 'nothing'}."

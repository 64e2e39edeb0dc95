"""Outcomes on GitHub: annotations of a step and the step's summary, within the limits that GitHub sets.

Computes nothing and never hides what a limit cut off: it is counted in words.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from bench.ci import wording
from bench.ci.markdown import escaped
from bench.ci.outcome import CiOutcome, Status

ANNOTATIONS_PER_LEVEL = 10  # of errors, of warnings and of notices, in one step; GitHub drops the rest silently
SUMMARY_BYTES = 1024 * 1024  # of one step in all; GitHub refuses a larger one whole
_TITLE_CHARACTERS = 255
_MESSAGE_BYTES = 60 * 1024  # GitHub takes 64 KiB
_CUT_BYTES = 400  # room for the sentence that says what was cut
_LEVELS = ("error", "warning", "notice")
# A passed outcome with one of these words needs nobody's attention.
_PLAIN_WORDS = ("pass", "passed", "reproduced", "answered")
_OPEN_WORD = "not measured"  # the usual state of a claim, and nothing to warn of
_MARKS: dict[Status, str] = {"failed": "❌", "error": "⚠️", "skipped": "⚪", "passed": "✅"}


def annotations(outcomes: Sequence[CiOutcome]) -> str:
    """Workflow commands, one to a line: failed and error are errors, what stayed undecided warns.

    Notices are what was never measured, and a pass with an unusual word: new, faster, unconfirmed. At most ten of each
    level; how many more there are is said in a last line that is no annotation. Empty when everything simply passed.
    """
    lines: list[str] = []
    more: list[str] = []
    for level in _LEVELS:
        own = [outcome for outcome in wording.by_weight(outcomes) if _level(outcome) == level]
        lines += [_command(level, outcome) for outcome in own[:ANNOTATIONS_PER_LEVEL]]
        if (left := len(own) - ANNOTATIONS_PER_LEVEL) > 0:
            more.append(f"{left} more {level}{'s' if left > 1 else ''}")
    if more:
        lines.append(f"Not annotated, as GitHub shows {ANNOTATIONS_PER_LEVEL} of a kind: {', '.join(more)}.")
    return "".join(f"{line}\n" for line in lines)


def summary(outcomes: Sequence[CiOutcome], limit_bytes: int = SUMMARY_BYTES) -> str:
    """A Markdown table for the step's summary, what failed first; rows that do not fit are counted in a sentence."""
    groups = ", ".join(dict.fromkeys(outcome.group for outcome in outcomes))
    head = (
        f"### bench: {escaped(groups) or 'nothing'}\n\n{escaped(wording.counts(outcomes)) or 'Nothing was judged.'}\n"
    )
    if not outcomes:
        return head
    head += "\n| | what | verdict | why |\n|---|---|---|---|\n"
    rows = [
        _row(outcome, several=len({each.group for each in outcomes}) > 1) for outcome in wording.by_weight(outcomes)
    ]
    kept, size = 0, len(head.encode()) + _CUT_BYTES
    while kept < len(rows) and size + len(rows[kept].encode()) <= limit_bytes:
        size += len(rows[kept].encode())
        kept += 1
    if kept == len(rows):
        return head + "".join(rows)
    cut = escaped(wording.counts(wording.by_weight(outcomes)[kept:]))
    said = f"Cut here, for a summary has a limit: {len(rows) - kept} rows more ({cut})."
    return f"{head}{''.join(rows[:kept])}\n{said}\n"


def publish(outcomes: Sequence[CiOutcome], environment: Mapping[str, str], stream: TextIO) -> bool:
    """In a step of GitHub Actions, write the annotations to its log and append to its summary; elsewhere do nothing.

    A summary that cannot be written is told in the log and changes no verdict.

    Args:
        environment: `GITHUB_ACTIONS` says where this is, `GITHUB_STEP_SUMMARY` names the summary's file.
        stream: the step's standard output or error; GitHub reads commands from both.

    Returns:
        Whether this is a step of GitHub Actions.
    """
    if environment.get("GITHUB_ACTIONS") != "true":
        return False
    stream.write(annotations(outcomes))
    if path := environment.get("GITHUB_STEP_SUMMARY"):
        try:
            _append(Path(path), outcomes)
        except OSError as error:
            stream.write(f"The step summary could not be written: {error.strerror}.\n")
    return True


def _append(path: Path, outcomes: Sequence[CiOutcome]) -> None:
    taken = path.stat().st_size if path.exists() else 0
    text = f"{summary(outcomes, SUMMARY_BYTES - taken - 1)}\n"
    if taken + len(text.encode()) <= SUMMARY_BYTES:  # what others wrote stays readable
        with path.open("a", encoding="utf-8") as file:
            file.write(text)


def _level(outcome: CiOutcome) -> str | None:
    if outcome.status in ("failed", "error"):
        return "error"
    if outcome.status == "skipped":
        return "notice" if outcome.word == _OPEN_WORD else "warning"
    return None if outcome.word in _PLAIN_WORDS else "notice"


def _command(level: str, outcome: CiOutcome) -> str:
    """`::error file=suites/ci.toml,title=mixer / speed%3A regression::The sentence with its numbers.`"""
    title = f"{outcome.name}: {outcome.word}"[:_TITLE_CHARACTERS]
    properties = {"file": outcome.file, "title": title}
    told = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value)
    message = "\n".join(filter(None, (outcome.reason or outcome.says, outcome.command)))
    cut = message.encode()[:_MESSAGE_BYTES].decode(errors="ignore")
    return f"::{level} {told}::{_message(cut)}"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def _row(outcome: CiOutcome, several: bool) -> str:
    what = f"{outcome.group} · {wording.title(outcome)}" if several else wording.title(outcome)
    cells = (_MARKS[outcome.status], escaped(what), escaped(outcome.word), escaped(outcome.reason))
    return f"| {' | '.join(cells)} |\n"

"""Outcomes as JUnit XML, as Jenkins, GitLab and GitHub's test reporters read it.

Stays within the elements and attributes that both Jenkins' and Surefire's schemas know; figures therefore stand in the
properties of their suite and never inside a test case.
"""

import re
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

from bench.ci import wording
from bench.ci.outcome import CiOutcome, Status

# What XML 1.0 cannot hold, escaped or not: most control characters, lone surrogates, U+FFFE and U+FFFF.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS: dict[Status, str] = {"failed": "failure", "error": "error", "skipped": "skipped"}


def render(outcomes: Sequence[CiOutcome]) -> str:
    """One test suite for each group, one test case for each outcome; failed, error and skipped are kept apart.

    A time that was not taken is written as 0, for Surefire's schema asks for one.
    """
    root = ElementTree.Element("testsuites", {"name": "bench", **_numbers(outcomes, skipped=False)})
    for group in dict.fromkeys(outcome.group for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.group == group]
        suite = ElementTree.SubElement(root, "testsuite", {"name": _clean(group), **_numbers(own)})
        _properties(suite, own)
        for outcome in own:
            _case(suite, outcome)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _numbers(outcomes: Sequence[CiOutcome], skipped: bool = True) -> dict[str, str]:
    """How many of each status, and their time in seconds; `testsuites` has no attribute for what was skipped."""
    counted = {
        plural: str(sum(outcome.status == status for outcome in outcomes))
        for status, plural in (("failed", "failures"), ("error", "errors"), ("skipped", "skipped"))
        if skipped or status != "skipped"
    }
    return {"tests": str(len(outcomes)), **counted, "time": _seconds(outcome.duration_s for outcome in outcomes)}


def _properties(suite: ElementTree.Element, outcomes: Iterable[CiOutcome]) -> None:
    found = [(f"{outcome.name}: {figure.name}", figure) for outcome in outcomes for figure in outcome.figures]
    if found:
        table = ElementTree.SubElement(suite, "properties")
        for name, figure in found:
            ElementTree.SubElement(table, "property", name=_clean(name), value=_clean(wording.amount(figure)))


def _case(suite: ElementTree.Element, outcome: CiOutcome) -> None:
    name, group = _clean(wording.title(outcome)), _clean(outcome.group)
    case = ElementTree.SubElement(suite, "testcase", name=name, classname=group, time=_seconds([outcome.duration_s]))
    if outcome.status != "passed":
        told = {"type": _clean(outcome.word), "message": _clean(f"{outcome.word}: {outcome.reason}")}
        element = ElementTree.SubElement(case, _ELEMENTS[outcome.status], told)
        if outcome.command:
            element.text = _clean(f"{outcome.reason}\n{outcome.command}")
    lines = [
        *dict.fromkeys((outcome.line, outcome.reason)),
        *(f"{each.name}: {wording.amount(each)}" for each in outcome.figures),
    ]
    lines += [f"again: {outcome.command}"] if outcome.command else []
    ElementTree.SubElement(case, "system-out").text = _clean("\n".join(filter(None, lines)))


def _seconds(durations: Iterable[float | None]) -> str:
    return f"{sum(duration or 0.0 for duration in durations):.3f}"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("", text)

"""What a report shows of thousands of claims: groups with their counts, the worst in full, the others as one line each.

Leaves no claim out: what is not drawn stands in the table's data, in JSON and in CSV.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from bench.report.page import ClaimGroup, ClaimRow
from bench.suite.schema import Suite
from bench.verdicts import WORDS, Verdict
from bench.verdicts.findings import deciding, outside

IN_FULL = 120  # claims of a suite whose rows open
FARTHEST = 60  # claims in a figure that has a line for each
_WORST = 20  # that a group names


def worst_first(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """By word, the strongest first, then by how far outside its band a claim lies."""
    return sorted(verdicts, key=lambda each: (WORDS.index(each.verdict), -outside(deciding(each))))


def farthest(verdicts: Sequence[Verdict]) -> Sequence[Verdict]:
    """What a figure has room for: all of a suite's claims, or of very many the worst."""
    return verdicts if len(verdicts) <= IN_FULL else worst_first(verdicts)[:FARTHEST]


def groups(suite: Suite, verdicts: Sequence[Verdict]) -> tuple[ClaimGroup, ...]:
    """The claims by group, or by source where they have none, in the suite's order; nothing of few without groups."""
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.group or suite.sources[verdict.source].title, []).append(verdict)
    if len(verdicts) <= IN_FULL and not any(verdict.group for verdict in verdicts):
        return ()
    return tuple(_group(name, own) for name, own in found.items())


def _group(name: str, verdicts: Sequence[Verdict]) -> ClaimGroup:
    counted = Counter(verdict.verdict for verdict in verdicts)
    bad = [each.claim for each in worst_first(verdicts) if each.verdict in ("contradicted", "inconsistent")]
    counts: Mapping[str, int] = {word: counted[word] for word in WORDS if counted[word]}
    return ClaimGroup(name, counts, tuple(bad[:_WORST]))


def data_of(rows: Sequence[ClaimRow]) -> str:
    """The rows that are not drawn, as JSON within a page: anchor, claim, sentence, numbers, word, place and reason."""
    lines = [
        [row.anchor, row.claim, check.says, *(str(each or "") for each in numbers), check.word, row.where, check.reason]
        for row in rows
        for check in row.checks[:1]
        for numbers in [(check.published, check.measured, check.difference)]
    ]
    return json.dumps(lines, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")

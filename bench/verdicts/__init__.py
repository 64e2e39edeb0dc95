"""Claims and rows become verdicts. `ledger` finds rows, `evidence` makes samples of them, `judge` decides.

Whoever shows a number beside a verdict takes its rows from `selection`.
"""

from bench.verdicts.deciding import Word
from bench.verdicts.evidence import Sample
from bench.verdicts.findings import findings
from bench.verdicts.judge import (
    WORDS,
    CheckVerdict,
    Verdict,
    exit_code,
    judge,
    judged_any,
    strongest,
    tally,
)
from bench.verdicts.ledger import current

__all__ = [
    "WORDS",
    "CheckVerdict",
    "Sample",
    "Verdict",
    "Word",
    "current",
    "exit_code",
    "findings",
    "judge",
    "judged_any",
    "strongest",
    "tally",
]

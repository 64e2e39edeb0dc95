"""Claims and rows become verdicts. `ledger` finds rows, `evidence` makes samples of them, `judge` decides."""

from bench.verdicts.evidence import Sample
from bench.verdicts.judge import (
    WORDS,
    CheckVerdict,
    Verdict,
    Word,
    exit_code,
    findings,
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

"""What each machine says of the claims on clocks: a line per check, a column per machine.

Judges nothing, and is no table where one machine measured everything.
"""

from collections.abc import Iterator, Mapping, Sequence

from bench.records import written
from bench.report.claimrows import interval, measured
from bench.report.page import Link, MachineCell, MachineLine, MachineTable
from bench.verdicts import CheckVerdict, Verdict


def machine_table(verdicts: Sequence[Verdict], anchors: Mapping[tuple[str, str], str]) -> MachineTable | None:
    """The table of one suite; None where no check on a clock has values of several machines."""
    labels = sorted({each.machine for v in verdicts for check in v.checks for each in on_each(check) if each.machine})
    told = [(verdict, check) for verdict in verdicts for check in verdict.checks if any(on_each(check))]
    lines = tuple(_line(verdict, check, labels, anchors) for verdict, check in told)
    return MachineTable(tuple(labels), lines) if len(labels) > 1 and lines else None


def on_each(check: CheckVerdict) -> Iterator[CheckVerdict]:
    """What a check comes to on each machine that measured it, the one that decides first."""
    yield from (each for each in (check, *check.elsewhere) if each.machine and each.verdict != "not measured")


def _line(
    verdict: Verdict, check: CheckVerdict, labels: Sequence[str], anchors: Mapping[tuple[str, str], str]
) -> MachineLine:
    cells = {each.machine: MachineCell(each.verdict, measured(each), interval(each)) for each in on_each(check)}
    disagree = len({each.verdict for each in on_each(check)}) > 1
    return MachineLine(
        Link(verdict.claim, anchors.get((verdict.suite, verdict.claim))),
        written.kept_together(check.says),
        tuple(cells.get(label) for label in labels),
        check.across if disagree else None,
    )

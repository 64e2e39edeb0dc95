"""Everything the report shows, as plain records and finished words: what the templates print in their order.

Judges nothing and computes no statistic; rounding a number for the eye is all it does to one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from bench.report.charts.figure import Absent, Drawn, Figure
from bench.verdicts import Verdict, Word

TILES: dict[Word, str] = {
    "reproduced": "the whole interval lies inside the claimed band",
    "contradicted": "the whole interval lies outside it",
    "inconclusive": "the interval crosses an edge, or too few seeds",
    "inconsistent": "the source contradicts itself",
    "not measured": "no comparable row, with the reason",
    "answered": "an open question of the source, answered",
}


@dataclass(frozen=True)
class Amount:
    """A number as it is written, apart from its unit so that both can be aligned."""

    number: str
    unit: str

    def __str__(self) -> str:
        return f"{self.number} {self.unit}".rstrip()


@dataclass(frozen=True)
class Link:
    """A claim by its id, with the place of its row; no place when the page does not show it."""

    claim: str
    anchor: str | None


@dataclass(frozen=True)
class PageFinding:
    """What one claim comes to: said, measured, followed."""

    link: Link
    word: str
    text: str


@dataclass(frozen=True)
class Tile:
    """How many claims carry a verdict."""

    word: str
    count: int
    meaning: str


@dataclass(frozen=True)
class CheckRow:
    """One line of the claim table."""

    says: str
    word: str
    published: Amount | None
    measured: Amount | None
    interval: str | None
    machine: str | None  # that decides, where several measured it
    across: str | None  # a sentence on the others
    difference: Amount | None
    reason: str
    details: tuple[tuple[str, str], ...]  # term, text
    calculation: tuple[str, ...]
    sample_columns: tuple[str, ...]  # those that say anything
    samples: tuple[Mapping[str, str], ...]
    samples_left_out: int
    logs: tuple[tuple[str, str], ...]  # what it is of, and its last lines
    command: str | None


@dataclass(frozen=True)
class ClaimRow:
    """One claim of the table with all that its opened row shows."""

    anchor: str
    claim: str
    says: str
    word: str
    rank: int  # of its verdict, for sorting
    far: float  # from the middle of the band in tolerances, for sorting
    source: str
    kind: str
    byline: str
    url: str | None
    source_note: str | None
    where: str
    quote: str | None
    note: str | None
    checks: tuple[CheckRow, ...]
    compare: tuple[Link, ...]
    beside: str | None  # which of the compared claims the measurement supports


@dataclass(frozen=True)
class MachineCell:
    """What a check comes to on one machine."""

    word: str
    measured: Amount | None
    interval: str | None


@dataclass(frozen=True)
class MachineLine:
    """A check by machines; a machine that did not measure it has no cell."""

    link: Link
    says: str
    cells: tuple[MachineCell | None, ...]
    disagree: str | None  # a sentence where they do


@dataclass(frozen=True)
class MachineTable:
    """The checks on clocks by machines: a column each."""

    machines: tuple[str, ...]
    lines: tuple[MachineLine, ...]


@dataclass(frozen=True)
class ClaimGroup:
    """Claims that belong together: how many carry each word, and the worst of those that do not hold."""

    name: str
    counts: Mapping[str, int]
    worst: tuple[str, ...]


@dataclass(frozen=True)
class CostCell:
    """Time and money of one training on one device, with the label of the weaker of the two."""

    time: str
    money: str
    basis: str


@dataclass(frozen=True)
class CostTable:
    """Trainings by devices; each training in up to three ways of knowing what it costs."""

    devices: tuple[str, ...]
    trainings: tuple[tuple[str, tuple[tuple[str, tuple[CostCell | None, ...]], ...]], ...]
    sources: tuple[str, ...]
    csv: str


@dataclass(frozen=True)
class BesideCell:
    """A published number and the one that comes out here, with the word and place of the claim that judges them."""

    published: str | None
    rebuilt: str | None
    word: str | None
    link: Link | None


@dataclass(frozen=True)
class BesideTable:
    """A table of a source, rebuilt: groups of lines, each line a label and one cell per column."""

    title: str
    place: str
    note: str | None
    columns: tuple[str, ...]
    groups: tuple[tuple[str, tuple[tuple[str, tuple[BesideCell | None, ...]], ...]], ...]


@dataclass(frozen=True)
class Calculation:
    """A calculation of a source that does not give what the source prints."""

    anchor: str
    claim: str
    says: str
    lines: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Section:
    """All about one suite."""

    key: str
    question: str
    answer: str  # one sentence, with its numbers and how sure they are
    summary: str
    path: str
    tiles: tuple[Tile, ...]
    claims: tuple[ClaimRow, ...]
    others: int  # claims beyond those, which are data of the page
    others_json: str
    groups: tuple[ClaimGroup, ...]
    machines: MachineTable | None
    draw: Callable[[], Drawn]
    costs: CostTable | None
    tables: tuple[BesideTable, ...]
    calculations: tuple[Calculation, ...]
    arithmetic: int  # how many calculations were checked

    @property
    def checked(self) -> str:
        """That the sources' own arithmetic holds, in a sentence."""
        if self.arithmetic == 1:
            return "1 calculation of the sources was checked, and it gives what is printed."
        return f"{self.arithmetic} calculations of the sources were checked, and each gives what is printed."

    @cached_property
    def drawn(self) -> Drawn:
        """All figures, drawn when they are first looked at: a form that shows none draws none."""
        return self.draw()

    @property
    def forest(self) -> Figure | Absent:
        """The signature figure."""
        return self.drawn.forest

    @property
    def figures(self) -> tuple[Figure | Absent, ...]:
        """The figures below the claim table."""
        return self.drawn.figures

    @property
    def problems(self) -> tuple[str, ...]:
        """Published curves that could not be read."""
        return self.drawn.problems


@dataclass(frozen=True)
class Run:
    """The conditions of one run."""

    run_id: str
    date: str
    started_at: str  # ISO 8601
    command: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Page:
    """The report, ready to be printed by any template."""

    title: str
    answer: str | None  # to the question of the title, where there is one question
    lead: str
    conditions: tuple[str, ...]
    tiles: tuple[Tile, ...]
    reduced: str | None  # the sentence that comes first when a reduced profile is all there is
    commits: Mapping[str, str]  # run -> commit, where one is known
    failures: tuple[str, ...]  # cases whose newest run gave no value: case, run, reason
    hints: tuple[str, ...]  # claim and what a reduced run hints at, of claims that are not among the findings
    findings: tuple[PageFinding, ...]
    first: tuple[PageFinding, ...]  # with several suites: all that does not hold
    sections: tuple[Section, ...]
    runs: tuple[Run, ...]
    runs_left_out: int
    digest: str
    row_count: int
    command: str
    command_here: str  # the same with the paths as they were given: for a terminal, never for a page
    generated: str
    generated_iso: str  # ISO 8601
    verdicts: tuple[Verdict, ...]

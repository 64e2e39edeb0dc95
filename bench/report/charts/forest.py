"""The forest plot: every check of every claim against its band, one reading for numbers and orderings alike.

Judges nothing: verdicts, bands and intervals come from `verdicts.py`; here they only get a place on one axis.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from bench.records import written
from bench.report.charts.figure import Absent, Figure
from bench.report.charts.palette import BAND, FONT, INK, LINE, MUTED, SMALL, VERDICT_COLOURS, WIDTH
from bench.report.charts.svg import finish, sheet, styled, tip, verdict_mark
from bench.verdicts import CheckVerdict, Verdict
from bench.verdicts.placement import Place, place

REACH = 4.0  # how many tolerances the axis shows to either side
_CENTRE, _UNIT = 530.0, 37.0  # px
_LEFT, _RIGHT = _CENTRE - REACH * _UNIT, _CENTRE + REACH * _UNIT
_SAYS, _WORD = 52.0, _RIGHT + 30
_LINE_PX, _PADDING, _HEAD = 17.0, 14.0, 44.0

HOW_TO_READ = (
    "Numbers: x = (measured − published) ÷ tolerance, so the claimed band reaches from −1 to +1. "
    "Orderings and limits have one edge only: there x is the distance to that edge in half widths of the measured "
    "interval, the edge stands at −1 or +1, and the band is open to the claimed side. "
    "An interval inside the band reproduces its claim, one outside contradicts it, one across an edge decides nothing."
)


_LONGEST = 26  # characters of the numbers beside a verdict, without ", claimed "; more would leave the sheet


_NAMED = 12  # claims in a sentence
TITLE = "All claims at a glance"


@dataclass(frozen=True)
class _Line:
    verdict: Verdict
    check: CheckVerdict
    first: bool  # the claim's main check carries its id
    says: list[str]
    place: Place | None
    aside: list[str]  # what stands where the interval would

    @property
    def height(self) -> float:
        return max(2, len(self.says), len(self.aside)) * _LINE_PX + _PADDING


@styled
def forest(name: str, verdicts: Sequence[Verdict], sources: Mapping[str, str], title: str = TITLE) -> Figure | Absent:
    """All checks of the verdicts, grouped by source.

    Args:
        sources: key of a source -> its title, in the order in which they stand.
    """
    if not verdicts:
        return Absent(name, title, "There are no claims.")
    groups = [(text, _lines([v for v in verdicts if v.source == key])) for key, text in sources.items()]
    groups = [(text, lines) for text, lines in groups if lines]
    height = _HEAD + sum(38 + sum(line.height for line in lines) for _, lines in groups) + 44
    figure, ax = sheet(height)
    _header(ax)
    y = _HEAD
    for text, lines in groups:
        y = _group(ax, text, lines, y)
    _axis(ax, y)
    return finish(figure, name, title, _reading(verdicts), _alt(verdicts), _data(verdicts), HOW_TO_READ)


def _lines(verdicts: Sequence[Verdict]) -> list[_Line]:
    return [
        line
        for verdict in verdicts
        for number, check in enumerate(verdict.checks)
        for line in (_line(verdict, check, number == 0), *(_of_machine(verdict, each) for each in check.elsewhere))
    ]


def _line(verdict: Verdict, check: CheckVerdict, first: bool) -> _Line:
    """A check; where several machines measured it, of the one that decides."""
    return _Line(verdict, check, first, [*_wrapped(check.says, 40), *_on(check)], place(check), _aside(check))


def _of_machine(verdict: Verdict, check: CheckVerdict) -> _Line:
    """The same check on another machine: a mark of its own below."""
    return _Line(verdict, check, False, _on(check, always=True), place(check), _aside(check))


def _on(check: CheckVerdict, always: bool = False) -> list[str]:
    return [f"on {check.machine}"] if check.machine and (always or check.elsewhere) else []


def _wrapped(text: str, width: int, lines: int | None = None) -> list[str]:
    """Lines of at most so many characters; the middle of a case name too long for one is left out."""
    words = (_shortened(word, width) for word in written.kept_together(text).split(" "))
    return textwrap.wrap(" ".join(words), width, max_lines=lines, placeholder=" …", break_on_hyphens=False)


def _shortened(word: str, width: int) -> str:
    """`accuracy/…/as_run` for a name that no line holds: one with a break in it would read as two."""
    parts = word.split("/")
    return f"{parts[0]}/…/{parts[-1]}" if len(word) > width and len(parts) > 2 else word


def _aside(check: CheckVerdict) -> list[str]:
    if place(check) is not None:
        return []
    text = f"Hint only: {check.indication}" if check.indication else check.reason
    return _wrapped(text, 42, 3)


def _header(ax: Axes) -> None:
    for x, text, where in ((0, "Claim", "left"), (_CENTRE, "claimed band", "center"), (_WORD - 6, "Verdict", "left")):
        ax.text(x, 18, text, size=SMALL, color=MUTED, ha=where)
    ax.text(_LEFT, 18, "◂ less", size=SMALL, color=MUTED)
    ax.text(_RIGHT, 18, "more ▸", size=SMALL, color=MUTED, ha="right")


def _group(ax: Axes, title: str, lines: Sequence[_Line], y: float) -> float:
    ax.plot([0, WIDTH], [y - 14, y - 14], color=LINE, lw=1)
    ax.text(0, y + 8, textwrap.shorten(title, 110, placeholder=" …"), size=SMALL, color=MUTED, weight="bold")
    y += 24
    for line in lines:
        _row(ax, line, y)
        y += line.height
    return y + 14


def _row(ax: Axes, line: _Line, top: float) -> None:
    text_y = top + 19
    if line.first:
        ax.text(0, text_y, line.verdict.claim, size=FONT, color=INK, weight="bold")
    for number, part in enumerate(line.says):
        colour = INK if line.first and part not in _on(line.check) else MUTED
        ax.text(_SAYS, text_y + number * _LINE_PX, part, size=FONT, color=colour)
    for number, part in enumerate(line.aside):
        ax.text(_LEFT, text_y + number * _LINE_PX, part, size=SMALL, color=MUTED)
    if line.place is not None:
        _interval(ax, line, line.place, top)
    word = line.check.verdict
    verdict_mark(ax, _WORD, text_y - 4.5, word)
    ax.text(_WORD + 14, text_y, word, size=FONT, color=MUTED if word == "not measured" else INK, weight="bold")
    ax.text(_WORD + 14, text_y + _LINE_PX, numbers_beside(line.check), size=SMALL, color=MUTED)


def _interval(ax: Axes, line: _Line, at: Place, top: float) -> None:
    colour = VERDICT_COLOURS[line.check.verdict][0]
    left, right = _px(max(at.band[0], -REACH)), _px(min(at.band[1], REACH))
    ax.fill_between([left, right], top, top + line.height, color=BAND, lw=0)
    if at.band == (-1.0, 1.0):
        ax.plot([_CENTRE, _CENTRE], [top, top + line.height], color=LINE, lw=1)
    y = top + 15
    if abs(at.x) > REACH:
        _arrow(ax, line, math.copysign(1, at.x), y, colour)
        return
    ends = (max(at.low, -REACH), min(at.high, REACH))
    bounded = math.isfinite(at.low) and math.isfinite(at.high)
    ax.plot([_px(end) for end in ends], [y, y], color=colour, lw=2.4 if bounded else 1.2, ls="-" if bounded else ":")
    for end, bound in zip(ends, (at.low, at.high), strict=True):
        if bounded and end != bound:  # the interval goes on beyond the axis
            ax.plot([_px(end)], [y], "<" if end < 0 else ">", color=colour, ms=6)
    tip(verdict_mark(ax, _px(at.x), y, line.check.verdict), f"{line.verdict.claim}: {line.check.reason}")
    if not bounded:
        ax.text(_px(at.x), y + 18, "no interval", size=SMALL, color=MUTED, ha="center")


def _arrow(ax: Axes, line: _Line, side: float, y: float, colour: str) -> None:
    """A value outside the axis: an arrow at its end, with how far off the value is."""
    end = _px(side * REACH)
    ax.plot([end - side * 60, end - side * 4], [y, y], color=colour, lw=2.4)
    head = ax.plot([end - side * 4], [y], ">" if side > 0 else "<", color=colour, ms=9)
    tip(head, f"{line.verdict.claim}: {line.check.reason}")
    ax.text(end, y + 18, _distance(line.check), size=SMALL, color=INK, ha="right" if side > 0 else "left")


def _distance(check: CheckVerdict) -> str:
    """How far from the published value, or from the edge it should have stayed within."""
    assert check.measured is not None
    edge = next(v for v in (check.published, check.low, check.high) if v is not None)
    off = check.measured.point - edge
    unit = written.as_printed(written.difference_unit(check.unit), edge)
    shown = written.scale(unit, off).apart([off], [0.0])
    return f"{shown.signed(off)} {shown.unit}".rstrip()


def numbers_beside(check: CheckVerdict) -> str:
    """`51,625,960, claimed 51,600,000`: what stands beside the verdict, short enough for the sheet."""
    if check.measured is None:
        if check.published is None:
            return ""
        return f"claimed {' '.join(written.published(check.published, check.unit, check.printed))}"
    published = [check.published] if check.published is not None else []
    shown = written.scale(written.as_printed(check.unit, *published, text=check.printed), check.measured.point)
    if check.verdict in ("contradicted", "inconsistent"):
        shown = shown.apart([check.measured.point], published)
    text = f"{shown.text(check.measured.point)} {shown.unit}".rstrip()
    if check.published is None:
        return text
    value, unit = written.published(check.published, check.unit, check.printed)
    if unit == shown.unit and len(text) + len(value) > _LONGEST:
        text = shown.text(check.measured.point)  # the claim's own sentence says what is counted
    return f"{text}, claimed {value}" + ("" if unit == shown.unit else f" {unit}")


def _axis(ax: Axes, y: float) -> None:
    ax.plot([_LEFT, _RIGHT], [y - 8, y - 8], color=LINE, lw=1)
    for tick in range(-int(REACH), int(REACH) + 1):
        ax.plot([_px(tick)] * 2, [y - 8, y - 4], color=LINE, lw=1)
        sign = written.MINUS if tick < 0 else "+" if tick > 0 else ""
        ax.text(_px(tick), y + 10, f"{sign}{abs(tick)}", size=SMALL, color=MUTED, ha="center")
    ax.text(_CENTRE, y + 30, "(measured − published) ÷ tolerance", size=SMALL, color=MUTED, ha="center")


def _px(x: float) -> float:
    return _CENTRE + x * _UNIT


def _count(verdicts: Sequence[Verdict], word: str) -> int:
    return sum(verdict.verdict == word for verdict in verdicts)


def _reading(verdicts: Sequence[Verdict]) -> str:
    judged = [v for v in verdicts if v.verdict in ("reproduced", "contradicted", "inconsistent")]
    outside = [v.claim for v in verdicts if v.verdict == "contradicted"]
    held = _count(judged, "reproduced")
    if not judged:
        whole = "The claim could not" if len(verdicts) == 1 else f"None of the {len(verdicts)} claims could"
        return f"{whole} be judged from these rows."
    claims = "claim" if len(judged) == 1 else "claims"
    text = f"{held} of {len(judged)} judged {claims} {'lies' if held == 1 else 'lie'} wholly inside the claimed band"
    if outside:
        text += f"; {_listed(outside)} {'lies' if len(outside) == 1 else 'lie'} outside it"
    if undecided := _count(verdicts, "inconclusive"):
        text += f"; {undecided} {'is' if undecided == 1 else 'are'} inconclusive"
    if unmeasured := _count(verdicts, "not measured"):
        text += f"; {unmeasured} {'is' if unmeasured == 1 else 'are'} not measured"
    return text + "."


def _listed(names: Sequence[str]) -> str:
    if len(names) > _NAMED + 1:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED:,} others"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _alt(verdicts: Sequence[Verdict]) -> str:
    words = dict.fromkeys(verdict.verdict for verdict in verdicts)
    parts = [f"{word}: {', '.join(v.claim for v in verdicts if v.verdict == word)}" for word in words]
    return f"Forest plot of {len(verdicts)} claims. {_reading(verdicts)} {'; '.join(parts)}."


def _data(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    return pd.DataFrame(
        [_record(v, each) for v in verdicts for check in v.checks for each in (check, *check.elsewhere)],
    )


def _record(verdict: Verdict, check: CheckVerdict) -> dict[str, object]:
    at, measured = place(check), check.measured
    return {
        "claim": verdict.claim,
        "says": check.says,
        "verdict": check.verdict,
        "machine": check.machine,
        "unit": check.unit,
        "published": check.published,
        "band_low": check.low,
        "band_high": check.high,
        "measured": measured.point if measured else None,
        "measured_low": measured.low if measured else None,
        "measured_high": measured.high if measured else None,
        "x": at.x if at else None,
        "x_low": at.low if at else None,
        "x_high": at.high if at else None,
        "reason": check.reason,
    }

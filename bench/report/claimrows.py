"""A verdict becomes a row of the claim table, and what the row shows when it is opened.

Judges nothing; a number is written here, never made.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from bench.records import written
from bench.report.page import Amount, CheckRow, ClaimRow, Link
from bench.suite.schema import Source, Suite
from bench.verdicts import WORDS, CheckVerdict, Verdict
from bench.verdicts.bands import plural
from bench.verdicts.evidence import Sample
from bench.verdicts.logs import Log
from bench.verdicts.paired import Paired
from bench.verdicts.placement import place

_SAMPLES_SHOWN = 40
_COLUMNS = ("seed", "repeat", "value", "run")


def claim_rows(
    suite: Suite, verdicts: Sequence[Verdict], anchors: Mapping[tuple[str, str], str]
) -> tuple[ClaimRow, ...]:
    """The rows of one suite's claim table; claims about the same thing stand together."""
    by_id = {verdict.claim: verdict for verdict in verdicts}
    return tuple(_claim(suite, verdict, anchors, by_id) for verdict in _together(verdicts))


def _together(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Every claim in the suite's order, followed by those it is compared with."""
    by_id = {verdict.claim: verdict for verdict in verdicts}
    ordered: dict[str, Verdict] = {}
    for verdict in verdicts:
        for claim in (verdict.claim, *verdict.compare):
            if claim in by_id:
                ordered.setdefault(claim, by_id[claim])
    return list(ordered.values())


def _claim(
    suite: Suite, verdict: Verdict, anchors: Mapping[tuple[str, str], str], by_id: Mapping[str, Verdict]
) -> ClaimRow:
    source = suite.sources[verdict.source]
    return ClaimRow(
        anchor=anchors[verdict.suite, verdict.claim],
        claim=verdict.claim,
        says=written.kept_together(verdict.says),
        word=verdict.verdict,
        rank=WORDS.index(verdict.verdict),
        far=_far(verdict),
        source=source.title,
        kind=source.kind,
        byline=_byline(source),
        url=source.url if source.url and source.url.startswith(("https://", "http://")) else None,
        source_note=source.note,
        where=verdict.where,
        quote=verdict.quote,
        note=verdict.note,
        checks=tuple(_check(check) for check in verdict.checks),
        compare=tuple(Link(other, anchors.get((verdict.suite, other))) for other in verdict.compare),
        beside=_supported([verdict, *(by_id[other] for other in verdict.compare if other in by_id)]),
    )


def _supported(verdicts: Sequence[Verdict]) -> str | None:
    """Of claims about the same thing, which one the measurement supports; nothing where there is only one."""
    if len(verdicts) < 2:
        return None
    words = {verdict.claim: verdict.verdict for verdict in sorted(verdicts, key=lambda each: each.claim)}
    holding = [claim for claim, word in words.items() if word in ("reproduced", "answered")]
    refuted = [claim for claim, word in words.items() if word in ("contradicted", "inconsistent")]
    if holding and refuted:
        return f"The measurement supports {' and '.join(holding)}, not {' and '.join(refuted)}"
    if holding and len(holding) == len(words):
        return f"{' and '.join(words)} agree with the measurement"
    if set(words.values()) == {"not measured"}:
        return f"Not decided between {' and '.join(words)}: not measured"
    told = " and ".join(f"{claim} is {word}" for claim, word in words.items())
    return f"Not decided between them: {told}" if len(refuted) < len(words) else f"Neither holds: {told}"


def _far(verdict: Verdict) -> float:
    """How many tolerances the farthest check is off; below zero where nothing was measured, so that it sorts last."""
    places = [place(check) for check in verdict.checks]
    return round(min(max((abs(at.x) for at in places if at), default=-1.0), 1e9), 4)


def _byline(source: Source) -> str:
    return ", ".join(str(part) for part in (source.authors, source.year) if part)


def _check(check: CheckVerdict) -> CheckRow:
    difference = check.difference
    samples = tuple(_sample(sample) for sample in check.samples[:_SAMPLES_SHOWN])
    return CheckRow(
        says=written.kept_together(check.says),
        word=check.verdict,
        published=_published(check),
        measured=measured(check),
        interval=interval(check),
        machine=check.machine if check.elsewhere else None,
        across=check.across,
        difference=None if difference is None else _signed(difference, check),
        reason=written.kept_together(check.reason),
        details=tuple(_details(check)),
        calculation=check.calculation,
        sample_columns=tuple(column for column in _COLUMNS if any(sample[column] for sample in samples)),
        samples=samples,
        samples_left_out=max(0, len(check.samples) - _SAMPLES_SHOWN),
        logs=tuple((_log_title(log), log.tail) for log in check.logs),
        command=check.command,
    )


def _log_title(log: Log) -> str:
    how = "" if log.status == "ok" else f", {log.status}"
    return f"The last lines of {log.case}, run {log.run_id}{how}; all of them are in the store, {log.name}"


def _published(check: CheckVerdict) -> Amount | None:
    if check.published is None:
        return None
    return Amount(*written.published(check.published, check.unit, check.printed))


def _scale(check: CheckVerdict) -> written.Scale:
    """One scale for the published value, the measured one and its interval."""
    measured = [check.measured.point] if check.measured else []
    published = [check.published] if check.published is not None else []
    chosen = written.scale(written.as_printed(check.unit, *published, text=check.printed), *measured, *published)
    return chosen.apart(measured, published) if check.verdict in ("contradicted", "inconsistent") else chosen


def measured(check: CheckVerdict) -> Amount | None:
    """The measured value as the table writes it."""
    if check.measured is None:
        return None
    scale, point = _scale(check), check.measured.point
    if point and not scale.text(point).strip(f"{written.MINUS}0.,"):
        scale = written.scale(
            written.as_printed(check.unit, point), point
        )  # beside a far larger published value it would read as zero
    return Amount(scale.text(point), scale.unit)


def interval(check: CheckVerdict) -> str | None:
    """The interval in the unit of the measured value; nothing for an exact count."""
    found = check.measured
    if found is None or found.low == found.high:
        return None
    if not found.bounded:
        repeated = any(sample.repeat is not None for sample in check.samples)
        one = "block" if "within one process" in found.method else "process"
        return f"no interval from {plural(found.n, one if repeated else 'seed')}"
    scale = _scale(check)
    return f"{scale.text(found.low)} to {scale.text(found.high)}"


def _signed(difference: float, check: CheckVerdict) -> Amount:
    unit = written.difference_unit(check.unit)
    scale = written.scale(unit, difference) if unit not in ("s", "bytes") else _scale(check)
    return Amount(scale.signed(difference), scale.unit)


def _details(check: CheckVerdict) -> Iterator[tuple[str, str]]:
    if band := _band(check):
        yield "Claimed band", band
    if check.tolerance_why:
        yield "Why this tolerance", check.tolerance_why
    if check.measured is not None and check.measured.low != check.measured.high:
        yield "Interval", f"{check.measured.method}, n = {check.measured.n}"
    if check.spread:
        yield "Spread between seeds", check.spread.words
    if len(check.history) > 1:
        yield "Its word by the number of seeds", ", ".join(f"{count}: {word}" for count, word in check.history)
    if check.further:
        told = ", ".join(f"{_sample(sample)['value']} (seed {sample.seed})" for sample in check.further)
        yield "Seeds beyond the plan, which decide nothing", told
    if check.resolution is not None:
        yield "Test set resolves", f"±{check.resolution:.2f} points at 95 %"
    for pair in check.paired:
        yield f"Same images, seed {pair.seed}", _paired(pair)
    if check.indication:
        yield "Hint of a reduced run", check.indication
    if check.machine and check.machine_id:
        known = check.machine_id in check.machine
        yield "Machine", check.machine if known else f"{check.machine}, id {check.machine_id}"
    if check.conditions:
        yield "Protocol", " · ".join(f"{key} {value}" for key, value in check.conditions.items())
    if check.deviations:
        yield "Deviations from the recipe", check.deviations


def _paired(pair: Paired) -> str:
    """Of the last epoch: how often only one of the two was right, and what that says of their difference."""
    scale = written.scale("points", pair.difference.point)
    low, high = (scale.signed(end) for end in (pair.difference.low, pair.difference.high))
    p = f"{pair.p:.2g}" if pair.p >= 1e-4 else "below 0.0001"
    return (
        f"after the last epoch only {pair.first} right on {pair.only_first:,}, only {pair.second} on "
        f"{pair.only_second:,} of {pair.images:,}; {scale.signed(pair.difference.point)} points ({low} to {high}, "
        f"paired bootstrap); McNemar's exact p {p}"
    )


def _band(check: CheckVerdict) -> str | None:
    ends = [end for end in (check.low, check.high) if end is not None and math.isfinite(end)]
    if not ends:
        return None
    scale = written.scale(written.as_printed(check.unit, *ends, text=check.printed), *ends)
    scale = scale.apart(ends, [check.published]) if check.printed and check.published is not None else scale
    if len(ends) == 2 and ends[0] != ends[1]:
        return f"{scale.text(ends[0])} to {scale.text(ends[1])} {scale.unit}".rstrip()
    word = "exactly" if len(ends) == 2 else "above" if check.low is not None else "below"
    return f"{word} {' '.join(written.published(ends[0], check.unit))}".rstrip()


def _sample(sample: Sample) -> dict[str, str]:
    """A raw value keeps the digits it was stored with, up to ten."""
    value = f"{sample.value:,.10g}".replace("-", written.MINUS)
    seed, repeat = ("" if each is None else str(each) for each in (sample.seed, sample.repeat))
    return dict(zip(_COLUMNS, (seed, repeat, value, sample.run_id or ""), strict=True))

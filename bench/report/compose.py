"""Verdicts and rows become the page: tiles, findings, claim tables, figures, costs, environment.

Prints nothing and decides nothing; what it says of a claim is what its verdict says. Figures are drawn when somebody
looks at them, which is in HTML and Markdown alone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pandas as pd

from bench.records import written
from bench.report import many, printed_tables, provenance
from bench.report.charts.figure import Absent, Drawn, Figure
from bench.report.claimrows import claim_rows
from bench.report.cost_table import cost_table
from bench.report.machine_table import machine_table
from bench.report.page import TILES, Calculation, Link, Page, PageFinding, Section, Tile
from bench.report.provenance import Places, command
from bench.suite.read import LoadedSuite
from bench.verdicts import Verdict, findings
from bench.verdicts.answer import answer_to, main_claims
from bench.verdicts.bands import plural
from bench.verdicts.selection import Selected, Selection, digest, selected


def build(
    suites: Sequence[LoadedSuite],
    verdicts: Sequence[Verdict],
    rows: pd.DataFrame,
    environments: pd.DataFrame,
    *,
    now: datetime | None = None,
    places: Places | None = None,
) -> Page:
    """Everything the report shows, for one suite or several.

    Args:
        verdicts: on the claims of all suites.
        rows: every row of the store; those of other suites are left aside.
        environments: one row per run.
        now: the date on the page; the clock's when not given.
        places: of store and data, for the commands on the page; the default ones when not given.
    """
    anchors = _anchors(verdicts)
    chosen = {loaded.suite.id: selected(loaded.suite, loaded.sha256, rows) for loaded in suites}
    used = [each for selection in chosen.values() for each in selection.rows]
    runs = provenance.runs_of(used, environments)
    places = places or Places()
    sections = tuple(_section(loaded, verdicts, chosen[loaded.suite.id], anchors, places) for loaded in suites)
    one = sections[0] if len(sections) == 1 else None
    told = tuple(_findings(suites, verdicts, anchors))
    claims = plural(len(verdicts), "claim")
    moment = now or datetime.now(UTC)
    return Page(
        title=one.question if one else f"Which published numbers hold? {len(sections)} suites, {claims}",
        answer=one.answer if one else None,
        lead=one.summary if one else "",
        conditions=tuple(provenance.conditions(used, runs)),
        tiles=_tiles(verdicts),
        reduced=_reduced(suites, chosen),
        commits=provenance.commits(runs),
        failures=tuple(_failures(chosen)),
        hints=tuple(_hints(verdicts, {finding.link.claim for finding in told})),
        findings=told,
        first=tuple(_first(verdicts, anchors, {finding.link for finding in told})) if len(sections) > 1 else (),
        sections=sections,
        runs=tuple(provenance.run(run) for run in runs.head(provenance.RUNS_SHOWN).to_dict("records")),
        runs_left_out=max(0, len(runs) - provenance.RUNS_SHOWN),
        digest=digest(used),
        row_count=len({id(each.row) for each in used}),
        command=command("bench", "report", *(each.path for each in sections), *places.of_report(), "--format", "html"),
        command_here=_command_here(suites, places),
        generated=provenance.in_words(moment),
        generated_iso=moment.astimezone(UTC).isoformat(timespec="seconds"),
        verdicts=tuple(verdicts),
    )


def _anchors(verdicts: Sequence[Verdict]) -> dict[tuple[str, str], str]:
    """(suite, claim) -> the id of its row: the claim's own where no other suite has the same."""
    seen = Counter(verdict.claim for verdict in verdicts)
    return {(v.suite, v.claim): v.claim if seen[v.claim] == 1 else f"{v.suite}-{v.claim}" for v in verdicts}


def _tiles(verdicts: Iterable[Verdict]) -> tuple[Tile, ...]:
    counts = Counter(verdict.verdict for verdict in verdicts)
    shown = [word for word in TILES if word != "answered" or counts[word]]
    return tuple(Tile(word, counts[word], TILES[word]) for word in shown)


def _section(
    loaded: LoadedSuite,
    verdicts: Sequence[Verdict],
    chosen: Selection,
    anchors: Mapping[tuple[str, str], str],
    places: Places,
) -> Section:
    suite, own = loaded.suite, [verdict for verdict in verdicts if verdict.suite == loaded.suite.id]
    whole = len(own) <= many.IN_FULL
    claims = claim_rows(suite, own if whole else many.worst_first(own), anchors)
    return Section(
        key=suite.id,
        question=suite.question,
        answer=written.kept_together(answer_to(suite, own)),
        summary=" ".join(suite.summary.split()),
        path=provenance.suite_file(loaded),
        tiles=_tiles(own),
        claims=claims if whole else claims[: many.IN_FULL],
        others=0 if whole else len(claims) - many.IN_FULL,
        others_json="[]" if whole else many.data_of(claims[many.IN_FULL :]),
        groups=many.groups(suite, own),
        machines=machine_table(own, anchors),
        draw=partial(_drawn, loaded, chosen.rows, own, places),
        costs=cost_table(suite, chosen.rows),
        tables=printed_tables.tables(suite, chosen.rows, claims),
        calculations=tuple(_calculations(own, anchors)),
        arithmetic=sum(bool(check.calculation) for verdict in own for check in verdict.checks),
    )


def _drawn(loaded: LoadedSuite, rows: Sequence[Selected], verdicts: Sequence[Verdict], places: Places) -> Drawn:
    """The figures of one suite. What draws them is imported here: most forms of a report have none."""
    from bench.report.charts import draw
    from bench.report.charts.frames import published_curves

    curves, problems = published_curves(loaded.suite, loaded.path.parent)
    figures = draw.figures_of(loaded.suite, rows, curves, verdicts)
    forest = draw.forest_of(loaded.suite, verdicts)
    return Drawn(forest, tuple(_with_command(figure, loaded, places) for figure in figures), tuple(problems))


def _with_command(figure: Figure | Absent, loaded: LoadedSuite, places: Places) -> Figure | Absent:
    """For a figure without rows, the command that measures them, under a profile that does not leave them out."""
    if isinstance(figure, Figure) or figure.measure is None:
        return figure
    suite = loaded.suite
    key = next((k for k, measure in suite.measures.items() if figure.measure in (k, measure.measure)), figure.measure)
    able = [name for name, profile in suite.profiles.items() if key not in profile.skip]
    profile = () if suite.default_profile in able or not able else ("--profile", able[0])
    words = ("bench", "run", provenance.suite_file(loaded), *profile, "--only", f"{key}/*", *places.of_run())
    return replace(figure, command=command(*words))


def _command_here(suites: Sequence[LoadedSuite], places: Places) -> str:
    """The command that draws the page on this machine, its paths as they were given: for a terminal, never a page."""
    store = [*("--store", places.store)] if places.store else []
    store += [word for option in places.storage for word in ("--storage-option", option)]
    return command("bench", "report", *(str(loaded.path) for loaded in suites), *store, "--format", "html")


def _hints(verdicts: Iterable[Verdict], told: set[str]) -> Iterator[str]:
    """What reduced runs hint at, of the claims that no finding tells."""
    for verdict in verdicts:
        hint = next((check.indication for check in verdict.checks if check.indication), None)
        if hint and verdict.claim not in told:
            yield f"{verdict.claim} {hint}"


def _failures(chosen: Mapping[str, Selection]) -> Iterator[str]:
    """The cases whose newest run gave no value, each once, with the run and the reason."""
    told = [f"{each.case}, run {each.run_id}, {each.words}" for one in chosen.values() for each in one.failures]
    yield from dict.fromkeys(told)


def _reduced(suites: Sequence[LoadedSuite], chosen: Mapping[str, Selection]) -> str | None:
    """The first sentence of a page whose trained rows, or all of them, come from reduced profiles."""
    for loaded in suites:
        rows, profiles = chosen[loaded.suite.id].rows, loaded.suite.profiles
        learned = [each for each in rows if each.row.seed is not None] or rows
        names = [each.row.profile for each in learned if each.row.profile in profiles]
        if names and all(profiles[name].reduced for name in names):
            profile = profiles[names[0]]
            text = f"This is a {profile.label} run: what depends on training is shown as a hint and not judged."
            return f"{text} {profile.note or ''}".strip()
    return None


def _findings(
    suites: Sequence[LoadedSuite], verdicts: Sequence[Verdict], anchors: Mapping[tuple[str, str], str]
) -> Iterator[PageFinding]:
    main = {(each.suite.id, claim) for each in suites for claim in main_claims(each.suite)}
    for verdict, text in findings(verdicts, main=main):
        anchor = anchors[verdict.suite, verdict.claim]
        yield PageFinding(Link(verdict.claim, anchor), verdict.verdict, written.kept_together(text))


def _first(
    verdicts: Iterable[Verdict], anchors: Mapping[tuple[str, str], str], told: set[Link]
) -> Iterator[PageFinding]:
    """Everything else that does not hold or is open, the strongest word first; nothing is told twice."""
    for word in ("contradicted", "inconsistent", "inconclusive"):
        for verdict in verdicts:
            link = Link(verdict.claim, anchors[verdict.suite, verdict.claim])
            if verdict.verdict == word and link not in told:
                reason = next(check.reason for check in verdict.checks if check.verdict == word)
                text = written.kept_together(f"{verdict.says}. {reason}")
                yield PageFinding(link, word, text)


def _calculations(verdicts: Iterable[Verdict], anchors: Mapping[tuple[str, str], str]) -> Iterator[Calculation]:
    for verdict in verdicts:
        for check in verdict.checks:
            if check.verdict == "inconsistent":
                anchor = anchors[verdict.suite, verdict.claim]
                yield Calculation(anchor, verdict.claim, check.says, check.calculation, check.reason)

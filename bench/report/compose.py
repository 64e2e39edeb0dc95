"""Verdicts and rows become the page: tiles, findings, claim tables, figures, costs, environment.

Prints nothing and decides nothing; what it says of a claim is what its verdict says.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from bench.cost import devices, money
from bench.records import written
from bench.report import costing, printed_tables
from bench.report.charts import draw
from bench.report.charts.frames import named, published_curves
from bench.report.charts.svg import Absent, Figure
from bench.report.claimrows import claim_rows
from bench.report.page import TILES, Calculation, CostCell, CostTable, Finding, Link, Page, Run, Section, Tile
from bench.suite.read import LoadedSuite
from bench.suite.schema import Suite
from bench.verdicts import Verdict, findings

_RUNS_SHOWN = 4
# Column of an environment -> how it is called on the page.
FACTS = {
    "bench": "bench",
    "commit": "commit",
    "diff_sha256": "uncommitted changes (SHA-256)",
    "bench_origin": "installed from",
    "suite_commit": "commit of the suite",
    "suite_diff_sha256": "uncommitted changes beside the suite (SHA-256)",
    "python": "Python",
    "torch": "torch",
    "torchvision": "torchvision",
    "cuda": "CUDA",
    "cudnn": "cuDNN",
    "driver": "driver",
    "device_name": "device",
    "cpu": "CPU",
    "cores": "cores",
    "ram_bytes": "memory",
    "threads": "threads",
    "interop_threads": "threads between operators",
    "os": "system",
    "allocator": "allocator",
    "deterministic": "deterministic",
    "lock_sha256": "pinned environment (SHA-256)",
}


def build(
    suites: Sequence[LoadedSuite],
    verdicts: Sequence[Verdict],
    rows: pd.DataFrame,
    environments: pd.DataFrame,
    *,
    now: datetime | None = None,
) -> Page:
    """Everything the report shows, for one suite or several.

    Args:
        verdicts: on the claims of all suites.
        rows: every row of the store; those of other suites are left aside.
        environments: one row per run.
        now: the date on the page; the clock's when not given.
    """
    anchors, rows = _anchors(verdicts), rows.reset_index(drop=True)
    frames = {loaded.suite.id: named(loaded.suite, loaded.sha256, rows) for loaded in suites}
    used = rows.loc[sorted({index for frame in frames.values() for index in frame.index})]
    runs = environments[environments["run_id"].isin(set(used["run_id"]))].sort_values("started_at", ascending=False)
    sections = tuple(_section(loaded, verdicts, frames[loaded.suite.id], rows, anchors) for loaded in suites)
    one = sections[0] if len(sections) == 1 else None
    commands = " ".join(str(section.path) for section in sections)
    return Page(
        title=one.question if one else f"Which published numbers hold? {len(sections)} suites, {len(verdicts)} claims",
        lead=one.summary if one else "",
        conditions=tuple(_conditions(used, runs)),
        tiles=_tiles(verdicts),
        reduced=_reduced(suites, frames),
        findings=tuple(_findings(verdicts, anchors)),
        first=tuple(_first(verdicts, anchors)) if len(sections) > 1 else (),
        sections=sections,
        runs=tuple(_run(run) for run in runs.head(_RUNS_SHOWN).to_dict("records")),
        runs_left_out=max(0, len(runs) - _RUNS_SHOWN),
        digest=_digest(used),
        row_count=len(used),
        command=f"bench report {commands} --format html",
        generated=(now or datetime.now(UTC)).strftime("%-d %B %Y, %H:%M UTC"),
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
    frame: pd.DataFrame,
    rows: pd.DataFrame,
    anchors: Mapping[tuple[str, str], str],
) -> Section:
    suite, own = loaded.suite, [verdict for verdict in verdicts if verdict.suite == loaded.suite.id]
    curves, problems = published_curves(suite, loaded.path.parent)
    claims = claim_rows(suite, own, anchors)
    return Section(
        key=suite.id,
        question=suite.question,
        summary=" ".join(suite.summary.split()),
        path=_shown(loaded),
        tiles=_tiles(own),
        forest=draw.forest_of(suite, own),
        claims=claims,
        figures=tuple(_with_command(figure, loaded) for figure in draw.figures_of(suite, frame, curves, own)),
        costs=_costs(suite, frame),
        tables=printed_tables.tables(suite, frame, claims),
        calculations=tuple(_calculations(own, anchors)),
        arithmetic=sum(bool(check.calculation) for verdict in own for check in verdict.checks),
        problems=tuple(problems),
    )


def _with_command(figure: Figure | Absent, loaded: LoadedSuite) -> Figure | Absent:
    """For a figure without rows, the command that measures them, under a profile that does not leave them out."""
    if isinstance(figure, Figure) or figure.measure is None:
        return figure
    suite = loaded.suite
    key = next((k for k, measure in suite.measures.items() if figure.measure in (k, measure.measure)), figure.measure)
    able = [name for name, profile in suite.profiles.items() if key not in profile.skip]
    profile = "" if suite.default_profile in able or not able else f" --profile {able[0]}"
    return replace(figure, command=f"bench run {_shown(loaded)}{profile} --only '{key}/*'")


def _shown(loaded: LoadedSuite) -> str:
    """The suite's file as a command names it: no path of this machine."""
    path = loaded.path
    return f"{path.parent.name}/{path.name}" if path.is_absolute() else str(path)


def _conditions(used: pd.DataFrame, runs: pd.DataFrame) -> Iterator[str]:
    def names(frame: pd.DataFrame, column: str) -> str:
        return ", ".join(str(value) for value in frame[column].dropna().unique())

    if used.empty:
        yield "no rows yet"
        return
    yield names(used, "device_name")
    yield names(used, "precision")
    yield f"profile {names(used, 'profile')}"
    if seeds := used["seed"].dropna().nunique():
        yield f"{seeds} seed{'s' if seeds > 1 else ''}"
    yield names(pd.DataFrame({"day": used["started_at"].astype(str).str[:10]}), "day")
    for column in ("bench", "torch"):
        if len(runs):
            yield f"{column} {names(runs, column)}"


def _reduced(suites: Sequence[LoadedSuite], frames: Mapping[str, pd.DataFrame]) -> str | None:
    """The first sentence of a page whose trained rows, or all of them, come from reduced profiles."""
    for loaded in suites:
        frame, profiles = frames[loaded.suite.id], loaded.suite.profiles
        learned = frame[frame["seed"].notna()] if frame["seed"].notna().any() else frame
        names = [name for name in learned["profile"].unique() if name in profiles]
        if names and all(profiles[name].reduced for name in names):
            profile = profiles[names[0]]
            text = f"This is a {profile.label} run: what depends on training is shown as a hint and not judged."
            return f"{text} {profile.note or ''}".strip()
    return None


def _findings(verdicts: Sequence[Verdict], anchors: Mapping[tuple[str, str], str]) -> Iterator[Finding]:
    by_id = {verdict.claim: verdict for verdict in reversed(verdicts)}
    for claim, text in findings(verdicts):
        verdict = by_id[claim]
        yield Finding(Link(claim, anchors[verdict.suite, claim]), verdict.verdict, written.kept_together(text))


def _first(verdicts: Iterable[Verdict], anchors: Mapping[tuple[str, str], str]) -> Iterator[Finding]:
    """Everything that does not hold or is open, the strongest word first."""
    for word in ("contradicted", "inconsistent", "inconclusive"):
        for verdict in verdicts:
            if verdict.verdict == word:
                reason = next(check.reason for check in verdict.checks if check.verdict == word)
                text = written.kept_together(f"{verdict.says}. {reason}")
                yield Finding(Link(verdict.claim, anchors[verdict.suite, verdict.claim]), word, text)


def _costs(suite: Suite, frame: pd.DataFrame) -> CostTable | None:
    bill = costing.bill(suite, frame)
    if not bill:
        return None
    records: list[dict[str, Any]] = [
        {"training": line.training, "known_from": line.way, "device": cell.device, "hours": cell.hours, "usd": cell.usd,
         "basis": cell.basis, "usd_basis": cell.usd_basis, "source": cell.source}
        for line in bill
        for cell in line.cells
        if cell
    ]  # fmt: skip
    trainings: dict[str, list[tuple[str, tuple[CostCell | None, ...]]]] = {}
    for line in bill:
        trainings.setdefault(line.training, []).append((line.way, tuple(_cell(cell) for cell in line.cells)))
    return CostTable(
        tuple(device.title.removeprefix("NVIDIA ") for device in devices.DEVICES.values()),
        tuple((training, tuple(ways)) for training, ways in trainings.items()),
        tuple(dict.fromkeys(f"{record['device'].upper()}: {record['source']}" for record in records)),
        pd.DataFrame(records).to_csv(index=False, lineterminator="\n"),
    )


def _cell(found: money.Cost | None) -> CostCell | None:
    if found is None:
        return None
    price = "no price" if found.usd is None else f"${found.usd:,.2f}" if found.usd >= 0.01 else "under $0.01"
    basis = money.weaker(found.basis, *([found.usd_basis] if found.usd_basis else []))
    return CostCell(written.span(found.hours), price, basis)


def _calculations(verdicts: Iterable[Verdict], anchors: Mapping[tuple[str, str], str]) -> Iterator[Calculation]:
    for verdict in verdicts:
        for check in verdict.checks:
            if check.verdict == "inconsistent":
                anchor = anchors[verdict.suite, verdict.claim]
                yield Calculation(anchor, verdict.claim, check.says, check.calculation, check.reason)


def _run(run: Mapping[str, Any]) -> Run:
    facts = []
    for column, name in FACTS.items():
        value = run.get(column)
        if value is None or value is pd.NA or value != value:
            continue
        facts.append((name, _fact(column, value)))
    return Run(str(run["run_id"]), str(run["started_at"])[:16].replace("T", " "), str(run["command"]), tuple(facts))


def _fact(column: str, value: Any) -> str:
    if column == "ram_bytes":
        return f"{value / 1024**3:.0f} GiB"
    if column.endswith("sha256"):
        return f"{value[:16]}…"  # enough to tell two apart; the store has all of it
    return {"True": "yes", "False": "no"}.get(str(value), str(value))


def _digest(rows: pd.DataFrame) -> str:
    """SHA-256 of the rows as CSV text, sorted, so that it depends on nothing but what they say."""
    lines = sorted(rows.to_csv(index=False, header=False, lineterminator="\n").splitlines())
    return hashlib.sha256("\n".join([",".join(rows.columns), *lines]).encode()).hexdigest()

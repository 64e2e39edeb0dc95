"""The report in every form: HTML, Markdown, JSON, CSV, what CI reads, and the summary at the end of a run.

Computes nothing: `compose.py` has made the page, and every form prints the same one.
"""

import base64
import hashlib
import os
import re
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment as Templates
from jinja2 import FunctionLoader, StrictUndefined
from markupsafe import Markup

from bench.ci import badge, github, junit
from bench.ci.as_json import dumps, plain
from bench.ci.markdown import escaped
from bench.files import write_bytes, write_text
from bench.report.charts.figure import Figure
from bench.report.charts.palette import ALL_COLOURS, FONT_STACK, LEAST_WIDTH, SHAPES
from bench.report.compose import build
from bench.report.csv_text import csv_text
from bench.report.for_ci import outcomes_of
from bench.report.page import ClaimGroup, Page
from bench.report.provenance import Places
from bench.suite.read import LoadedSuite
from bench.verdicts import CheckVerdict, Verdict

FORMS = ("html", "md", "json", "csv", "junit", "badge", "github")
_ENDINGS = {"junit": "xml", "badge": "badge.json", "github": "github.md"}
# Raised when a key of the JSON form changes its name or meaning; a new key is no change.
JSON_SCHEMA = 2
_COLUMNS = (
    *("suite", "claim", "check", "verdict", "kind", "says", "unit", "published", "band_low", "band_high"),
    *("tolerance_why", "measured", "measured_low", "measured_high", "interval", "seeds", "which_seeds", "blocks"),
    *("test_images", "difference", "reason", "hint", "deviations", "device", "run", "commit"),
    *("source", "where", "command", "printed", "machine", "machine_id", "decides"),
)
_BLANK_LINES = re.compile(r"\n{3,}")
_SUMMARY_LINES = 25
_SUMMARY_WIDTH = 110
_GROUPS = 6  # of a suite, that the summary counts
_FEW = 4  # failures, and hints, that the summary names

__all__ = [
    "FORMS",
    "build",
    "render_badge",
    "render_csv",
    "render_github",
    "render_html",
    "render_json",
    "render_junit",
    "render_markdown",
    "terminal_summary",
    "write",
]


def write(
    suites: Sequence[LoadedSuite],
    verdicts: Sequence[Verdict],
    rows: pd.DataFrame,
    environments: pd.DataFrame,
    *,
    form: str,
    output: Path | None = None,
    now: datetime | None = None,
    environment: Mapping[str, str] = os.environ,
    places: Places | None = None,
) -> Path | None:
    """Draw the report and write it; returns where, or None when it was printed.

    Args:
        form: one of `FORMS`. `github` in a step of GitHub Actions goes to the step's log and summary.
        output: a file; `reports/SUITE.html` and the like when not given; printed when it is `-`.
        environment: says whether this is a step of GitHub Actions.
        places: of store and data, for the commands in it; the default ones when not given.

    Raises:
        StoreError: it could not be written.
    """
    page = build(suites, verdicts, rows, environments, now=now, places=places)
    if form == "github" and output is None and github.publish(outcomes_of(page), environment, sys.stdout):
        return None
    name = suites[0].suite.id if len(suites) == 1 else "report"
    path = output or Path("reports") / f"{name}.{_ENDINGS.get(form, form)}"
    images: dict[str, bytes] = {}
    if form == "md":
        # Printed, there is no file beside which figures could lie.
        text, images = render_markdown(page, None if str(path) == "-" else f"{path.stem}_figures")
    else:
        text = _RENDERERS[form](page)
    if str(path) == "-":
        sys.stdout.write(text)
        return None
    for image, content in images.items():  # first, so that no page points at a figure that is not there
        write_bytes(path.parent / image, content)
    write_text(path, text)
    return path


def render_html(page: Page) -> str:
    """One self-contained page: no network, no inline style, no inline handler; complete without its script."""
    templates = _templates()
    words = list(SHAPES)
    colours = [(role, light, dark) for role, (light, dark) in ALL_COLOURS.items()]
    style = templates.get_template("page.css.j2").render(
        colours=colours, words=words, font=FONT_STACK, least_width=LEAST_WIDTH
    )
    script = _template("page.js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    shapes = [(word, path) for word, (_, path, _) in SHAPES.items()]
    return templates.get_template("page.html.j2").render(
        page=page, style=style, script=script, policy=policy, shapes=shapes
    )


def render_markdown(page: Page, images: str | None) -> tuple[str, dict[str, bytes]]:
    """The same page for GitHub, and its figures as files.

    Args:
        images: the folder of the figures, relative to the Markdown file; without one, what they tell stands in words.
    """
    found = [figure for section in page.sections for figure in (section.forest, *section.figures)]
    drawn = [figure for figure in found if isinstance(figure, Figure)]
    marks = {word: mark for word, (_, _, mark) in SHAPES.items()}
    text = _templates(_markdown).get_template("page.md.j2").render(page=page, images=images, marks=marks)
    files = {f"{images}/{f.name}.svg": f.standalone.encode() for f in drawn if images}
    return _BLANK_LINES.sub("\n\n", text).strip() + "\n", files


def render_json(page: Page) -> str:
    """The verdicts with all their numbers, the environment and the digest; a bound that is not there is null."""
    content = {
        "schema": JSON_SCHEMA,
        "generated": page.generated_iso,
        "rows": page.row_count,
        "rows_sha256": page.digest,
        "answers": {section.key: section.answer for section in page.sections},
        "tally": {tile.word: tile.count for tile in page.tiles},
        "groups": [{"suite": s.key, **asdict(group)} for s in page.sections for group in s.groups],
        "failures": list(page.failures),
        "claims": [asdict(verdict) for verdict in page.verdicts],
        "runs": [{"run_id": r.run_id, "date": r.started_at, "command": r.command, **dict(r.facts)} for r in page.runs],
    }
    return dumps(content)


def render_csv(page: Page) -> str:
    """One line for each check of each claim; of a check on a clock one for each machine, the one that decides first."""
    records = [
        _record(page, verdict, number, check)
        for verdict in page.verdicts
        for number, decided in enumerate(verdict.checks)
        for check in (decided, *decided.elsewhere)
    ]
    return csv_text([{key: plain(value) for key, value in record.items()} for record in records], _COLUMNS)


def _record(page: Page, verdict: Verdict, number: int, check: CheckVerdict) -> dict[str, Any]:
    """One check by the names of `_COLUMNS`; how many values it stands on, each kind in a column of its own."""
    interval, samples = check.measured, check.samples
    runs = list(dict.fromkeys(sample.run_id for sample in samples if sample.run_id))
    seeds = {sample.seed for sample in samples if sample.seed is not None}
    about = {"suite": verdict.suite, "claim": verdict.claim, "check": number, "verdict": check.verdict}
    about |= {"kind": check.kind, "says": check.says, "unit": check.unit, "published": check.published}
    about |= {"band_low": check.low, "band_high": check.high, "tolerance_why": check.tolerance_why}
    if interval:
        about |= {"measured": interval.point, "measured_low": interval.low, "measured_high": interval.high}
        about |= {"interval": interval.method}
    about |= {"seeds": len(seeds) or None, "which_seeds": " ".join(str(seed) for seed in sorted(seeds))}
    about |= {"blocks": sum(sample.repeat is not None for sample in samples) or None}
    about |= {"test_images": check.test_images, "difference": check.difference, "reason": check.reason}
    about |= {"hint": check.indication, "deviations": check.deviations, "device": check.conditions.get("device")}
    commits = dict.fromkeys(page.commits[run] for run in runs if run in page.commits)
    about |= {"run": " ".join(runs), "commit": " ".join(commits)}
    return {
        **about,
        "source": verdict.source,
        "where": verdict.where,
        "command": check.command,
        "machine": check.machine,
        "machine_id": check.machine_id,
        "decides": check in verdict.checks,
        "printed": check.printed,
    }


def render_junit(page: Page) -> str:
    """Every claim a test case: contradicted and inconsistent fail, what was not decided is skipped."""
    return junit.render(outcomes_of(page))


def render_github(page: Page) -> str:
    """The table of claims for the summary of a GitHub Actions step."""
    return github.summary(outcomes_of(page))


def render_badge(page: Page) -> str:
    """The tally as the endpoint of a shields.io badge."""
    return badge.render(outcomes_of(page), "claims")


_RENDERERS: dict[str, Callable[[Page], str]] = {
    "html": render_html,
    "json": render_json,
    "csv": render_csv,
    "junit": render_junit,
    "github": render_github,
    "badge": render_badge,
}


def terminal_summary(page: Page, path: Path | str | None = None) -> str:
    """The tiles, what failed, the findings, the hints and where the report is: plain text of at most 25 lines."""
    marks = {word: mark for word, (_, _, mark) in SHAPES.items()}
    answers = [f"{section.key}: {section.answer}" for section in page.sections[:_FEW]]
    told = [line for text in ([page.answer] if page.answer else answers) for line in _wrapped(text, "  ")]
    lines = [page.title, *told, " · ".join(page.conditions), ""]
    lines.append("   ".join(f"{marks[tile.word]} {tile.count} {tile.word}" for tile in page.tiles))
    lines += [_group_line(group, marks) for section in page.sections for group in section.groups[:_GROUPS]]
    lines.append("")
    if page.reduced:
        lines += _wrapped(page.reduced, "")
    lines += _some("failed: ", page.failures)
    hints = _some("hint: ", page.hints)
    last = [*hints, "", f"report: {path}" if path else f"the whole report: {page.command_here}"]
    for finding in page.findings:
        told = _wrapped(f"{marks[finding.word]} {finding.link.claim}  {finding.text}", "     ")
        if len(lines) + len(told) + len(last) > _SUMMARY_LINES:
            break
        lines += told
    return "\n".join(lines + last)


def _group_line(group: ClaimGroup, marks: Mapping[str, str]) -> str:
    counts = ", ".join(f"{marks[word]} {count:,}" for word, count in group.counts.items())
    return textwrap.shorten(f"{group.name}: {counts}", _SUMMARY_WIDTH, placeholder=" …")


def _some(label: str, texts: Sequence[str]) -> list[str]:
    """A line for each of the first few, and how many more there are."""
    lines = [textwrap.shorten(f"{label}{text}", _SUMMARY_WIDTH, placeholder=" …") for text in texts[:_FEW]]
    return [*lines, f"{label}and {len(texts) - _FEW} more"] if len(texts) > _FEW else lines


def _templates(finalize: Callable[[Any], Any] | None = None) -> Templates:
    """Undefined names are errors; every printed value is escaped, for HTML or by `finalize`."""
    templates = Templates(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        keep_trailing_newline=True,
    )
    templates.filters["data_uri"] = lambda text: f"data:text/csv;charset=utf-8,{quote(text)}"
    templates.filters["fenced"] = lambda text: Markup(str(text).replace("```", "'''"))
    templates.filters["verbatim"] = lambda text: Markup(text)
    return templates


def _template(name: str) -> str:
    return (files("bench.report") / "templates" / name).read_text(encoding="utf-8")


def _markdown(value: Any) -> Any:
    """Names are data: no character of theirs opens a tag, a table cell, emphasis, code or a link."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return Markup(escaped(value))


def _hash(text: str) -> str:
    """The source expression of a Content Security Policy for one inline block."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _SUMMARY_WIDTH, subsequent_indent=indent)

"""The report in every form: HTML, Markdown, JSON, CSV, what CI reads, and the summary at the end of a run.

Computes nothing: `compose.py` has made the page, and every form prints the same one.
"""

import base64
import csv
import hashlib
import io
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
from bench.report.charts.palette import ALL_COLOURS, FONT_STACK, LEAST_WIDTH, SHAPES
from bench.report.charts.svg import Figure
from bench.report.compose import build
from bench.report.for_ci import outcomes_of
from bench.report.page import Page
from bench.suite.read import LoadedSuite
from bench.verdicts import Verdict

FORMS = ("html", "md", "json", "csv", "junit", "badge", "github")
_ENDINGS = {"junit": "xml", "badge": "badge.json", "github": "github.md"}
_COLUMNS = (
    *("suite", "claim", "check", "verdict", "kind", "says", "unit", "published", "band_low", "band_high"),
    *("measured", "measured_low", "measured_high", "seeds_or_blocks", "difference", "reason"),
    *("source", "where", "command"),
)
_BLANK_LINES = re.compile(r"\n{3,}")
_SUMMARY_LINES = 25
_SUMMARY_WIDTH = 110

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
) -> Path | None:
    """Draw the report and write it; returns where, or None when it was printed.

    Args:
        form: one of `FORMS`. `github` in a step of GitHub Actions goes to the step's log and summary.
        output: a file; `reports/SUITE.html` and the like when not given; printed when it is `-`.
        environment: says whether this is a step of GitHub Actions.
    """
    page = build(suites, verdicts, rows, environments, now=now)
    if form == "github" and output is None and github.publish(outcomes_of(page), environment, sys.stdout):
        return None
    name = suites[0].suite.id if len(suites) == 1 else "report"
    path = output or Path("reports") / f"{name}.{_ENDINGS.get(form, form)}"
    images: dict[str, bytes] = {}
    if form == "md":
        text, images = render_markdown(page, f"{path.stem}_figures")
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


def render_markdown(page: Page, images: str) -> tuple[str, dict[str, bytes]]:
    """The same page for GitHub, and its figures as files.

    Args:
        images: the folder of the figures, relative to the Markdown file.
    """
    found = [figure for section in page.sections for figure in (section.forest, *section.figures)]
    drawn = [figure for figure in found if isinstance(figure, Figure)]
    marks = {word: mark for word, (_, _, mark) in SHAPES.items()}
    text = _templates(_markdown).get_template("page.md.j2").render(page=page, images=images, marks=marks)
    return _BLANK_LINES.sub("\n\n", text).strip() + "\n", {
        f"{images}/{f.name}.svg": f.standalone.encode() for f in drawn
    }


def render_json(page: Page) -> str:
    """The verdicts with all their numbers, the environment and the digest; a bound that is not there is null."""
    content = {
        "generated": page.generated,
        "rows": page.row_count,
        "rows_sha256": page.digest,
        "tally": {tile.word: tile.count for tile in page.tiles},
        "claims": [asdict(verdict) for verdict in page.verdicts],
        "runs": [{"run_id": r.run_id, "date": r.date, "command": r.command, **dict(r.facts)} for r in page.runs],
    }
    return dumps(content)


def render_csv(page: Page) -> str:
    """One line for each check of each claim."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(_COLUMNS)
    for verdict in page.verdicts:
        for number, check in enumerate(verdict.checks):
            interval = check.measured
            measured = [interval.point, interval.low, interval.high, interval.n] if interval else [None] * 4
            line: list[Any] = [verdict.suite, verdict.claim, number, check.verdict, check.kind, check.says, check.unit]
            line += [check.published, check.low, check.high, *measured, check.difference, check.reason]
            line += [verdict.source, verdict.where, check.command]
            table.writerow([plain(value) for value in line])
    return out.getvalue()


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
    """The tiles, the findings and where the report is: plain text of at most 25 lines."""
    marks = {word: mark for word, (_, _, mark) in SHAPES.items()}
    lines = [page.title, " · ".join(page.conditions), ""]
    lines.append("   ".join(f"{marks[tile.word]} {tile.count} {tile.word}" for tile in page.tiles))
    lines.append("")
    if page.reduced:
        lines += _wrapped(page.reduced, "")
    last = ["", f"report: {path}" if path else f"the whole report: {page.command}"]
    for finding in page.findings:
        told = _wrapped(f"{marks[finding.word]} {finding.link.claim}  {finding.text}", "     ")
        if len(lines) + len(told) + len(last) > _SUMMARY_LINES:
            break
        lines += told
    return "\n".join(lines + last)


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

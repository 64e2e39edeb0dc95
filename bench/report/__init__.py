"""The report: `compose` gathers what a page shows, `write` turns it into HTML, Markdown, JSON, CSV, JUnit and text."""

from bench.report.compose import build
from bench.report.write import (
    render_csv,
    render_html,
    render_json,
    render_junit,
    render_markdown,
    terminal_summary,
    write,
)

__all__ = [
    "build",
    "render_csv",
    "render_html",
    "render_json",
    "render_junit",
    "render_markdown",
    "terminal_summary",
    "write",
]

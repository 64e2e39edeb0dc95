"""The report: `compose` gathers what a page shows, `write` turns it into each of its forms."""

from bench.report.compose import build
from bench.report.for_ci import outcomes_of
from bench.report.forms import (
    FORMS,
    render_badge,
    render_csv,
    render_github,
    render_html,
    render_json,
    render_junit,
    render_markdown,
    terminal_summary,
    write,
)

__all__ = [
    "FORMS",
    "build",
    "outcomes_of",
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

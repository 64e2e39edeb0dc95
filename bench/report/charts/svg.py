"""How a figure leaves matplotlib: one palette for light and dark, text as text, the same bytes for the same data.

Draws no data and knows no metric; what stands in a figure is decided in `charts.py` and `forest.py`.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from xml.etree import ElementTree

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from bench.records.written import kept_together
from bench.report.charts.figure import Figure
from bench.report.charts.palette import (
    FONT,
    FONT_STACK,
    INK,
    LINE,
    MUTED,
    SERIES,
    SHAPES,
    SMALL,
    SURFACE,
    VARIABLES,
    VERDICT_COLOURS,
    WIDTH,
)
from bench.report.csv_text import csv_text

SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TIP = "tip-"  # begins the id of a group of marks; behind it what it tells, as no id could hold it
_REPLACED = "\N{REPLACEMENT CHARACTER}"
P = ParamSpec("P")
R = TypeVar("R")


def colours_of(keys: Sequence[str]) -> dict[str, str]:
    """One colour for each model, in the suite's order: the same on the whole page."""
    palette = [light for light, _ in SERIES.values()]
    return {key: palette[i % len(palette)] for i, key in enumerate(keys)}


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Runs a drawing function in this file's style: matplotlib reads its defaults when an artist is made."""

    @wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_style()):
            return draw(*args, **kwargs)

    return in_style


def canvas(height: float, width: float = WIDTH) -> Canvas:
    """An empty figure of so many px; one px is one unit of the SVG that comes out of it."""
    return Canvas(figsize=(width / 72, height / 72), dpi=72, facecolor="none")


def axes(figure: Canvas, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at px from the upper left corner, without a frame but for the axis at the bottom."""
    across, down = figure.get_size_inches() * 72
    found = figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))
    found.set_facecolor("none")
    found.tick_params(colors=MUTED, labelsize=SMALL, length=0, pad=6)
    sns.despine(ax=found, left=True)
    found.spines["bottom"].set_color(LINE)
    return found


def sheet(height: float, width: float = WIDTH) -> tuple[Canvas, Axes]:
    """A figure whose coordinates are px from its upper left corner: for figures that are set like a table."""
    figure = canvas(height, width)
    found = figure.add_axes((0, 0, 1, 1))
    found.set_axis_off()
    found.set_xlim(0, width)
    found.set_ylim(height, 0)
    return figure, found


def verdict_mark(ax: Axes, x: float, y: float, word: str, size: float = 9) -> list[Line2D]:
    """The shape and colour of a verdict; returns what was drawn."""
    marker, colour = SHAPES[word][0], VERDICT_COLOURS[word][0]
    hollow = word == "not measured"
    face = "none" if hollow else colour
    size = size * {"X": 1.15, "D": 0.9}.get(marker, 1.0)  # shapes of one area, not of one width
    return ax.plot([x], [y], marker, ms=size, mfc=face, mec=colour, mew=1.6 if hollow else 0, clip_on=False, zorder=5)


def tip(artists: Iterable[Artist], text: str) -> None:
    """What a pointer that rests on these marks is told."""
    for artist in artists:
        artist.set_gid(_TIP + text.encode().hex())


def finish(
    figure: Canvas,
    name: str,
    title: str,
    reading: str,
    alt: str,
    data: pd.DataFrame,
    note: str | None = None,
) -> Figure:
    """The figure as the page and the Markdown want it, with its data as CSV."""
    reading, alt = kept_together(reading), kept_together(alt)
    raw = _draw(figure, name)
    themed = _rewritten(raw, name, alt, VARIABLES)
    plain = _rewritten(raw, name, alt, {}, standalone=True)
    table = csv_text(data.to_dict("records"), [str(name) for name in data.columns])
    return Figure(name, title, reading, alt, themed, plain, table, note)


def _style() -> Any:
    return {
        **sns.axes_style("white"),
        "text.parse_math": False,  # names are data: a dollar sign in one is a dollar sign
        "svg.fonttype": "none",
        "svg.hashsalt": "bench",
        "font.family": "DejaVu Sans",  # only for measuring; the page's own font is drawn
        "font.size": FONT,
        "text.color": INK,
        "axes.labelcolor": MUTED,
        "axes.edgecolor": LINE,
        "axes.unicode_minus": True,
        "path.simplify": False,
    }


def _draw(figure: Canvas, name: str) -> str:
    out = io.StringIO()
    with warnings.catch_warnings():  # a script that the measuring font lacks is drawn by the page's own
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return _NOT_XML.sub(_REPLACED, out.getvalue())


def _rewritten(raw: str, name: str, alt: str, variables: Mapping[str, str], standalone: bool = False) -> str:
    """Styles become attributes (the page's policy allows no inline style), colours become the page's variables."""
    tree = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", raw))
    for parent in list(tree.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style") or _invisible(child):
                parent.remove(child)
    wanted = _referenced(tree.iter())
    for element in tree.iter():
        _name_again(element, name, wanted)
        _spread_style(element, variables)
        _shorten(element)
    _unwrap(tree)
    _tell(tree)
    _frame(tree, name, alt, standalone)
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(tree, encoding="unicode")


def _invisible(element: ElementTree.Element) -> bool:
    """The backgrounds that matplotlib draws without any colour."""
    return element.tag == f"{{{SVG}}}path" and element.get("style", "").strip() == "fill: none"


def _unwrap(parent: ElementTree.Element) -> None:
    """Groups without attributes, and the white space between elements, only make the page larger."""
    kept: list[ElementTree.Element] = []
    for child in parent:
        _unwrap(child)
        bare = child.tag in (f"{{{SVG}}}g", f"{{{SVG}}}defs") and not child.attrib
        kept += list(child) if bare and (child.tag.endswith("g") or not len(child)) else [child]
        if child.tag != f"{{{SVG}}}text":
            child.text = None
        child.tail = None
    parent[:] = kept


def _tell(tree: ElementTree.Element) -> None:
    """Marks that tell something get it as their title."""
    for element in list(tree.iter()):
        if text := element.attrib.pop(_TIP, None):
            title = ElementTree.Element(f"{{{SVG}}}title")
            title.text = _NOT_XML.sub(_REPLACED, kept_together(text))
            element.insert(0, title)


def _referenced(elements: Iterable[ElementTree.Element]) -> set[str]:
    found = set()
    for element in elements:
        for value in element.attrib.values():
            found.update(re.findall(r"url\(#([^)]+)\)", value))
        found.add(element.get(_HREF, "#").removeprefix("#"))
    return found


def _name_again(element: ElementTree.Element, name: str, wanted: set[str]) -> None:
    """Ids that something points to get the figure's name in front, so that they are unique on the page; others go."""
    identity = element.attrib.pop("id", "")
    if identity.startswith(_TIP):
        element.set(_TIP, bytes.fromhex(identity.removeprefix(_TIP)).decode())
    if identity and identity in wanted:
        element.set("id", f"{name}-{identity}")
    target = element.attrib.pop(_HREF, None)
    if target is not None:
        element.set("href", f"#{name}-{target[1:]}" if target.startswith("#") else target)  # else: an image's own bytes
    for key, value in element.attrib.items():
        if "url(#" in value:
            element.set(key, value.replace("url(#", f"url(#{name}-"))


def _spread_style(element: ElementTree.Element, variables: Mapping[str, str]) -> None:
    declared = [part.split(":", 1) for part in element.attrib.pop("style", "").split(";") if ":" in part]
    for key, value in ((key.strip(), value.strip()) for key, value in declared):
        if key == "font":
            size = re.search(r"([\d.]+)px", value)
            element.set("font-size", size.group(1) if size else f"{FONT:g}")
            if re.search(r"\b(bold|[5-9]00)\b", value):
                element.set("font-weight", "600")
        elif key not in ("font-family", "stroke-linejoin", "stroke-linecap", "stroke-miterlimit"):
            element.set(key, value)
    if element.tag == f"{{{SVG}}}text" and "fill" not in element.attrib:
        element.set("fill", INK)  # matplotlib leaves black out; it has to turn with the page
    for key in ("fill", "stroke"):
        if (colour := element.get(key)) is not None:
            element.set(key, variables.get(colour.lower(), colour))


def _shorten(element: ElementTree.Element) -> None:
    """Two decimals are a fiftieth of a px; six only make the page larger."""
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    for key in ("d", "x", "y", "transform", "width", "height"):
        if key in element.attrib:
            element.set(key, re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m.group()):.2f}", element.attrib[key]))
    if element.tag == f"{{{SVG}}}path" and "d" in element.attrib:
        element.set("d", " ".join(element.attrib["d"].split()))


def _frame(tree: ElementTree.Element, name: str, alt: str, standalone: bool) -> None:
    width, height = (float(size) for size in tree.attrib["viewBox"].split()[2:])
    for key in ("width", "height", "version"):
        tree.attrib.pop(key, None)
    tree.set("stroke-linejoin", "round")
    tree.set("role", "img")
    tree.set("aria-label", _NOT_XML.sub(_REPLACED, alt))
    if standalone:
        tree.set("width", f"{width:g}")
        tree.set("height", f"{height:g}")
        tree.set("font-family", FONT_STACK)
        paper = ElementTree.Element(f"{{{SVG}}}rect", width="100%", height="100%", fill=SURFACE)
        tree.insert(0, paper)
    else:
        tree.set("class", "drawing")

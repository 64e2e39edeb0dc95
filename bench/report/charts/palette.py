"""The colours and shapes of figures and page, for light and dark, each with the one thing it stands for.

Draws nothing.
"""

# role -> (on white, on dark). Figures are drawn in the first; each hex code stands for its role when the page's
# variables are put in its place, so no two roles may share one.
COLOURS: dict[str, tuple[str, str]] = {
    "ink": ("#1b1d21", "#e9eaec"),
    "muted": ("#5b616b", "#a3a9b3"),
    "line": ("#d4d7dc", "#3a3f47"),
    "surface": ("#ffffff", "#15171b"),
    "panel": ("#f5f6f8", "#1d2025"),
    "band": ("#dcefe8", "#1d3a33"),
    "published": ("#7a808a", "#8f96a1"),
    "link": ("#0b5cad", "#7cb8f2"),
}
# Okabe and Ito's palette, the lighter ones a shade deeper on white and the darker ones lifted on dark, so that a mark
# has 3 to 1 against the page.
SERIES: dict[str, tuple[str, str]] = {
    "blue": ("#0072b2", "#4aa8e0"),
    "orange": ("#c27f00", "#e69f00"),
    "green": ("#009e73", "#2fc79b"),
    "purple": ("#c26598", "#dd93bb"),
    "vermillion": ("#d55e00", "#f0803c"),
    "sky": ("#3a93c9", "#7cc8f4"),
    "olive": ("#8c8200", "#d9cc3c"),
    "slate": ("#4d5563", "#b9c0cc"),
}
VERDICT_COLOURS: dict[str, tuple[str, str]] = {
    "reproduced": ("#00996f", "#34cda1"),
    "contradicted": ("#d45d01", "#f28542"),
    "inconclusive": ("#c18001", "#e8a512"),
    "inconsistent": ("#b8588d", "#e09cc2"),
    "not measured": ("#7b818b", "#8e95a0"),
    "answered": ("#0173b3", "#4ba9e1"),
}
# verdict -> (matplotlib's marker, path on a 16 by 16 grid, character): a shape of its own before any colour.
SHAPES: dict[str, tuple[str, str, str]] = {
    "reproduced": ("o", "M8 2a6 6 0 1 0 0 12a6 6 0 0 0 0-12z", "●"),
    "contradicted": ("X", "M1 4.2 4.2 1 8 4.8 11.8 1 15 4.2 11.2 8 15 11.8 11.8 15 8 11.2 4.2 15 1 11.8 4.8 8z", "✖"),
    "inconclusive": ("D", "M8 1.5 14.5 8 8 14.5 1.5 8z", "◆"),
    "inconsistent": ("s", "M2.5 2.5h11v11h-11z", "■"),
    "not measured": ("o", "M8 2a6 6 0 1 0 0 12a6 6 0 0 0 0-12zm0 2a4 4 0 1 1 0 8a4 4 0 0 1 0-8z", "○"),
    "answered": (">", "M3.5 2 14 8 3.5 14z", "▶"),
}
ALL_COLOURS: dict[str, tuple[str, str]] = {
    **COLOURS,
    **{f"series-{name}": pair for name, pair in SERIES.items()},
    **{f"verdict-{name.replace(' ', '-')}": pair for name, pair in VERDICT_COLOURS.items()},
}
VARIABLES = {light: f"var(--{role})" for role, (light, _) in ALL_COLOURS.items()} | {COLOURS["ink"][0]: "currentColor"}

INK, MUTED, LINE, SURFACE, BAND, PUBLISHED = (
    COLOURS[role][0] for role in ("ink", "muted", "line", "surface", "band", "published")
)

FONT = 13.0  # px on a figure of WIDTH px; the page never draws it below 11
SMALL = 12.0
WIDTH = 960
LEAST_WIDTH = 880  # px below which a figure scrolls in its box instead of shrinking
FONT_STACK = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', Arial, sans-serif"

"""Names and sentences as text inside Markdown: no character of theirs opens a tag, a table cell, emphasis or a link.

Builds no page.
"""

import re


def escaped(text: str) -> str:
    """The text on one line, to stand in a paragraph or a table cell."""
    text = " ".join(text.splitlines()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", text)

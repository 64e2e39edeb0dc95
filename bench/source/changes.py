"""What differs between two readable sources, in one short phrase: where, and both sides.

Says the first difference and counts the others; a reader who wants all of it has git.
"""

import difflib
import re

_LONGEST = 72  # characters of one side


def phrase(old: str, new: str) -> str:
    """`tiny_net: nn.Conv2d(3, width, 3) -> nn.Conv2d(3, width, 5)`, with `and 2 more lines` where there are more."""
    before, after = old.splitlines(), new.splitlines()
    blocks = [code for code in difflib.SequenceMatcher(None, before, after, False).get_opcodes() if code[0] != "equal"]
    if not blocks:
        return "its imports"
    _, start, end, begin, stop = blocks[0]
    one, other = before[start:end], after[begin:stop]
    place = _enclosing(before, start) if one else _enclosing(after, begin)
    changed = _sides(one[0] if one else "", other[0] if other else "")
    more = sum(max(code[2] - code[1], code[4] - code[3]) for code in blocks) - 1
    return f"{place}{changed}" + (f", and {more} more line{'s' if more > 1 else ''}" if more > 0 else "")


def _sides(one: str, other: str) -> str:
    """The first part of two lines in which they differ, widened to the call around it."""
    one, other = one.strip(), other.strip()
    if not one or not other:
        return f"nothing -> {_short(other)}" if other else f"{_short(one)} -> nothing"
    words = [re.findall(r"\w+|\W", line) for line in (one, other)]
    codes = difflib.SequenceMatcher(None, words[0], words[1], autojunk=False).get_opcodes()
    differing = [code for code in codes if code[0] != "equal"]
    _, start, end, begin, stop = differing[0]
    ends = len("".join(words[0][:end])), len("".join(words[1][:stop]))
    first = min(len("".join(words[0][:start])), len("".join(words[1][:begin])))
    opening = _opening(one, first)
    more = f", and {len(differing) - 1} more in that line" if len(differing) > 1 else ""
    return f"{_short(_call(one, opening, ends[0]))} -> {_short(_call(other, opening, ends[1]))}{more}"


def _opening(line: str, at: int) -> int:
    """Where the innermost call around a place begins; the line's start where there is none."""
    name = re.match(r"[\w.]*", line[at:])
    begun = at - len(re.search(r"[\w.]*$", line[:at])[0])  # type: ignore[index]
    if name and line[at + len(name[0]) :].startswith("("):
        return begun
    depth = 0
    for position in range(at - 1, -1, -1):
        depth += (line[position] in ")]}") - (line[position] in "([{")
        if depth < 0:
            return position - len(re.search(r"[\w.]*$", line[:position])[0])  # type: ignore[index]
    return 0


def _call(line: str, start: int, least: int) -> str:
    """From its beginning to the bracket that closes it, and at least as far as the two lines differ."""
    depth = 0
    for position in range(start, len(line)):
        depth += (line[position] in "([{") - (line[position] in ")]}")
        if depth == 0 and line[position] in ")]}" and position + 1 >= least:
            return line[start : position + 1]
    return line[start:]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _enclosing(lines: list[str], at: int) -> str:
    """The function or class that a line stands in, as `name: `."""
    indent = len(lines[at]) - len(lines[at].lstrip()) if at < len(lines) else 0
    names: list[str] = []
    for line in reversed(lines[:at]):
        found = re.match(r"(\s*)(?:async )?(?:def|class) (\w+)", line)
        if found and len(found[1]) < indent:
            indent = len(found[1])
            names.insert(0, found[2])
    return f"{'.'.join(names)}: " if names else ""

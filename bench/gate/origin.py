"""Whether the models that are counted in this process are the working tree's, or those of a copy that was installed.

Loads nothing: it looks at what is loaded already.
"""

import os
import sys
from pathlib import Path

from bench.errors import MeasurementError
from bench.gate.pairs import layout, own_tree
from bench.gate.pairs.own_tree import OwnTree, file_of, own_path, shown, within
from bench.git import top_level


def foreign(suite: Path) -> str | None:
    """`mynet comes from …/site-packages/mynet, not from the working tree: …`; None where nothing like that is loaded.

    An installed copy that equals the working tree's file byte for byte has the same counts, and is no stranger.

    Args:
        suite: a file in the working tree. Outside of a repository there is no tree that anything could differ from.
    """
    try:
        root = Path(os.path.realpath(top_level(suite.absolute().parent)))
    except MeasurementError:
        return None
    project = layout.of(root, root, suite)
    own = own_tree.of(root, project.roots, project.named)
    for name, module in sorted(sys.modules.items(), key=lambda each: each[0]):
        file, top = file_of(module), name.partition(".")[0]
        if file is None or name == "__main__" or (within(root, file) and own_path(root, file) is not None):
            continue
        if top in ("bench", "runner") and not (root / "bench" / "registry.py").is_file():
            continue  # a folder of the project that merely has the name of this tool
        if own.has(top) and _differs(own, name, file):
            return (
                f"{name} comes from {shown(file, root)}, not from the working tree, whose file is another: "
                "install the project again (pip install --editable .)"
            )
    return None


def _differs(own: OwnTree, name: str, file: Path) -> bool:
    """Whether the tree has this module with another content. What was only built has no such file there."""
    parts = name.split(".")
    there = own.find_spec(parts[0])
    for number in range(2, len(parts) + 1):
        if there is None or there.submodule_search_locations is None:
            return False
        there = own.find_spec(".".join(parts[:number]), there.submodule_search_locations)
    if there is None or there.origin is None or not Path(there.origin).is_file():
        return False
    return Path(there.origin).read_bytes() != file.read_bytes()

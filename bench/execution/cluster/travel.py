"""What travels to the nodes: this bench, the suites' plug-ins, what these import, and the files they name.

Sends no data set and no installed library: those have to be on every node, and the fingerprint of a case says when they
are not the same there.
"""

import shutil
import site
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import bench
from bench import git, machine
from bench.errors import UsageError

MOST_BYTES = 200 * 2**20  # Ray refuses a little more than twice this, and would be slow with it
_CODE_COLUMNS = ("commit", "dirty", "diff_sha256", "lock_sha256", "bench_origin", "git_note")


def packed(folder: Path, files: Iterable[Path]) -> dict[str, Any]:
    """The runtime environment of a run, as Ray takes it.

    Args:
        folder: an empty one, for copies; it is to live until Ray has sent them.
        files: of the suites' own code; each keeps its place, seen from the root of the file system.

    Raises:
        UsageError: they are too large to be sent with every run.
    """
    chosen = sorted({path.absolute() for path in files if not _installed(path.absolute())})
    total = sum(path.stat().st_size for path in chosen)
    if total > MOST_BYTES:
        largest = max(chosen, key=lambda path: path.stat().st_size)
        raise UsageError(
            f"--on: the files that suites name are {total / 2**20:,.0f} MiB, and no more than"
            f" {MOST_BYTES / 2**20:.0f} travel with a run; the largest is {largest.name}."
            " Put it on every node, and name it by its full path."
        )
    for path in chosen:
        copy = placed(folder, path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    placed(folder, Path.cwd()).mkdir(parents=True, exist_ok=True)
    placed(folder, Path.cwd()).joinpath(".here").touch()  # an empty folder is not sent
    return {"working_dir": str(folder), "py_modules": [str(Path(bench.__file__).parent)], "excludes": ["__pycache__"]}


def placed(root: Path, path: Path) -> Path:
    """Where a path of this machine is below the folder that travels."""
    return root.joinpath(*path.parts[1:])


def code_columns(suites: git.CodeState) -> Mapping[str, Any]:
    """The columns of an environment that say which code ran: what travelled is that of this machine."""
    package = Path(bench.__file__).parent
    code, origin = git.code_state(package), machine.installation(package)
    notes = dict.fromkeys(note for note in (code.note, suites.note) if note)
    values = (
        code.commit or origin.commit,
        code.dirty if code.commit or not origin.commit else False,
        code.diff_sha256,
        machine.lock_sha256(package.parent, Path.cwd()),
        "git tree" if code.commit else origin.origin,
        "; ".join(notes) or None,
    )
    return dict(zip(_CODE_COLUMNS, values, strict=True))


def _installed(path: Path) -> bool:
    """Whether a file belongs to a library, or to Python: the nodes have their own."""
    places = [*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_path("stdlib"), sys.prefix]
    return any(path.is_relative_to(place) for place in places)

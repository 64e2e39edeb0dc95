"""Light commands start at once: in a few times what it takes Python to import click, pydantic and rich.

Prints seconds and judges ratios alone: both sides start fresh, in turns, so that a slow or busy machine slows both.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "suites").glob("*.toml"))
LIGHT = "from runner import bench; bench()"
LIBRARIES = "import click, pydantic, rich"
TURNS = 9


def started(command: Sequence[str], compiled: Path) -> float:
    """Seconds of a fresh process, whose own code was compiled by the one before it."""
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begun = time.perf_counter()
    environment = usual | {"PYTHONPYCACHEPREFIX": str(compiled)}
    subprocess.run([sys.executable, "-c", *command], cwd=ROOT, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begun


@pytest.mark.parametrize(
    ("arguments", "at_most"), [(["--help"], 5), (["validate", *SUITES], 13), (["list", "claims"], 13)]
)
def test_a_light_command_takes_a_few_times_as_long_as_the_libraries_it_needs(tmp_path, arguments, at_most):
    sides = {"libraries": [LIBRARIES], "bench": [LIGHT, *arguments]}
    for command in sides.values():
        started(command, tmp_path)
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(TURNS):
        for name, command in sides.items():
            taken[name].append(started(command, tmp_path))
    medians = {name: statistics.median(found) for name, found in taken.items()}
    ratio = statistics.median(ours / theirs for theirs, ours in zip(taken["libraries"], taken["bench"], strict=True))
    ours, theirs = medians["bench"], medians["libraries"]
    print(f"\nbench {arguments[0]}: median {ours:.3f} s, libraries {theirs:.3f} s, {ratio:.1f} times as long")
    assert ratio < at_most

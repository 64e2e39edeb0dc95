"""Light commands start at once: `--help` in a quarter of a second, `validate` of every suite in half a second.

Medians over fresh processes, printed; a loaded machine shows in the maximum.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "suites").glob("*.toml"))
LIGHT = "from runner import bench; bench()"


@pytest.mark.parametrize(
    ("arguments", "limit_s"), [(["--help"], 0.25), (["validate", *SUITES], 0.5), (["list", "claims"], 0.5)]
)
def test_a_light_command_starts_within_its_time(arguments, limit_s):
    seconds = []
    for _ in range(7):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", LIGHT, *arguments], cwd=ROOT, check=True, capture_output=True)
        seconds.append(time.perf_counter() - begun)
    median = statistics.median(seconds)
    print(
        f"\nbench {arguments[0]}: median {median:.3f} s, {min(seconds):.3f} to {max(seconds):.3f} s, limit {limit_s} s"
    )
    assert median < limit_s

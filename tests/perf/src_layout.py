"""Makes the project that the gate once could not see: the four guarded models in a `src` layout, installed as editable.

Measures nothing itself. As a program it makes one in an empty folder and prints the command that gives its figures:

    python -m tests.perf.src_layout FOLDER
"""

import re
import sys
from pathlib import Path

from tests.making import ROOT, bench, commit, git
from tests.test_gate_origin import PYPROJECT, environment, install

MODELS = ("mlp_mixer", "hybrid_mixer", "conv_mixer", "mobilevit_xxs")


def made(folder: Path) -> tuple[Path, Path]:
    """A repository with an accepted baseline, and the Python in which its package is installed as editable."""
    home = folder / "repository"
    package = home / "src" / "theirs"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    for name in MODELS:
        text = (ROOT / "bench" / "models" / f"{name}.py").read_text(encoding="utf-8")
        text = text.replace("from bench.models.", "from theirs.").replace(
            f'register("{name}")', f'register("their_{name}")'
        )
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    (home / "pyproject.toml").write_text(PYPROJECT.replace("mynet", "theirs"), encoding="utf-8")
    (home / ".gitignore").write_text("__pycache__/\n*.egg-info/\n", encoding="utf-8")
    suite = (ROOT / "suites" / "ci.toml").read_text(encoding="utf-8")
    suite = re.sub(r'factory = "', 'factory = "their_', suite)
    plugins = ", ".join(f'"theirs.{name}"' for name in MODELS)
    suite = suite.replace('id = "ci"\n', f'id = "ci"\nplugins = [{plugins}]\n')
    (home / "ci.toml").write_text(suite, encoding="utf-8")
    git(home, "init", "--quiet")
    commit(home)
    python = environment(folder / "venv")
    install(python, home, "--editable")
    bench("baseline", "accept", "ci.toml", "--reason", "first", cwd=home, python=python)
    commit(home)
    return home, python


if __name__ == "__main__":
    where = Path(sys.argv[1]).absolute()
    where.mkdir(parents=True, exist_ok=True)
    home, python = made(where)
    told = "from runner import bench; bench()"
    print(f'cd {home} && PYTHONPATH={ROOT} {python} -c "{told}" check ci.toml --self-test 10 --inject 5 --seed 3')

"""Each side of a check runs its own tree's code, however the project is installed, or the check says what it ran."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.gate.pairs import layout
from bench.gate.pairs.crew import crew
from bench.gate.pairs.rounds import Side, Subject, build, job
from bench.gate.trees import side_by_side
from tests import making
from tests.making import commit, git

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs bin/python in a virtual environment")

MODELS = """
import time
from torch import nn
from bench.registry import models
from @PACKAGE@.layers import SPIN_S, WIDTH

class Spinning(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(192, WIDTH), nn.Linear(WIDTH, classes))
    def forward(self, x):
        until = time.thread_time() + SPIN_S
        x = self.body(x)
        while time.thread_time() < until:
            pass
        return x

@models.register("net")
def net(*, num_classes, image_size):
    return Spinning(num_classes)
"""
SUITE = making.suite_text(
    """
[rule]
why = "as few rounds as can decide"
looks = [6, 7, 8]
confirm = 6
[models.net]
factory = "net"
label = "Net"
num_classes = 3
image_size = 8
[guards.net]
model = "net"
why = "the only one"
batch_size = 1
""",
    plugins=["@PLUGIN@"],
)
PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "mynet"
version = "1"
"""


@dataclass(frozen=True)
class Layout:
    """How a project lies in its repository: the folder of its package, the package's name, and what says so."""

    folder: str
    package: str
    pyproject: str = PYPROJECT
    setup_py: str = ""


LAYOUTS = {
    "flat": Layout("mynet", "mynet", PYPROJECT + '[tool.setuptools]\npackages = ["mynet"]\n'),
    "src": Layout("src/mynet", "mynet"),
    "where": Layout("python/mynet", "mynet", PYPROJECT + '[tool.setuptools.packages.find]\nwhere = ["python"]\n'),
    "renamed": Layout(
        "lib", "mynet", PYPROJECT + '[tool.setuptools]\npackages = ["mynet"]\npackage-dir = { mynet = "lib" }\n'
    ),
    "namespace": Layout("src/acme/nets", "acme.nets"),
    "setup_py": Layout(
        "code/mynet",
        "mynet",
        "",
        'from setuptools import find_packages, setup\nsetup(name="mynet", version="1", package_dir={"": "code"}, '
        'packages=find_packages("code"))\n',
    ),
}


def write_code(home: Path, how: Layout, width: int = 4, spin_s: float = 0.01) -> None:
    folder = home / how.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").write_text("")
    (folder / "layers.py").write_text(f"WIDTH = {width}\nSPIN_S = {spin_s}\n")
    (folder / "models.py").write_text(MODELS.replace("@PACKAGE@", how.package))


def project(folder: Path, how: Layout) -> Path:
    """A repository with one commit, of a model of width 4 that takes 10 ms."""
    home = folder / "repository"
    home.mkdir()
    write_code(home, how)
    if how.pyproject:
        (home / "pyproject.toml").write_text(how.pyproject)
    if how.setup_py:
        (home / "setup.py").write_text(how.setup_py)
    (home / "ci.toml").write_text(SUITE.replace("@PLUGIN@", f"{how.package}.models"))
    (home / ".gitignore").write_text("__pycache__/\n*.egg-info/\nbuild/\n")
    git(home, "init", "--quiet")
    commit(home)
    return home


def environment(folder: Path) -> Path:
    """The Python of a fresh environment in which everything of this one can be imported; nothing of a project yet."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages(folder).joinpath("outer.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin" / "python"


def packages(folder: Path) -> Path:
    (found,) = folder.glob("lib/python3*/site-packages")
    return found


def install(python: Path, home: Path, *how: str) -> None:
    """The project by pip, as people do it."""
    asked = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*asked, "--no-index", *how, home], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def counted(home: Path, python: Path, package: str, plugins: tuple[str, ...] = ()) -> dict[str, int]:
    """The parameters that the model has on each side, the commit and the working tree."""
    subject = Subject("net", "net", {}, 3, 8, 1, plugins=plugins or (f"{package}.models",))
    with side_by_side(home, "HEAD") as trees, crew("cpu", os.environ, 120) as hired:
        found = {}
        for name, tree in (("baseline", trees.baseline), ("candidate", trees.candidate)):
            asked = job(subject, Side(tree, str(python), layout.of(tree, home)), "cpu", 0.0, build_only=True)
            launch = lambda side, padding: hired.worker(side, str(python), 1, padding)  # noqa: E731
            found[name] = build(name, launch, asked, 120)["params"]
    return found


def params(width: int) -> int:
    return (192 * width + width) + (width * 3 + 3)


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_side_builds_its_own_code_with_an_editable_install_in_every_layout(tmp_path, name):
    how = LAYOUTS[name]
    home, python = project(tmp_path, how), environment(tmp_path / "venv")
    install(python, home, "--editable")
    write_code(home, how, width=8)
    assert counted(home, python, how.package) == {"baseline": params(4), "candidate": params(8)}


@pytest.mark.parametrize("mode", ["strict", "compat"])
def test_each_side_builds_its_own_code_in_setuptools_other_editable_modes(tmp_path, mode):
    how = LAYOUTS["src"]
    home, python = project(tmp_path, how), environment(tmp_path / "venv")
    install(python, home, "--config-settings", f"editable_mode={mode}", "--editable")
    write_code(home, how, width=8)
    assert counted(home, python, how.package) == {"baseline": params(4), "candidate": params(8)}


def test_each_side_builds_its_own_code_where_an_old_copy_is_installed_or_a_variable_leads_into_it(
    tmp_path, monkeypatch
):
    """The environment lies in the repository, as it often does: what is installed there is no code of the project."""
    how = LAYOUTS["src"]
    home = project(tmp_path, how)
    python = environment(home / ".venv")
    (home / ".gitignore").write_text("__pycache__/\n*.egg-info/\nbuild/\n.venv/\n")
    install(python, home)
    write_code(home, how, width=8)
    assert counted(home, python, how.package) == {"baseline": params(4), "candidate": params(8)}
    monkeypatch.setenv("PYTHONPATH", f"{home / 'src'}{os.pathsep}{ROOT}")
    assert counted(home, Path(sys.executable), how.package) == {"baseline": params(4), "candidate": params(8)}


REDIRECTING = """
import sys
from importlib.util import spec_from_file_location

class Redirecting:  # as meson-python and scikit-build-core redirect, before every other finder
    def __init__(self, known):
        self.known = known
    def find_spec(self, name, path=None, target=None):
        if name in self.known:
            place = self.known[name]
            inside = [place.rpartition("/")[0]] if place.endswith("__init__.py") else None
            return spec_from_file_location(name, place, submodule_search_locations=inside)

sys.meta_path.insert(0, Redirecting({known!r}))
"""


def test_each_side_builds_its_own_code_where_a_finder_redirects_every_module(tmp_path):
    how = LAYOUTS["where"]
    home, python = project(tmp_path, how), environment(tmp_path / "venv")
    (home / "pyproject.toml").unlink()  # nothing but the finder says where the code is
    commit(home)
    folder = home / how.folder
    known = {"mynet": f"{folder}/__init__.py"} | {
        f"mynet.{each}": f"{folder}/{each}.py" for each in ("layers", "models")
    }
    (packages(tmp_path / "venv") / "_mynet_editable.py").write_text(REDIRECTING.replace("{known!r}", repr(known)))
    (packages(tmp_path / "venv") / "mynet-editable.pth").write_text("import _mynet_editable\n")
    write_code(home, how, width=8)
    assert counted(home, python, how.package) == {"baseline": params(4), "candidate": params(8)}


def test_each_side_builds_its_own_code_where_a_plugin_file_puts_a_folder_on_the_path(tmp_path):
    how = LAYOUTS["where"]
    home, python = project(tmp_path, how), environment(tmp_path / "venv")
    (home / "pyproject.toml").unlink()
    lines = "import sys\nfrom pathlib import Path\nsys.path.insert(0, str(Path(__file__).parent / 'python'))\n"
    (home / "plugin.py").write_text(f"{lines}import mynet.models\n")
    commit(home)
    write_code(home, how, width=8)
    assert counted(home, python, how.package, ("plugin.py",)) == {"baseline": params(4), "candidate": params(8)}


# The whole command


def program(home: Path, python: Path, *arguments: str, code: int) -> subprocess.CompletedProcess[str]:
    return making.bench(*arguments, cwd=home, code=code, python=python, before=making.SHORT_ROUNDS)


def accepted(home: Path, python: Path) -> None:
    program(home, python, "baseline", "accept", "ci.toml", "--reason", "first", code=0)
    commit(home)


@pytest.mark.parametrize("name", ["flat", "src"])
def test_half_as_much_work_again_is_seen_in_every_layout_and_equal_code_passes(tmp_path, name):
    how = LAYOUTS[name]
    home, python = project(tmp_path, how), environment(tmp_path / "venv")
    install(python, home, "--editable")
    accepted(home, python)
    if name == "src":  # equal code looks alike wherever it lies; once is enough
        assert "static PASS" in program(home, python, "check", "ci.toml", "--seed", "1", code=0).stdout
    write_code(home, how, spin_s=0.015)
    done = program(home, python, "check", "ci.toml", "--seed", "1", "--json", code=1)
    (found,) = (each for each in json.loads(done.stdout)["outcomes"] if each["name"] == "net / speed")
    (wall,) = (figure["value"] for figure in found["figures"] if figure["name"] == "wall_change")
    assert 30 < wall < 70  # 15 ms for 10 ms is 50 % more


def test_code_that_no_tree_gives_is_named_and_ends_with_3(tmp_path):
    how = LAYOUTS["src"]
    home, python = project(tmp_path, how), environment(tmp_path / "venv")
    lines = (
        "import sys\nfrom importlib.util import module_from_spec, spec_from_file_location\n"
        f"spec = spec_from_file_location('mynet', {str(home / 'src/mynet/__init__.py')!r})\n"
        "sys.modules['mynet'] = module_from_spec(spec)\nspec.loader.exec_module(sys.modules['mynet'])\n"
    )
    (home / "plugin.py").write_text(f"{lines}import mynet.models\n")
    (home / "ci.toml").write_text(SUITE.replace("@PLUGIN@", "plugin.py"))
    commit(home)
    accepted(home, python)
    done = program(home, python, "check", "ci.toml", code=3)
    assert "static PASS  speed NOT MEASURED: mynet comes from …/src/mynet, not from the baseline's tree" in done.stdout
    assert str(home) not in done.stdout


def test_an_installed_copy_that_is_another_state_of_the_code_is_not_counted(tmp_path):
    how = LAYOUTS["src"]
    home, python = project(tmp_path, how), environment(tmp_path / "venv")
    install(python, home)
    accepted(home, python)  # byte for byte what is committed: its counts are the commit's
    write_code(home, how, width=8)
    done = program(home, python, "check", "ci.toml", "--static-only", code=3)
    words = "static NOT MEASURED: mynet.layers comes from …/site-packages/mynet/layers.py, not from the working tree"
    assert words in done.stdout
    commit(home)
    assert (
        words.partition(": ")[2]
        in program(home, python, "baseline", "accept", "ci.toml", "--reason", "wider", code=3).stderr
    )
    shutil.rmtree(packages(tmp_path / "venv") / "mynet")
    install(python, home, "--force-reinstall")
    assert (
        "has 1,544 parameters, the baseline 772"
        in program(home, python, "check", "ci.toml", "--static-only", code=1).stdout
    )  # 192 * 8 + 8, 192 * 4 + 4


def test_a_module_that_git_does_not_have_is_said_to_be_in_no_tree(tmp_path):
    how = LAYOUTS["src"]
    home, python = project(tmp_path, how), environment(tmp_path / "venv")
    (home / ".gitignore").write_text("built.py\n__pycache__/\n*.egg-info/\n")
    (home / "src/mynet/built.py").write_text("")
    with (home / "src/mynet/models.py").open("a") as file:
        file.write("import mynet.built\n")
    install(python, home, "--editable")
    commit(home)
    accepted(home, python)
    done = program(home, python, "check", "ci.toml", code=3)
    assert "mynet.built is not in git there" in done.stdout


def test_a_plugin_file_outside_of_the_repository_is_refused_for_it_has_no_other_state(tmp_path):
    how = LAYOUTS["src"]
    home, python = project(tmp_path, how), environment(tmp_path / "venv")
    install(python, home, "--editable")
    (tmp_path / "outside.py").write_text("import mynet.models\n")
    (home / "ci.toml").write_text(SUITE.replace("@PLUGIN@", "../outside.py"))
    commit(home)
    accepted(home, python)
    assert "outside.py lies outside of the repository" in program(home, python, "check", "ci.toml", code=3).stdout


@pytest.mark.parametrize(
    ("file", "text", "roots"),
    [
        ("pyproject.toml", '[tool.setuptools]\npackage-dir = { "" = "code" }\n', ("code",)),
        ("pyproject.toml", '[tool.setuptools.packages.find]\nwhere = ["code"]\n', ("code",)),
        ("pyproject.toml", '[tool.hatch.build.targets.wheel]\npackages = ["code/mynet"]\n', ("code",)),
        ("pyproject.toml", '[tool.hatch.build.targets.wheel]\nsources = ["code"]\n', ("code",)),
        ("pyproject.toml", '[tool.hatch.build]\ndev-mode-dirs = ["code"]\n', ("code",)),
        ("pyproject.toml", '[tool.poetry]\npackages = [{ include = "mynet", from = "code" }]\n', ("code",)),
        ("pyproject.toml", '[tool.pdm.build]\npackage-dir = "code"\n', ("code",)),
        ("pyproject.toml", '[tool.scikit-build]\nwheel.packages = ["code/mynet"]\n', ("code",)),
        ("pyproject.toml", '[tool.maturin]\npython-source = "code"\n', ("code",)),
        ("pyproject.toml", '[tool.uv.build-backend]\nmodule-root = "code"\n', ("code",)),
        ("pyproject.toml", "[tool\n", ()),
        ("setup.cfg", "[options]\npackage_dir =\n    = code\n", ("code",)),
        ("setup.cfg", "[options.packages.find]\nwhere = code\n", ("code",)),
        ("setup.py", 'setup(packages=find_packages(where="code"))\n', ("code",)),
        ("setup.py", "def broken(:\n", ()),
    ],
)
def test_build_files_say_where_a_tree_is_imported_from(tmp_path, file, text, roots):
    (tmp_path / file).write_text(text)
    assert layout.of(tmp_path, tmp_path).roots == roots


def test_of_several_projects_in_one_repository_the_one_around_the_suite_counts(tmp_path):
    inner = tmp_path / "packages" / "mynet"
    inner.mkdir(parents=True)
    (inner / "pyproject.toml").write_text('[project]\nname = "mynet"\n[tool.pdm.build]\npackage-dir = "code"\n')
    found = layout.of(tmp_path, tmp_path, inner / "ci.toml")
    assert found.roots == ("packages/mynet/code", "packages/mynet/src", "packages/mynet")
    assert found.name == "mynet"

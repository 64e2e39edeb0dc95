"""The house holds: docs/architecture.md lists the rooms, imports point down, the wings do not meet."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "bench"
HOUSE = ROOT / "docs" / "architecture.md"
HEAVY = {"torch", "torchvision", "fvcore", "timm", "pandas", "pyarrow", "deltalake", "seaborn", "matplotlib", "jinja2"}
WORKSHOP_TOOLS = {"torch", "torchvision", "fvcore", "timm"}
OFFICE_TOOLS = {"pandas", "deltalake", "seaborn", "matplotlib", "jinja2"}

# Room -> floor, in the order of the page.
ROOMS = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", HOUSE.read_text(encoding="utf-8"), re.MULTILINE))
ORDER = list(ROOMS)


def room(path: Path) -> str:
    """`bench/models/x.py` and `bench/models/__init__.py` stand in the room `models`."""
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


FILES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if "__pycache__" not in path.parts and path != PACKAGE / "__init__.py"
]


def on(floor: str) -> set[str]:
    return {name for name, where in ROOMS.items() if where == floor}


def imported(path: Path) -> set[str]:
    """Full dotted names of everything a file imports; `from bench import x` counts as `bench.x`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"bench.{alias.name}" for alias in node.names} if node.module == "bench" else {node.module}
    return found


def rooms_imported(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported(path) if name.startswith("bench.")} - {"__version__"}


def test_the_page_lists_the_rooms_that_there_are():
    assert {room(path) for path in FILES} == set(ROOMS)
    assert set(ROOMS.values()) == {"ground", "workshop", "office", "meeting"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    here = ORDER.index(room(path))
    higher = {other for other in rooms_imported(path) if ORDER.index(other) > here}
    assert not higher, f"{room(path)} imports from further down the list: {higher}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_imports_over_an_underscore(path):
    over = {name for name in imported(path) if name.startswith("bench.") and "._" in name}
    assert over <= {"bench.__version__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_wings_do_not_meet(path):
    floor = ROOMS[room(path)]
    tools = {name.split(".")[0] for name in imported(path)}
    if floor == "workshop" or room(path) == "gate":
        assert not rooms_imported(path) & on("office")
        assert not tools & OFFICE_TOOLS
    elif floor == "office":
        assert not rooms_imported(path) & (on("workshop") | {"gate"})
        assert not tools & WORKSHOP_TOOLS
    elif floor == "ground":
        assert not tools & HEAVY, f"the ground floor imports {tools & HEAVY}"
        assert not rooms_imported(path) & (on("workshop") | on("office"))
    else:
        assert not tools & HEAVY, f"a command does not work itself, it calls: {tools & HEAVY}"


def test_a_model_imports_nothing_of_bench_but_the_words_and_one_parent():
    allowed = {"registry", "errors", "torchvision_import"}
    for path in (PACKAGE / "models").glob("*.py"):
        inside = {name for name in imported(path) if name.startswith("bench.")}
        parent = {"bench.models.mlp_mixer"} if path.stem == "hybrid_mixer" else set()
        assert inside - parent <= {f"bench.{name}" for name in allowed}, path.name


def test_only_the_executor_and_its_worker_catch_every_exception():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else "everything"
                assert caught not in ("everything", "Exception", "BaseException") or path.stem in (
                    "executor",
                    "child",
                ), f"{path.name}:{node.lineno} catches {caught}"


def names(path: Path) -> set[str]:
    """Every name that a file uses or imports, also within an annotation that is written as a text."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        found |= {name for field in ("id", "attr", "name") if isinstance(name := getattr(node, field, None), str)}
        for said in filter(None, (getattr(node, field, None) for field in ("annotation", "returns"))):
            texts = [each.value for each in ast.walk(said) if isinstance(each, ast.Constant)]
            found |= set(re.findall(r"\w+", " ".join(map(str, texts))))
    return found


@pytest.mark.parametrize(
    "path", [ROOT / "runner.py", *sorted((PACKAGE / "commands").rglob("*.py"))], ids=lambda path: path.name
)
def test_the_command_line_says_the_type_of_all_that_it_hands_over(path):
    assert "Any" not in names(path), f"{path.name} says `Any`: name the type, or `object` where every value will do"


@pytest.mark.parametrize(
    "line", ["from typing import Any", "x: Any", "x: typing.Any", "def f(x: list['Any']): ...", "def f() -> 'Any': ..."]
)
def test_every_way_to_say_any_is_seen(line, tmp_path):
    (tmp_path / "said.py").write_text(line, encoding="utf-8")
    assert "Any" in names(tmp_path / "said.py")


def test_a_class_name_means_one_thing_in_the_whole_house():
    places: dict[str, set[str]] = {}
    for path in FILES:
        if room(path) != "models":  # strangers' files, which know nothing of each other
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, set()).add(str(path.relative_to(PACKAGE)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_files_and_functions_keep_their_size():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 350, f"{path.name} has {text.count(chr(10))} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 60, f"{path.name}: {node.name} is over 60 lines"


@pytest.mark.parametrize(
    "command", [["--help"], ["list", "models"], ["list", "claims"], ["validate", "suites/cifar_mixers.toml"]]
)
def test_light_commands_start_without_torch_and_pandas(command):
    script = (
        "import sys, runner\n"
        f"try: runner.bench({command!r})\n"
        "except SystemExit as end: assert end.code in (0, None), end.code\n"
        f"print([name for name in {sorted(HEAVY)!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=PACKAGE.parent, check=True
    )
    assert done.stderr.strip().splitlines()[-1] == "[]"

"""The house holds: imports point down, the wings do not meet, the ground floor stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "bench"

# Room -> floor. A new file gets its floor here before it gets code.
FLOORS = {
    "__init__": 0, "errors": 0, "stats": 0, "machine": 0,
    "metrics": 1, "registry": 1, "expressions": 1, "vision_import": 1, "context": 1, "outcomes": 1,
    "records": 2, "recipes": 2, "spec": 2, "counts": 2, "cost": 2, "notation": 2, "tiles": 2, "printed": 3,
    "plan": 3, "sample": 3, "regression": 3,
    "suitefile": 4, "baseline": 4, "forecast": 4, "environment": 4, "imagefiles": 4, "data": 4, "models": 4,
    "building": 5, "training": 5,
    "measures": 6,
    "execute": 7, "gate": 7,
    "store": 8,
    "verdicts": 9, "comparison": 9, "listing": 9,
    "charts": 10,
    "ci": 10,
    "report": 11, "console": 11, "progress": 12, "steps": 13, "pytest_plugin": 13,
}  # fmt: skip
WORKSHOP = {
    "vision_import", "environment", "imagefiles", "data", "sample", "models", "building", "training", "measures",
    "execute", "gate",
}  # fmt: skip
OFFICE = {"store", "verdicts", "comparison", "charts", "report"}
HEAVY = {"torch", "torchvision", "fvcore", "timm", "pandas", "pyarrow", "deltalake", "seaborn", "matplotlib", "jinja2"}
WORKSHOP_TOOLS = {"torch", "torchvision", "fvcore", "timm"}
OFFICE_TOOLS = {"pandas", "deltalake", "seaborn", "matplotlib", "jinja2"}


def room(path: Path) -> str:
    """`bench/models/x.py` and `bench/models/__init__.py` stand in the room `models`."""
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if "__pycache__" not in path.parts]


def imported(path: Path, top_level_only: bool = False) -> set[str]:
    """Full dotted names of everything a file imports; `from bench import x` counts as `bench.x`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"bench.{alias.name}" for alias in node.names} if node.module == "bench" else {node.module}
    return found


def rooms_imported(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported(path) if name.startswith("bench.")} - {"__version__"}


def test_every_file_has_a_floor():
    assert {room(path) for path in FILES} <= FLOORS.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    here = room(path)
    higher = {other for other in rooms_imported(path) if FLOORS[other] > FLOORS[here]}
    assert not higher, f"{here} (floor {FLOORS[here]}) imports upwards: {higher}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_wings_do_not_meet(path):
    here = room(path)
    tools = {name.split(".")[0] for name in imported(path)}
    if here in WORKSHOP:
        assert not rooms_imported(path) & OFFICE
        assert not tools & OFFICE_TOOLS
    elif here in OFFICE:
        assert not rooms_imported(path) & WORKSHOP
        assert not tools & WORKSHOP_TOOLS
    else:
        assert not tools & HEAVY, f"the ground floor imports {tools & HEAVY}"


def test_a_model_imports_nothing_of_bench_but_the_words_and_one_parent():
    allowed = {"registry", "errors", "vision_import"}
    for path in (PACKAGE / "models").glob("*.py"):
        inside = {name for name in imported(path) if name.startswith("bench.")}
        parent = {"bench.models.mlp_mixer"} if path.stem == "hybrid_mixer" else set()
        assert inside - parent <= {f"bench.{name}" for name in allowed}, path.name


def test_only_execute_catches_every_exception():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else "everything"
                assert caught not in ("everything", "Exception", "BaseException") or path.stem == "execute", (
                    f"{path.name}:{node.lineno} catches {caught}"
                )


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

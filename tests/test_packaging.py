"""What an installation brings: every file of the package that is no code is named in pyproject.toml."""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_file_that_is_no_code_goes_into_the_wheel():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["bench"]
    inside = [path.relative_to(ROOT / "bench") for path in (ROOT / "bench").rglob("*") if path.is_file()]
    data = [path.as_posix() for path in inside if path.suffix != ".py" and "__pycache__" not in path.parts]
    assert len(data) > 4
    left_out = [name for name in data if not any(fnmatchcase(name, pattern) for pattern in patterns)]
    assert left_out == []


def test_every_folder_with_code_is_a_package():
    folders = {path.parent for path in (ROOT / "bench").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []

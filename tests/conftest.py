"""Made material for the tests of the page: loaded by path, since tests are no package."""

import importlib.util
import os
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

# What tests remember of files is theirs alone; processes that they start inherit it.
_memory = tempfile.TemporaryDirectory(prefix="bench-tests-")
os.environ["BENCH_CACHE"] = _memory.name


@pytest.fixture(scope="session")
def material() -> ModuleType:
    """`tests/material.py`: verdicts, rows and environments made by hand."""
    spec = importlib.util.spec_from_file_location("material", Path(__file__).parent / "material.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

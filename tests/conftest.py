"""Made material for the tests of the page: loaded by path, since tests are no package."""

import importlib.util
import os
import signal
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

# What tests remember of files is theirs alone; processes that they start inherit it.
_memory = tempfile.TemporaryDirectory(prefix="bench-tests-")
os.environ["BENCH_CACHE"] = _memory.name


# What a shell starts in the background, or behind `nohup`, ignores these, and so would all that tests start.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (getattr(signal, "SIGHUP", 0), signal.SIG_DFL)):
    if _number and signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _usual)


@pytest.fixture(scope="session")
def material() -> ModuleType:
    """`tests/material.py`: verdicts, rows and environments made by hand."""
    spec = importlib.util.spec_from_file_location("material", Path(__file__).parent / "material.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

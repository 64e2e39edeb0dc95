"""What every test has: a memory of files that is its own, and the made material of the page."""

import os
import signal
import tempfile
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
    from tests import material  # here, for it takes a second that most files need not wait

    return material


@pytest.fixture(scope="module")
def page(material):
    """The page of the made material, drawn once for the tests of a file."""
    return material.page()


@pytest.fixture(scope="module")
def suite(material):
    """The suite that the made rows answer."""
    return material.suite()


@pytest.fixture(scope="module")
def rows(material, suite):
    """The made rows that a verdict or a chart may use."""
    from bench.verdicts.selection import selected

    return selected(suite.suite, suite.sha256, material.rows()).rows


@pytest.fixture
def no_data_of_the_machine(monkeypatch):
    """A test says itself where data lies."""
    monkeypatch.delenv("BENCH_DATA", raising=False)


@pytest.fixture(scope="module")
def hired():
    """One crew of the gate for a file's tests: importing torch takes longer than a test."""
    from bench.gate.pairs.crew import crew

    with crew("cpu", os.environ, 60) as found:
        yield found


@pytest.fixture(scope="module")
def dataset():
    """72 images of 8 pixels to train on and 40 to test on, of 4 classes."""
    from bench.data.synthetic import synthetic

    return synthetic(n_train=72, n_test=40, image_size=8, n_classes=4)

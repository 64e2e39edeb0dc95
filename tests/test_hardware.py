"""A machine has an id made from its hardware, and a name only where a user gives one."""

import socket

import pytest

from bench import hardware
from bench.errors import UsageError

GIB = 2**30
BASE = ("Xeon 9", 16, 24 * GIB)


@pytest.mark.parametrize(
    "other",
    [("Xeon 8", 16, 24 * GIB), ("Xeon 9", 8, 24 * GIB), ("Xeon 9", 16, 25 * GIB), (*BASE, ["NVIDIA H200"])],
)
def test_other_hardware_is_another_machine(other):
    assert hardware.identity(*BASE) != hardware.identity(*other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Xeon 9 (AVX512)", 16, 24 * GIB), ("Xeon 9 (AVX2)", 16, 24 * GIB)),
        (("Xeon 9", 16, int(23.2 * GIB)), ("Xeon 9", 16, int(23.9 * GIB))),
        (("Xeon 9", 16, 502 * GIB), ("Xeon 9", 16, 505 * GIB)),  # both count as 510 GiB
        ((*BASE, ["NVIDIA H200"] * 8), (*BASE, ["NVIDIA H200"])),
    ],
    ids=["vectors that torch uses", "a kernel's share", "of much memory", "cards that a container is given"],
)
def test_what_changes_on_one_machine_leaves_its_id(one, other):
    assert hardware.identity(*one) == hardware.identity(*other)


def test_a_name_of_a_processor_may_end_in_brackets():
    assert hardware.identity("Intel(R) Xeon(R)", 2, GIB) != hardware.identity("Intel(R) Xeon", 2, GIB)


def test_the_cards_that_the_system_lists_count_before_those_that_a_process_sees(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "_NVIDIA", tmp_path)
    assert hardware.here(["Tesla T4"]) == hardware.here(["Tesla T4", "Tesla T4"]) != hardware.here()
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:01:00.0" / "information").write_text("Model: \t\t Tesla T4\nIRQ:   \t\t 24\n")
    assert hardware.accelerators() == ("Tesla T4",)
    assert hardware.here() == hardware.here(["something else"])


def test_a_machine_is_called_what_a_user_says_and_never_by_its_host(monkeypatch):
    monkeypatch.delenv(hardware.NAME_VARIABLE, raising=False)
    assert hardware.chosen_name() is None
    monkeypatch.setattr(socket, "gethostname", lambda: pytest.fail("the host was asked for its name"))
    monkeypatch.setenv(hardware.NAME_VARIABLE, " rack 7 ")
    assert (hardware.chosen_name(), hardware.chosen_name("left")) == ("rack 7", "left")
    hardware.here()


@pytest.mark.parametrize("asked", ["", " ", "a\nb", "x" * 41])
def test_what_could_not_head_a_column_is_no_name(asked):
    with pytest.raises(UsageError, match=r"--machine-name .* is no name for a machine: one line of 1 to 40 characters"):
        hardware.chosen_name(asked)

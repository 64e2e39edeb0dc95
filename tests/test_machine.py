"""Facts about the machine: a name for every processor, and no more cores than the container has."""

import sys
from types import SimpleNamespace

import pytest

from bench import machine

ARM = """processor\t: 0
BogoMIPS\t: 243.75
CPU implementer\t: 0x41
CPU part\t: 0xd0c

processor\t: 1
CPU implementer\t: 0x41
CPU part\t: 0xd0c
"""


@pytest.fixture
def system(monkeypatch):
    """Makes the system's files say what a test wants; whatever is not named is not there."""
    machine._brand.cache_clear()

    def files(**named):
        monkeypatch.setattr(machine, "_read", lambda path: named.get(path, ""))

    yield lambda named: files(**named)
    machine._brand.cache_clear()


def cpuinfo(monkeypatch, **found):
    monkeypatch.setitem(sys.modules, "cpuinfo", SimpleNamespace(get_cpu_info=lambda: found))


def test_a_processor_has_the_name_that_linux_lists(system):
    system({"/proc/cpuinfo": "processor : 0\nmodel name\t: Xeon 9\nmodel name\t: Xeon 9\n"})
    assert machine.cpu_model() == "Xeon 9"


def test_on_arm_the_name_is_py_cpuinfos_and_else_the_codes_of_maker_and_part(system, monkeypatch):
    system({"/proc/cpuinfo": ARM})
    monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")
    cpuinfo(monkeypatch, brand_raw="Neoverse-N1")
    assert machine.cpu_model() == "Neoverse-N1"
    machine._brand.cache_clear()
    cpuinfo(monkeypatch)
    assert machine.cpu_model() == "aarch64 0x41/0xd0c"


def test_the_installed_py_cpuinfo_names_this_processor(system):
    system({})
    assert machine.cpu_model() not in ("", machine.platform.machine())


GROUPS = "/sys/fs/cgroup"


@pytest.mark.parametrize(("files", "quota"), [
    ({}, None),
    ({"/proc/self/cgroup": "0::/\n", f"{GROUPS}/cpu.max": "max 100000\n"}, None),
    ({"/proc/self/cgroup": "0::/\n", f"{GROUPS}/cpu.max": "200000 100000\n"}, 2.0),
    ({"/proc/self/cgroup": "0::/a/b\n", f"{GROUPS}/a/cpu.max": "150000 100000\n"}, 1.5),
    (
        {"/proc/self/cgroup": "0::/a\n", f"{GROUPS}/a/cpu.max": "400000 100000", f"{GROUPS}/cpu.max": "100000 100000"},
        1.0,
    ),
    (
        {
            "/proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/docker/x\n0::/\n",
            f"{GROUPS}/cpu,cpuacct/cpu.cfs_quota_us": "50000\n", f"{GROUPS}/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
        0.5,
    ),
    (
        {
            "/proc/self/cgroup": "1:cpu:/\n",
            f"{GROUPS}/cpu/cpu.cfs_quota_us": "-1\n", f"{GROUPS}/cpu/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
])  # fmt: skip
def test_the_tightest_quota_of_a_group_and_those_above_it_counts(system, files, quota):
    system(files)
    assert machine.cpu_quota() == quota


@pytest.mark.parametrize(("quota", "cores"), [(None, 8), (2.0, 2), (2.5, 3), (0.5, 1), (64.0, 8)])
def test_cores_are_those_it_may_run_on_within_the_quota(monkeypatch, quota, cores):
    monkeypatch.setattr(machine, "usable_cores", lambda: tuple(range(8)))
    monkeypatch.setattr(machine, "cpu_quota", lambda: quota)
    assert machine.cores() == cores


def test_memory_is_what_the_system_has_and_no_more_than_that_is_free():
    assert 0 < machine.available_bytes() <= machine.ram_bytes()

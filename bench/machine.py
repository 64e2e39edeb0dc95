"""Facts about the machine and the code that runs on it, read from the system and from git.

Needs no torch and starts in milliseconds: psutil and py-cpuinfo are imported where they are asked. Gives no host name,
no user name and no path, and changes nothing but, when asked to, two variables of this process's environment that torch
reads when it starts.
"""

import hashlib
import importlib.metadata
import json
import math
import os
import platform
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Packages whose version can move a number or a file; absent ones are left out of the record.
PACKAGES = (
    "click",
    "deltalake",
    "fvcore",
    "jinja2",
    "numpy",
    "pandas",
    "pillow",
    "pyarrow",
    "pydantic",
    "rich",
    "scipy",
    "seaborn",
    "timm",
    "torch",
    "torchvision",
)


# How an OpenMP thread waits for the others: GNU's library and Intel's. Read when torch loads the library.
WAIT_VARIABLES = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


# Where Linux says how much memory a container is given: version 2 of its control groups, and version 1.
_MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def let_threads_sleep() -> bool:
    """Let a waiting OpenMP thread sleep instead of spin; what is set already wins. True when it came in time.

    Call it before torch is imported for the first time. Two spinning threads on two cores that others use too turn
    the latency of a CIFAR Mixer (batch 1) from 10 ms [9.5, 10.1] into 58 ms [25, 128] (95 % intervals of the median).
    """
    in_time = "torch" not in sys.modules
    if in_time:
        for name, value in WAIT_VARIABLES.items():
            os.environ.setdefault(name, value)
    return in_time


def cpu_model() -> str:
    """The processor's name as the system gives it.

    Linux on ARM lists no name: py-cpuinfo then looks further. Where it finds none either, the codes of maker and part
    stand in, so that two kinds of processor never have one name.
    """
    listed = _read("/proc/cpuinfo")
    named = re.search(r"^model name\s*:\s*(.+)$", listed, re.MULTILINE)
    if named:
        return named[1].strip()
    return _brand() or _codes(listed) or platform.processor() or platform.machine()


@cache
def _brand() -> str | None:
    """py-cpuinfo's name for the processor: asks several programs of the system, which takes 0.2 s."""
    # Of any other architecture it raises a bare Exception.
    if not re.match(r"(x86|amd64|i\d86|arm|aarch|ppc|power|s390|riscv|mips|loong|sparc)", platform.machine().lower()):
        return None
    import cpuinfo

    return str(cpuinfo.get_cpu_info().get("brand_raw") or "").strip() or None


def _codes(listed: str) -> str | None:
    """`aarch64 0x41/0xd0c`: architecture, maker and parts as /proc/cpuinfo lists them on ARM."""
    maker = re.search(r"^CPU implementer\s*:\s*(\S+)", listed, re.MULTILINE)
    parts = sorted(set(re.findall(r"^CPU part\s*:\s*(\S+)", listed, re.MULTILINE)))
    return f"{platform.machine()} {maker[1]}/{'+'.join(parts)}" if maker and parts else None


def cpu_flags() -> tuple[str, ...]:
    """What the processor can do, as Linux lists it, such as `avx2`; nothing where the system does not say."""
    listed = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return tuple(listed[1].split()) if listed else ()


def cores() -> int:
    """Processor cores that this process may use: those it may run on, and no more than its container's quota.

    A quota of two and a half cores is three, as joblib counts it.
    """
    there, quota = len(usable_cores()) or os.cpu_count() or 1, cpu_quota()
    return there if quota is None else max(1, min(there, math.ceil(quota)))


def cpu_quota() -> float | None:
    """Cores' worth of time that the control groups of this process allow it; None without a limit.

    The tightest of its group and all groups above it, of version 2 (`cpu.max`) or 1 (`cpu.cfs_quota_us`).
    """
    limits = []
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            limits += [_of_version_2(f"{_GROUPS}{group}/cpu.max") for group in _upwards(path)]
        elif "cpu" in controllers.split(","):
            for mount in ("cpu", controllers):
                limits += [_of_version_1(f"{_GROUPS}/{mount}{group}") for group in _upwards(path)]
    return min((limit for limit in limits if limit is not None), default=None)


_GROUPS = "/sys/fs/cgroup"


def _upwards(path: str) -> list[str]:
    """`/a/b` -> `/a/b`, `/a` and the root, as which a container sees its own group."""
    parts = [part for part in path.split("/") if part]
    return ["".join(f"/{part}" for part in parts[:count]) for count in range(len(parts), -1, -1)]


def _of_version_2(file: str) -> float | None:
    quota, _, period = _read(file).strip().partition(" ")
    return int(quota) / int(period or 100_000) if quota.isdecimal() and int(quota) else None


def _of_version_1(folder: str) -> float | None:
    quota, period = (_read(f"{folder}/cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(quota) and int(period) else None


def usable_cores() -> tuple[int, ...]:
    """The numbers of the cores that this process may use; none where the system does not say (macOS, Windows)."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def ram_bytes() -> int:
    """Main memory of the machine; 0 where the system does not say."""
    import psutil

    try:
        return int(psutil.virtual_memory().total)
    except (OSError, psutil.Error):
        return 0


def usable_bytes() -> int:
    """Main memory that this process may use: the machine's, or what its container is given; 0 where nobody says."""
    given = [_read(path).strip() for path in _MEMORY_LIMITS]
    return min([ram_bytes(), *(int(text) for text in given if text.isdecimal())])


def available_bytes() -> int | None:
    """Main memory that could be had without swapping; None where the system does not say."""
    import psutil

    try:
        return int(psutil.virtual_memory().available)
    except (OSError, psutil.Error):
        return None


def load() -> float | None:
    """Processes that wanted a core over the last minute, on average; None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def governor() -> str | None:
    """The frequency governor of the first core, such as `performance` or `powersave`; None where it is not told."""
    return _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None


def os_name() -> str:
    """Distribution where there is one, kernel and its release."""
    kernel = f"{platform.system()} {platform.release()}"
    with suppress(OSError, AttributeError):
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    return kernel


def nvidia_driver() -> str | None:
    """The version of the loaded NVIDIA driver; None without one."""
    listed = re.search(r"Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)", _read("/proc/driver/nvidia/version"))
    return listed[1] if listed else None


def packages() -> dict[str, str]:
    """Name -> installed version of the packages that can move a number."""
    found = {}
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


DISTRIBUTION = "mixer-bench"


@dataclass(frozen=True)
class Installation:
    """How an installed package came here: `commit` where it was built from one, `origin` in words with its digest."""

    origin: str
    commit: str | None = None


def installation(package: Path, name: str = DISTRIBUTION) -> Installation:
    """Where a package that is no git tree's comes from, as its installer noted it, and what its files hold.

    Args:
        package: its folder.
        name: of the distribution that should have brought it.
    """
    files = f"files sha256:{_files_sha256(package)}"
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return Installation(f"not installed, {files}")
    if Path(str(found.locate_file(package.name))).resolve() != package.resolve():
        return Installation(f"not installed, {files}")
    try:
        noted = json.loads(found.read_text("direct_url.json") or "{}")
    except ValueError:
        noted = {}
    # The address may hold a token or a user's name: only what it led to is kept.
    commit = noted.get("vcs_info", {}).get("commit_id")
    if commit:
        return Installation(f"commit {commit}, {files}", commit)
    if "archive_info" in noted:
        archive = noted["archive_info"]
        hashes = [f"{kind}:{value}" for kind, value in archive.get("hashes", {}).items()]
        told = hashes or [str(archive.get("hash", "")).replace("=", ":")]
        return Installation(f"archive {told[0]}".strip() + f", {files}")
    return Installation(f"{'a folder' if 'dir_info' in noted else 'a package index'}, {files}")


def _files_sha256(package: Path) -> str:
    """One digest of a package's Python files, by their places in it."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def lock_sha256(*folders: Path) -> str | None:
    """Hash of the first `constraints.txt` in these folders: the environment that was meant to be installed."""
    for folder in folders:
        if (folder / "constraints.txt").is_file():
            return hashlib.sha256((folder / "constraints.txt").read_bytes()).hexdigest()
    return None


# A word, or what follows its `=`, that starts at a root, at home, above this folder, or with an address.
_ELSEWHERE = re.compile(r"(^|=|^-\w)(?:[A-Za-z]:[\\/]|[A-Za-z][A-Za-z0-9+.-]*://|[\\/~]|\.\.[\\/])(?:.*[\\/])?")


# The same within a sentence: in quotes with what blanks it has, an address, or a word that starts at a root.
_ROOT = r"(?:[A-Za-z]:[\\/]|\\\\|~[\w.-]*/|(?:\.\./)+|/(?=[A-Za-z_.]))"
_IN_A_SENTENCE = re.compile(
    rf"""(?P<quote>['"])(?P<quoted>{_ROOT}.*?)(?P=quote)
    |(?P<address>[A-Za-z][\w+.-]+://[^\s'"<>]+)
    |(?<![\w.…~/\\-])(?P<bare>{_ROOT}[^\s'"<>|,;:()\[\]{{}}]*)""",
    re.VERBOSE,
)
_HOMES = ("home", "Users")  # whose folders bear the names of users


def without_paths(words: Sequence[str]) -> str:
    """A command line whose paths and addresses are cut down to `…/` and their last part; paths below here stay.

    Args:
        words: the arguments one by one, so that a blank within a path does not end it.
    """
    short = [_without_user(word, _ELSEWHERE.sub(r"\1…/", word)) for word in words]
    return " ".join(f"'{word}'" if " " in word else word for word in short)


def sentence_without_paths(text: str, data_dir: Path | None = None) -> str:
    """A sentence whose paths are cut down to `…/` and their last part; the data folder is DIR, as in `--data DIR`.

    Paths below here and web addresses stay, the latter without a password.
    """
    known = [(str(data_dir.resolve()), "DIR"), (str(data_dir), "DIR")] if data_dir is not None else []
    with suppress(OSError, RuntimeError):  # no home, or a working folder that is gone
        known += [(str(Path.cwd()), "."), (str(Path.home()), "~")]
    for folder, name in known:
        if folder.strip("./\\"):  # `.` stands in every sentence
            # A dot may end the sentence, or go on with the name of another folder.
            end = r"(?!\.?[\w-])" if Path(folder).is_absolute() else r"(?=[/\\])"
            text = re.sub(rf"(?<![\w./\\-]){re.escape(folder)}{end}", name, text)
    return _IN_A_SENTENCE.sub(_short, text)


def _short(found: re.Match[str]) -> str:
    address, quote = found["address"], found["quote"] or ""
    if address and address.startswith(("http://", "https://")):
        return re.sub(r"//[^/@]*@", "//", address)
    path = found["quoted"] or address or found["bare"]
    last = re.split(r"[\\/]", path.rstrip("\\/"))[-1]
    return f"{quote}{_without_user(path, f'…/{last}')}{quote}"


def _without_user(path: str, short: str) -> str:
    """The short form; `…` alone where the last part is the name of a user's own folder."""
    parts = [part for part in re.split(r"[\\/]", path) if part]
    return short.rpartition("…")[0] + "…" if "…" in short and len(parts) > 1 and parts[-2] in _HOMES else short


def _read(path: str) -> str:
    """A system file's text, empty where this system has no such file."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

"""Where a foreign program runs: a virtual environment made once from a file, a checkout of a git commit.

Nothing in the environment of bench is changed, and no file of the suite's folder.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.errors import MeasurementError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_MADE = "made-by-bench"
_LINES = 6


def python(requirements: Path, scratch: Path | None) -> Path:
    """The interpreter of the environment that a requirements file or a lock file describes, made where it is missing.

    Raises:
        MeasurementError: there is no folder to keep it in, or it cannot be made; with the last words of pip.
    """
    if scratch is None:
        raise MeasurementError("a virtual environment needs a store in a folder, where it is kept")
    text = requirements.read_bytes()
    known = f"{sys.version} {platform.machine()} {sys.base_prefix}".encode()
    home = scratch.resolve() / "environments" / hashlib.sha256(known + b"\0" + text).hexdigest()[:16]
    found = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    with _alone(home):
        if not (home / _MADE).exists():
            shutil.rmtree(home, ignore_errors=True)
            _make(home, found, requirements, bool(_lines(text)))
            (home / _MADE).touch()
    return found


def _make(home: Path, interpreter: Path, requirements: Path, needed: bool) -> None:
    _done([sys.executable, "-m", "venv", "--without-pip", str(home)], requirements)
    if needed:
        pip = [sys.executable, "-m", "pip", "--python", str(interpreter), "--disable-pip-version-check", "install"]
        _done([*pip, "--no-input", "--quiet", "-r", requirements.name], requirements)


def _lines(text: bytes) -> list[str]:
    lines = (line.split("#")[0].strip() for line in text.decode(errors="replace").splitlines())
    return [line for line in lines if line]


def _done(words: Sequence[str], requirements: Path) -> None:
    done = subprocess.run(
        words, cwd=requirements.parent, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()][-_LINES:]
        raise MeasurementError(f"the environment of '{requirements.name}' could not be made: {' | '.join(said)}")


def checkout(sources: Sequence[str | Mapping[str, str]], beside: Path, into: Path, scratch: Path | None) -> Path | None:
    """A fresh checkout of the git source among these; None where there is none.

    The repository is fetched once and kept; the commit's name says that it is the same code.

    Raises:
        MeasurementError: git cannot fetch it, or knows no such commit.
    """
    found = next((source for source in sources if isinstance(source, Mapping)), None)
    if found is None:
        return None
    address, commit = found["git"], found["commit"]
    if (beside / address).exists():
        address = str((beside / address).resolve())
    kept = (scratch or into.parent).resolve() / "repositories" / hashlib.sha256(address.encode()).hexdigest()[:16]
    with _alone(kept):
        if not _has(kept, commit):
            _fetch(kept, address, commit)
    _git(found, "clone", "--quiet", "--shared", "--no-checkout", str(kept), str(into))
    _git(found, "-C", str(into), "checkout", "--quiet", "--detach", commit)
    if (into / ".gitmodules").exists():
        _git(found, "-C", str(into), "submodule", "update", "--quiet", "--init", "--recursive")
    return into


def _has(kept: Path, commit: str) -> bool:
    return kept.is_dir() and _said("-C", str(kept), "cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def _fetch(kept: Path, address: str, commit: str) -> None:
    """The one commit, or everything where a server gives no single one."""
    named = {"git": address, "commit": commit}
    if not kept.is_dir():
        _git(named, "init", "--quiet", "--bare", str(kept))
    if _said("-C", str(kept), "fetch", "--quiet", "--depth", "1", address, commit).returncode or not _has(kept, commit):
        _git(named, "-C", str(kept), "fetch", "--quiet", address, "+refs/*:refs/fetched/*")
    if not _has(kept, commit):
        raise MeasurementError(f"'{address}' has no commit {commit}")
    # A clone takes what a name leads to.
    _git(named, "-C", str(kept), "update-ref", f"refs/heads/bench-{commit}", commit)


def _said(*arguments: str) -> "subprocess.CompletedProcess[str]":
    known = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    known |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    quiet = ["-c", "advice.detachedHead=false", "-c", "core.hooksPath=/dev/null"]
    try:
        return subprocess.run(
            ["git", *quiet, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=known,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise MeasurementError("there is no git here, and the command's source is a repository") from error


def _git(source: Mapping[str, str], *arguments: str) -> None:
    done = _said(*arguments)
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()][-_LINES:]
        raise MeasurementError(f"git cannot check out {source['commit']} of '{source['git']}': {' | '.join(said)}")


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Nobody else makes the same meanwhile; the system lets go however this ends."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_name(f"{home.name}.lock").open("w") as file:
        if fcntl is not None:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""The conditions of a run are fixed and recorded; nothing in the record says whose machine it is."""

import getpass
import hashlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import bench
from bench import machine
from bench.errors import UsageError
from bench.execution import conditions
from bench.execution.conditions import choose_device, fix_conditions, record
from bench.execution.context import Context
from bench.execution.doctor import Finding, findings
from bench.git import CodeState, code_state, project_state
from tests.making import git


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A committed package `bench` with a runner beside it."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    git(tmp_path, "init", "-q")
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("")
    (tmp_path / "runner.py").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path / "bench"


def python(code: str, variables: dict[str, str] | None = None) -> str:
    """What a fresh process prints: malloc settings and threads last for the life of a process."""
    env = variables or {name: os.environ[name] for name in os.environ if name not in conditions.MALLOC_VARIABLES}
    root = Path(bench.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_auto_takes_what_is_there_and_cuda_is_refused_where_it_is_not(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == "cpu"
    with pytest.raises(UsageError, match="sees no such device"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (choose_device("auto"), choose_device("cuda"), choose_device("cpu")) == ("cuda", "cuda", "cpu")


def test_an_unknown_device_is_a_usage_error_that_lists_the_known_ones():
    with pytest.raises(UsageError, match="Known: auto, cpu, cuda"):
        choose_device("tpu")


def test_fixed_conditions_are_the_ones_recorded():
    printed = python(
        "from bench.execution.conditions import *\n"
        "from bench.execution.context import Context; import json, dataclasses\n"
        "fix_conditions('cpu', 1)\n"
        "print(json.dumps(dataclasses.asdict(record('r', 't', Context(), ['bench', 'run']))))"
    )
    row = json.loads(printed)
    assert (row["threads"], row["interop_threads"], row["deterministic"], row["device"]) == (1, 1, True, "cpu")
    assert "mallopt mmap_max=0" in row["allocator"] or "glibc" not in row["allocator"]


LOOSE = """
import torch
torch.set_float32_matmul_precision("medium")
torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
torch.use_deterministic_algorithms(False)
torch.utils.deterministic.fill_uninitialized_memory = True
"""
SAID = """
print(torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32,
      torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled(),
      torch.utils.deterministic.fill_uninitialized_memory)
"""


def test_float32_means_float32_and_what_a_model_or_a_plug_in_set_before_is_set_back():
    assert python(LOOSE + SAID) == "medium True True True False True", "or nothing would be left to set back"
    fixed = "from bench.execution.conditions import fix_conditions; fix_conditions('cpu', 1)\n"
    assert python(LOOSE + fixed + SAID) == "highest False False False True False"


def test_both_sides_of_a_speed_check_compute_in_float32_too():
    fixed = "from bench.gate.pairs.worker import fix_conditions; fix_conditions(1)\n"
    assert python(LOOSE + fixed + SAID).split()[:4] == ["highest", "False", "False", "False"]


def test_malloc_variables_of_the_environment_win_over_our_own_setting():
    code = "from bench.execution.conditions import *; fix_conditions('cpu', 1); print(allocator())"
    assert python(code, dict(os.environ) | {"MALLOC_TOP_PAD_": "4096"}).endswith("MALLOC_TOP_PAD_=4096")


def test_threads_are_told_to_sleep_before_torch_is_there_and_never_after():
    code = "from bench import machine; import os; print(machine.let_threads_sleep(), os.environ['OMP_WAIT_POLICY'])"
    free = {name: value for name, value in os.environ.items() if name not in machine.WAIT_VARIABLES}
    assert python(code, free) == "True PASSIVE"
    assert python(code, free | {"OMP_WAIT_POLICY": "ACTIVE"}) == "True ACTIVE"
    assert machine.let_threads_sleep() is False


def test_the_same_draws_follow_every_fixing_of_the_conditions():
    try:
        draws = []
        for _ in range(2):
            fix_conditions("cpu", torch.get_num_threads())
            draws.append(torch.rand(4))
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(*draws)


def test_the_record_names_neither_host_nor_user_nor_path():
    row = asdict(
        record("r", "2026-01-01T00:00:00Z", Context(), ["bench", "run", "/home/ann/x.toml", "--data=/home/ann/d"])
    )
    text = json.dumps(row)
    for secret in (
        str(Path.home()),
        str(Path.cwd()),
        "/home/ann",
        f'"{socket.gethostname()}"',
        f'"{getpass.getuser()}"',
    ):
        assert secret not in text
    assert row["torch"] == torch.__version__
    assert json.loads(row["packages_json"])["numpy"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("bench run suites/a.toml --seeds 3", "bench run suites/a.toml --seeds 3"),
        ("bench run /home/ann/s/a.toml", "bench run …/a.toml"),
        ("bench run --data=~/cifar/all -o/tmp/r.html", "bench run --data=…/all -o…/r.html"),
        ("bench run ../ann/a.toml", "bench run …/a.toml"),
        ("bench run --store s3://key:secret@host/b/t", "bench run --store …/t"),
        (r"bench run 'C:\Users\ann\a.toml'", "bench run …/a.toml"),
        ("bench baseline accept --reason 'new torch'", "bench baseline accept --reason 'new torch'"),
    ],
)
def test_a_recorded_command_keeps_what_lies_below_here_and_only_the_last_part_of_other_paths(given, kept):
    assert machine.without_paths(shlex.split(given)) == kept


def test_a_blank_in_a_path_does_not_end_it_and_a_home_folder_names_nobody():
    words = ["bench", "run", "a.toml", "--data", "/home/alice smith/data", "-o", "/home/alice", "--only", "static*"]
    assert machine.without_paths(words) == "bench run a.toml --data …/data -o … --only static*"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            "[Errno 2] No such file: '/home/alice/secret/weights.pt' (p.py:21)",
            "[Errno 2] No such file: '…/weights.pt' (p.py:21)",
        ),
        (
            "cannot read /home/alice/x/weights.pt, 3/30 read at 5 images/s",
            "cannot read …/weights.pt, 3/30 read at 5 images/s",
        ),
        ("'/home/alice smith/data/x y.pt' is torn", "'…/x y.pt' is torn"),
        (r"no C:\Users\ann\w.pt here", "no …/w.pt here"),
        ("looked into /home/alice", "looked into …"),
        ("see https://me:word@example.org/a/b, or s3://key@host/b/t", "see https://example.org/a/b, or …/t"),
        (
            "the net is torn. It is . and .. that matter / or not",
            "the net is torn. It is . and .. that matter / or not",
        ),
        ("no ../ann/data/x", "no …/x"),
    ],
)
def test_a_reason_keeps_only_the_last_part_of_a_path(said, kept):
    assert machine.sentence_without_paths(said) == kept


def test_the_data_folder_is_called_dir_and_a_dot_stays_a_dot(tmp_path):
    said = f"no {tmp_path}/cifar10 in '{tmp_path}'. Get it."
    assert machine.sentence_without_paths(said, tmp_path) == "no DIR/cifar10 in 'DIR'. Get it."
    assert (
        machine.sentence_without_paths(f"no cifar10 in {tmp_path}. Get it.", tmp_path) == "no cifar10 in DIR. Get it."
    )
    assert machine.sentence_without_paths(f"not {tmp_path}.old", tmp_path) == f"not …/{tmp_path.name}.old"
    assert machine.sentence_without_paths("no ./a.b here. Done.", Path(".")) == "no ./a.b here. Done."
    assert machine.sentence_without_paths("no data/x in data", Path("data")) == "no DIR/x in data"


def test_a_clean_tree_is_its_commit_and_a_change_shows_in_flag_and_hash(package: Path):
    clean = code_state(package)
    assert clean == CodeState(git(package, "rev-parse", "HEAD").strip(), False, None)
    (package / "__init__.py").write_text("x = 1\n")
    edited = code_state(package)
    assert (edited.commit, edited.dirty) == (clean.commit, True)
    (package / "new.py").write_text("")
    assert code_state(package).diff_sha256 not in (None, edited.diff_sha256)


def test_a_new_file_shows_in_the_hash_by_its_content_and_by_its_name(package: Path):
    def digest(name: str, content: str) -> tuple[str | None, str | None]:
        (package / name).write_text(content)
        found = code_state(package).diff_sha256, project_state(package.parent, [package / name]).diff_sha256
        (package / name).unlink()
        return found

    states = [digest("new.py", "x = 1\n"), digest("new.py", "x = 2\n"), digest("newer.py", "x = 1\n")]
    assert digest("new.py", "x = 1\n") == states[0], "the same tree has the same hash"
    for of_one_kind in zip(*states, strict=True):
        assert None not in of_one_kind
        assert len(set(of_one_kind)) == 3


def test_files_beside_the_code_leave_it_clean(package: Path):
    (package.parent / "notes.txt").write_text("")
    assert code_state(package).dirty is False


def test_an_installed_copy_below_a_foreign_tree_has_no_commit(package: Path):
    installed = package.parent / "site-packages" / "bench"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert code_state(installed) == CodeState()


def test_a_suites_repository_is_dirty_by_a_tracked_change_and_by_a_new_file_of_the_suite_alone(package: Path):
    home = package.parent
    suite = home / "suite.toml"
    suite.write_text("1")
    new = project_state(home, [suite])
    assert (new.commit, new.dirty) == (git(package, "rev-parse", "HEAD").strip(), True)
    git(home, "add", "suite.toml")
    git(home, "commit", "-qm", "suite")
    (home / "notes.txt").write_text("")
    assert project_state(home, [suite]).dirty is False
    (package / "__init__.py").write_text("y = 2\n")
    assert project_state(home, [suite]).dirty is True


def test_a_suite_that_git_ignores_or_that_lies_outside_has_no_commit(package: Path, tmp_path_factory):
    home = package.parent
    (home / ".gitignore").write_text("ignored/\n")
    (home / "ignored").mkdir()
    (home / "ignored" / "suite.toml").write_text("1")
    assert project_state(home / "ignored", [home / "ignored" / "suite.toml"]) == CodeState()
    assert project_state(tmp_path_factory.mktemp("outside"), []) == CodeState()


def test_what_git_refuses_is_said_and_holds_no_path(package: Path, monkeypatch):
    def refuse(folder, *arguments):
        said = f"fatal: detected dubious ownership in repository at '{package}'\nTo add an exception, call git config"
        return subprocess.CompletedProcess(arguments, 128, "", said)

    monkeypatch.setattr("bench.git.git", refuse)
    for state in (code_state(package), project_state(package, [])):
        assert state.commit is None
        assert state.note == "git will not say which code this is: detected dubious ownership in repository at …"


@pytest.mark.parametrize(
    ("noted", "origin", "commit"),
    [
        (
            {"url": "https://ann:token@host/r", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}},
            "commit c0ffee",
            "c0ffee",
        ),
        ({"url": "file:///home/ann/b.zip", "archive_info": {"hash": "sha256=ab12"}}, "archive sha256:ab12", None),
        ({"url": "file:///home/ann/bench", "dir_info": {}}, "a folder", None),
        (None, "a package index", None),
    ],
)
def test_an_installed_copy_says_where_it_came_from_without_an_address(tmp_path, monkeypatch, noted, origin, commit):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "__init__.py").write_text("x = 1\n")
    facts = tmp_path / "made_thing-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: made-thing\nVersion: 1\n")
    if noted:
        (facts / "direct_url.json").write_text(json.dumps(noted))
    monkeypatch.syspath_prepend(tmp_path)
    found = machine.installation(tmp_path / "made", "made-thing")
    assert re.fullmatch(rf"{origin}, files sha256:[0-9a-f]{{64}}", found.origin)
    assert found.commit == commit
    (tmp_path / "made" / "__init__.py").write_text("x = 2\n")
    assert machine.installation(tmp_path / "made", "made-thing").origin != found.origin, "an edited copy is another"
    elsewhere = machine.installation(Path(__file__).parent, "made-thing")
    assert elsewhere.origin.startswith("not installed, files sha256:")


def test_the_first_constraints_file_found_is_the_lock(tmp_path: Path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "constraints.txt").write_text("torch==2.13.0\n")
    assert machine.lock_sha256(tmp_path) is None
    assert machine.lock_sha256(tmp_path, tmp_path / "b") == hashlib.sha256(b"torch==2.13.0\n").hexdigest()


def test_findings_say_what_is_missing_and_what_is_noisy(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(machine, "load", lambda: 2.0)
    monkeypatch.setattr(machine, "cores", lambda: 2)
    monkeypatch.setattr(machine, "governor", lambda: "powersave")
    (tmp_path / "cifar10").mkdir()
    by_subject = {finding.subject: finding for finding in findings(tmp_path)}
    assert by_subject["cifar10"] == Finding("cifar10", "good", "found")
    assert by_subject["cifar100"].level == "note"
    assert "--data" in by_subject["cifar100"].text
    assert by_subject["load"].level == by_subject["governor"].level == "noisy"
    assert {"torch", "cuda", "torchvision", "timm", "allocator", "disk"} <= by_subject.keys()

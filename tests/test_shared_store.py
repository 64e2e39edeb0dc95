"""A store on object storage, by a real S3 server here: writers at once, checkpoints, claims, clear errors."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from bench.errors import StoreError, UsageError
from bench.execution.context import Context
from bench.execution.locks import locks_in
from bench.execution.remote_locks import RemoteLocks
from bench.remote import Located, RemotePath, completed, options_of
from bench.store import Store
from tests import making
from tests.making import PAPER, bench, mixer_text, settings, suite_text

pytest.importorskip("moto", reason="needs moto: pip install 'mixer-bench[test]'")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An S3 server on the loopback address: a process of its own, for who waits for it may hold the lock of Python."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        address = f"http://127.0.0.1:{port}"
        while running.poll() is None:
            with suppress(OSError):
                urlopen(address).close()
                break
            time.sleep(0.05)
        yield address
        running.terminate()


@pytest.fixture
def reached(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables that reach the server, set here, and a cache of the test's own."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    variables = {
        "AWS_ACCESS_KEY_ID": "made", "AWS_SECRET_ACCESS_KEY": "made", "AWS_ENDPOINT_URL": server,
        "BENCH_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    urlopen(Request(f"{server}/bucket", method="PUT")).close()
    return variables


@pytest.fixture
def uri(reached: dict[str, str], request: pytest.FixtureRequest) -> str:
    """A store of the test's own."""
    return f"s3://bucket/{abs(hash(request.node.name)):x}"


WRITER = """
import sys
from bench.store import Store
from tests import making
store, name, count = Store(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for number in range(count):
    store.append([making.row(run_id=name, repeat=number, seed=part) for part in range(3)])
    print(number, flush=True)
"""


def test_four_writers_at_once_and_one_killed_leave_every_finished_row_once(uri, reached):
    def start(name: str, count: int) -> subprocess.Popen:
        words = [sys.executable, "-c", WRITER, uri, name, str(count)]
        return subprocess.Popen(words, env=settings(**reached), stdout=subprocess.PIPE, text=True)

    killed, *others = [start("killed", 1000), *(start(name, 4) for name in "abc")]
    told = [killed.stdout.readline(), killed.stdout.readline()]  # two are in, the third is on its way
    killed.send_signal(signal.SIGKILL)
    told += killed.stdout.read().splitlines()
    assert [writer.wait() for writer in others] == [0, 0, 0]
    killed.wait()
    rows = Store(uri).load(["run_id", "repeat", "seed"])
    assert not rows.duplicated().any()
    whole = rows.groupby(["run_id", "repeat"]).size()
    assert set(whole) == {3}, "an append is there whole or not at all"
    counts = rows["run_id"].value_counts()
    assert [counts[name] for name in "abc"] == [4 * 3] * 3
    # What it was told to be stored is there; the append in which it died may be there too.
    assert len(told) <= counts["killed"] / 3 <= len(told) + 1


def test_rows_that_were_read_once_are_read_from_this_machine(uri, monkeypatch):
    store = Store(uri)
    for number in range(3):
        store.append([making.row(repeat=number, part="long" * 100)])
    first = store.load()
    monkeypatch.setattr(RemotePath, "read", lambda place: pytest.fail(f"{place} was fetched again"))
    assert store.load().equals(first)
    assert Store(uri).load(["repeat"], where={"repeat": 1})["repeat"].tolist() == [1]
    monkeypatch.undo()


def test_a_cache_that_cannot_be_written_costs_only_time(uri, tmp_path, monkeypatch):
    Store(uri).append([making.row()])
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file"))
    assert len(Store(uri).load()) == 1


def test_a_store_is_compacted_and_exported_from_object_storage(uri, tmp_path):
    for number in range(3):
        Store(uri).append([making.row(repeat=number)])
    Store(uri).compact()
    Store(uri).export(tmp_path / "out")
    assert sorted(Store(tmp_path / "out").load()["repeat"]) == [0, 1, 2]


def test_a_checkpoint_is_taken_up_from_where_the_rows_are(uri):
    torch = pytest.importorskip("torch")
    from bench.training import checkpoint

    scratch = Store(uri).scratch_dir
    place = scratch / "case" / "training.pt"
    assert checkpoint.load(place, "cpu") is None
    checkpoint.save(place, checkpoint.pack({"weight": torch.arange(3)}))
    assert checkpoint.load(place, "cpu")["weight"].tolist() == [0, 1, 2]
    assert checkpoint.named(place) == "scratch/case/training.pt"
    Context(scratch_dir=scratch).forget("case")
    assert checkpoint.load(place, "cpu") is None


def test_a_case_is_in_one_pair_of_hands_alone(uri):
    one, other = (locks_in(Store(uri).scratch_dir) for _ in range(2))
    assert (one.take("case"), other.take("case"), one.take("another")) == (True, False, True)
    assert other.touched("case")
    one.release("case")
    assert other.take("case")
    taken: list[bool] = []
    several = [RemoteLocks(Store(uri).scratch_dir) for _ in range(4)]
    threads = [threading.Thread(target=lambda each=each: taken.append(each.take("fought for"))) for each in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False, False, False, True]


def test_the_case_of_a_run_that_was_killed_is_free_after_a_while_and_that_of_a_living_one_is_not(uri):
    scratch = Store(uri).scratch_dir
    dead, living = RemoteLocks(scratch, alive_s=1e9), RemoteLocks(scratch, alive_s=0.2)
    assert dead.take("of the dead")
    assert living.take("of the living")
    patient = RemoteLocks(scratch, dead_after=timedelta(seconds=2))  # the server counts in whole seconds
    deadline = time.monotonic() + 30
    while not patient.take("of the dead"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not patient.take("of the living")


CLAIMED = """
[measures.static]
models = ["*"]
[profiles.paper]
label = "paper"
reduced = false
default = true
[quantities.n]
model = "small"
metric = "params"
[claims.N]
says = "How many parameters has it?"
kind = "open"
unit = "parameters"
source = "paper"
where = "Table 1"
measured = "n"
"""


def test_a_run_keeps_its_rows_in_a_bucket(uri, reached, tmp_path):
    (tmp_path / "made.toml").write_text(suite_text(mixer_text("small"), PAPER, CLAIMED))
    server = reached.pop("AWS_ENDPOINT_URL")
    words = ("run", "made.toml", "--store", uri, "--storage-option", f"endpoint={server}", "--machine-name", "left")
    assert "1 answered" in bench(*words, cwd=tmp_path, **reached).stdout
    store = Store(Located(uri, {"endpoint": server}))
    assert set(store.load(["machine_name"])["machine_name"]) == {"left"}
    assert store.machines()["name"].tolist() == ["left"]


@pytest.mark.parametrize(
    ("place", "variables", "words"),
    [
        ("s3://nowhere/x", {}, "there is no such bucket"),
        (
            "s3://bucket/x",
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            "the server does not answer at http://127.0.0.1:9",
        ),
    ],
)
def test_what_is_out_of_reach_is_told_in_one_line(reached, monkeypatch, place, variables, words):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for call in (lambda: Store(place).load(), lambda: Store(place).append([making.row()])):
        with pytest.raises(StoreError) as told:
            call()
        assert words in str(told.value)
        assert "\n" not in str(told.value)


def test_no_credentials_are_told_as_such():
    from bench.remote import reason

    text = "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1.5ms, after 2 retries"
    assert reason(text).startswith("no credentials: set AWS_ACCESS_KEY_ID")


@pytest.mark.parametrize(
    ("uri", "option", "words"),
    [
        ("s3://b/x", "regoin=eu", "no option 'regoin'. Did you mean 'region'?"),
        ("s3://b/x", "AWS_REGOIN=eu", "no option 'AWS_REGOIN'. Did you mean 'region'?"),
        ("s3://b/x", "region", "--storage-option 'region' is not KEY=VALUE"),
        ("results/store", "region=eu", "results/store is a folder"),
        ("s4://b/x", "region=eu", "--store s4://b/x: no storage 's4'. Known: s3, "),
    ],
)
def test_an_option_that_reaches_nothing_is_refused_with_the_nearest(uri, option, words):
    with pytest.raises(UsageError) as told:
        options_of(uri, [option])
    assert words in str(told.value)


def test_options_win_over_the_environment_and_no_secret_is_printed(monkeypatch):
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    given = options_of("s3://b/x", ["AWS_Region=eu-west-1", "endpoint=http://127.0.0.1:1", "secret_access_key=hush"])
    whole = completed("s3://b/x", given)
    assert whole["aws_region"] == "eu-west-1"
    assert (whole["allow_http"], whole["conditional_put"]) == ("true", "etag")
    place = Located("s3://b/x", given)
    assert place.shown == ("aws_region=eu-west-1", "endpoint=http://127.0.0.1:1")
    assert "hush" not in repr(RemotePath(place, given)) + str(RemotePath(place, given))

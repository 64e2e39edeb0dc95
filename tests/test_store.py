"""The store with real files and real processes: what is stored comes back, and nothing is ever half there."""

import csv
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas
import pyarrow
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import StoreError, UsageError
from bench.plan.case import Case, asked_today, id_of
from bench.plan.fingerprint import Fingerprint
from bench.records.measurement import SCHEMA, CodePart, Measurement, canonical_json, columns
from bench.records.metrics import METRICS
from bench.store import Store, delta, schema_of
from tests import making

ROOT = Path(__file__).parent.parent


def measurement(**changes) -> Measurement:
    usual = {
        "suite": "cifar_mixers", "started_at": "2026-11-20T09:30:00.250+00:00", "device_name": "CPU A", "threads": 2,
        "repeat": 0, "batch_size": 128,
    }  # fmt: skip
    return making.row(**(usual | changes))


def case(options: dict | None = None) -> Case:
    return making.case("timing", options=options or {})


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "results" / "store")


def test_a_row_comes_back_with_every_value_and_type_of_its_record(store):
    store.append([measurement()])
    frame = store.load()
    assert list(frame.columns) == [field.name for field in dataclasses.fields(Measurement)]
    pandas_names = {"int64": "Int64", "float64": "Float64", "string": "string", "bool": "boolean"}
    for name, (type_name, _) in columns(Measurement).items():
        special = {"started_at": "datetime64[us, UTC]", "params_json": "category"}
        expected = special.get(name, pandas_names[type_name])
        assert str(frame[name].dtype) == expected, name
    found = frame.iloc[0].to_dict()
    assert found.pop("started_at") == pandas.Timestamp("2026-11-20T09:30:00.250Z")
    stored = {key: value for key, value in dataclasses.asdict(measurement()).items() if key != "started_at"}
    assert {key: None if pandas.isna(value) else value for key, value in found.items()} == stored


def test_a_store_that_is_not_there_is_an_empty_frame_and_makes_no_folder(store):
    frame = store.load()
    assert frame.empty
    assert list(frame.columns) == list(columns(Measurement))
    assert store.environments().empty
    assert store.runs().empty
    assert store.suites() == set()
    assert store.finished([case()], "CPU A", 2, torch="2.13.0") == {}
    store.append([])
    assert not Path(store.uri).exists()


def test_a_moment_is_the_same_moment_in_any_zone(store):
    store.append(
        [measurement(started_at="2026-11-20T11:30:00+02:00"), measurement(started_at="2026-11-20T09:30:00+00:00")]
    )
    assert store.load()["started_at"].nunique() == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_a_null_with_its_reason_and_never_ok(store, value):
    store.append([measurement(value=value), measurement(value=value, status="failed", reason="logit overflowed")])
    frame = store.load()
    assert frame["value"].isna().all()
    assert sorted(zip(frame["status"], frame["reason"], strict=True)) == [
        ("failed", "logit overflowed"),
        ("failed", f"the value was {value}"),
    ]


def test_load_gives_only_the_columns_and_rows_asked_for(store):
    store.append(
        [measurement(metric=metric, value=1.0, part=part) for metric in ("fps", "macs") for part in (None, "head")]
    )
    frame = store.load(["metric", "part"], where={"metric": ["macs"], "part": None})
    assert frame.to_dict("records") == [{"metric": "macs", "part": None}]
    assert len(store.load(where={"metric": "fps"})) == 2
    assert store.load(where={"metric": []}).empty


def test_the_environment_of_a_run_is_there_once_however_often_it_was_stored(store):
    for _ in range(2):
        store.append_environment(making.environment())
    assert store.environments()["run_id"].tolist() == ["run-1"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_of_several_environments_of_a_run_the_fullest_counts_in_whatever_order_they_were_stored(store, order):
    told = [making.environment(**more) for more in ({}, {"driver": "550.1"}, {"driver": "550.1", "commit": "c0ffee"})]
    assert told[0].driver is None
    assert told[0].commit is None
    store.append([measurement()])

    def seen() -> list[str]:
        return [*store.environments()["commit"], store.run("run-1")[0]["commit"], *store.runs()["commit"]]

    for number in order:
        store.append_environment(told[number])
    assert seen() == ["c0ffee"] * 3
    store.compact()  # which may put rows into another order
    assert seen() == ["c0ffee"] * 3


def test_of_equally_full_environments_every_reader_sees_the_same_one(store, tmp_path):
    other = Store(tmp_path / "other")
    for torch in ("2.13.0", "2.12.1", "2.14.0"):
        store.append_environment(making.environment(torch=torch))
    for torch in ("2.14.0", "2.13.0", "2.12.1"):
        other.append_environment(making.environment(torch=torch))
    store.append([measurement()])
    other.append([measurement()])
    seen = {one.environments()["torch"].item() for one in (store, other)}
    seen |= {one.run("run-1")[0]["torch"] for one in (store, other)}
    assert len(seen) == 1


def test_a_folder_name_may_hold_blanks_and_signs(tmp_path):
    store = Store(tmp_path / "my results #1 ü")
    store.append([measurement()])
    store.compact()
    assert len(store.load()) == 1


def test_a_store_may_be_a_uri_with_options_for_the_delta_library(tmp_path):
    store = Store(f"{tmp_path.as_uri()}/store/", storage_options={"timeout": "30s"})
    for number in range(2):
        store.append([measurement(repeat=number)])
    store.compact()
    assert sorted(Store(tmp_path / "store").load()["repeat"]) == [0, 1]
    assert store.scratch_dir is None


# Runs and finished cases


def test_runs_are_listed_oldest_first_with_their_rows_by_status(store):
    late = "2026-11-21T09:30:00+00:00"
    store.append([measurement(run_id="b", started_at=late), measurement(run_id="b", started_at=late, status="failed")])
    store.append([measurement(run_id="a", suite="x"), measurement(run_id="a", suite="y", case_id="1")])
    store.append_environment(making.environment(run_id="b", torch="2.14.0"))
    runs = store.runs()
    assert runs["run_id"].tolist() == ["a", "b"]
    assert runs["suites"].tolist() == ["x, y", "cifar_mixers"]
    assert runs[["cases", "rows", "ok", "failed", "skipped", "timeout"]].values.tolist() == [
        [2, 2, 2, 0, 0, 0],
        [1, 2, 1, 1, 0, 0],
    ]
    assert runs["torch"].isna().tolist() == [True, False]
    assert store.suites() == {"x", "y", "cifar_mixers"}


def test_a_run_is_found_by_its_beginning_or_as_the_last_one(store):
    store.append(
        [measurement(run_id="20261120-a"), measurement(run_id="20261121-b", started_at="2026-11-21T00:00:00Z")]
    )
    store.append_environment(making.environment(run_id="20261121-b"))
    found, rows = store.run("last")
    assert found["run_id"] == "20261121-b"
    assert rows["run_id"].tolist() == ["20261121-b"]
    assert store.run("20261120")[1]["run_id"].tolist() == ["20261120-a"]
    with pytest.raises(UsageError, match=r"several runs begin with '2026'.*20261120-a, 20261121-b"):
        store.run("2026")
    with pytest.raises(UsageError, match="no run 'x'"):
        store.run("x")


OLD, NEW = "2026-11-20T09:00:00+00:00", "2026-11-21T09:00:00+00:00"


@pytest.mark.parametrize(
    ("rows", "finished"),
    [
        ([{}], True),
        ([{"device_name": "CPU B"}], False),
        ([{"threads": 1}], False),
        ([{"device_name": "CPU B", "metric": "params"}], True),
        ([{"protocol": METRICS["fps"].protocol + 1}], False),
        ([{"metric": "own_metric", "protocol": 7}], True),
        ([{"metric": "own_metric", "threads": 1}], False),
        ([{}, {"status": "failed", "value": None}], False),
        ([{"status": "skipped", "value": None}], False),
        ([{"metric": "test_top1_pct"}, {"metric": "train_loss", "epoch": 3, "status": "failed", "value": None}], True),
        ([{"started_at": OLD}, {"run_id": "run-2", "started_at": NEW, "status": "failed"}], False),
        ([{"started_at": OLD, "status": "failed"}, {"run_id": "run-2", "started_at": NEW}], True),
        ([{"started_at": OLD}, {"run_id": "run-2", "started_at": NEW, "device_name": "CPU B"}], True),
    ],
    ids=[
        "measured here",
        "on another device",
        "with other threads",
        "counted on another device",
        "by an old protocol",
        "by a plug-in's metric",
        "by a plug-in's metric with other threads",
        "one of two rows failed",
        "data was absent",
        "one epoch's loss was not finite",
        "the newest run failed",
        "only an old run failed",
        "measured here before it was elsewhere",
    ],
)
def test_a_case_is_finished(store, rows, finished):
    store.append([measurement(case_id=case().id, **row) for row in rows])
    done = store.finished([case()], "CPU A", 2)
    assert list(done) == ([case().id] if finished else [])
    assert all(word.startswith("measured 2026-11-") for word in done.values())


def test_a_clock_under_another_torch_is_measured_again_when_torch_is_named(store):
    store.append([measurement(case_id=case().id), measurement(case_id=case({"x": 1}).id, metric="params", run_id="?")])
    store.append_environment(making.environment(torch="2.13.0"))
    store.append([measurement(case_id=case({"x": 2}).id, run_id="without an environment")])
    both = [case(), case({"x": 1})]
    assert set(store.finished(both, "CPU A", 2, torch="2.13.0")) == {each.id for each in both}
    assert set(store.finished(both, "CPU A", 2, torch="2.14.0")) == {both[1].id}
    assert store.finished([case({"x": 2})], "CPU A", 2, torch="2.13.0") == {}
    assert len(store.finished([case({"x": 2})], "CPU A", 2)) == 1


# Exports


texts = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
floats = st.none() | st.floats(allow_nan=False, allow_infinity=False)
rows = st.builds(
    measurement, value=floats, reason=texts, part=texts, deviations=texts, epoch=st.none() | st.integers(0, 2**62),
    compiled=st.booleans(), started_at=st.datetimes(pandas.Timestamp("2000-01-01"), pandas.Timestamp("2099-01-01")).map(
        lambda moment: f"{moment.isoformat()}+00:00"),
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.lists(rows, min_size=1, max_size=5))
def test_an_export_reads_back_as_the_same_rows_and_exports_to_the_same_bytes(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("export")
    store = Store(folder / "store")
    store.append(rows)
    first = store.export(folder / "first")
    again = Store(folder / "first")
    order = ["started_at", "value", "reason", "part", "deviations", "epoch", "compiled"]
    pandas.testing.assert_frame_equal(
        store.load().sort_values(order, ignore_index=True), again.load().sort_values(order, ignore_index=True)
    )
    second = again.export(folder / "second")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize("text", [
    "=1+1", "+1", "-1 points", "@SUM(A1)", "\tx", "\rx", "\n=x", "'=1", "''=1", "'quoted'", "'", "", "− 1", "a=b",
])  # fmt: skip
def test_no_text_of_an_export_is_a_formula_and_all_read_back(tmp_path, text):
    store = Store(tmp_path / "store")
    store.append([measurement(value=-1.5, reason=text, part=text, detail=text, code_sha256="ab")])
    store.append_code([Fingerprint("ab", (CodePart("module", "net", "cd", text),))])
    written = store.export(tmp_path / "out")
    for path in written:
        with path.open(newline="") as file:
            for line in csv.reader(file):
                assert not [cell for cell in line if cell.startswith(("=", "+", "@", "\t", "\r", "\n", "-1 "))]
    (row,) = Store(tmp_path / "out").load().to_dict("records")
    assert (row["reason"], row["part"], row["detail"], row["value"]) == (text, text, text, -1.5)
    assert '"-1.5"' not in written[0].read_text()
    assert Store(tmp_path / "new").import_(tmp_path / "out") == 1
    assert Store(tmp_path / "new").codes()["ab"][0].text == text


def test_the_order_of_appends_does_not_show_in_an_export(tmp_path):
    rows = [measurement(repeat=repeat, metric=metric) for repeat in range(3) for metric in ("fps", "latency_s")]
    bytes_of = []
    for name, ordered in (("a", rows), ("b", rows[::-1])):
        for row in ordered:
            Store(tmp_path / name).append([row])
        bytes_of.append(Store(tmp_path / name).export(tmp_path / f"{name}_out")[0].read_bytes())
    assert bytes_of[0] == bytes_of[1]


def test_an_export_of_some_rows_has_the_environments_of_just_those(store, tmp_path):
    store.append([measurement(run_id="a"), measurement(run_id="b", suite="other")])
    for run_id in ("a", "b"):
        store.append_environment(making.environment(run_id=run_id))
    store.export(tmp_path / "out", where={"suite": "other"})
    assert Store(tmp_path / "out").load()["run_id"].tolist() == ["b"]
    assert Store(tmp_path / "out").environments()["run_id"].tolist() == ["b"]


def test_several_exports_below_one_folder_are_read_as_one_and_shared_rows_once(tmp_path):
    for name, runs in (("first", "ab"), ("second", "bc")):
        store = Store(tmp_path / name / "store")
        store.append([measurement(run_id=run) for run in runs])
        store.append_environment(making.environment(run_id=runs[0]))
        store.export(tmp_path / "reference" / name)
    reference = Store(tmp_path / "reference")
    assert sorted(reference.load()["run_id"]) == ["a", "b", "c"]
    assert sorted(reference.environments()["run_id"]) == ["a", "b"]
    assert reference.load(["metric"], where={"run_id": "c"}).to_dict("records") == [{"metric": "fps"}]
    assert Store(tmp_path / "reference" / "first" / "measurements.csv").load()["run_id"].tolist() == ["a", "b"]


def test_exports_are_only_read_and_never_written_into_the_store(store, tmp_path):
    store.append([measurement()])
    store.export(tmp_path / "out")
    exported = Store(tmp_path / "out")
    for write in (lambda: exported.append([measurement()]), exported.compact):
        with pytest.raises(StoreError, match="only read"):
            write()
    assert exported.scratch_dir is None
    assert store.scratch_dir == Path(store.uri) / "scratch"
    with pytest.raises(StoreError, match="inside the store"):
        store.export(Path(store.uri) / "reference")


def test_an_import_adds_what_is_not_there_yet_and_nothing_twice(store, tmp_path):
    store.append([measurement(run_id="a"), measurement(run_id="b", part="")])
    store.append_environment(making.environment(run_id="a"))
    store.export(tmp_path / "out")
    other = Store(tmp_path / "other")
    other.append([measurement(run_id="a")])
    assert [other.import_(tmp_path / "out"), other.import_(tmp_path / "out"), other.import_(store.uri)] == [1, 0, 0]
    assert Store(tmp_path / "third").import_(store.uri) == 2
    assert sorted(other.load()["run_id"]) == ["a", "b"]
    assert other.environments()["run_id"].tolist() == ["a"]


def test_a_damaged_export_is_named(tmp_path):
    (tmp_path / "foreign.csv").write_text("epoch,accuracy\n1,2\n")
    with pytest.raises(StoreError, match=r"foreign\.csv is no export of bench"):
        Store(tmp_path).load()
    (tmp_path / "foreign.csv").unlink()
    (tmp_path / "cut.csv").write_text('"schema","metric","value"\n1,"fps",12x\n')
    with pytest.raises(StoreError, match=r"cut\.csv cannot be read.*12x"):
        Store(tmp_path).load()


# Versions


def test_rows_from_before_a_column_existed_are_null_in_it_and_new_ones_join_them(store):
    table = f"{store.uri}/measurements"
    old = pyarrow.Table.from_pylist([{"schema": 1, "run_id": "old", "metric": "fps", "value": 2.0}])
    write_deltalake(table, old)
    assert store.load()[["run_id", "value", "threads"]].values.tolist() == [["old", 2.0, pandas.NA]]
    for name in ("new", "newer"):
        store.append([measurement(run_id=name)])
    frame = store.load().set_index("run_id")
    assert frame["threads"].to_dict() == {"old": None, "new": 2, "newer": 2}
    assert list(frame.reset_index().columns.sort_values()) == sorted(columns(Measurement))


def test_an_export_from_before_details_is_read_and_joined_by_rows_that_have_one(store, tmp_path):
    (tmp_path / "old.csv").write_text('"schema","run_id","metric","value","params_json"\n1,"old","fps",2,"{}"\n')
    store.append([measurement(run_id="new", detail='{"a": "b, c"}')])
    assert store.import_(tmp_path / "old.csv") == 1
    assert store.load().set_index("run_id")["detail"].to_dict() == {"old": None, "new": '{"a": "b, c"}'}
    store.export(tmp_path / "out")
    assert Store(tmp_path / "out").load().set_index("run_id")["detail"].to_dict() == {
        "old": None,
        "new": '{"a": "b, c"}',
    }


def test_a_column_of_a_later_version_survives_appends_and_compaction_of_this_one(store):
    table = f"{store.uri}/measurements"
    later = pyarrow.Table.from_pylist([{"schema": SCHEMA, "run_id": "later", "colour": "red"}])
    write_deltalake(table, later)
    store.append([measurement()])
    store.compact()
    assert len(store.load()) == 2
    assert "colour" not in store.load()
    assert DeltaTable(table).to_pyarrow_table()["colour"].to_pylist().count("red") == 1


@pytest.mark.parametrize("exported", [False, True])
def test_rows_of_a_newer_schema_are_refused_with_both_numbers(store, tmp_path, exported):
    if exported:
        (tmp_path / "x.csv").write_text(f'"schema","metric"\n{SCHEMA + 1},"fps"\n')
        store = Store(tmp_path / "x.csv")
    else:
        store.append([measurement(schema=SCHEMA + 1)])
    with pytest.raises(StoreError, match=f"rows of schema {SCHEMA + 1}, this bench reads up to {SCHEMA}"):
        store.load(["value"])


# What can go wrong with files


def damage_log(table: Path) -> None:
    sorted(table.glob("_delta_log/*.json"))[1].write_text("{broken")


def lose_a_commit(table: Path) -> None:
    sorted(table.glob("_delta_log/*.json"))[1].unlink()


def lose_the_log(table: Path) -> None:
    for path in table.glob("_delta_log/*"):
        path.unlink()


def cut_rows_short(table: Path) -> None:
    os.truncate(next(table.glob("*.parquet")), 20)


def lose_rows(table: Path) -> None:
    next(table.glob("*.parquet")).unlink()


@pytest.mark.parametrize("damage", [damage_log, lose_a_commit, lose_the_log, cut_rows_short, lose_rows])
def test_a_damaged_table_is_an_error_that_names_it_and_never_an_empty_store(store, damage):
    for _ in range(3):
        store.append([measurement()])
    damage(Path(store.uri) / "measurements")
    with pytest.raises(StoreError, match=r"store/measurements .*(cannot be read|is damaged): \S+"):
        store.load()


def test_a_place_that_cannot_be_written_is_an_error_in_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError) as caught:
        Store(tmp_path / "file" / "store").append([measurement()])
    assert "file/store/measurements cannot be written: " in str(caught.value)
    assert "1 rows of measurements are not stored; all 0 that" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def run_python(code: str, *arguments: str, **options) -> subprocess.Popen:
    begin = f"import sys; sys.path[:0] = [{str(ROOT)!r}]\n"
    return subprocess.Popen(
        [sys.executable, "-c", begin + code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


FILL_THE_DISK = """
import resource
from bench.errors import StoreError
from bench.store import Store
from tests.test_store import measurement
store = Store(sys.argv[1])
store.append([measurement(), measurement()])
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
try:
    store.append([measurement()])
except StoreError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a full disk is played by a limit that only Unix has")
def test_when_the_disk_is_full_the_error_says_what_is_kept_and_it_is_kept(store):
    out, err = run_python(FILL_THE_DISK, store.uri).communicate(timeout=60)
    assert "cannot be written: " in out, err
    assert "1 rows of measurements are not stored; all 2 that this process stored before are" in out
    assert len(store.load()) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_forked_after_the_store_was_used_is_told_so_and_does_not_hang(store):
    store.append([measurement()])
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            store.append([measurement()])
        except StoreError as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as told:
        assert f"was used by process {os.getpid()} before it forked this one ({child})" in told.read()
    store.append([measurement()])


# Several processes


APPEND = """
from bench.store import delta
from bench.store import Store
from tests.test_store import measurement
store, writer, count, batch = Store(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
delta.MANY_FILES = 15
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    store.append([measurement(run_id=writer, repeat=number, seed=part) for part in range(batch)])
    print(number, flush=True)
"""


def writers(store: Store, names: str, count: int, batch: int = 1) -> list[subprocess.Popen]:
    """Processes that append `count` batches each, all let go at the same moment."""
    started = [run_python(APPEND, store.uri, name, str(count), str(batch), stdin=subprocess.PIPE) for name in names]
    for process in started:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    return started


def test_four_processes_append_100_rows_each_while_compacting_and_none_is_lost_or_doubled(store):
    for process in writers(store, "abcd", count=25, batch=4):
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    frame = store.load(["run_id", "repeat", "seed"])
    assert frame.value_counts().max() == 1
    assert frame["run_id"].value_counts().to_dict() == dict.fromkeys("abcd", 25 * 4)
    history = DeltaTable(f"{store.uri}/measurements").history()
    operations = [commit["operationParameters"].get("mode") for commit in history if commit["operation"] == "WRITE"]
    assert operations.count("Append") == 4 * 25
    assert operations.count("Overwrite") >= 1


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no SIGKILL")
def test_killed_writers_leave_whole_batches_and_the_others_lose_nothing(store):
    batch = 3
    processes = writers(store, "abcd", count=20, batch=batch)
    acknowledged = {}
    for process, name, enough in zip(processes[:2], "ab", (3, 7), strict=True):
        while int(process.stdout.readline()) < enough:
            pass
        process.send_signal(signal.SIGKILL)
        acknowledged[name] = enough + 1 + len(process.stdout.read().split())
        assert process.wait() == -signal.SIGKILL
    for process in processes[2:]:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    frame = store.load(["run_id", "repeat", "seed"])
    assert frame.value_counts().max() == 1
    batches = frame.groupby(["run_id", "repeat"]).size()
    assert set(batches) == {batch}
    assert batches["c"].size == batches["d"].size == 20
    # A writer may die between its commit and its word about it: that one batch may be there beyond what it told.
    assert all(batches[name].size in (told, told + 1) for name, told in acknowledged.items())
    store.append([measurement()])
    store.compact()
    assert len(store.load()) == len(frame) + 1


def test_of_two_that_compact_at_once_the_later_one_gives_way(store):
    for number in range(5):
        store.append([measurement(repeat=number)])
    table = delta.StoredTable(f"{store.uri}/measurements", schema_of(Measurement))
    stale = DeltaTable(table.uri)
    stale_rows = stale.to_pyarrow_dataset().to_table()
    store.compact()
    with pytest.raises(Exception, match="concurrent transaction"):
        write_deltalake(stale, stale_rows, mode="overwrite")
    assert sorted(store.load()["repeat"]) == [0, 1, 2, 3, 4]


def test_an_append_that_began_before_a_compaction_ended_is_tried_again(store, monkeypatch):
    store.append([measurement(repeat=0)])
    store.append([measurement(repeat=1)])
    table = delta.StoredTable(f"{store.uri}/measurements", schema_of(Measurement))
    views = [DeltaTable(table.uri)]
    store.compact()
    monkeypatch.setattr(table, "_open", lambda: views.pop() if views else DeltaTable(table.uri))
    monkeypatch.setattr(store, "_tables", {**store._tables, "measurements": table})
    store.append([measurement(repeat=2)])
    assert not views
    assert sorted(Store(store.uri).load()["repeat"]) == [0, 1, 2]


def test_compaction_changes_neither_rows_nor_schema(store):
    for number in range(3):
        store.append([measurement(repeat=number, params_json=f'{{"x":{number % 2}}}')])
    table = f"{store.uri}/measurements"
    schema, rows = DeltaTable(table).schema(), store.load().sort_values("repeat", ignore_index=True)
    store.compact()
    assert len(DeltaTable(table).file_uris()) == 1
    assert DeltaTable(table).schema() == schema
    after = store.load().sort_values("repeat", ignore_index=True)
    pandas.testing.assert_frame_equal(after, rows, check_categorical=False)


def test_many_small_files_become_few_by_themselves(store, monkeypatch):
    monkeypatch.setattr(delta, "MANY_FILES", 5)
    for number in range(20):
        store.append([measurement(repeat=number)])
        assert len(DeltaTable(f"{store.uri}/measurements").file_uris()) <= 5 + 1
    assert sorted(store.load()["repeat"]) == list(range(20))


def test_rows_are_stored_even_when_the_tidying_after_them_fails(store, monkeypatch):
    monkeypatch.setattr(delta, "MANY_FILES", 0)
    store.append([measurement(repeat=0)])
    lose_rows(Path(store.uri) / "measurements")
    store.append([measurement(repeat=1)])
    assert DeltaTable(f"{store.uri}/measurements").count() == 2


def test_compaction_clears_away_what_killed_writers_left_a_week_ago_and_nothing_younger(store):
    for number in range(2):
        store.append([measurement(repeat=number)])
    week_old, young = (Path(store.uri) / "measurements" / f"{name}.parquet" for name in ("week_old", "young"))
    for path, days in ((week_old, 8), (young, 6)):
        path.write_bytes(b"half a file")
        os.utime(path, (time.time() - days * 86400,) * 2)
    store.compact()
    assert not week_old.exists()
    assert young.exists()
    assert len(store.load()) == 2


OLDER = {"measure": "accuracy", "recipe": {"epochs": 2, "batch_size": 8, "optimizer": "sgd", "lr": 1}, "seed": 0}


def test_rows_that_an_older_bench_stored_answer_todays_question_when_they_are_imported(store, tmp_path):
    today = asked_today(OLDER)
    assert today["recipe"]["momentum"] == 0.9
    assert "betas" not in today["recipe"]
    rows = [
        measurement(case_id=id_of(OLDER), params_json=canonical_json(OLDER), run_id="old"),
        measurement(case_id="as it was", params_json='{"recipe":null}', run_id="old"),
    ]
    older = Store(tmp_path / "older")
    older.append(rows)
    older.export(tmp_path / "exported")
    ids = {id_of(today), "as it was"}
    assert set(Store(tmp_path / "exported").load()["case_id"]) == ids
    assert store.import_(tmp_path / "exported") == 2
    assert set(store.load()["case_id"]) == ids
    assert json.loads(store.load(where={"case_id": id_of(today)})["params_json"][0]) == today
    assert store.import_(tmp_path / "older") == 0

"""The baseline file: read strictly, written whole, laid out for review, and its speeds used by nothing."""

import ast
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import StoreError, UsageError
from bench.gate import baseline as kept
from bench.gate.baseline import Accepted, Baseline, LastSeen, ModuleFacts, render, rows, write

ROOT = Path(__file__).parent.parent
COMMIT, OWN = "1" * 40, "2" * 40
SUITE = Path("suites/ci.toml")
# A linear layer from 4 to 2 elements with a bias, and a norm of 2 elements whose parameters are frozen.
MODULES = {
    "fc": ModuleFacts(params=4 * 2 + 2, macs=4 * 2),
    "norm": ModuleFacts(params=2 + 2, frozen=2 + 2, buffers=2 + 2 + 1),
}


def model(**changed: object) -> Accepted:
    facts = {
        "input": [1, 4], "output": [1, 2], "dtype": "float32", "params": 10 + 4, "trainable": 10, "buffers": 5,
        "macs_per_image": 8, "counter": "torch 2.13.0", "modules": MODULES, "config": {"factory": "tiny", "args": {}},
    }  # fmt: skip
    return Accepted.model_validate({**facts, **changed}, strict=False)


def baseline(**changed: object) -> Baseline:
    content = {"schema": 1, "baseline_commit": COMMIT, "updated": "2026-11-21", "reason": "first"}
    content["models"] = {"tiny": model()}
    return Baseline.model_validate({**content, **changed}, strict=False)


def test_what_is_written_is_read_back_as_it_was(tmp_path):
    seen = LastSeen(images_per_s=762.5, batch_size=64, threads=1, machine={"cpu": "a [fast] {one}", "cores": 2})
    alone = model(commit=OWN, reason="two\nlines", updated="2026-11-22")
    first = baseline(models={"tiny": model(last_seen=seen), "other": alone})
    write(first, tmp_path / "ci.baseline.json")
    assert kept.read(tmp_path / "ci.baseline.json", SUITE) == first
    assert list(tmp_path.iterdir()) == [tmp_path / "ci.baseline.json"], "nothing is left beside it"


@given(st.text(min_size=1))
def test_the_layout_changes_no_text_whatever_a_reason_holds(reason):
    assert json.loads(render(baseline(reason=reason)))["reason"] == reason


def test_a_module_takes_one_line_so_that_a_review_sees_which_one_changed():
    lines = render(baseline()).splitlines()
    assert '        "fc": {"params": 10, "macs": 8},' in lines
    assert '      "input": [1, 4],' in lines


def test_a_model_that_was_accepted_alone_carries_its_own_commit():
    both = baseline(models={"tiny": model(), "other": model(commit=OWN)})
    assert both.commit_of("tiny") == COMMIT
    assert both.commit_of("other") == OWN


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw | {"schema": 2}, "has schema 2, and this bench reads 1: a newer bench wrote it"),
        (lambda raw: raw | {"schema": 0}, "[schema]: input should be 1"),
        (lambda raw: raw | {"baseline_commit": "HEAD"}, "[baseline_commit]: string should match"),
        (lambda raw: raw | {"flops": 1}, "[flops]: extra inputs are not permitted"),
        (lambda raw: {key: value for key, value in raw.items() if key != "models"}, "[models]: field required"),
        (lambda raw: [raw], "[top level]: "),
    ],
)
def test_a_newer_or_damaged_file_says_what_is_wrong(tmp_path, change, words):
    path = tmp_path / "ci.baseline.json"
    path.write_text(json.dumps(change(json.loads(render(baseline())))), encoding="utf-8")
    with pytest.raises(UsageError, match=r"ci\.baseline\.json") as caught:
        kept.read(path, SUITE)
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_count_that_was_edited_by_hand_does_not_add_up(tmp_path):
    path = tmp_path / "ci.baseline.json"
    path.write_text(render(baseline()).replace('"params": 14', '"params": 15'), encoding="utf-8")
    with pytest.raises(UsageError, match=r"params is 15, but the modules add up to 14"):
        kept.read(path, SUITE)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> other\n"])
def test_a_file_that_is_no_json_is_damaged_and_the_message_ends_in_a_way_out(tmp_path, content):
    path = tmp_path / "ci.baseline.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"bench baseline accept suites/ci\.toml --reason TEXT"):
        kept.read(path, SUITE)


def test_no_file_is_told_apart_from_a_damaged_one(tmp_path):
    with pytest.raises(UsageError, match="no baseline file"):
        kept.read(tmp_path / "absent.json", SUITE)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "inside").touch()  # a folder that is not empty cannot be replaced by a file, whoever asks
    with pytest.raises(StoreError, match="The old one stands"):
        write(baseline(), path)
    assert os.listdir(tmp_path) == ["folder"]


def test_a_speed_is_shown_with_its_machine_and_the_words_that_it_is_not_compared():
    seen = LastSeen(images_per_s=762.4, batch_size=64, threads=1, machine={"cpu": "EPYC", "cores": 2})
    (row,) = rows(baseline(models={"tiny": model(last_seen=seen)}))
    assert row["last seen"] == "762 images/s on EPYC, 2 (not compared)"


def test_a_column_that_no_model_fills_is_not_shown():
    assert not {"accepted", "last seen"} & rows(baseline(models={"tiny": model()}))[0].keys()
    alone = model(commit=OWN, updated="2026-11-21", reason="wider")
    both = rows(baseline(models={"tiny": model(), "other": alone}))
    assert [row["accepted"] for row in both] == [None, "2026-11-21: wider"]
    assert all("last seen" not in row for row in both)


def test_a_model_is_found_by_the_tree_of_the_commit_that_it_is_compared_with():
    alone = model(commit=OWN, tree="c" * 40)
    found = baseline(models={"tiny": model(), "other": alone}).model_copy(update={"baseline_tree": "d" * 40})
    assert (found.tree_of("tiny"), found.tree_of("other")) == ("d" * 40, "c" * 40)
    assert baseline().tree_of("tiny") is None, "a file from before trees were noted"


def test_a_check_s_report_gives_the_speeds_to_note_and_anything_else_is_refused(tmp_path):
    subject = {"key": "tiny", "batch_size": 64, "threads": 1}
    figures = [{"name": "wall_change", "value": 0.1}, {"name": "images_per_s", "value": 762.44}]
    report = {
        "environment": {"cpu": "EPYC", "cores": 2, "os": "Linux", "load": 0.5, "packages": {"torch": "2.13.0"}},
        "outcomes": [
            {"figures": [{"name": "params", "value": 14}], "details": {}},
            {"figures": figures, "details": {"speed": {"subject": subject}}},
        ],
    }
    path = tmp_path / "check.json"
    path.write_text(json.dumps(report))
    machine = {"cpu": "EPYC", "cores": 2, "os": "Linux", "torch": "2.13.0"}
    assert kept.seen_in(path) == {"tiny": LastSeen(images_per_s=762.4, batch_size=64, threads=1, machine=machine)}
    for text in ("[]", "{", '{"outcomes": 1}'):
        path.write_text(text)
        with pytest.raises(UsageError, match="is not what `bench check --json` prints"):
            kept.seen_in(path)


def test_no_code_but_the_file_s_own_room_knows_the_stored_speeds():
    """What nobody reads, nobody divides by."""
    for path in [*sorted((ROOT / "bench").rglob("*.py")), ROOT / "runner.py"]:
        names = {
            getattr(node, "attr", None) or getattr(node, "id", None) or getattr(node, "value", None)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, (ast.Attribute, ast.Name, ast.Constant))
        }
        if path != ROOT / "bench/gate/baseline.py":
            assert "last_seen" not in names, path
    for node in ast.walk(ast.parse((ROOT / "bench/gate/baseline.py").read_text(encoding="utf-8"))):
        assert not isinstance(node, ast.BinOp) or not isinstance(node.op, (ast.Div, ast.FloorDiv, ast.Mult, ast.Mod))
        assert not (isinstance(node, ast.Compare) and ".images_per_s" in ast.unparse(node))

"""Rows know their code: what an edit makes old is measured again, says what changed, and decides nothing until then."""

import json
import re
import shutil
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest

from bench.commands import loading
from bench.execution.context import Context
from bench.plan import past
from bench.plan.case import Case
from bench.plan.fingerprint import Code, models_here
from bench.plan.planner import plan
from bench.plan.staleness import Today, changed
from bench.registry import measures
from bench.source import remembered
from bench.store import Store, finished
from bench.suite.recipe import Recipe
from bench.verdicts import judge
from tests import making

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SUITE, NET = (
    next(text for text in re.findall(rf"^```{of}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE) if "tiny_net" in text)
    for of in ("toml", "python")
)
WIDER = NET.replace("width, 3, stride", "width, 5, stride")


def bench(*arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    return making.bench(*arguments, cwd=cwd, code=code, COLUMNS="300")


def claims(folder: Path) -> dict[str, tuple[str, str]]:
    found = json.loads(bench("report", "tiny_net.toml", "--format", "json", "-o", "-", cwd=folder).stdout)
    return {claim["claim"]: (claim["verdict"], claim["checks"][0]["reason"]) for claim in found["claims"]}


def net(folder: Path, text: str, suite: str = SUITE) -> Path:
    (folder / "tiny_net.py").write_text(text, encoding="utf-8")
    (folder / "tiny_net.toml").write_text(suite, encoding="utf-8")
    return folder


def case(**changes: object) -> Case:
    asked = {"suite": "tiny_net", "model": "tiny", "factory": "tiny_net", "model_args": {"width": 16}}
    return making.case(**(asked | changes))


def test_an_edited_model_is_measured_again_and_until_then_its_old_numbers_decide_nothing(tmp_path):
    here = net(tmp_path, NET)
    bench("run", "tiny_net.toml", cwd=here)
    assert claims(here)["T1"][0] == "reproduced"
    commented = NET.replace('"""Two convolutions', '# first\n    """Two 3x3 convolutions')
    net(here, commented)
    assert "0 of 2 cases to measure" in bench("run", "tiny_net.toml", cwd=here).stderr, "a comment changes nothing"
    net(here, WIDER)
    verdict, reason = claims(here)["T1"]
    words = "nn.Conv2d(3, width, 3, stride=2, padding=1) -> nn.Conv2d(3, width, 5, stride=2, padding=1)"
    assert verdict == "not measured"
    assert re.search(r"tiny_net\.py changed since run \S+: ", reason)
    assert words in reason
    again = bench("run", "tiny_net.toml", "--only", "static*", cwd=here, code=1)
    assert "1 of 1 cases to measure" in again.stderr
    assert words in again.stderr, "the plan says why"
    # Convolutions 5·5·3·16 + 16 and 5·5·16·16 + 16, head 16·10 + 10.
    assert (5 * 5 * 3 * 16 + 16) + (5 * 5 * 16 * 16 + 16) + (16 * 10 + 10) == 7802
    found = claims(here)
    assert found["T1"][0] == "contradicted"
    assert "7,802" in found["T1"][1]
    assert found["T2"][0] == "not measured", "its training is of the old code still"
    rows = Store(here / "results/store").load(["code_sha256", "metric", "value"], where={"metric": "params"})
    assert rows["code_sha256"].nunique() == 2
    bench("export", "out", cwd=here)
    assert bench("import", "out", "--store", "other", cwd=here).stderr.endswith("rows added to other\n")
    assert Store(here / "other").codes().keys() == set(rows["code_sha256"])
    ids = Store(here / "results/store").runs()["run_id"].tolist()
    compared = bench("compare", *ids, cwd=here).stdout
    assert "code_sha256" in compared
    assert "7,802" in compared, "two runs are compared on purpose"


HOSTILE = NET + "\nfrom pathlib import Path\nPath(__file__).with_name('mark').write_text('I ran')\n"


def test_list_validate_and_report_leave_no_trace_of_a_hostile_plug_in(tmp_path):
    net(tmp_path, HOSTILE)
    (tmp_path / "suites").mkdir()
    for path in list(tmp_path.glob("tiny_net.*")):
        shutil.copy(path, tmp_path / "suites" / path.name)
    for command in (
        ["list", "suites"], ["list", "claims"], ["validate", "tiny_net.toml"], ["report", "--format", "csv", "-o", "-"],
        ["run", "tiny_net.toml", "--dry-run"],
    ):  # fmt: skip
        bench(*command, cwd=tmp_path)
        assert not list(tmp_path.rglob("mark")), command
    (tmp_path / "tiny_net.toml").write_text(SUITE.replace('tiny_net"\nlabel', 'tiny_nett"\nlabel'), encoding="utf-8")
    told = bench("validate", "tiny_net.toml", cwd=tmp_path, code=2)
    assert "no model 'tiny_nett'. Did you mean 'tiny_net'" in told.stderr
    assert not list(tmp_path.rglob("mark"))


# Fingerprints


def test_a_helper_beside_it_enters_and_its_file_name_does_not(tmp_path):
    helped = "from helpers import WIDE\n" + NET.replace("= 16", "= WIDE")
    net(tmp_path, helped)
    (tmp_path / "helpers.py").write_text("WIDE = 16\n", encoding="utf-8")
    before = Code(["tiny_net.py"], tmp_path).of(case())
    (tmp_path / "helpers.py").write_text("# a comment\nWIDE = 16\n", encoding="utf-8")
    assert Code(["tiny_net.py"], tmp_path).of(case()).sha256 == before.sha256
    (tmp_path / "helpers.py").rename(tmp_path / "widths.py")
    (tmp_path / "mine.py").write_text(helped.replace("helpers", "widths"), encoding="utf-8")
    renamed = Code(["mine.py"], tmp_path).of(case())
    assert renamed.sha256 == before.sha256
    (tmp_path / "widths.py").write_text("WIDE = 32\n", encoding="utf-8")
    wider = Code(["mine.py"], tmp_path).of(case())
    assert wider.sha256 != before.sha256
    assert changed(renamed.parts, wider.parts, "r1") == "widths.py changed since run r1: WIDE = 16 -> WIDE = 32"


def test_of_a_comparison_both_models_enter(tmp_path):
    net(tmp_path, NET)
    code = Code(["tiny_net.py"], tmp_path)
    versus = {"versus": {"factory": "mlp_mixer", "args": {}}}
    both = code.of(case(options=versus))
    assert {part.label for part in both.parts} == {"tiny_net.py", "mlp_mixer.py"}
    edited = {name: text.replace("0.5", "0.25") for name, text in models_here().items()}
    assert edited != models_here()
    other = Code(["tiny_net.py"], tmp_path, edited)
    assert other.of(case(options=versus)).sha256 != both.sha256
    assert other.of(case()).sha256 == code.of(case()).sha256


def test_a_measure_that_a_plug_in_brings_enters_and_one_of_ours_does_not(tmp_path):
    net(tmp_path, NET)
    text = "from bench.registry import measures\n@measures.register('odd')\ndef odd(case, context):\n    yield 1\n"
    (tmp_path / "odd.py").write_text(text, encoding="utf-8")
    plugins = ["tiny_net.py", "odd.py"]
    before = Code(plugins, tmp_path)
    first, static = before.of(case(measure="odd")), before.of(case())
    (tmp_path / "odd.py").write_text(text.replace("yield 1", "yield 2"), encoding="utf-8")
    after = Code(plugins, tmp_path)
    assert after.of(case(measure="odd")).sha256 != first.sha256
    assert after.of(case()).sha256 == static.sha256


@pytest.mark.parametrize("named", ["in the arguments", "in the plug-in"])
def test_weights_enter_by_their_bytes(tmp_path, named):
    text = NET if named == "in the arguments" else NET.replace("width: int = 16", "weights='net.pth', width: int = 16")
    asked = case(model_args={"weights": "net.pth"} if named == "in the arguments" else {})
    net(tmp_path, text)
    (tmp_path / "net.pth").write_bytes(b"1")
    before = Code(["tiny_net.py"], tmp_path).of(asked)
    (tmp_path / "net.pth").write_bytes(b"0")
    after = Code(["tiny_net.py"], tmp_path).of(asked)
    assert changed(before.parts, after.parts, "r1") == "net.pth changed since run r1"
    assert before.sha256 != after.sha256


def test_a_library_enters_by_its_version_and_where_it_is_not_installed_the_rest_decides(tmp_path):
    asked = case(factory="timm:resnet18", model_args={})
    then = Code([], tmp_path, version=lambda name: "1.0.30").of(asked)
    now = Code([], tmp_path, version=lambda name: "1.0.31")
    stored = {then.sha256: then.parts}
    assert not Today(now, stored).answers(asked, then.sha256)
    assert Today(now, stored).why(asked, then.sha256, "r1") == "timm 1.0.31 here, 1.0.30 in run r1"
    laptop = Code([], tmp_path, version=lambda name: None)
    assert Today(laptop, stored).answers(asked, then.sha256)
    edited = {name: f"{text}\nX = 1\n" for name, text in models_here().items()}
    assert not Today(Code([], tmp_path, edited, lambda name: None), stored).answers(asked, then.sha256)


def test_a_row_from_before_fingerprints_answers_nothing_and_says_so(tmp_path):
    net(tmp_path, NET)
    today = Today(Code(["tiny_net.py"], tmp_path), {})
    assert not today.answers(case(), None)
    assert today.why(case(), None, "r1") == "run r1 was made before rows knew their code"


def test_a_large_file_is_read_once_and_again_when_it_was_written_to(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    large = tmp_path / "net.pth"
    large.write_bytes(b"a" * (1 << 20))
    first = remembered.file_sha256(large)
    stamp = remembered.stamp_of([large])
    assert remembered.recall(stamp) == first
    assert str(tmp_path) not in (tmp_path / "cache/digests.json").read_text()
    large.write_bytes(b"b" * (1 << 20))
    assert remembered.file_sha256(large) != first


# Data


def test_other_images_in_the_data_folder_are_measured_again(tmp_path, monkeypatch):
    from PIL import Image

    from bench.data import present

    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8), (len(name), 0, 0)).save(tmp_path / "data" / split / name / "1.png")
    asked = case(dataset="image_folder", dataset_key="pets", dataset_args={"image_size": 8})
    before = present.sha256(asked, tmp_path / "data")
    assert before == present.sha256(asked, tmp_path / "data", read=False), "remembered, not read again"
    Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "data/val/dog/1.png")
    assert present.sha256(asked, tmp_path / "data", read=False) is None
    after = present.sha256(asked, tmp_path / "data")
    assert after != before
    rows = stored(asked, dataset_sha256=before)
    known = finished.standing(rows, [asked], ("CPU", 1, "2"), {}, lambda _: before)
    assert list(known[0]) == [asked.id]
    done, again = finished.standing(rows, [asked], ("CPU", 1, "2"), {}, lambda _: after)
    assert (done, again) == ({}, {asked.id: "the data of 'pets' changed since run r1"})


def stored(asked: Case, **columns: object) -> pd.DataFrame:
    """One row of a case as the store gives it."""
    row = {"case_id": asked.id, "run_id": "r1", "started_at": "2026-11-25T00:00:00+00:00", "metric": "test_top1_pct"}
    row |= {"protocol": 1, "epoch": 1, "status": "ok", "device_name": "CPU", "threads": 1, "code_sha256": None}
    typed = pd.DataFrame([{**row, "dataset_sha256": None, "torch": "2", **columns}])
    return typed.astype({"started_at": "datetime64[us, UTC]"})


def test_an_edit_that_is_taken_back_finds_its_old_rows_again(tmp_path):
    net(tmp_path, NET)
    first = Code(["tiny_net.py"], tmp_path).of(case())
    net(tmp_path, WIDER)
    second = Code(["tiny_net.py"], tmp_path).of(case())
    later = {"run_id": "r2", "started_at": "2026-11-26T00:00:00+00:00", "code_sha256": second.sha256}
    rows = pd.concat([stored(case(), code_sha256=first.sha256), stored(case(), **later)], ignore_index=True)
    net(tmp_path, NET)
    today = {"tiny_net": Today(Code(["tiny_net.py"], tmp_path), {})}
    done, again = finished.standing(rows, [case()], ("CPU", 1, "2"), today, lambda _: None)
    assert (done, again) == ({case().id: "measured 2026-11-25 00:00 UTC"}, {})


# Checkpoints


def test_a_case_of_other_code_does_not_go_on_from_the_checkpoint_of_the_old(tmp_path):
    sizes = {"patch_size": 4, "width": 8, "depth": 1, "token_mlp": 4, "channel_mlp": 8}
    images = {"n_train": 32, "n_test": 16, "image_size": 8, "n_classes": 4}
    recipe = {"epochs": 2, "batch_size": 16, "optimizer": "adamw", "lr": 1e-3}
    trained = case(
        measure="accuracy", factory="mlp_mixer", model_args=sizes, num_classes=4, image_size=8, dataset="synthetic",
        dataset_args=images, recipe=Recipe.model_validate(recipe), seed=0, batch_size=16, code_sha256="a" * 64,
    )  # fmt: skip
    context = Context(scratch_dir=tmp_path)
    list(measures.get("accuracy")(trained, context))
    with pytest.warns(UserWarning, match="made with other code: the training begins anew"):
        list(measures.get("accuracy")(replace(trained, code_sha256="b" * 64), context))


# Seeds


@pytest.mark.parametrize("key", ["code_sha256", "torch"])
def test_seeds_of_different_code_or_torch_are_not_pooled(material, key):
    loaded = material.suite()
    rows = material.rows()
    seeds = rows["model"].eq("mlp_mixer") & rows["seed"].eq(1)
    rows = rows.assign(code_sha256="a", torch="2.13.0")
    rows.loc[seeds, key] = "another"
    judged = {each.claim: each for each in judge(loaded.suite, loaded.sha256, rows, suite_path="s.toml")}
    assert judged["H1"].verdict == "not measured"
    assert f"ot comparable: {key} is " in judged["H1"].checks[0].reason


# What is committed


def test_the_committed_rows_carry_the_fingerprints_of_the_commits_that_made_them_and_these_are_todays():
    (loaded,) = loading.load([ROOT / "suites/cifar_mixers.toml"])
    code = loading.code_of(loaded)
    today = {
        each.id: code.of(each).sha256
        for profile in loaded.suite.profiles
        for device in ("cpu", "cuda")
        for each in plan(loaded.suite, loaded.sha256, profile, device)
    }
    store = Store(ROOT / "results/reference")
    rows = store.load(["case_id", "code_sha256", "params_json", "run_id"]).drop_duplicates()
    assert set(rows["case_id"]) <= set(today)
    assert (rows["code_sha256"] == rows["case_id"].map(today)).all()
    assert set(rows["code_sha256"]) <= store.codes().keys()
    # The GPU's record names no commit: it ran an archive of the one that the README names.
    commits = store.environments().set_index("run_id")["commit"].fillna("c096fdf").to_dict()
    if not all(past.models_at(ROOT, commit) for commit in commits.values()):
        pytest.skip("this clone has only a part of the history")
    for row in rows.to_dict("records"):
        found = past.fingerprint_at(ROOT, commits[row["run_id"]], row["params_json"], {})
        assert found.sha256 == row["code_sha256"]


def test_rows_from_before_fingerprints_get_theirs_on_import_from_the_commit_of_their_run(material, tmp_path):
    if not past.models_at(ROOT, "a0840ef"):
        pytest.skip("this clone has only a part of the history")
    loaded = material.suite()
    (asked, *_) = plan(loaded.suite, loaded.sha256, "paper", "cpu")
    commits = {
        "clean": ("a0840ef", False),
        "edited": ("a0840ef", True),
        "unknown": (None, None),
        "gone": ("f" * 40, False),
    }
    old = Store(tmp_path / "old")
    for run_id, (commit, dirty) in commits.items():
        old.append_environment(material.environment(run_id=run_id, commit=commit, dirty=dirty, torch="2.13.0"))
        old.append([type(row)(**{**asdict(row), "run_id": run_id}) for row in [material.row(asked, "params", 1)]])
    new = Store(tmp_path / "new")
    assert new.import_(old.uri, lambda *told: past.fingerprint_at(ROOT, *told)) == 4
    assert new.import_(old.uri, lambda *told: past.fingerprint_at(ROOT, *told)) == 0
    rows = new.load().set_index("run_id")
    now = loading.code_of(loaded).of(asked)
    assert rows["code_sha256"].dropna().to_dict() == {"clean": now.sha256}
    assert set(rows["torch"]) == {"2.13.0"}
    assert list(new.codes()) == [now.sha256]

"""What a case asks of a cluster and what a cluster is, without one: nodes and cases are made. No Ray is needed."""

import importlib.util
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.execution.cluster.demand import demand
from bench.execution.cluster.kept import Kept, Sending
from bench.execution.cluster.node import Errand, Settings, other_code, placed
from bench.execution.cluster.nodes import Counted, Names, Node, device_and_threads, kinds
from bench.execution.cluster.outlook import outlook
from bench.execution.cluster.session import address_of
from bench.execution.cluster.travel import packed
from bench.execution.messages import Recording
from bench.plan.fingerprint import Code
from bench.plan.named_hardware import named
from bench.plan.planner import plan
from bench.suite.recipe import Recipe
from tests import making

GIB = 2**30
LARGE = {"patch_size": 4, "width": 512, "depth": 8, "token_mlp": 256, "channel_mlp": 2048}
T4, V100, CPU = "Tesla T4", "Tesla V100-SXM2-16GB", "AMD EPYC (AVX512)"


def node(name, device_name=CPU, cpus=8, gpus=0, **changes):
    conditions = {"device_name": device_name, "cpu": CPU, "threads": 4, "device": "cuda" if gpus else "cpu"}
    return Node(Counted(name, cpus, gpus, 64 * GIB), making.environment(**(conditions | changes)))


def training(**fields):
    recipe = Recipe.from_mapping({"epochs": 1, "batch_size": 8, "optimizer": "adamw", "lr": 1e-3})
    return making.case("accuracy", name="t", dataset="synthetic", recipe=recipe, seed=0, **fields)


@pytest.mark.parametrize(
    ("on", "variables", "found"),
    [
        ("ray", {}, None),
        ("ray", {"RAY_ADDRESS": "auto"}, "auto"),
        ("ray://head.example.org:10001", {"RAY_ADDRESS": "auto"}, "ray://head.example.org:10001"),
        ("10.0.0.1:6379", {}, "10.0.0.1:6379"),
    ],
)
def test_where_to_run_is_a_word_an_address_or_a_variable(monkeypatch, on, variables, found):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert address_of(on, variables) == found


@pytest.mark.parametrize("on", ["slurm", "ray://", "10.0.0.1", "http://10.0.0.1:80"])
def test_another_place_to_run_is_refused_with_those_there_are(on):
    with pytest.raises(UsageError, match=r"Known: ray, ray://HOST:PORT, HOST:PORT\."):
        address_of(on)


def test_without_ray_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"^--on ray: Ray is not installed here\. pip install 'mixer-bench\[ray\]'$"):
        address_of("ray")


def test_nodes_with_another_torch_or_another_device_are_another_kind():
    nodes = [node("a"), node("b", torch="2.12.0"), node("c"), node("d", "Another CPU")]
    assert [kind.ids for kind in kinds(nodes)] == [("a", "c"), ("b",), ("d",)]


def test_a_clock_has_every_processor_of_a_node_of_the_most_frequent_kind():
    found = kinds([node("a", cpus=16), node("b"), node("c")])
    asked = demand(making.case("timing"), found)
    assert (asked.cpus, asked.nodes, asked.alone) == (8, ("b", "c"), True)
    assert asked.options()["label_selector"] == {"ray.io/node-id": "in(b,c)"}


def test_a_training_has_its_threads_and_a_count_one_processor_anywhere():
    found = kinds([node("a"), node("b")])
    assert (demand(training(), found).cpus, demand(making.case("static"), found).cpus) == (4, 1)
    assert demand(training(), found).nodes == ()


def test_a_case_on_cuda_has_one_card_and_goes_to_the_hardware_that_a_claim_names():
    found = kinds([node("a", V100, gpus=2), node("b", V100, gpus=2), node("c", T4, gpus=1)])
    case = training(device="cuda")
    assert (demand(case, found).gpus, demand(case, found).nodes) == (1, ())
    assert demand(case, found, "*t4*").nodes == ("c",)
    assert demand(case, found, "*t4*").alone  # its seconds are what is claimed


def test_memory_is_that_of_the_forecast_and_never_more_than_a_node_has():
    small, large = training(), training(model_args=LARGE, num_classes=10, image_size=32)
    found = kinds([node("a")])
    assert GIB / 2 < demand(small, found).memory_bytes < demand(large, found).memory_bytes
    tight = kinds([Node(Counted("a", 8, 0, GIB // 4), node("a").environment)])
    assert demand(large, tight).memory_bytes == GIB // 4


def test_threads_are_those_of_the_smallest_node_or_its_share():
    found = [Counted("a", 16, 0, GIB), Counted("b", 8, 0, GIB)]
    assert device_and_threads(found, "auto", None, 1) == ("cpu", 8)
    assert device_and_threads(found, "auto", None, 4) == ("cpu", 2)
    assert device_and_threads([*found, Counted("c", 4, 1, GIB)], "auto", None, 1) == ("cuda", 4)
    with pytest.raises(UsageError, match="the largest node of the cluster has 16 processors"):
        device_and_threads(found, "cpu", 17, 1)
    with pytest.raises(UsageError, match="none of the 2 nodes"):
        device_and_threads(found, "cuda", None, 1)


def test_a_node_keeps_its_name():
    names = Names()
    assert [names.of("b"), names.of("a"), names.of("b")] == ["node 1", "node 2", "node 1"]


def test_the_outlook_plays_the_run_through():
    found = kinds([node("a"), node("b")])
    clocks = [making.case("timing", batch_size=size) for size in (1, 2, 4)]
    counts = [making.case("static", image_size=size) for size in (32, 64, 96)]
    cases = [*clocks, *counts]
    seen = outlook(cases, {case.id: demand(case, found) for case in cases}, found)
    # three clocks of 6 s on two nodes take 12 s; meanwhile the counts of 1 s go on the node that is free after 6
    assert seen.makespan_s == 12
    assert [(share.cases, share.busy_s) for share in seen.shares] == [(6, 3 * 6 + 3 * 1)]


def test_hours_on_cards_of_the_price_table_have_a_price():
    found = kinds([node("a", T4, gpus=1), node("b", T4, gpus=1)])
    case = training(device="cuda", model_args=LARGE, num_classes=10, image_size=32)
    seen = outlook([case], {case.id: demand(case, found)}, found)
    assert seen.usd is not None
    assert seen.usd > 0


def test_the_cases_of_a_claim_on_hardware_are_known_by_its_pattern():
    loaded = making.suite(
        datasets={"dots": {"name": "synthetic", "label": "dots", "classes": 10}},
        recipes={"short": {"label": "s", "settings": {"epochs": 1, "batch_size": 8, "optimizer": "adamw", "lr": 1e-3}}},
        models={"m": {"factory": "mlp_mixer", "label": "m", "num_classes": 10, "image_size": 32}},
        measures={"accuracy": {"models": ["*"], "datasets": ["dots"], "recipes": ["short"], "seeds": 2}},
        quantities={
            "seconds": {"metric": "epoch_s", "model": "m"},
            "right": {"metric": "test_top1_pct", "model": "m"},
        },
        profiles={"full": {"label": "full", "reduced": False}},
        claims={
            "C1": making.claim(
                kind="speed", published=48.0, unit="s", measured="mean(seconds)", tolerance=1.0, tolerance_why="told",
                hardware="*T4*",
            ),
            "C2": making.claim(
                kind="retrain", published=9.0, unit="%", measured="mean(right)", tolerance=1.0, tolerance_why="told",
                hardware="*V100*",
            ),
        },
    )  # fmt: skip
    cases = plan(loaded, "0", "full", "cuda")
    assert named(loaded, cases) == {case.id: {"*T4*": ["C1"]} for case in cases}  # accuracy counts from anywhere
    assert len(cases) == 2


def test_what_travels_keeps_its_place_below_the_folder_on_the_node(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suites").mkdir()
    plugin = tmp_path / "suites" / "odd.py"
    plugin.write_text("ODD = 1\n")
    folder = tmp_path / "travel"
    packed(folder, [plugin, Path(pytest.__file__)])
    files = list(folder.rglob("*.py"))
    assert [path.read_text() for path in files] == ["ODD = 1\n"]  # an installed library stays
    assert files[0].relative_to(folder) == plugin.relative_to("/")
    asked = Recording("r", making.NOW, [], "cpu", 1)
    monkeypatch.setattr("bench.execution.cluster.node._unpacked", Path("/node"))
    assert placed("/home/here", Settings(asked, {}, home="/home")) == Path("/node/home/here")
    assert placed("/home/here", Settings(asked, {})) == Path("/home/here")


def test_checkpoints_beside_a_uri_are_sent_fetched_and_forgotten(tmp_path):
    kept = Kept((tmp_path / "store").as_uri())
    here, there = tmp_path / "here", tmp_path / "there"
    assert not kept.fetch("case", here)
    (here / "case").mkdir(parents=True)
    (here / "case" / "training.pt").write_bytes(b"epoch 1")
    sending = Sending(kept, "case", here)
    sending.newer()
    while not kept.fetch("case", there):
        time.sleep(0.01)
    assert (there / "case" / "training.pt").read_bytes() == b"epoch 1"
    sending.close()
    kept.forget("case")
    assert not kept.fetch("case", tmp_path / "elsewhere")


def test_a_uri_that_no_file_system_knows_is_refused_without_its_path():
    with pytest.raises(UsageError, match=r"^no checkpoints can be kept beside odd://…: "):
        Kept("odd://secret/place")


def test_other_code_on_a_node_is_told_by_its_name(tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text("from bench.registry import models\n@models.register('mine')\ndef mine(**_):\n    return 1\n")
    case = making.case(factory="mine")
    found = Code(["mine.py"], tmp_path).of(case)
    assert found is not None
    errand = Errand(replace(case, code_sha256=found.sha256), found.parts)
    settings = Settings(Recording("r", making.NOW, [], "cpu", 1), {"s": [("mine.py", str(tmp_path))]})
    assert other_code(errand, settings) is None
    plugin.write_text(plugin.read_text().replace("return 1", "return 2"))
    assert other_code(errand, settings) == "other code on this node than where the run was started: another mine.py"

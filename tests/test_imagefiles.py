"""Image files: windows and colours are torchvision's, and the published ImageNet-100 recipe trains from real JPEGs."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data import dataset, image_files, image_folder
from bench.execution.context import Context
from bench.execution.executor import execute
from bench.measures.accuracy import accuracy
from bench.plan.planner import plan
from bench.records.measurement import DataFacts, Environment, columns
from bench.suite.read import load
from bench.suite.recipe import Recipe
from bench.torchvision_import import torchvision
from bench.training import augment

ROOT = Path(__file__).parent.parent
transforms = torchvision.transforms
SIZES = [(120, 80), (61, 133), (500, 20), (64, 64), (20, 300), (333, 97)]
CROP = {"name": "resized_crop", "scale": [0.08, 1.0], "ratio": [3 / 4, 4 / 3], "interpolation": "random"}

pytestmark = pytest.mark.usefixtures("no_data_of_the_machine")


def photograph(path, mode="RGB", size=(96, 72), seed=0, **save):
    """A JPEG with large shapes and some noise, as a photograph has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.RandomState(seed)
    channels = len(Image.new(mode, (1, 1)).getbands())
    coarse = rng.randint(0, 256, (6, 6, channels), dtype=np.uint8)
    bands = [Image.fromarray(coarse[..., c]).resize(size, Image.Resampling.BICUBIC) for c in range(channels)]
    Image.merge(mode, bands).save(path, quality=90, **save)
    return path


def rotated_by_exif():
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by 90 degrees
    return exif


@pytest.fixture
def photographs(tmp_path):
    """Photographs of several shapes, a grey one, one in CMYK and one with a rotation in its EXIF."""
    paths = [photograph(tmp_path / f"{i}.JPEG", size=size, seed=i) for i, size in enumerate(SIZES)]
    paths.append(photograph(tmp_path / "grey.jpg", "L", (90, 70), 7))
    paths.append(photograph(tmp_path / "cmyk.jpg", "CMYK", (90, 70), 8))
    paths.append(photograph(tmp_path / "exif.jpg", "RGB", (90, 70), 9, exif=rotated_by_exif()))
    return image_files.ImageFiles(tuple(paths), 28)


def chain(*tables):
    least = {"epochs": 1, "batch_size": 1, "optimizer": "sgd", "lr": 1.0}
    return Recipe.from_mapping(least | {"augment": list(tables)}).augment


def windows(count, seed=0, **changes):
    parts = chain(CROP | changes)
    return augment.windows(parts, augment.draw(parts, count, (28, 28), torch.Generator().manual_seed(seed)))


def opened(path):
    """As torchvision's ImageFolder opens it."""
    return torchvision.datasets.folder.pil_loader(str(path))


# Windows


def test_windows_are_cut_and_resized_as_torchvision_does(photographs):
    count = len(photographs)
    drawn = windows(count, seed=3)
    assert set(drawn.bicubic.tolist()) == {True, False}
    ours = photographs.windows(np.arange(count), drawn)
    for index, path in enumerate(photographs.paths):
        image = opened(path)
        left, top, right, bottom = drawn.box(index, *image.size)
        assert 0 <= left < right <= image.width
        assert 0 <= top < bottom <= image.height
        kind = transforms.InterpolationMode.BICUBIC if drawn.bicubic[index] else transforms.InterpolationMode.BILINEAR
        theirs = transforms.functional.resized_crop(image, top, left, bottom - top, right - left, [28, 28], kind)
        np.testing.assert_array_equal(ours[index], np.asarray(theirs))


@pytest.mark.parametrize(("width", "height"), [(120, 80), (500, 20), (20, 300)])
def test_windows_are_distributed_as_torchvisions(width, height):
    count = 2000
    drawn = windows(count)
    ours = np.array([drawn.box(row, width, height) for row in range(count)])
    image = Image.new("RGB", (width, height))
    torch.manual_seed(1)
    boxes = [transforms.RandomResizedCrop.get_params(image, CROP["scale"], CROP["ratio"]) for _ in range(count)]
    theirs = np.array([(left, top, left + wide, top + tall) for top, left, tall, wide in boxes])

    def described(boxes):
        left, top, right, bottom = boxes.T
        return left, top, (right - left) * (bottom - top), (right - left) / (bottom - top)

    for mine, other in zip(described(ours), described(theirs), strict=True):
        steps = np.unique(np.concatenate((mine, other)))
        gap = max(abs(np.mean(mine <= step) - np.mean(other <= step)) for step in steps)
        # Kolmogorov and Smirnov: two samples of one distribution differ by more once in 2 exp(-2 * 2.2**2) = 8,000.
        assert gap < 2.2 * math.sqrt(2 / count)


def test_an_image_that_no_window_fits_gives_its_middle():
    # A window of 2 to 3 times the area of the image never fits.
    drawn = windows(3, scale=[0.5, 1.0])
    drawn = replace(drawn, area=drawn.area * 0 + 3)
    for row, (width, height) in enumerate([(500, 20), (20, 300), (40, 40)]):
        image = Image.new("RGB", (width, height))
        top, left, tall, wide = transforms.RandomResizedCrop.get_params(image, [3.0, 3.0], CROP["ratio"])
        assert drawn.box(row, width, height) == (left, top, left + wide, top + tall)


def test_one_seed_means_the_same_windows_and_another_seed_others(photographs):
    rows = np.array([0, 1, 3])  # of the very long ones it may be the middle
    first, again, other = (photographs.windows(rows, windows(len(rows), seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize(("named", "bicubic"), [("bilinear", False), ("bicubic", True)])
def test_an_interpolation_that_is_named_is_taken_for_every_image(named, bicubic):
    assert set(windows(50, interpolation=named).bicubic.tolist()) == {bicubic}


def test_an_order_of_pixels_applies_to_windows_too(photographs):
    order = dataset.pixel_order("pixels", (28, 28), 4, 0)
    moved, rows, drawn = replace(photographs, permutation=order), np.array([2, 0]), windows(2)
    expected = image_files.permute(photographs.windows(rows, drawn), order)
    np.testing.assert_array_equal(moved.windows(rows, drawn), expected)


# Centre squares


def test_the_published_evaluation_is_torchvisions_resize_and_centre_crop(photographs):
    kind = transforms.InterpolationMode.BICUBIC
    theirs = transforms.Compose([transforms.Resize(math.floor(28 / 0.96), kind), transforms.CenterCrop(28)])
    ours = replace(photographs, crop_share=0.96, interpolation="bicubic")[np.arange(len(photographs))]
    for image, path in zip(ours, photographs.paths, strict=True):
        np.testing.assert_array_equal(image, np.asarray(theirs(opened(path))))


# ImageNet-100


@pytest.fixture
def folder(tmp_path):
    """Three classes of JPEGs; the recipe's batch of 32 makes an epoch of two classes 2 whole batches and a rest."""
    for label, name in enumerate(("n01", "n02", "n03")):
        for index in range(37):
            path = tmp_path / ("train" if index < 34 else "val") / name / f"{name}_{index}.JPEG"
            mode = {5: "L", 6: "CMYK"}.get(index, "RGB")
            photograph(path, mode, SIZES[index % len(SIZES)], 100 * label + index)
    return tmp_path


def published_case(**changes):
    """The case that decides the claim, with a network and images small enough for a test."""
    loaded = load(ROOT / "suites" / "convmixer.toml")
    (case,) = (
        case
        for case in plan(loaded.suite, loaded.sha256, "paper", "cpu")
        if case.model == "convmixer_768_32" and case.dataset == "image_folder"
    )
    small = {"patch_size": 7, "kernel_size": 3, "width": 8, "depth": 1}
    arguments = {**case.dataset_args, "n_classes": 2, "image_size": 28}
    case = replace(case, model_args=small, num_classes=2, image_size=28, dataset_args=arguments)
    return replace(case, recipe=Recipe.from_mapping({**case.recipe.canonical(), "epochs": 1, **changes}))


def test_the_published_recipe_trains_from_a_folder_of_jpegs(folder):
    case = published_case()
    assert case.recipe.mixup == case.recipe.cutmix == 0.5
    assert [part.name for part in case.recipe.augment] == ["resized_crop", "flip", "rand_augment", "erasing"]
    facts, *readings = accuracy(case, Context(data_dir=folder))
    assert isinstance(facts, DataFacts)
    assert (facts.n_train, facts.n_test) == (2 * 34, 2 * 3)
    assert {reading.status for reading in readings} == {"ok"}
    values = {reading.metric: reading.value for reading in readings}
    assert 0 < values["train_loss"] < 5 * math.log(2)
    again = {reading.metric: reading.value for reading in list(accuracy(case, Context(data_dir=folder)))[1:]}
    assert again["train_loss"] == values["train_loss"]


def test_without_the_folder_the_row_ends_in_the_layout_and_the_command(tmp_path):
    kinds = {"int64": 1, "float64": 1.0, "string": "x", "bool": True}
    filled = {name: None if nullable else kinds[kind] for name, (kind, nullable) in columns(Environment).items()}
    (outcome,) = execute([published_case()], Context(data_dir=tmp_path), Environment(**filled))
    (row,) = outcome.rows
    assert row.status == "skipped"
    assert row.reason == (
        "0 classes in DIR/train, 2 needed; lay the images out as DIR/train/<class>/*.JPEG and "
        "DIR/val/<class>/*.JPEG, then: bench run SUITE --data DIR"
    )


@pytest.mark.parametrize(("option", "told"), [
    ({"crop_share": 0.0}, "crop_share = 0.0 is not above 0"),
    ({"interpolation": "bicubik"}, "no interpolation 'bicubik'. Did you mean 'bicubic'"),
])  # fmt: skip
def test_a_wrong_way_to_take_the_centre_is_refused(folder, option, told):
    with pytest.raises(dataset.UsageError, match=told):
        image_folder.image_folder(folder, **option)


def test_the_digest_knows_how_the_centre_is_taken(folder):
    digests = {
        image_folder.image_folder(folder, crop_share=share, interpolation=kind).sha256
        for share in (0.875, 0.96)
        for kind in ("bilinear", "bicubic")
    }
    assert len(digests) == 4


def test_images_are_decoded_in_as_many_threads_as_torch_has(photographs, monkeypatch):
    monkeypatch.setattr(image_files, "_pools", {})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for _ in range(4):
        photographs[np.arange(len(photographs))]
    (pool,) = image_files._pools.values()
    assert pool._max_workers == 3
    assert len(pool._threads) <= 3

"""What every data set offers: subsets, orders of pixels, digests; the embedded sample, synthetic images, folders."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from bench.data import build_sample, dataset, image_files, image_folder, synthetic
from bench.data.embedded import SAMPLE, cifar10_sample
from bench.errors import DataAbsent, DataCorrupt, UsageError
from bench.registry import datasets

FULL = Path(os.environ.get("BENCH_DATA") or Path(__file__).parents[2] / "shared" / "data")
needs_full_data = pytest.mark.skipif(
    not (FULL / "cifar10").is_dir(), reason="the complete CIFAR is not here: name its folder with BENCH_DATA"
)

pytestmark = pytest.mark.usefixtures("no_data_of_the_machine")


def write_image(path: Path, width: int, height: int, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three classes with 4 training and 2 validation images each, of several shapes."""
    for label, name in enumerate(("cat", "ant", "bee")):
        for index in range(6):
            split = "train" if index < 4 else "val"
            write_image(
                tmp_path / split / name / f"{index}.png", 30 + 5 * index, 52 - 5 * index, seed=10 * label + index
            )
    return tmp_path


# The embedded sample


@pytest.fixture(scope="module")
def embedded():
    return cifar10_sample()


def test_the_embedded_sample_has_500_training_and_200_test_images_of_each_of_10_classes(embedded):
    assert embedded.train_images.shape == (10 * 500, 32, 32, 3)
    assert embedded.test_images.shape == (10 * 200, 32, 32, 3)
    assert np.bincount(embedded.train_labels).tolist() == [500] * 10
    assert np.bincount(embedded.test_labels).tolist() == [200] * 10
    assert embedded.train_images.dtype == np.uint8
    assert embedded.train_labels.dtype == np.int64


def test_a_batch_of_the_embedded_sample_in_file_order_holds_every_class(embedded):
    # The chance that 128 random rows miss one of ten classes is below 10 * 0.9**128 = 1.4e-5.
    assert set(embedded.train_labels[:128]) == set(range(10))


def test_the_published_channel_statistics_fit_the_embedded_sample_to_a_hundredth(embedded):
    pixels = embedded.train_images / 255
    assert pixels.mean(axis=(0, 1, 2)) == pytest.approx(embedded.mean, abs=0.01)
    assert pixels.std(axis=(0, 1, 2)) == pytest.approx(embedded.std, abs=0.01)


def test_data_sets_are_listed_without_torch_and_pandas():
    code = (
        "import sys; from bench.registry import datasets as d; print(*d.names(), {'torch', 'pandas'} & {*sys.modules})"
    )
    root = Path(__file__).parents[1]
    answer = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert answer.stdout == (
        "cifar10 cifar100 cifar10_sample fashion_mnist image_folder image_list kmnist mnist parquet stl10 svhn "
        "synthetic set()\n"
    )


# Synthetic images


def test_synthetic_images_of_one_seed_are_alike_and_of_two_seeds_are_not():
    assert synthetic.synthetic(seed=1).sha256 == synthetic.synthetic(seed=1).sha256
    assert synthetic.synthetic(seed=1).sha256 != synthetic.synthetic(seed=2).sha256


def test_synthetic_classes_can_be_told_apart_by_the_nearest_class_mean():
    made = synthetic.synthetic(n_train=200, n_test=100, image_size=16, n_classes=5)
    assert made.train_images.shape == (200, 16, 16, 3)
    assert np.bincount(made.train_labels).tolist() == [200 // 5] * 5
    train, test = made.train_images.reshape(200, -1) / 255, made.test_images.reshape(100, -1) / 255
    means = np.stack([train[made.train_labels == label].mean(axis=0) for label in range(5)])
    nearest = ((test[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == made.test_labels).mean() == 1


def test_synthetic_statistics_are_those_of_the_distribution():
    # 100 classes of 48 random cells that spread 28/255: their mean is known to 3 * 28/255 / sqrt(4800) = 0.005.
    made = synthetic.synthetic(n_train=1000, n_classes=100)
    assert (made.train_images / 255).mean() == pytest.approx(made.mean[0], abs=0.005)
    assert (made.train_images / 255).std() == pytest.approx(made.std[0], abs=0.005)


# Subsets


def test_a_fraction_of_the_training_set_keeps_the_share_of_every_class_and_the_test_set():
    made = synthetic.synthetic(n_train=400, n_test=50, train_fraction=0.3)
    assert np.bincount(made.train_labels).tolist() == [400 * 3 // 10 // 10] * 10
    assert len(made.test_labels) == 50


def test_unequal_classes_share_a_subset_in_proportion():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    rows = dataset.stratified(labels, 20, seed=0)
    assert np.bincount(labels[rows]).tolist() == [60 * 20 // 100, 30 * 20 // 100, 10 * 20 // 100]
    assert len(set(rows)) == 20


@pytest.mark.parametrize("count", range(11))
def test_a_subset_has_exactly_as_many_rows_as_asked_for(count):
    assert len(dataset.stratified(np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 2]), count, seed=0)) == count


def test_a_smaller_subset_lies_inside_a_larger_one():
    labels = np.arange(300) % 3
    subsets = [set(dataset.stratified(labels, count, seed=4)) for count in (9, 30, 90, 300)]
    assert subsets[0] < subsets[1] < subsets[2] < subsets[3]


def test_images_and_labels_of_a_subset_stay_together():
    whole, part = synthetic.synthetic(n_train=100), synthetic.synthetic(n_train=100, train_fraction=0.2)
    label_of = {image.tobytes(): label for image, label in zip(whole.train_images, whole.train_labels, strict=True)}
    assert [label_of[image.tobytes()] for image in part.train_images] == part.train_labels.tolist()


def test_another_subset_seed_takes_other_images():
    first, second = (cifar10_sample(n_train=100, n_test=10, subset_seed=seed) for seed in (0, 1))
    assert first.train_images.shape == second.train_images.shape == (100, 32, 32, 3)
    assert first.test_images.shape == (10, 32, 32, 3)
    assert first.sha256 != second.sha256


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_test": 2001}, "2001 images asked for, 1 to 2000 are there"),
        ({"n_train": 0}, "0 images asked for, 1 to 5000 are there"),
        ({"train_fraction": 1.5}, "7500 images asked for"),
        ({"train_fraction": 0.1, "n_train": 5}, "train_fraction or n_train, not both"),
        ({"n_trian": 5}, "no data set option 'n_trian'. Did you mean 'n_train'?"),
        ({"order": "patch"}, "no order 'patch'. Did you mean 'patches'?"),
        ({"order": "patches", "patch_size": 5}, "patches of 5 do not tile 32 x 32 pixels"),
    ],
)
def test_an_impossible_choice_is_refused_in_a_sentence(options, message):
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        cifar10_sample(**options)


# Orders of pixels


@pytest.mark.parametrize("order", ["pixels", "patches", "within_patches"])
def test_the_inverse_of_an_order_restores_both_splits(order):
    plain = synthetic.synthetic(n_train=20, n_test=10)
    moved = synthetic.synthetic(n_train=20, n_test=10, order=order, order_seed=3)
    permutation = dataset.pixel_order(order, (32, 32), patch_size=4, seed=3)
    assert sorted(permutation) == list(range(32 * 32))
    for got, wanted in ((moved.train_images, plain.train_images), (moved.test_images, plain.test_images)):
        assert (got != wanted).any()
        np.testing.assert_array_equal(image_files.permute(got, np.argsort(permutation)), wanted)
    assert moved.sha256 != plain.sha256
    assert moved.sha256 != synthetic.synthetic(n_train=20, n_test=10, order=order, order_seed=4).sha256


def patches_of(image: np.ndarray, p: int) -> list[bytes]:
    height, width = image.shape
    return [image[y : y + p, x : x + p].tobytes() for y in range(0, height, p) for x in range(0, width, p)]


def test_an_order_of_patches_keeps_every_patch_whole():
    image = np.arange(8 * 12).reshape(8, 12)
    moved = dataset.pixel_order("patches", (8, 12), patch_size=4, seed=0).reshape(8, 12)
    assert patches_of(moved, 4) != patches_of(image, 4)
    assert sorted(patches_of(moved, 4)) == sorted(patches_of(image, 4))


def test_an_order_within_patches_moves_the_pixels_of_all_patches_alike():
    image = np.arange(8 * 12).reshape(8, 12)
    moved = dataset.pixel_order("within_patches", (8, 12), patch_size=4, seed=0).reshape(8, 12)
    # Pixel (y, x) of the image has the number 12 y + x: a patch at (Y, X) differs from the first one by 12 Y + X.
    for y in (0, 4):
        for x in (0, 4, 8):
            np.testing.assert_array_equal(moved[y : y + 4, x : x + 4], moved[:4, :4] + 12 * y + x)
    assert sorted(moved[:4, :4].ravel()) == sorted(image[:4, :4].ravel())


# Digests


def test_a_digest_is_the_sha256_of_shapes_pixels_and_labels_of_both_splits():
    made = synthetic.synthetic(n_train=3, n_test=2, image_size=8, n_classes=2)
    digest = hashlib.sha256()
    for images, labels in ((made.train_images, made.train_labels), (made.test_images, made.test_labels)):
        for number in images.shape:
            digest.update(number.to_bytes(8, "little"))
        digest.update(images.tobytes())
        for label in labels.tolist():
            digest.update(label.to_bytes(8, "little"))
    assert made.sha256 == digest.hexdigest()


def test_a_digest_changes_with_one_label_and_with_one_pixel():
    images, labels = np.zeros((2, 4, 4, 3), np.uint8), np.zeros(2, np.int64)
    other_images, other_labels = images.copy(), labels.copy()
    other_images[1, 3, 3, 2], other_labels[1] = 1, 1
    digests = [
        dataset.content_sha256(pair) for pair in ((images, labels), (other_images, labels), (images, other_labels))
    ]
    assert len(set(digests)) == 3


# Image folders


def test_an_image_folder_has_its_classes_in_alphabetical_order(folder):
    got = image_folder.image_folder(folder, image_size=14)
    assert got.classes == ("ant", "bee", "cat")
    assert got.train_labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert got.test_labels.tolist() == [0] * 2 + [1] * 2 + [2] * 2
    assert [path.parent.name for path in got.train_images.paths[::4]] == ["ant", "bee", "cat"]
    assert got.train_images[np.array([0, 11, 5])].shape == (3, 14, 14, 3)


def test_an_image_folder_may_lie_deeper_be_limited_to_classes_and_be_named_by_the_environment(folder, monkeypatch):
    monkeypatch.setenv("BENCH_DATA", str(folder.parent))
    got = image_folder.image_folder(folder=folder.name, image_size=14, n_classes=2, n_train=6)
    assert got.classes == ("ant", "bee")
    assert got.train_labels.tolist() == [0] * 3 + [1] * 3


@pytest.mark.parametrize(("width", "height"), [(40, 40), (61, 40), (40, 61), (37, 20), (333, 97), (9, 5)])
def test_an_image_is_resized_and_cropped_as_torchvision_does(tmp_path, width, height):
    transforms = pytest.importorskip("bench.torchvision_import").torchvision.transforms
    path = write_image(tmp_path / "x.png", width, height)
    theirs = transforms.Compose([transforms.Resize(28 * 8 // 7), transforms.CenterCrop(28)])(Image.open(path))
    np.testing.assert_array_equal(image_files.ImageFiles((path,), 28)[np.array([0])][0], np.asarray(theirs))


def test_an_order_of_pixels_applies_to_files_after_they_are_decoded(folder):
    plain, moved = (
        image_folder.image_folder(folder, image_size=14),
        image_folder.image_folder(folder, image_size=14, order="pixels"),
    )
    rows, permutation = np.array([3, 1]), dataset.pixel_order("pixels", (14, 14), 4, 0)
    np.testing.assert_array_equal(moved.test_images[rows], image_files.permute(plain.test_images[rows], permutation))
    assert moved.sha256 != plain.sha256


def test_the_digest_of_a_folder_changes_with_a_file_and_with_the_size(folder):
    first = image_folder.image_folder(folder, image_size=14).sha256
    assert image_folder.image_folder(folder, image_size=14).sha256 == first
    assert image_folder.image_folder(folder, image_size=21).sha256 != first
    write_image(folder / "val" / "bee" / "5.png", 40, 40, seed=99)
    assert image_folder.image_folder(folder, image_size=14).sha256 != first


def test_a_damaged_image_file_is_named_when_it_is_read_and_the_others_are_kept(folder):
    got = image_folder.image_folder(folder, image_size=14)
    path = got.train_images.paths[2]
    path.write_bytes(path.read_bytes()[:100])
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DataCorrupt, match=f"{path}: expected an image, found sha256 {found}"):
        got.train_images[np.array([1, 2])]
    assert len(got.train_images[np.array([1, 3])]) == 2


def test_a_folder_without_the_classes_asked_for_ends_in_the_command_that_names_another(folder, tmp_path):
    for home, n_classes, message in ((tmp_path / "none", None, "0 classes"), (folder, 4, "3 classes")):
        with pytest.raises(DataAbsent, match=f"^{message} in .* bench run SUITE --data DIR$"):
            image_folder.image_folder(home, n_classes=n_classes)


def test_a_class_without_test_images_is_named(folder):
    for path in (folder / "val" / "bee").iterdir():
        path.unlink()
    with pytest.raises(DataAbsent, match=f"no images in {folder / 'val' / 'bee'}"):
        image_folder.image_folder(folder)


# All of CIFAR, where it is there


@needs_full_data
@pytest.mark.full_data
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_the_published_statistics_are_those_of_the_50000_training_images(name):
    got = datasets.get(name)(FULL)
    assert np.bincount(got.train_labels).tolist() == [50_000 // len(got.classes)] * len(got.classes)
    assert np.bincount(got.test_labels).tolist() == [10_000 // len(got.classes)] * len(got.classes)
    # How often each of the 256 values occurs in each channel is exact and small.
    counts = np.stack([np.bincount(got.train_images[..., c].ravel(), minlength=256) for c in range(3)])
    values, shares = np.arange(256) / 255, counts / (50_000 * 32 * 32)
    mean = shares @ values
    std = np.sqrt(shares @ values**2 - mean**2)
    assert mean == pytest.approx(got.mean, abs=0.5e-4)
    assert std == pytest.approx(got.std, abs=0.5e-4)


@needs_full_data
@pytest.mark.full_data
def test_the_embedded_sample_is_what_its_command_builds_from_the_complete_data(tmp_path):
    build_sample.build(FULL / "cifar10", tmp_path / "built.parquet")
    # Rows, not bytes: the file names the pyarrow that wrote it.
    assert pyarrow.parquet.read_table(tmp_path / "built.parquet") == pyarrow.parquet.read_table(SAMPLE)

"""Images of every kind become the same RGB: scaled where they are deeper than 8 bits, and never clipped."""

import io

import numpy as np
import pytest
from PIL import Image

from bench.data import decoding, image_files, image_folder
from bench.data.colours import rgb
from bench.errors import DataAbsent, DataCorrupt

pytestmark = pytest.mark.usefixtures("no_data_of_the_machine")


def flat(value, kind) -> Image.Image:
    return Image.fromarray(np.full((8, 8), value, kind))


def palette(**save) -> Image.Image:
    """All pixels of one colour, as a PNG with a palette is opened."""
    image, file = Image.new("P", (8, 8), 0), io.BytesIO()
    image.putpalette([10, 20, 30] * 256)
    image.save(file, "PNG", **save)
    return Image.open(io.BytesIO(file.getvalue()))


def reread(image: Image.Image, kind: str, **save) -> Image.Image:
    file = io.BytesIO()
    image.save(file, kind, **save)
    return Image.open(io.BytesIO(file.getvalue()))


# name -> the image, one pixel of it in RGB
KINDS = {
    "16 bits": (lambda: flat(45_000, np.uint16), (175,) * 3),  # 45,000 x 255 / 65,535 = 175.1
    "16 bits, the most": (lambda: flat(65_535, np.uint16), (255,) * 3),
    "16 bits, dark": (lambda: flat(200, np.uint16), (1,) * 3),  # 200 x 255 / 65,535 = 0.8
    "32 bits with values of 16": (lambda: flat(45_000, np.int32), (175,) * 3),
    "floating, to 1": (lambda: flat(0.5, np.float32), (128,) * 3),  # 127.5
    "floating, to 255": (lambda: flat(99.6, np.float32), (100,) * 3),
    "floating, to 65,535": (lambda: flat(45_000.0, np.float32), (175,) * 3),
    "one bit": (lambda: Image.new("1", (8, 8), 1), (255,) * 3),
    "grey": (lambda: Image.new("L", (8, 8), 77), (77,) * 3),
    "grey and opacity": (lambda: Image.new("LA", (8, 8), (77, 0)), (77,) * 3),
    "colour and opacity": (lambda: Image.new("RGBA", (8, 8), (1, 2, 3, 0)), (1, 2, 3)),
    "opacity multiplied in": (lambda: Image.new("RGBa", (8, 8), (50, 25, 5, 128)), (99, 49, 9)),  # x 255 / 128
    "palette": (palette, (10, 20, 30)),
    "palette, transparent": (lambda: palette(transparency=0), (10, 20, 30)),
    "16 bits, the large end first": (lambda: reread(flat(45_000, ">u2"), "TIFF"), (175,) * 3),
    "16 bits in a file": (lambda: reread(flat(45_000, np.uint16), "PNG"), (175,) * 3),
    "one bit, in a file of faxes": (
        lambda: reread(Image.new("1", (8, 8), 1), "TIFF", compression="group4"),
        (255,) * 3,
    ),
    "palette and opacity": (lambda: Image.new("RGBA", (8, 8), (9, 9, 9, 0)).convert("PA"), (9,) * 3),
    "four inks": (lambda: Image.new("CMYK", (8, 8), (0, 0, 0, 100)), (155,) * 3),
    "luminance": (lambda: Image.new("YCbCr", (8, 8), (90, 128, 128)), (90,) * 3),
}


@pytest.mark.parametrize("name", KINDS)
def test_an_image_of_any_kind_is_scaled_and_flattened(name):
    make, pixel = KINDS[name]
    image = rgb(make())
    assert image.mode == "RGB"
    assert (np.asarray(image) == pixel).all()


@pytest.mark.parametrize("name", ["16 bits", "32 bits with values of 16", "floating, to 1"])
def test_a_file_on_disk_and_a_row_of_a_shard_are_read_alike(tmp_path, name):
    make, pixel = KINDS[name]
    path = tmp_path / "x.tiff"
    make().save(path)
    assert (image_files.ImageFiles((path,), 7)[np.array([0])] == pixel).all()
    assert (decoding.decode([path.read_bytes()], path) == pixel).all()


@pytest.mark.parametrize("value", [-1.0, 70_000.0, float("nan"), float("inf")])
def test_values_on_no_known_scale_are_refused_with_the_file_and_never_clipped(tmp_path, value):
    path = tmp_path / "x.tiff"
    flat(value, np.float32).save(path)
    with pytest.raises(DataCorrupt, match=rf"{path}.*values from {value:g} to {value:g} in mode F"):
        image_files.ImageFiles((path,), 7)[np.array([0])]


# Folders


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "val"):
        for name in ("ant", "bee"):
            (tmp_path / split / name).mkdir(parents=True)
            for index in range(2):
                Image.new("RGB", (9, 9)).save(tmp_path / split / name / f"{index}.png")
    return tmp_path


def test_what_systems_and_editors_leave_behind_is_neither_class_nor_image(folder):
    clean = image_folder.image_folder(folder, image_size=7)
    for split in ("train", "val"):
        for name in (".ipynb_checkpoints", ".hidden", "__MACOSX"):
            (folder / split / name).mkdir()
            Image.new("RGB", (9, 9)).save(folder / split / name / "0.png")
        (folder / split / "ant" / ".ipynb_checkpoints").mkdir()
        Image.new("RGB", (9, 9)).save(folder / split / "ant" / ".ipynb_checkpoints" / "0-checkpoint.png")
        for name in ("._0.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".0.png"):
            (folder / split / name).write_bytes(b"no image")
            (folder / split / "ant" / name).write_bytes(b"no image")
        (folder / split / "bee" / "folder.png").mkdir()
    found = image_folder.image_folder(folder, image_size=7)
    assert (found.classes, found.sha256) == (clean.classes, clean.sha256)


def test_classes_that_differ_between_the_splits_are_told_with_both_names(folder):
    (folder / "val" / "bee").rename(folder / "val" / "bees")
    told = rf"only in {folder}/train: 'bee'; only in {folder}/val: 'bees'; lay the images out .* bench run"
    with pytest.raises(DataAbsent, match=told):
        image_folder.image_folder(folder)


def test_a_class_more_in_one_split_is_told_and_the_first_classes_need_no_others(folder):
    (folder / "val" / "cat").mkdir()
    with pytest.raises(DataAbsent, match=rf"the classes differ: only in {folder}/val: 'cat'"):
        image_folder.image_folder(folder)
    (folder / "train" / "cat").mkdir()
    assert image_folder.image_folder(folder, n_classes=2, image_size=7).classes == ("ant", "bee")


def test_parquet_files_where_folders_should_be_are_named_in_the_reason(tmp_path):
    (tmp_path / "data").mkdir()
    for number in range(4):
        (tmp_path / "data" / f"train-0000{number}-of-00004.parquet").touch()
    told = (
        r"0 classes in .*found Parquet files in .*: data/train-00000-of-00004.parquet, .* and 1 more\); lay the images"
    )
    with pytest.raises(DataAbsent, match=told):
        image_folder.image_folder(tmp_path)


def test_a_class_of_other_files_is_told_with_what_lies_there(folder):
    for name in ("0.png", "1.png"):
        (folder / "val" / "bee" / name).rename(folder / "val" / "bee" / name.replace("png", "gif"))
    with pytest.raises(DataAbsent, match=r"no images in .*val/bee \(found there: 2 \.gif; images end in \.bmp, \.jpeg"):
        image_folder.image_folder(folder)


def test_a_second_split_of_another_name_is_told_with_the_folders_that_are_there(folder):
    (folder / "val").rename(folder / "validation")
    with pytest.raises(DataAbsent, match=r"no images in .*test/ant \(folders in .*: 'train', 'validation'\)"):
        image_folder.image_folder(folder)


def test_capital_suffixes_links_and_deeper_folders_are_images_too(folder):
    clean = image_folder.image_folder(folder, image_size=7)
    ant = folder / "train" / "ant"
    (ant / "0.png").rename(ant / "0.PNG")
    (folder / "elsewhere.png").write_bytes((ant / "1.png").read_bytes())
    (ant / "1.png").unlink()
    (ant / "1.png").symlink_to(folder / "elsewhere.png")
    (ant / "broken.png").symlink_to(folder / "nowhere.png")
    found = image_folder.image_folder(folder, image_size=7)
    assert found.sha256 == clean.sha256


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"GIF89a"])
def test_a_file_that_is_no_whole_image_is_told_with_its_path_when_it_is_read(folder, damage):
    path = folder / "train" / "ant" / "0.jpg"
    Image.effect_noise((64, 64), 90).save(path)
    path.write_bytes(damage(path.read_bytes()))
    found = image_folder.image_folder(folder, image_size=7)
    with pytest.raises(DataCorrupt, match=rf"{path}: expected an image"):
        found.train_images[np.array([found.train_images.paths.index(path)])]

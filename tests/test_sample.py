"""CIFAR on a disk and in the package: what is found, what is refused, and that nothing unverified is believed."""

import hashlib
import io
import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from bench.data import build_sample, cifar, dataset, decoding, embedded
from bench.errors import DataAbsent, DataCorrupt, UsageError

CELL = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
SMALL = replace(cifar.CIFAR10, rows={"train": 40, "test": 20})

pytestmark = pytest.mark.usefixtures("no_data_of_the_machine")


def noise(count: int, size: int = 32) -> np.ndarray:
    return np.random.RandomState(count).randint(0, 256, (count, size, size, 3), dtype=np.uint8)


def balanced(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int64) % 10


def encoded(pixels: np.ndarray, kind: str = "webp") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **({"lossless": True} if kind == "webp" else {}))
    return file.getvalue()


def write_shard(path: Path, images: list[bytes], labels: np.ndarray, column: str = "label") -> None:
    cells = pyarrow.array([{"bytes": image, "path": None} for image in images], CELL)
    pyarrow.parquet.write_table(pyarrow.table({"img": cells, column: labels}), path)


@pytest.fixture
def shards(tmp_path) -> Path:
    """A folder like the published one: 40 training images in two shards, 20 test images, and the checksums."""
    home = tmp_path / "cifar10"
    home.mkdir()
    train, test = [encoded(image) for image in noise(40)], [encoded(image) for image in noise(20)]
    write_shard(home / "train-00000-of-00002.parquet", train[:25], balanced(40)[:25])
    write_shard(home / "train-00001-of-00002.parquet", train[25:], balanced(40)[25:])
    write_shard(home / "test-00000-of-00001.parquet", test, balanced(20))
    lines = [f"{decoding.file_hash(path)}  cifar10/{path.name}\n" for path in sorted(home.iterdir())]
    (tmp_path / "SHA256SUMS").write_text("".join(lines))
    return tmp_path


def small(data_dir: Path, **options) -> dataset.Dataset:
    return cifar.load_cifar(SMALL, data_dir, **options)


def write_batches(home: Path, images: np.ndarray, labels: np.ndarray, name: str) -> str:
    """One of torchvision's files; returns its MD5."""
    home.mkdir(exist_ok=True)
    rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    (home / name).write_bytes(pickle.dumps({"data": rows, "labels": labels.tolist()}))
    return hashlib.md5((home / name).read_bytes()).hexdigest()


# What is there without any data


def test_a_truncated_sample_is_named_with_both_checksums(tmp_path):
    copy = tmp_path / "sample.parquet"
    copy.write_bytes(embedded.SAMPLE.read_bytes()[:1000])
    with pytest.raises(DataCorrupt) as error:
        embedded.load_sample(copy)
    found = hashlib.sha256(copy.read_bytes()).hexdigest()
    for part in (str(copy), f"expected sha256 {embedded.SAMPLE_SHA256}", f"found {found}", "1000 bytes"):
        assert part in str(error.value)


def test_a_sample_left_out_of_the_package_ends_in_the_command_that_builds_it(tmp_path):
    with pytest.raises(DataAbsent, match=r"python -m bench\.data\.build_sample DIR$"):
        embedded.load_sample(tmp_path / "sample.parquet")


def test_class_names_are_alphabetical_and_as_many_as_the_names_say():
    assert len(cifar.CIFAR10.classes) == 10
    assert len(cifar.CIFAR100.classes) == 100
    for facts in (cifar.CIFAR10, cifar.CIFAR100):
        assert list(facts.classes) == sorted(set(facts.classes))


# CIFAR from Parquet


def test_shards_are_joined_in_the_order_of_their_names_pixel_for_pixel(shards):
    got = small(shards)
    np.testing.assert_array_equal(got.train_images, noise(40))
    np.testing.assert_array_equal(got.train_labels, balanced(40))
    np.testing.assert_array_equal(got.test_images, noise(20))


def test_the_folder_of_shards_may_be_named_itself_or_by_the_environment(shards, monkeypatch):
    assert small(shards / "cifar10").sha256 == small(shards).sha256
    monkeypatch.setenv("BENCH_DATA", str(shards))
    assert small(None).sha256 == small(shards).sha256
    monkeypatch.chdir(shards / "cifar10")
    assert small(Path()).sha256 == small(shards).sha256


def test_cifar100_is_not_looked_for_in_the_folder_of_cifar10(shards):
    with pytest.raises(DataAbsent):
        cifar.cifar100(shards / "cifar10")


def test_cifar100_takes_the_fine_label(tmp_path):
    home = tmp_path / "cifar100"
    home.mkdir()
    for split, count in (("train", 40), ("test", 20)):
        write_shard(home / f"{split}-0.parquet", [encoded(x) for x in noise(count)], balanced(count) + 90, "fine_label")
    got = cifar.load_cifar(replace(cifar.CIFAR100, rows=SMALL.rows), tmp_path)
    assert [got.classes[label] for label in got.test_labels[:2]] == ["train", "trout"]


@pytest.mark.parametrize("data_dir", [None, Path("nowhere")])
def test_absent_data_ends_in_a_command_that_python_can_parse(data_dir):
    with pytest.raises(DataAbsent) as error:
        cifar.cifar10(data_dir)
    command = str(error.value).partition("download it: ")[2]
    start, code = command.split(" -c ")
    assert start == "python"
    compile(code.strip('"'), "command", "exec")
    assert code.endswith("""cifar.cifar10('DIR', download=True)\"""")


def test_a_flipped_byte_is_named_with_both_checksums(shards):
    path = shards / "cifar10" / "train-00001-of-00002.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(DataCorrupt) as error:
        small(shards)
    for part in (str(path), hashlib.sha256(whole).hexdigest(), hashlib.sha256(path.read_bytes()).hexdigest()):
        assert part in str(error.value)


def test_a_truncated_shard_without_published_sums_is_named_with_its_checksum(shards):
    (shards / "SHA256SUMS").unlink()
    path = shards / "cifar10" / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(
        DataCorrupt, match=f"{path}: expected a whole Parquet file, found sha256 {decoding.file_hash(path)}"
    ):
        small(shards)


def test_a_missing_shard_is_told_by_the_number_of_rows(shards):
    (shards / "cifar10" / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(DataCorrupt, match="expected 40 train rows of cifar10, found 25"):
        small(shards)


@pytest.mark.parametrize(
    ("images", "labels", "column", "message"),
    [
        ([encoded(noise(1)[0])[:60]] * 20, balanced(20), "label", "expected an image in row 0, found none"),
        (
            [encoded(noise(1)[0])] * 19 + [encoded(noise(1, 16)[0])],
            balanced(20),
            "label",
            r"in row 19, found \(16, 16, 3\)",
        ),
        ([encoded(noise(1)[0])] * 20, balanced(20) + 1, "label", "expected labels 0 to 9 in test, found 1 to 10"),
        (
            [encoded(noise(1)[0])] * 20,
            balanced(20),
            "klass",
            r"expected columns \['img', 'label'\], found \['img', 'klass'\]",
        ),
    ],
)
def test_a_readable_shard_with_unusable_rows_is_corrupt(shards, images, labels, column, message):
    (shards / "SHA256SUMS").unlink()
    write_shard(shards / "cifar10" / "test-00000-of-00001.parquet", images, labels, column)
    with pytest.raises(DataCorrupt, match=message):
        small(shards)


def test_a_corrupt_shard_leaves_the_other_data_sets_usable(shards):
    (shards / "cifar10" / "train-00000-of-00002.parquet").write_bytes(b"")
    with pytest.raises(DataCorrupt):
        small(shards)
    assert len(embedded.cifar10_sample(shards).train_labels) == 5000


# torchvision's folder


@pytest.fixture
def batches(tmp_path) -> tuple[Path, cifar.Cifar]:
    home = tmp_path / "torch" / SMALL.torch_folder
    home.parent.mkdir()
    train = {
        "data_batch_1": write_batches(home, noise(40)[:25], balanced(40)[:25], "data_batch_1"),
        "data_batch_2": write_batches(home, noise(40)[25:], balanced(40)[25:], "data_batch_2"),
    }
    test = {"test_batch": write_batches(home, noise(20), balanced(20), "test_batch")}
    return home.parent, replace(SMALL, torch_files={"train": train, "test": test})


def test_torchvisions_batches_and_parquet_shards_of_equal_images_have_an_equal_digest(batches, shards):
    home, facts = batches
    got = cifar.load_cifar(facts, home)
    np.testing.assert_array_equal(got.train_images, noise(40))
    assert got.sha256 == small(shards).sha256


def test_a_batch_with_another_md5_is_refused_before_it_is_unpickled(batches):
    home, facts = batches
    path = home / facts.torch_folder / "test_batch"
    path.write_bytes(b"cbuiltins\nexit\n(tR.")  # a pickle that calls exit()
    with pytest.raises(DataCorrupt, match=f"test_batch: expected md5 {facts.torch_files['test']['test_batch']}, found"):
        cifar.load_cifar(facts, home)


def test_a_missing_batch_makes_the_data_set_absent(batches):
    home, facts = batches
    (home / facts.torch_folder / "data_batch_2").unlink()
    with pytest.raises(DataAbsent, match="download it: python -c"):
        cifar.load_cifar(facts, home)


def test_the_checksums_are_those_that_torchvision_checks():
    vision = pytest.importorskip("bench.torchvision_import").torchvision.datasets
    for facts, theirs in ((cifar.CIFAR10, vision.CIFAR10), (cifar.CIFAR100, vision.CIFAR100)):
        assert facts.torch_folder == theirs.base_folder
        assert facts.torch_files == {"train": dict(theirs.train_list), "test": dict(theirs.test_list)}


def test_a_download_happens_only_when_asked_for_and_nothing_is_there(shards, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(cifar, "fetch", lambda facts, home: asked.append(home))
    small(shards, download=True)
    with pytest.raises(DataAbsent):
        small(tmp_path / "empty")
    assert asked == []
    with pytest.raises(DataAbsent):
        small(tmp_path / "empty", download=True)
    assert asked == [tmp_path / "empty"]


@pytest.mark.parametrize(
    ("failure", "becomes"),
    [(OSError("no route to host"), DataAbsent), (RuntimeError("File not found or corrupted."), DataCorrupt)],
)
def test_a_failed_download_says_why(tmp_path, monkeypatch, failure, becomes):
    torchvision = pytest.importorskip("bench.torchvision_import").torchvision

    def fail(root, download):
        raise failure

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", fail)
    with pytest.raises(becomes, match=str(failure)):
        cifar.fetch(cifar.CIFAR10, tmp_path)


def test_a_download_needs_a_folder():
    with pytest.raises(UsageError, match="--data or BENCH_DATA"):
        cifar.cifar10(download=True)


# The command that builds the sample


@pytest.fixture
def built(shards, tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(build_sample, "SAMPLE_ROWS", {"train": 20, "test": 10})
    build_sample.build(shards / "cifar10", tmp_path / "built.parquet")
    return tmp_path / "built.parquet"


def test_building_the_sample_twice_gives_the_same_bytes(built, shards, tmp_path):
    digest = build_sample.build(shards / "cifar10", tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == built.read_bytes()
    assert digest == decoding.file_hash(built)


def test_the_sample_takes_image_bytes_as_they_are_and_says_from_which_row(built):
    rows = pyarrow.parquet.read_table(built).to_pylist()
    assert len({(row["split"], row["index"]) for row in rows}) == 20 + 10
    for row in rows:
        source = noise({"train": 40, "test": 20}[row["split"]])[row["index"]]
        assert row["image"] == encoded(source)
        assert row["label"] == row["index"] % 10


def test_the_built_sample_is_stratified_and_can_be_loaded(built):
    splits = embedded.load_sample(built, decoding.file_hash(built))
    assert np.bincount(splits["train"][1]).tolist() == [20 // 10] * 10
    assert np.bincount(splits["test"][1]).tolist() == [10 // 10] * 10


def test_the_command_builds_where_the_package_keeps_the_sample_and_prints_the_checksum(
    shards, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(build_sample, "SAMPLE_ROWS", {"train": 20, "test": 10})
    monkeypatch.setattr(build_sample, "SAMPLE", tmp_path / "target.parquet")
    monkeypatch.setattr(sys, "argv", ["sample", str(shards / "cifar10")])
    build_sample.main()
    assert (
        capsys.readouterr().out == f"{decoding.file_hash(tmp_path / 'target.parquet')}  {tmp_path / 'target.parquet'}\n"
    )


def test_building_from_a_folder_without_shards_says_so(tmp_path):
    with pytest.raises(DataAbsent, match=f"no train-.*parquet in {tmp_path}"):
        build_sample.build(tmp_path, tmp_path / "built.parquet")


# Parquet as hubs lay it out


@pytest.mark.parametrize(("below", "name"), [
    ("", "{}-00000-of-00001.parquet"), ("plain_text", "{}-00000-of-00001.parquet"), ("data", "{}-0.parquet"),
    ("cifar10", "{}-00000-of-00001.parquet"), ("", "{}.parquet"), ("plain_text", "{}/0000.parquet"),
    ("default", "{}/0000.parquet"),
])  # fmt: skip
@pytest.mark.parametrize("columns", [("img", "label"), ("image", "label"), ("image", "labels")])
def test_shards_are_found_where_hubs_put_them_and_under_the_names_they_give(tmp_path, below, name, columns):
    for split, count in SMALL.rows.items():
        path = tmp_path / "cifar10" / below / name.format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        table = {columns[0]: [{"bytes": encoded(x), "path": None} for x in noise(count)], columns[1]: balanced(count)}
        pyarrow.parquet.write_table(pyarrow.table(table), path)
    got = small(tmp_path)
    np.testing.assert_array_equal(got.test_images, noise(20))
    np.testing.assert_array_equal(got.test_labels, balanced(20))


def test_shards_elsewhere_are_named_in_the_reason_which_still_ends_in_the_command(tmp_path):
    for name in ("train-0.parquet", "test-0.parquet"):
        write_shard(tmp_path / name, [encoded(noise(1)[0])], balanced(1))
    found = r"not all of it \(found Parquet files in .*: test-0.parquet, train-0.parquet\): .*download=True\)\"$"
    with pytest.raises(DataAbsent, match=found):
        small(tmp_path)


def test_columns_that_are_none_of_the_known_are_told_with_those_that_would_do(shards):
    (shards / "SHA256SUMS").unlink()
    write_shard(
        shards / "cifar10" / "train-00000-of-00002.parquet", [encoded(noise(1)[0])], balanced(1), "coarse_label"
    )
    with pytest.raises(DataCorrupt, match=r"found \['img', 'coarse_label'\]; 'image' would do for 'img'"):
        small(shards)


@pytest.mark.parametrize("column", ["fine_label", "fine_labels", "label", "labels"])
def test_fine_labels_are_found_under_every_name_that_hubs_give_them(tmp_path, column):
    hundred = replace(cifar.CIFAR100, rows={"train": 40, "test": 20})
    for split, count in hundred.rows.items():
        path = tmp_path / "cifar100" / "cifar100" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_shard(path, [encoded(image) for image in noise(count)], balanced(count) * 9, column)
    np.testing.assert_array_equal(cifar.load_cifar(hundred, tmp_path).test_labels, balanced(20) * 9)


@pytest.mark.parametrize(("labels", "told"), [
    (["cat"] * 20, "expected whole numbers in column 'label', found string$"),
    ([1.0] * 20, "found double$"),
    ([None, *[1] * 19], "found int64 without a value in 1 rows"),
])  # fmt: skip
def test_labels_that_are_no_whole_numbers_are_told_with_their_kind(shards, labels, told):
    (shards / "SHA256SUMS").unlink()
    write_shard(shards / "cifar10" / "test-00000-of-00001.parquet", [encoded(noise(1)[0])] * 20, labels)
    with pytest.raises(DataCorrupt, match=told):
        small(shards)


def test_an_image_that_is_only_a_path_is_told_with_its_row(shards):
    (shards / "SHA256SUMS").unlink()
    write_shard(shards / "cifar10" / "test-00000-of-00001.parquet", [encoded(noise(1)[0])] * 19 + [None], balanced(20))
    with pytest.raises(DataCorrupt, match="expected the bytes of an image in row 19, found NoneType"):
        small(shards)


def test_shards_in_the_depths_of_a_hubs_cache_are_named_with_where_they_are(tmp_path):
    deep = tmp_path / "datasets--uoft-cs--cifar10" / "snapshots" / "0b2714987fa4" / "plain_text"
    deep.mkdir(parents=True)
    write_shard(deep / "train-00000-of-00001.parquet", [encoded(noise(1)[0])], balanced(1))
    with pytest.raises(DataAbsent, match=f"found Parquet files in {tmp_path}: {deep.relative_to(tmp_path)}/train-"):
        small(tmp_path)

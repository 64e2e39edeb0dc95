"""What others have timed: the public tables of throughput as points, one model on one device under known conditions.

Times nothing and believes nothing: a point that its own device's roofline forbids is marked.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.cost.prediction import Conditions

# A table's file says its device in its name. The i9 has 14 cores, two 512-bit units each.
_DEVICES = {"rtx3090": "rtx3090", "5090": "rtx5090", "rtx4090": "rtx4090", "i9_10940x": "i9_10940x"}
_BOARDS = {
    "T4": "t4",
    "V100 SXM2 16GB": "v100",
    "V100 SXM2 32GB": "v100_32gb",
    "A100 SXM4 40GB": "a100",
    "A100 SXM4 80GB": "a100_80gb",
}
_PRECISIONS = {"float32": "float32", "tensorfloat32": "tensorfloat32", "float16 amp channels_last": "amp"}


@dataclass(frozen=True)
class Point:
    """One published time of a step. `parameters` are in millions, as far as the table says."""

    model: str  # timm's name
    image_size: int
    training: bool
    device: str
    conditions: Conditions
    seconds: float
    parameters: float | None
    table: str

    @property
    def account(self) -> str:
        """The name of the account that the point needs."""
        return name_of(self.model, self.image_size, self.training, self.conditions.mixed)

    @property
    def family(self) -> str:
        """The letters that a model's name begins with, without those that only say who trained it."""
        plain = re.sub(r"^(tf_|legacy_|dm_|gc_|gluon_)", "", self.model)
        return (re.match(r"[a-z]+", plain) or [plain])[0]


def name_of(model: str, image_size: int, training: bool, mixed: bool) -> str:
    """How an account of a timm model is called: `resnet50 224 inference mixed`."""
    return f"{model} {image_size} {'training' if training else 'inference'} {'mixed' if mixed else 'float32'}"


def points(folder: Path) -> list[Point]:
    """All points of the tables in a folder, in the order of files and rows."""
    found: list[Point] = []
    for path in sorted(folder.glob("timm-benchmark-*.csv")):
        found += _of_timm(path)
    for path in sorted(folder.glob("nvidia_convnets.csv")):
        found += _of_nvidia(path)
    return found


def _of_timm(path: Path) -> Iterator[Point]:
    words = path.stem.split("-")
    device = next(name for word, name in _DEVICES.items() if word in words)
    training = "train" in words
    start = "train" if training else "infer"
    layout = "channels_last" if "nhwc" in words else "contiguous"
    for row in _rows(path):
        batch = int(float(row[f"{start}_batch_size"]))
        conditions = Conditions(batch, "amp" if "amp" in words else "float32", layout, "dynamo" in words)
        seconds = batch / float(row[f"{start}_samples_per_sec"])
        size = int(row[f"{start}_img_size"])
        yield Point(row["model"], size, training, device, conditions, seconds, float(row["param_count"]), path.stem)


def _of_nvidia(path: Path) -> Iterator[Point]:
    for row in _rows(path):
        batch, precision = int(row["batch_size"]), _PRECISIONS.get(row["precision"])
        if row["device"] not in _BOARDS or precision is None:
            continue
        layout = "channels_last" if "channels_last" in row["precision"] else "contiguous"
        seconds, training = batch / float(row["images_per_s"]), row["mode"] == "train"
        device = _BOARDS[row["device"]]
        yield Point(row["model"], 224, training, device, Conditions(batch, precision, layout), seconds, None, path.stem)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)

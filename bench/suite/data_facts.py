"""What is known of a data set before it is opened: how many images and classes, and how large the images are.

Opens nothing; a test holds these figures against the data sets themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class KnownData:
    """Classes, side of an image in pixels, images of each split; None where only the data themselves can tell."""

    classes: int | None = None
    image_size: int | None = None
    n_train: int | None = None
    n_test: int | None = None
    decoded: bool = True  # the images are pixels already, not files


_KNOWN = {
    "cifar10": KnownData(10, 32, 50_000, 10_000),
    "cifar100": KnownData(100, 32, 50_000, 10_000),
    "cifar10_sample": KnownData(10, 32, 5_000, 2_000),
    "synthetic": KnownData(10, 32, 512, 256),
    "image_folder": KnownData(None, 224, None, None, decoded=False),
    "fashion_mnist": KnownData(10, 28, 60_000, 10_000),
    "mnist": KnownData(10, 28, 60_000, 10_000),
    "kmnist": KnownData(10, 28, 60_000, 10_000),
    "svhn": KnownData(10, 32, 73_257, 26_032),
    "stl10": KnownData(10, 96, 5_000, 8_000),
    "image_list": KnownData(None, None, None, None, decoded=False),
    "parquet": KnownData(),
}
_SIZED_BY_ARGUMENTS = ("synthetic", "image_folder")


def whole(name: str) -> KnownData | None:
    """A registered data set as it is when nothing is left out; None for one that bench does not bring."""
    return _KNOWN.get(name)


def taken(name: str, args: Mapping[str, Any]) -> KnownData | None:
    """What is left of it under a suite's arguments, each of which was found sound."""
    facts = _KNOWN.get(name)
    if facts is None:
        return None
    if name in _SIZED_BY_ARGUMENTS:
        facts = replace(
            facts,
            classes=args.get("n_classes", facts.classes),
            image_size=args.get("image_size", facts.image_size),
        )
    n_train = args.get("n_train", facts.n_train)
    if "train_fraction" in args and n_train is not None:
        n_train = round(args["train_fraction"] * n_train)
    return replace(facts, n_train=n_train, n_test=args.get("n_test", facts.n_test))

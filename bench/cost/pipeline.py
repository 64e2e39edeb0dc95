"""What a core takes to prepare a training image by a recipe's augmentations, as papers' own code does it.

Prepares nothing. The figures stand in `pipelines.toml`, with how they were measured; bench's own trainings augment
whole batches and are not what is meant.
"""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from bench.cost.training import Pipeline

FILE = Path(__file__).with_name("pipelines.toml")
SMALL, LARGE = 32, 224  # pixels of a side that the figures are of


@cache
def _figures() -> Mapping[str, Mapping[str, float]]:
    found: Mapping[str, Mapping[str, float]] = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return found


def pipeline(augmentations: Iterable[tuple[str, float]], image_size: int, *, workers: int | None = None) -> Pipeline:
    """The pipeline of a rented machine.

    Args:
        augmentations: names as recipes have them, each with the share of images that it works on.
        image_size: pixels of a side; large images are decoded from files, small ones are there as pixels.
        workers: processes that prepare images; 2 unless given. With the training's own they share the host's cores.
    """
    figures = _figures()
    large = image_size > 2 * SMALL
    core, side = figures["image_224" if large else "image_32"], LARGE if large else SMALL
    pixels, begin = (image_size / side) ** 2, core["base"] + core.get("decode", 0)
    each = sum(core.get(name, 0.0) * share for name, share in augmentations)
    host = figures["host"]
    chosen = workers or int(host["workers"])
    share = host["core_share"] * min(1.0, host["cores"] / (chosen + 1))
    return Pipeline(pixels * (begin + each) / 1e6, pixels * begin / 1e6, chosen, share)


def off_by() -> float:
    """The factor by which a pipeline may be faster or slower than the figures say."""
    return _figures()["host"]["off_by"]

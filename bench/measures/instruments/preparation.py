"""How an image becomes what a model takes: stated by a suite, or taken from the configuration of timm or torchvision.

Augments nothing. Scales and cuts as torchvision's Resize and CenterCrop do on a picture, bit by bit.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.data.held_out import HeldOut
from bench.errors import MeasurementError, near
from bench.torchvision_import import torchvision

INTERPOLATIONS = {each.name.lower(): each for each in Image.Resampling}


@dataclass(frozen=True)
class Prepared:
    """Short side, square, interpolation and channel statistics. `size` None: images are taken as they are."""

    size: int | None
    resize: int | None
    interpolation: str | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    squash: bool = False
    crop_share: float | None = None  # as it was written; else what follows from the two sizes
    origin: str = "the suite"

    def square(self, picture: Image.Image) -> np.ndarray:
        """A picture in RGB of any size -> uint8 (size, size, 3)."""
        if self.size is None or self.resize is None:
            return np.asarray(picture)
        scaled = [self.resize if self.squash else self.resize * side // min(picture.size) for side in picture.size]
        left, top = (round((side - self.size) / 2) for side in scaled)
        if tuple(scaled) != picture.size:
            picture = picture.resize((scaled[0], scaled[1]), INTERPOLATIONS[str(self.interpolation)])
        return np.asarray(picture.crop((left, top, left + self.size, top + self.size)))

    def normalised(self, images: Tensor, dtype: torch.dtype, layout: torch.memory_format) -> Tensor:
        """uint8 (B, H, W, 3) -> (B, 3, H, W): (x / 255 - mean) / std."""
        values = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=layout)
        mean, std = (torch.tensor(each, device=images.device).view(1, 3, 1, 1) for each in (self.mean, self.std))
        return values.sub_(255 * mean).div_(255 * std).to(dtype)

    @property
    def words(self) -> str:
        """`224 px, crop share 0.875 (short side 256), bicubic, mean (…), std (…), from timm's …`."""
        channels = f"mean ({_listed(self.mean)}), std ({_listed(self.std)}), from {self.origin}"
        if self.size is None or self.resize is None:
            return f"images as they are, {channels}"
        share = self.crop_share or self.size / self.resize
        how = "both sides" if self.squash else "short side"
        return f"{self.size} px, crop share {share:.4g} ({how} {self.resize}), {self.interpolation}, {channels}"


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def prepared(asked: Mapping[str, Any] | str, data: HeldOut) -> Prepared:
    """What a suite asks for: a table, or the name of a configuration.

    Raises:
        MeasurementError: a name that there is none; a configuration that cannot be followed; `dataset` for a data set
            without statistics, or with images of several sizes.
    """
    if isinstance(asked, str):
        head, _, name = asked.partition(":")
        found = {"timm": of_timm, "torchvision": of_torchvision}[head](name) if name else _of_dataset(data)
    else:
        found = _stated(asked)
    if found.size is None and not isinstance(data.images, np.ndarray):
        raise MeasurementError(f"'{data.name}' has image files of any size: say to which size they are cut")
    return found


def _stated(table: Mapping[str, Any]) -> Prepared:
    size, share = table.get("size"), table.get("crop_share")
    resize = math.floor(size / share) if size and share else table.get("resize")
    mean, std = tuple(table["mean"]), tuple(table["std"])
    squash = table.get("mode") == "squash"
    return Prepared(size, resize, table.get("interpolation"), mean, std, squash, share)


def _of_dataset(data: HeldOut) -> Prepared:
    if data.statistics is None:
        raise MeasurementError(f"'{data.name}' has no channel statistics of its own: write mean and std")
    mean, std = data.statistics
    return Prepared(None, None, None, mean, std, origin=f"the statistics of {data.name}")


def of_timm(name: str) -> Prepared:
    """The configuration of a timm model or tag for testing, as timm's own validation takes it."""
    from timm.data.config import resolve_data_config

    config = timm_configuration(name)
    said = resolve_data_config(pretrained_cfg=config.to_dict(), use_test_size=True)  # type: ignore[no-untyped-call]
    _, height, width = said["input_size"]
    mode = said.get("crop_mode") or "center"
    if mode not in ("center", "squash") or height != width or said["interpolation"] not in INTERPOLATIONS:
        raise MeasurementError(
            f"timm cuts the images of '{name}' in a way that is not known here: {height} x {width}, {mode}, "
            f"{said['interpolation']}; write a table `preprocess`"
        )
    share = float(said["crop_pct"])
    return Prepared(
        height, math.floor(height / share), said["interpolation"], tuple(said["mean"]), tuple(said["std"]),
        mode == "squash", share, f"timm's configuration of {name}",
    )  # fmt: skip


def timm_configuration(name: str) -> Any:
    """What timm keeps of a model or tag. Raises MeasurementError with the nearest ones where there is none."""
    import timm

    try:
        config = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    except RuntimeError:  # an unknown tag of a known model
        config = None
    if config is None:
        raise MeasurementError(unknown_timm(name))
    return config


def unknown_timm(name: str) -> str:
    """The sentence for a tag that timm does not have."""
    import timm

    tags = timm.list_pretrained()
    known = [*tags, *timm.list_models()]
    close = difflib.get_close_matches(name, known, n=3)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    return (
        f"timm knows no '{name}'.{hint} timm.list_pretrained() names all {len(timm.list_pretrained()):,} with weights."
    )


def torchvision_weights(name: str) -> Any:
    """A member of one of torchvision's enums of weights, by its name. Raises MeasurementError with the nearest ones."""
    try:
        return torchvision.models.get_weight(name)
    except (ValueError, AttributeError, KeyError) as error:
        known = [
            str(each)
            for model in torchvision.models.list_models(module=torchvision.models)
            for each in torchvision.models.get_model_weights(model)
        ]
        raise MeasurementError(f"torchvision has no weights '{name}'.{near(name, known)[:400]}") from error


def of_torchvision(name: str) -> Prepared:
    """The transforms that torchvision keeps with weights."""
    found = torchvision_weights(name).transforms()
    try:
        (resize,), (size,) = found.resize_size, found.crop_size
        interpolation = found.interpolation.value
    except (AttributeError, TypeError, ValueError) as error:
        raise MeasurementError(f"torchvision's transforms of '{name}' are not known here: write a table") from error
    mean, std = tuple(found.mean), tuple(found.std)
    return Prepared(size, resize, interpolation, mean, std, origin=f"torchvision's transforms of {name}")

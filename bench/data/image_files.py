"""Image files of one split: decoded when they are asked for, in threads, as a centre square or as random windows.

Draws nothing at random and knows no data set; which windows to cut is told, and where the files lie too.
"""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data import colours, decoding
from bench.errors import DataCorrupt

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff"}  # as torchvision has them
INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Windows:
    """Random windows for B images, drawn before anything is known of the images' sizes.

    Each image has T tries, of which the first counts that fits into it: Szegedy et al. 2015, section 6, as
    torchvision's RandomResizedCrop has it.
    """

    area: np.ndarray  # float (B, T), share of the image
    aspect: np.ndarray  # float (B, T), width / height
    place: np.ndarray  # float (B, 2), 0..1: where among all places the window stands, down and right
    bicubic: np.ndarray  # bool (B,), else bilinear
    ratio: tuple[float, float]  # the bounds of `aspect`

    def box(self, row: int, width: int, height: int) -> tuple[int, int, int, int]:
        """The window of image `row`, which has this size: left, top, right, bottom in pixels."""
        for area, aspect in zip(self.area[row].tolist(), self.aspect[row].tolist(), strict=True):
            wide = round(math.sqrt(width * height * area * aspect))
            tall = round(math.sqrt(width * height * area / aspect))
            if 0 < wide <= width and 0 < tall <= height:
                down, right = self.place[row].tolist()
                # floor(u (n + 1)) is uniform over the n + 1 places.
                top, left = math.floor(down * (height - tall + 1)), math.floor(right * (width - wide + 1))
                return left, top, left + wide, top + tall
        return self._middle(width, height)

    def _middle(self, width: int, height: int) -> tuple[int, int, int, int]:
        """When no try fits: as much of the image's middle as the bounds of the aspect allow."""
        narrow, broad = self.ratio
        wide = min(width, round(height * broad)) if width / height > broad else width
        tall = min(height, round(width / narrow)) if width / height < narrow else height
        left, top = (width - wide) // 2, (height - tall) // 2
        return left, top, left + wide, top + tall


@dataclass(frozen=True)
class ImageFiles:
    """Image files that are decoded when asked for, to squares of `image_size`.

    By default the centre square: short side to `image_size` / `crop_share`, the usual 256 for 224, then the middle of
    it, antialiased and rounded as torchvision's Resize and CenterCrop. Images of every kind become RGB
    as `colours` says, and a rotation noted in EXIF is ignored, as torchvision's ImageFolder does.
    """

    paths: tuple[Path, ...]
    image_size: int
    crop_share: float = 7 / 8
    interpolation: str = "bilinear"  # or bicubic
    permutation: np.ndarray | None = None  # int64 (H * W,), where each pixel comes from

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, 3)"""
        return len(self), self.image_size, self.image_size, 3

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """rows int (B,) -> the centre squares, uint8 (B, H, W, 3). Raises DataCorrupt for a file that is no image."""
        return self._decoded([self.paths[row] for row in rows], None)

    def windows(self, rows: np.ndarray, windows: Windows) -> np.ndarray:
        """rows int (B,) and a window for each, cut from the original pixels -> uint8 (B, H, W, 3). Raises as above."""
        return self._decoded([self.paths[row] for row in rows], windows)

    def _decoded(self, paths: Sequence[Path], windows: Windows | None) -> np.ndarray:
        def one(index: int) -> np.ndarray:
            image = _rgb(paths[index])
            return np.asarray(self._centre(image) if windows is None else self._window(image, windows, index))

        images = np.stack(list(_pool().map(one, range(len(paths)))))
        return images if self.permutation is None else permute(images, self.permutation)

    def _centre(self, image: Image.Image) -> Image.Image:
        short = math.floor(self.image_size / self.crop_share)
        scaled = [short * side // min(image.size) for side in image.size]
        left, top = (round((side - self.image_size) / 2) for side in scaled)
        image = image.resize((scaled[0], scaled[1]), INTERPOLATIONS[self.interpolation])
        return image.crop((left, top, left + self.image_size, top + self.image_size))

    def _window(self, image: Image.Image, windows: Windows, row: int) -> Image.Image:
        kind = INTERPOLATIONS["bicubic" if windows.bicubic[row] else "bilinear"]
        # Cut first: a resize with a box would let pixels from outside the window in.
        return image.crop(windows.box(row, *image.size)).resize((self.image_size, self.image_size), kind)


_pools: dict[int, ThreadPoolExecutor] = {}  # of this process; one that was forked from another needs its own


def _pool() -> ThreadPoolExecutor:
    """As many threads as torch had at the first image; Pillow decodes outside the interpreter's lock."""
    import torch  # here, for whoever only asks what lies in a folder needs no torch

    if os.getpid() not in _pools:
        _pools.clear()
        _pools[os.getpid()] = ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="images")
    return _pools[os.getpid()]


def _rgb(path: Path) -> Image.Image:
    try:
        with Image.open(path) as file:
            return colours.rgb(file)
    except decoding.UNREADABLE as error:
        raise DataCorrupt(f"{path}: expected an image, found sha256 {decoding.file_hash(path)}: {error}") from error


def permute(images: np.ndarray, permutation: np.ndarray) -> np.ndarray:
    """Put pixel `permutation[i]` in place i of each image. images uint8 (N, H, W, 3), permutation int (H * W,)."""
    return images.reshape(len(images), -1, 3)[:, permutation].reshape(images.shape)

"""Weights as small pictures in a row's `detail`: packed where they are trained, unpacked where they are drawn.

Keeps eight bits of each number, enough for the eye and not for a checkpoint. Knows neither tensors nor figures.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STEPS = 127  # from zero to a tile's largest magnitude


@dataclass(frozen=True)
class Tiles:
    """Some units of one layer, each with its weights as a picture of `channels` x `height` x `width`, row by row."""

    channels: int
    height: int
    width: int
    of: int  # how many units the layer has; as many or fewer are here
    units: tuple[int, ...]  # which they are, counted from 0, in the order in which they should be shown
    largest: tuple[float, ...]  # the largest magnitude of each, which `STEPS` stands for
    steps: tuple[tuple[int, ...], ...]  # the weights of each, from -STEPS to STEPS


def pack(weights: Sequence[Sequence[float]], shape: tuple[int, int, int], units: Sequence[int], of: int) -> str:
    """Finite weights of some units as one line of text.

    Args:
        weights: for each unit, channels * height * width numbers.
        shape: channels, height, width.
        units: the number of each unit in its layer, which has `of` of them.
    """
    largest = [max((abs(value) for value in tile), default=0.0) for tile in weights]
    steps = [
        round(STEPS * value / most) if most else 0
        for tile, most in zip(weights, largest, strict=True)
        for value in tile
    ]
    return json.dumps(
        {
            "shape": list(shape),
            "of": of,
            "units": list(units),
            "largest": [float(f"{most:.4g}") for most in largest],
            "steps": base64.b64encode(bytes(step % 256 for step in steps)).decode(),
        },
        separators=(",", ":"),
    )


def unpack(text: str) -> Tiles:
    """What `pack` made.

    Raises:
        ValueError: the text is something else.
    """
    try:
        found = json.loads(text)
        channels, height, width = found["shape"]
        raw = base64.b64decode(found["steps"], validate=True)
        units, largest = tuple(found["units"]), tuple(found["largest"])
        of = int(found["of"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no tiles of weights: {text[:60]!r}") from error
    size = channels * height * width
    if len(raw) != size * len(units) or len(largest) != len(units):
        raise ValueError(f"{len(raw)} weights are not {len(units)} tiles of {channels} x {height} x {width}")
    signed = [value - 256 if value > STEPS else value for value in raw]
    steps = tuple(tuple(signed[size * number : size * (number + 1)]) for number in range(len(units)))
    return Tiles(channels, height, width, of, units, largest, steps)


def packed_bits(flags: Iterable[bool]) -> str:
    """Yes and no in an order, such as which test images were right, as text: `10000:` and base64 of eight a byte."""
    known = list(flags)
    number = int("".join("1" if flag else "0" for flag in known) or "0", 2)
    return f"{len(known)}:{base64.b64encode(number.to_bytes(-(-len(known) // 8), 'big')).decode()}"


def unpacked_bits(text: str) -> list[bool]:
    """What `packed_bits` was given. Raises ValueError where the text is not of its making."""
    count, _, coded = text.partition(":")
    digits = f"{int.from_bytes(base64.b64decode(coded, validate=True), 'big'):0{int(count)}b}"
    if int(count) and len(digits) != int(count):
        raise ValueError(f"{len(digits)} bits where {count} were announced")
    return [digit == "1" for digit in digits[: int(count)]]

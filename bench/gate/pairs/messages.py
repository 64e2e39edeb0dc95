"""What the tool and a worker say to each other: one JSON object per line, each of one of these shapes.

Holds shapes alone, so that the worker, which is run as a file, needs none of it when it runs.
"""

from typing import Any, TypedDict


class Where(TypedDict):
    """Whose state a tree is, and where its code is imported from; places are relative to the tree's root."""

    repository: str
    roots: list[str]
    named: dict[str, str]
    name: str | None


class PairJob(TypedDict):
    """What a worker is to build, and how it is run. `origin` is None for a tree that is no state of a repository."""

    tree: str
    origin: Where | None
    plugins: list[str]
    factory: str
    args: dict[str, Any]
    num_classes: int
    image_size: int
    batch_size: int
    threads: int
    precision: str
    layout: str
    device: str
    inject_pct: float
    build_only: bool
    cores: list[int]
    padding_bytes: int


class ForwardCounts(TypedDict):
    """What a built model has, to the digit."""

    params: int
    trainable: int
    buffers: int


class Ready(TypedDict):
    """A worker's answer to its job."""

    warm_up_faults: list[int]
    forward_s: float
    torch: str
    cores: list[int]
    counts: ForwardCounts


class Token(TypedDict):
    """A worker's answer to `{"forwards": n}`: seconds of that many forward passes; no CPU seconds on CUDA."""

    wall_s: float
    cpu_s: float | None
    faults: int

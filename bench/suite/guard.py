"""What `bench check` guards, and when a change of speed counts.

Compares nothing.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from bench.suite.fields import Layout, Text
from bench.suite.recipe import Precision
from bench.suite.table import Table


class Guard(Table):
    """One configuration that `bench check` guards: a model's counts exactly and, unless told not to, its speed."""

    model: str
    why: Text
    batch_size: Annotated[int, Field(ge=1)] = 64
    threads: Annotated[int, Field(ge=1)] = 1
    precision: Precision = "float32"
    layout: Layout = "contiguous"
    throughput: bool = True


class Rule(Table):
    """When a change of speed counts: how many rounds are looked at, how small a change is tolerated, how sure to be.

    A round is a fresh pair of processes, one per side; its value is the log of candidate time / baseline time.
    """

    why: Text
    tolerated_pct: Annotated[float, Field(ge=0, lt=100)] = 1.0
    min_effect_pct: Annotated[float, Field(gt=0, lt=100)] = 2.5
    looks: Annotated[list[Annotated[int, Field(ge=6, le=50)]], Field(min_length=3, max_length=3)] = [6, 10, 20]
    confirm: Annotated[int, Field(ge=6, le=50)] = 10
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.01

    def problems(self) -> Iterator[str]:
        """Why it could not be followed: looks that do not rise, effects the wrong way round, an alpha out of reach."""
        first, second, third = self.looks
        if not first < second < third:
            yield f"[rule]: looks must rise, such as [6, 10, 20], not {self.looks}"
        if self.tolerated_pct >= self.min_effect_pct:
            yield f"[rule]: tolerated_pct {self.tolerated_pct:g} must lie below min_effect_pct {self.min_effect_pct:g}"
        if 0.5**second > self.alpha:
            yield f"[rule]: alpha {self.alpha:g} is out of reach of {second} rounds: their least p is {0.5**second:.2g}"

"""What a suite may say of one claim: its checks, each with the band in which a measured value makes it true.

Judges nothing; whether its expressions fit the suite is `references.py`'s work.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from bench.suite.fields import Text, Unit, rising
from bench.suite.notation import PrintedText, filled
from bench.suite.table import Table

Kind = Literal["recount", "arithmetic", "retrain", "speed", "cost", "ordering", "structure", "open"]
# The same images and the same weights, to the printed digit; or what other images of the same kind would give.
Sampling = Literal["exact", "new images"]


class Check(Table):
    """One thing a claim says, and the band in which the measured value makes it true.

    `measured` is an expression over quantities. The band is `published ± tolerance`, or what `above`, `below` or
    `between` say. `follows` is an expression over published numbers that must give `published` again.
    """

    says: Text
    kind: Kind
    published: float | None = None
    unit: Unit | None = None
    printed: PrintedText | None = None  # the number as its source prints it; says published, unit and tolerance
    follows: str | None = None
    measured: str | None = None
    tolerance: Annotated[float, Field(ge=0)] | None = None
    above: float | None = None
    below: float | None = None
    between: Annotated[list[float], Field(min_length=2, max_length=2), AfterValidator(rising)] | None = None
    tolerance_why: str | None = None
    min_seeds: Annotated[int, Field(ge=1)] | None = None
    sampling: Sampling | None = None  # what the interval of an accuracy is for; `exact` where nothing is trained
    hardware: str | None = None  # pattern of device names on which a speed counts
    unavailable: str | None = None  # why it cannot be measured at all, in words

    @model_validator(mode="before")
    @classmethod
    def _as_printed(cls, raw: Any) -> Any:
        return filled(raw, "published")


class Claim(Check):
    """A number or statement of a source, with the place where it stands. `also` holds what else it says."""

    source: Text
    where: Text
    quote: str | None = None
    also: list[Check] = []
    compare: list[str] = []  # claims of other sources about the same thing, shown together
    note: str | None = None
    group: str | None = None  # under which a report counts it with others; a claim table gives its own
    main: bool = False  # whether it is what the suite's question is about: told first

    @property
    def checks(self) -> list[Check]:
        """What the claim says, the main thing first."""
        return [self, *self.also]

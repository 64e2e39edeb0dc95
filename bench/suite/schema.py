"""What a suite file may say: sources, models, recipes, measures, profiles, quantities, curves and claims.

Only shapes and their meaning stand here; reading a file is `read.py`'s work, what fits together `references.py`'s.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, WithJsonSchema

from bench.errors import UsageError, near
from bench.records import units
from bench.records.metrics import METRICS, UNITS
from bench.suite.arguments import OfDataset, OfMeasure, OfModel
from bench.suite.recipe import Changes, Precision, Recipe
from bench.suite.table import Table, shown

Kind = Literal["recount", "arithmetic", "retrain", "speed", "cost", "ordering", "structure", "open"]
SourceKind = Literal["paper", "report", "code", "summary", "notebook", "logs"]
Layout = Literal["contiguous", "channels_last"]


def _metric(name: str) -> str:
    """Checked when a suite is read, not when this file is: a plug-in may have added a metric by then."""
    if name not in METRICS:
        raise ValueError(f"no metric '{name}'.{near(name, sorted(METRICS))}")
    return name


def _unit(name: str) -> str:
    """A known unit or a quotient of known ones; `units.of` has the words for any other."""
    try:
        units.of(name)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return name


MetricName = Annotated[str, AfterValidator(_metric), WithJsonSchema({"type": "string", "examples": sorted(METRICS)})]
Unit = Annotated[str, AfterValidator(_unit), WithJsonSchema({"type": "string", "examples": list(UNITS)})]
Key = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]


Size = Annotated[int, Field(ge=1, le=65_536)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Seeds = Annotated[int, Field(ge=1, le=1_000)]


def _each_once(seeds: list[int]) -> list[int]:
    if twice := [seed for seed in dict.fromkeys(seeds) if seeds.count(seed) > 1]:
        raise ValueError(f"{twice[0]} is there twice")
    return seeds


def _shape(value: Any) -> str:
    return "<list>" if isinstance(value, (list, tuple)) else "<one>"


SeedList = Annotated[list[Seed], Field(min_length=1, max_length=1_000), AfterValidator(_each_once)]


class Source(Table):
    """Where numbers were published. Every claim names one."""

    title: Text
    kind: SourceKind
    authors: str | None = None
    year: int | None = None
    url: str | None = None
    note: str | None = None


class Model(Table):
    """A registered factory with its arguments. `deviations` says in words where it departs from what it stands for."""

    factory: Text
    label: Text
    args: OfModel = {}
    num_classes: Size = 1000
    image_size: Size = 224
    deviations: str | None = None


class DatasetTable(Table):
    """A registered data set with its arguments."""

    name: Text
    label: Text
    classes: Annotated[int, Field(ge=2, le=65_536)]
    args: OfDataset = {}


class Training(Table):
    """A recipe with its name and where it was published."""

    label: Text
    source: Text | None = None
    settings: Recipe
    deviations: str | None = None


class MeasureTable(Table):
    """What to measure of which models. The table's key opens the names of its cases."""

    measure: Text | None = None  # the registered measure; the key itself when left out
    models: Annotated[list[str], Field(min_length=1)]  # keys or patterns such as "hybrid_*"
    versus: str | None = None  # a model key, for measures that compare side by side
    datasets: list[str] = []
    recipes: list[str] = []
    # A number of them, or which; where a measure has no recipe, only those that are written here.
    seeds: Annotated[Annotated[Seeds, Tag("<one>")] | Annotated[SeedList, Tag("<list>")], Discriminator(_shape)] = 1
    batch_sizes: list[Annotated[int, Field(ge=1, le=1_000_000)]] = []
    image_sizes: list[Size] = []
    precision: Precision = "float32"
    layout: Layout = "contiguous"
    compiled: bool = False
    time_limit_s: Annotated[float, Field(gt=0)] | None = None  # of each of its cases, before it is ended
    options: OfMeasure = {}


class Profile(Table):
    """How much to measure. A reduced profile's rows never decide a claim that asks for more than they give."""

    label: Text
    reduced: bool
    default: bool = False
    note: str | None = None
    skip: list[str] = []  # keys of measures
    seeds: Seeds | None = None
    datasets: dict[str, str] = {}  # data set -> the one used in its place
    recipe: Changes = Field(default_factory=Changes)  # settings that replace those of every recipe


def _rising(pair: list[Any]) -> list[Any]:
    if pair[0] > pair[1]:
        raise ValueError(f"the lower end comes first, not {pair}")
    return pair


Slice = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2), AfterValidator(_rising)]
At = Annotated[
    Annotated[Literal["last", "best", "all"], Tag("<one>")] | Annotated[Slice, Tag("<list>")], Discriminator(_shape)
]


class Quantity(Table):
    """A named number: a constant with its unit and source, or a metric of the cases that the other keys select."""

    value: float | None = None
    unit: Unit | None = None
    source: str | None = None
    where: str | None = None
    metric: MetricName | None = None
    measure: str | None = None
    model: str | None = None
    dataset: str | None = None
    recipe: str | None = None
    batch_size: int | None = None
    image_size: int | None = None
    part: str | None = None
    at: At = "last"


def _texts_and_numbers(where: dict[str, Any]) -> dict[str, Any]:
    for key, value in where.items():
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise ValueError(f"{key}: text or a whole number is needed (found {shown(value)})")
    return where


class Curve(Table):
    """A published curve: columns of a CSV file, drawn in grey behind the measured one."""

    file: Text
    metric: MetricName
    model: str
    dataset: str
    source: str
    label: Text
    column: Text
    where: Annotated[dict[str, Any], AfterValidator(_texts_and_numbers)] = {}
    first_epoch: int = 1  # what the file calls the first epoch


class TrainingCost(Table):
    """One training whose hours and money the report works out on every device of `bench.cost`."""

    model: str
    images: Annotated[int, Field(ge=1)]  # per epoch
    epochs: Annotated[int, Field(ge=1)]
    label: Text
    recipe: str | None = None
    dataset: str | None = None
    published_device: str | None = None
    published_epoch_s: Annotated[float, Field(gt=0)] | None = None
    source: str | None = None
    where: str | None = None


class Column(Table):
    """A column of a source's table: a device of `bench.cost`, or, without one, a count of operations."""

    label: Text
    device: str | None = None


class PrintedRow(Table):
    """A line of a source's table: the check behind each cell, or a training that is counted and priced in full."""

    group: Text
    label: Text
    checks: list[str] = []  # one per column: "C3", "C3.2" for its second `also`, "" where nothing is printed
    training: str | None = None  # a key of `costs`


class Printed(Table):
    """A table of a source, which the report shows with each published number beside the one that comes out here."""

    title: Text
    source: str
    where: Text
    note: str | None = None
    columns: Annotated[list[Column], Field(min_length=1)]
    rows: Annotated[list[PrintedRow], Field(min_length=1)]


class Check(Table):
    """One thing a claim says, and the band in which the measured value makes it true.

    `measured` is an expression over quantities. The band is `published ± tolerance`, or what `above`, `below` or
    `between` say. `follows` is an expression over published numbers that must give `published` again.
    """

    says: Text
    kind: Kind
    published: float | None = None
    unit: Unit | None = None
    follows: str | None = None
    measured: str | None = None
    tolerance: Annotated[float, Field(ge=0)] | None = None
    above: float | None = None
    below: float | None = None
    between: Annotated[list[float], Field(min_length=2, max_length=2), AfterValidator(_rising)] | None = None
    tolerance_why: str | None = None
    min_seeds: Annotated[int, Field(ge=1)] | None = None
    hardware: str | None = None  # pattern of device names on which a speed counts
    unavailable: str | None = None  # why it cannot be measured at all, in words


class Claim(Check):
    """A number or statement of a source, with the place where it stands. `also` holds what else it says."""

    source: Text
    where: Text
    quote: str | None = None
    also: list[Check] = []
    compare: list[str] = []  # claims of other sources about the same thing, shown together
    note: str | None = None

    @property
    def checks(self) -> list[Check]:
        """What the claim says, the main thing first."""
        return [self, *self.also]


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


class Suite(Table):
    """One question, the claims that answer it and how to measure them, or the configurations that a check guards."""

    schema_version: Literal[1] = Field(alias="schema")
    id: Key
    question: Text
    summary: Text
    plugins: list[str] = []
    sources: dict[Key, Source] = {}
    models: dict[Key, Model] = {}
    datasets: dict[Key, DatasetTable] = {}
    recipes: dict[Key, Training] = {}
    measures: dict[Key, MeasureTable] = {}
    profiles: dict[Key, Profile] = {}
    quantities: dict[Key, Quantity] = {}
    curves: dict[Key, Curve] = {}
    costs: dict[Key, TrainingCost] = {}
    tables: dict[Key, Printed] = {}
    claims: dict[Key, Claim] = {}
    rule: Rule | None = None
    guards: dict[Key, Guard] = {}

    @property
    def default_profile(self) -> str:
        """The profile that is used when none is named; empty in a suite that measures nothing."""
        chosen = [key for key, profile in self.profiles.items() if profile.default]
        return (chosen or list(self.profiles) or [""])[0]

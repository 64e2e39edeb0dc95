"""What a suite file may say: sources, models, recipes, measures, profiles, quantities, curves and claims.

Only shapes and their meaning stand here; reading a file is `read.py`'s work, what fits together `references.py`'s.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from bench.suite.answer import Reply
from bench.suite.arguments import OfDataset, OfMeasure, OfModel
from bench.suite.claim import Claim
from bench.suite.claim_tables import ClaimTable
from bench.suite.command import CommandKeys, Value
from bench.suite.exhibits import Curve, Printed, TrainingCost
from bench.suite.fields import Key, Layout, MetricName, SeedList, Seeds, Size, Slice, Text, Unit, shape_of
from bench.suite.guard import Guard, Rule
from bench.suite.metrics_of import MetricTable
from bench.suite.notation import PrintedText, filled
from bench.suite.recipe import Changes, Precision, Recipe
from bench.suite.table import Table
from bench.suite.weights import WeightsTable

SourceKind = Literal["paper", "report", "code", "summary", "notebook", "logs"]


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

    factory: str = ""  # what a command runs needs none: there a model is a name, and its args are for `run`
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


class MeasureTable(CommandKeys):
    """What to measure of which models. The table's key opens the names of its cases."""

    measure: Text | None = None  # the registered measure; the key itself when left out
    models: Annotated[list[str], Field(min_length=1)]  # keys or patterns such as "hybrid_*"
    versus: str | None = None  # a model key, for measures that compare side by side
    datasets: list[str] = []
    recipes: list[str] = []
    weights: list[str] = []  # keys or patterns; for `evaluate` all that its models have when left out
    # A number of them, or which; where a measure has no recipe, only those that are written here.
    seeds: Annotated[Annotated[Seeds, Tag("<one>")] | Annotated[SeedList, Tag("<list>")], Discriminator(shape_of)] = 1
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
    values: dict[Key, Value] = {}  # of commands, in place of their own
    recipe: Changes = Field(default_factory=Changes)  # settings that replace those of every recipe


At = Annotated[
    Annotated[Literal["last", "best", "all"], Tag("<one>")] | Annotated[Slice, Tag("<list>")], Discriminator(shape_of)
]


class Quantity(Table):
    """A named number: a constant with its unit and source, or a metric of the cases that the other keys select."""

    value: float | None = None
    unit: Unit | None = None
    printed: PrintedText | None = None  # a constant as its source prints it; says value and unit
    source: str | None = None
    where: str | None = None
    metric: MetricName | None = None
    measure: str | None = None
    model: str | None = None
    dataset: str | None = None
    recipe: str | None = None
    weights: str | None = None
    batch_size: int | None = None
    image_size: int | None = None
    part: str | None = None
    at: At = "last"

    @model_validator(mode="before")
    @classmethod
    def _as_printed(cls, raw: Any) -> Any:
        return filled(raw, "value")


class Suite(Table):
    """One question, the claims that answer it and how to measure them, or the configurations that a check guards."""

    schema_version: Literal[1] = Field(alias="schema")
    id: Key
    question: Text
    summary: Text
    plugins: list[str] = []
    sources: dict[Key, Source] = {}
    metrics: dict[Key, MetricTable] = {}
    models: dict[Key, Model] = {}
    weights: dict[Key, WeightsTable] = {}
    datasets: dict[Key, DatasetTable] = {}
    recipes: dict[Key, Training] = {}
    measures: dict[Key, MeasureTable] = {}
    profiles: dict[Key, Profile] = {}
    quantities: dict[Key, Quantity] = {}
    curves: dict[Key, Curve] = {}
    costs: dict[Key, TrainingCost] = {}
    tables: dict[Key, Printed] = {}
    claims: dict[Key, Claim] = {}
    claim_tables: dict[Key, ClaimTable] = {}
    answer: list[Reply] = []  # to the question, by how the verdicts come out; the first that fits is told
    rule: Rule | None = None
    guards: dict[Key, Guard] = {}

    @property
    def default_profile(self) -> str:
        """The profile that is used when none is named; empty in a suite that measures nothing."""
        chosen = [key for key, profile in self.profiles.items() if profile.default]
        return (chosen or list(self.profiles) or [""])[0]

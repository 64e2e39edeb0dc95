"""What a training recipe may say: `Recipe`, its schedules and augmentations, each key with its default and meaning.

Trains nothing and imports no torch: a suite is checked against these tables long before a tensor exists.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)
from pydantic_core import PydanticCustomError

from bench.errors import UsageError
from bench.suite.table import Table, problems_of

Precision = Literal["float32", "bfloat16", "float16"]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]  # at 1 a moving average never forgets, and torch refuses it
# TOML has lists alone; they become tuples, so that a recipe is frozen and can be hashed.
Pair = Annotated[tuple[BelowOne, BelowOne], Field(strict=False)]
Colour = Annotated[tuple[Share, Share, Share], Field(strict=False)]
Spread = Annotated[tuple[Positive, Positive, Positive], Field(strict=False)]
Point = Annotated[tuple[Share, NotNegative], Field(strict=False)]


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"the lower end comes first, not {list(pair)}")
    return pair


def _from_start_to_end(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    at = [fraction for fraction, _ in points]
    if at != sorted(set(at)) or at[0] != 0 or at[-1] != 1:
        first = ", ".join(f"{fraction:g}" for fraction in at[:8]) + (", …" if len(at) > 8 else "")
        raise ValueError(f"the fractions must rise from 0 to 1, not [{first}]")
    if not any(rate for _, rate in points):
        raise ValueError("one of the learning rates must be above 0")
    return points


Range = Annotated[tuple[Positive, Positive], Field(strict=False), AfterValidator(_rising)]
ShareRange = Annotated[tuple[PositiveShare, PositiveShare], Field(strict=False), AfterValidator(_rising)]
AnyShareRange = Annotated[tuple[Share, Share], Field(strict=False), AfterValidator(_rising)]
Points = Annotated[tuple[Point, ...], Field(strict=False, min_length=2), AfterValidator(_from_start_to_end)]


# Schedules


class _Schedule(Table):
    step: Literal["batch", "epoch"] = Field(default="epoch", description="How often the schedule moves.")
    warmup_epochs: Annotated[float, Field(ge=0, le=100_000)] = Field(
        default=0.0,
        description="Epochs in which the rate first rises in a straight line from 0; the schedule begins after.",
    )


class Constant(_Schedule):
    """The same learning rate throughout."""

    name: Literal["constant"] = "constant"


class Cosine(_Schedule):
    """Half a cosine from `lr` to `eta_min` (Loshchilov & Hutter 2017, equation 5 without restarts)."""

    name: Literal["cosine"]
    t_max: Annotated[int, Field(ge=1, le=10**9)] | None = Field(
        None, description="Steps from the peak to the bottom; left out: the whole training after the warm-up."
    )
    eta_min: NotNegative = Field(0.0, description="The learning rate at the bottom.")


class Piecewise(_Schedule):
    """Straight lines between points."""

    name: Literal["piecewise"]
    points: Points = Field(description="[fraction of the training, learning rate], from fraction 0 to 1.")


class OneCycle(_Schedule):
    """Up and down again, both as half a cosine: torch's OneCycleLR with two phases, the momentum left alone."""

    name: Literal["onecycle"]
    pct_start: PositiveShare = Field(0.3, description="Share of the steps in which the rate rises.")
    div_factor: Positive = Field(25.0, description="The first rate is lr / div_factor.")
    final_div_factor: Positive = Field(1e4, description="The last rate is the first one / final_div_factor.")


Schedule = Annotated[Constant | Cosine | Piecewise | OneCycle, Field(discriminator="name")]


# Augmentations: torchvision's defaults stand where the published code leaves a value out.


class ResizedCrop(Table):
    """A window of random area and aspect, cut from image files as they are decoded. Must come first."""

    name: Literal["resized_crop"]
    scale: ShareRange = Field((0.08, 1.0), description="Share of the image's area that is cut out, from and to.")
    ratio: Range = Field((3 / 4, 4 / 3), description="Width / height of the window, from and to.")
    interpolation: Literal["bilinear", "bicubic", "random"] = Field(
        "bilinear", description="How the window is resized; `random` draws one of the two for each image."
    )


class Flip(Table):
    """Left and right changed over."""

    name: Literal["flip"]
    p: Share = Field(0.5, description="Share of images that are flipped.")


class Crop(Table):
    """A shift by whole pixels, up to `padding` in each direction; what comes in is black."""

    name: Literal["crop"]
    padding: Annotated[int, Field(ge=1, le=64)] = Field(4, description="Pixels of the largest shift.")


class Rotation(Table):
    """A rotation by a random angle to either side."""

    name: Literal["rotation"]
    degrees: Annotated[float, Field(ge=0, le=180)] = Field(description="The largest angle.")


class ColorJitter(Table):
    """Brightness, contrast, saturation and hue changed in random order."""

    name: Literal["color_jitter"]
    brightness: NotNegative = Field(0.0, description="The factor is drawn from 1 - brightness to 1 + brightness.")
    contrast: NotNegative = Field(0.0, description="The factor is drawn from 1 - contrast to 1 + contrast.")
    saturation: NotNegative = Field(0.0, description="The factor is drawn from 1 - saturation to 1 + saturation.")
    hue: Annotated[float, Field(ge=0, le=0.5)] = Field(0.0, description="Largest turn, as a share of the whole circle.")


class RandAugment(Table):
    """`n` of torchvision's fourteen operations one after the other (Cubuk et al. 2019)."""

    name: Literal["rand_augment"]
    n: Annotated[int, Field(ge=1, le=16)] = Field(2, description="Operations for each image.")
    m: Annotated[int, Field(ge=0, le=30)] = Field(9, description="Magnitude of each.")


class Erasing(Table):
    """A random box set to the mean colour (Zhong et al. 2017). Acts on the normalised image, so it must come last."""

    name: Literal["erasing"]
    p: Share = Field(0.5, description="Share of images with a box.")
    scale: AnyShareRange = Field((0.02, 0.33), description="Share of the image's area, from and to.")
    ratio: Range = Field((0.3, 3.3), description="Height / width of the box, from and to.")


Augmentation = Annotated[
    ResizedCrop | Flip | Crop | Rotation | ColorJitter | RandAugment | Erasing, Field(discriminator="name")
]


def _in_order(augment: tuple[Any, ...]) -> tuple[Any, ...]:
    names = [part.name for part in augment]
    problems = []
    if "erasing" in names[:-1]:
        problems.append("'erasing' acts on the normalised image and must be the last entry")
    if "resized_crop" in names[1:]:
        problems.append("'resized_crop' cuts files as they are decoded and must be the first entry")
    if problems:
        raise ValueError("\n".join(problems))
    return augment


Augment = Annotated[tuple[Augmentation, ...], Field(strict=False), AfterValidator(_in_order)]


# The recipe


class Statistics(Table):
    """Mean and standard deviation of each colour, in 0..1."""

    mean: Colour = Field(description="Mean of red, green and blue.")
    std: Spread = Field(description="Standard deviation of red, green and blue.")


def _kind(value: Any) -> str:
    return "<table>" if isinstance(value, (Mapping, Statistics)) else "<word>"


Normalize = Annotated[
    Annotated[Literal["dataset"], Tag("<word>")] | Annotated[Statistics, Tag("<table>")], Discriminator(_kind)
]


class Recipe(Table):
    """How a model is trained. Every key of a suite's recipe table, checked, with defaults filled in."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = Field(description="Passes through the training images.")
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = Field(description="Images of one update.")
    optimizer: Literal["adamw", "adam", "sgd"] = Field(description="Which of torch's optimisers.")
    schedule: Schedule = Field(default_factory=lambda: Constant(), description="How the learning rate changes.")
    lr: Positive = Field(
        default_factory=lambda: None,
        validate_default=True,
        description="The highest learning rate; left out only where the points of a piecewise schedule say it.",
    )
    weight_decay: NotNegative = Field(0.0, description="Decay of all weights: decoupled in adamw, else L2.")
    betas: Pair = Field((0.9, 0.999), description="Of adamw and adam; sgd has none.")
    eps: Positive = Field(1e-8, description="Of adamw and adam; sgd has none.")
    momentum: BelowOne = Field(0.9, description="Of sgd; the others have none.")
    augment: Augment = Field((), description="What is done to training images, in this order.")
    normalize: Normalize = Field("dataset", description="`dataset` for its own statistics, or a table of mean and std.")
    label_smoothing: Share = Field(0.0, description="Share of the target spread over all classes.")
    clip_norm: Positive | None = Field(None, description="Largest norm of the whole gradient; left out: any.")
    mixup: NotNegative = Field(0.0, description="alpha of mixup's Beta distribution; 0 is off.")
    cutmix: NotNegative = Field(0.0, description="alpha of CutMix's Beta distribution; 0 is off.")
    precision: Precision = Field("float32", description="In which forward and backward passes are computed.")
    selection: Literal["last", "best"] = Field(
        "last", description="Which epoch the source reports; both are always measured."
    )
    drop_last: bool = Field(False, description="Whether a last batch that is not full is left out.")

    @field_validator("lr", mode="before")
    @classmethod
    def _implied(cls, lr: Any, info: ValidationInfo) -> Any:
        """The rate that piecewise points imply. A schedule that was refused has been told already."""
        schedule = info.data.get("schedule")
        if lr is not None:
            return lr
        if isinstance(schedule, Piecewise):
            return max(rate for _, rate in schedule.points)
        if schedule is None:
            return 1.0
        raise PydanticCustomError("missing", "Field required")

    @field_validator("lr", mode="after")
    @classmethod
    def _of_points(cls, lr: float, info: ValidationInfo) -> float:
        """Two different peaks are a contradiction; two spellings of one are not."""
        schedule = info.data.get("schedule")
        if not isinstance(schedule, Piecewise):
            return lr
        peak = max(rate for _, rate in schedule.points)
        if not math.isclose(lr, peak):
            raise ValueError(f"{lr:g} is not the highest of the schedule's points, which is {peak:g}")
        return peak

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], where: str = "recipe") -> "Recipe":
        """Check a recipe as a suite has it.

        Args:
            mapping: the table.
            where: how messages name the table, such as `suites/x.toml [recipes.as_run]`.

        Raises:
            UsageError: with every problem found, one a line.
        """
        try:
            return cls.model_validate(dict(mapping))
        except ValidationError as error:
            lines = [problem.below(where) for problem in problems_of(error, cls)]
            raise UsageError("\n".join(lines)) from error

    def changed(self, changes: "Changes", where: str = "recipe") -> "Recipe":
        """The recipe with the keys that a profile writes in place of its own. Raises UsageError as `from_mapping`."""
        if not (written := changes.model_fields_set):
            return self
        replaced = {key: getattr(changes, key) for key in written}
        # A rate that followed from the points follows from the new ones; only what was written is kept.
        return self.from_mapping({**{key: getattr(self, key) for key in self.model_fields_set}, **replaced}, where)

    def canonical(self) -> dict[str, Any]:
        """The training itself as JSON has it: equal trainings are equal here, however they were written.

        Defaults are filled in. What cannot change the answer is left out: keys of other optimisers, how often a
        constant moves, and `selection`, for both epochs are always measured.
        """
        found = self.model_dump(mode="json")
        schedule = found["schedule"]
        idle = ("betas", "eps") if self.optimizer == "sgd" else ("momentum",)
        for key in ("selection", *idle):
            del found[key]
        if isinstance(self.schedule, Constant):
            del schedule["step"]
        if isinstance(self.schedule, Cosine) and self.schedule.t_max is None and self.schedule.step == "epoch":
            after = self.epochs - self.schedule.warmup_epochs
            schedule["t_max"] = max(int(after), 1) if after.is_integer() else None
        return found


class _Changes(Table):
    """Keys that replace those of every recipe of the suite. Which are written is `model_fields_set`."""


if TYPE_CHECKING:

    class Changes(_Changes):
        """Every key of a recipe, none of which has to be there."""

else:
    _HINTS = get_type_hints(Recipe, include_extras=True)
    Changes = create_model(
        "Changes",
        __base__=_Changes,
        __module__=__name__,
        **{
            name: (_HINTS[name], Field(default_factory=lambda: None, description=field.description))
            for name, field in Recipe.model_fields.items()
        },
    )

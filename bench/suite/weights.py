"""Published weights in a suite: `[weights.x]` says for which model, where they come from and how images are prepared.

Loads and downloads nothing; of a file beside the suite it works out the digest, which is what weights are known by.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from bench.errors import near
from bench.source import remembered
from bench.suite.fields import Size, Text
from bench.suite.table import Table

SOURCES = ("file", "timm", "torchvision", "url")
CONFIGURED = ("timm", "torchvision")  # whose names carry a configuration of their own
Share = Annotated[float, Field(gt=0, le=1)]
Channels = Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=3, max_length=3)]
Spread = Annotated[list[Annotated[float, Field(gt=0, le=10)]], Field(min_length=3, max_length=3)]


class Preparation(Table):
    """How an image becomes what the model takes: the short side is scaled, the middle cut out, channels normalised.

    Without `size` the images of the data set are taken as they are, and only normalised.
    """

    size: Annotated[Size | None, Field(description="Side of the square that is cut out, in pixels.")] = None
    resize: Annotated[Size | None, Field(description="Short side before the cut; or say `crop_share`.")] = None
    crop_share: Annotated[Share | None, Field(description="`size` over the short side before the cut.")] = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"] | None = None
    mode: Annotated[
        Literal["center", "squash"], Field(description="`squash` scales both sides, whatever the image's own shape.")
    ] = "center"
    mean: Annotated[Channels, Field(description="Of red, green and blue, 0 to 1.")]
    std: Annotated[Spread, Field(description="Of red, green and blue, 0 to 1.")]

    @model_validator(mode="after")
    def _whole(self) -> "Preparation":
        if self.size is None:
            if given := [key for key in ("resize", "crop_share", "interpolation") if getattr(self, key) is not None]:
                raise ValueError(f"{' and '.join(given)}: needs 'size', the side of the square that is cut out")
            return self
        if (self.resize is None) == (self.crop_share is None):
            raise ValueError("'size' needs either 'crop_share' or 'resize', the short side before the cut")
        if self.interpolation is None:
            raise ValueError("'size' needs 'interpolation', such as \"bicubic\"")
        if self.resize is not None and self.resize < self.size:
            raise ValueError(f"resize: {self.resize} is less than the size that is cut out, {self.size}")
        return self


def _form(value: Any) -> str:
    return "<name>" if isinstance(value, str) else "<table>"


_Prepared = Annotated[Annotated[Text, Tag("<name>")] | Annotated[Preparation, Tag("<table>")], Discriminator(_form)]


class WeightsTable(Table):
    """Trained weights of one model: a file, a timm tag, a torchvision enum or a URL with its digest."""

    model: Annotated[Text, Field(description="The key of the model that they belong to.")]
    file: Annotated[Text | None, Field(description="Beside the suite: .safetensors, or a state_dict of torch.")] = None
    timm: Annotated[Text | None, Field(description="A tag, such as `resnet50.a1_in1k`.")] = None
    torchvision: Annotated[Text | None, Field(description="Such as `ResNet50_Weights.IMAGENET1K_V2`.")] = None
    url: Annotated[str | None, Field(pattern=r"^https?://", description="Needs `sha256`.")] = None
    sha256: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$", description="Of the file; it is checked.")] = None
    entry: Annotated[Text | None, Field(description="Which state_dict, where a file holds several.")] = None
    strip: Annotated[Text | None, Field(description="What stands before the name of every weight, `backbone.`")] = None
    preprocess: Annotated[
        _Prepared | None,
        Field(
            description="A table; `timm:NAME` or `torchvision:ENUM` for the configuration of that name; or `dataset`, "
            "which normalises by the statistics of the data set. Of a tag and an enum it is their own when left out."
        ),
    ] = None
    source: Text | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "WeightsTable":
        given = [key for key in SOURCES if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"one of {', '.join(SOURCES)} is needed{f', not {len(given)}' if given else ''}")
        if self.url is not None and self.sha256 is None:
            raise ValueError("'url' needs 'sha256', for what an address gives may change")
        if self.preprocess is None and given[0] not in CONFIGURED:
            ways = "a table, `timm:NAME`, `torchvision:ENUM` or `dataset`"
            raise ValueError(f"key 'preprocess' is missing: a file does not say how images are prepared; {ways}")
        if isinstance(self.preprocess, str) and self.preprocess != "dataset":
            head, _, tail = self.preprocess.partition(":")
            if head not in CONFIGURED or not tail:
                known = ["timm:NAME", "torchvision:ENUM", "dataset"]
                raise ValueError(f"preprocess: no '{self.preprocess}'.{near(self.preprocess, known)}")
        return self

    @property
    def origin(self) -> dict[str, str]:
        """Which source, and its name there."""
        return next({key: value} for key in SOURCES if (value := getattr(self, key)) is not None)

    @property
    def question(self) -> dict[str, Any]:
        """What of it can change an answer: the digest, or the name where it is not known, and what is done with it."""
        ((kind, name),) = self.origin.items()
        known = {"sha256": self.sha256} if self.sha256 else {kind: Path(name).name if kind == "file" else name}
        prepared = self.preprocess or f"{kind}:{name}"
        if isinstance(prepared, Preparation):
            prepared = prepared.model_dump(exclude_none=True)  # type: ignore[assignment]
        more = {key: value for key in ("entry", "strip") if (value := getattr(self, key)) is not None}
        return {**known, **more, "preprocess": prepared}


def located(tables: Mapping[str, WeightsTable], folder: Path) -> dict[str, WeightsTable]:
    """The tables with the full path of every file, and its digest where none is written and the file is there."""
    return {key: _located(table, folder) for key, table in tables.items()}


def _located(table: WeightsTable, folder: Path) -> WeightsTable:
    if table.file is None:
        return table
    path = (folder / Path(table.file).expanduser()).absolute()
    found = table.sha256 or (remembered.file_sha256(path) if path.is_file() else None)
    return table.model_copy(update={"file": str(path), "sha256": found})

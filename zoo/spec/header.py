"""The parts of a spec that are not layers: name, input, weights, facts. Each model is its own schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from zoo import limits
from zoo.spec.tasks import DEFAULT_TASK, TaskName
from zoo.spec.urls import check_url

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True)
PositiveInt = Annotated[int, Field(gt=0)]
Pixels = Annotated[int, Field(gt=0, le=16384)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
WEIGHT_SOURCES = ("torchvision", "timm", "hub", "package", "file", "url")
ResizeRule = Literal["squash", "crop", "pad"]


def _one_of(*keys: str) -> dict[str, Any]:
    """Return the JSON Schema of what a validator checks: exactly one of these keys is given."""
    return {"oneOf": [{"required": [key]} for key in keys]}


class Input(BaseModel):
    """The size of the image in pixels, and its preprocessing (`mean`, `std` for values from 0 to 1)."""

    model_config = STRICT | ConfigDict(
        json_schema_extra={"examples": ["{channels: 1, height: 32, width: 32}"]}
    )

    channels: PositiveInt = 3
    height: Pixels = 224
    width: Pixels = 224
    multiple_of: PositiveInt = 1
    resize: ResizeRule = "squash"
    mean: list[float] | None = None
    std: list[Annotated[float, Field(gt=0)]] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Input:
        for name, size in (("height", self.height), ("width", self.width)):
            if size % self.multiple_of:
                raise ValueError(f"{name} {size} is not a multiple of {self.multiple_of}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != self.channels:
                raise ValueError(f"{name} has {len(values)} values for {self.channels} channels")
        return self


class TrainedInput(BaseModel):
    """The preprocessing that weights were trained with; None stays as the spec has it."""

    model_config = STRICT

    height: Pixels | None = None
    width: Pixels | None = None
    resize: ResizeRule | None = None
    mean: list[float] | None = None
    std: list[Annotated[float, Field(gt=0)]] | None = None


class WeightsEntry(BaseModel):
    """Where published weights come from (one of the first six keys), and how they fit this network.

    `labels` are the names of the classes in the order of the outputs, for publishers that do not state them.
    """

    model_config = STRICT | ConfigDict(json_schema_extra=_one_of(*WEIGHT_SOURCES))

    torchvision: str | None = None
    timm: str | None = None
    hub: str | None = None
    package: str | None = None
    file: str | None = None
    url: Annotated[str, AfterValidator(check_url)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None
    licence: str | None = None
    classes: PositiveInt | None = None
    labels: list[str] = Field(default_factory=list)
    input: TrainedInput | None = None
    rename: dict[str, str] = Field(default_factory=dict)
    reshape: list[str] = Field(default_factory=list)
    allow_missing: list[str] = Field(default_factory=list)
    allow_unexpected: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_source(self) -> WeightsEntry:
        given = [name for name in WEIGHT_SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"weights come from one of {', '.join(WEIGHT_SOURCES)}; found {found}")
        return self


class Facts(BaseModel):
    """Facts about the network from its source, checked by tests; those in `_of` are by module path.

    MACs are multiply-adds of convolutions and linear layers for one image of the spec's input size.
    """

    model_config = STRICT

    params: PositiveInt | None = None
    macs: PositiveInt | None = None
    params_of: dict[str, PositiveInt] = Field(default_factory=dict)
    macs_of: dict[str, PositiveInt] = Field(default_factory=dict)


class Model(BaseModel):
    """A whole network by its name in another library; or `auto`, the specs to choose one from.

    The choice is measured on the user's images. `available` stands for every spec whose weights are here.
    """

    model_config = STRICT | ConfigDict(json_schema_extra=_one_of("timm", "torchvision", "auto"))

    timm: str | None = None
    torchvision: str | None = None
    auto: Literal["available"] | Annotated[tuple[Name, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Model:
        if [self.timm, self.torchvision, self.auto].count(None) != 2:  # noqa: PLR2004
            raise ValueError("expected one of timm, torchvision and auto")
        return self


class Header(BaseModel):
    """Every key of a spec except the network and the sections of other packages."""

    model_config = STRICT

    name: Name
    source: str = ""
    task: TaskName = DEFAULT_TASK
    input: Input = Field(default_factory=Input)
    classes: PositiveInt
    head: str | None = None
    stages: Annotated[tuple[str, ...], Field(max_length=limits.MAX_RULES)] = ()
    facts: Facts = Field(default_factory=Facts)
    weights: dict[Name, WeightsEntry] = Field(default_factory=dict)
    model: Model | None = None

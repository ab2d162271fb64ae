"""The `export` section, about the ONNX file, and the `card` section, about published weights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from finetune.config.settings import Settings
from finetune.optim.ranges import Count


class ExportSettings(Settings):
    """How a finished run is exported to an ONNX file."""

    opset: Annotated[int, Field(ge=18, le=23)] = 20
    """Version of the ONNX operator set."""
    parity_images: Count = 200
    """Most validation images on which the file is compared with the torch network."""
    int8: Literal["none", "auto"] = "none"
    """auto: also write model.int8.onnx, if it is at least 1.2 times as fast on this machine and loses at most
    0.5 points on the validation images."""
    float16: Literal["none", "auto"] = "none"
    """auto: also write model.float16.onnx, of half the size, if it loses at most 0.5 points on the validation
    images."""


class CardSettings(Settings):
    """What `make pretrain` writes on the card of the weights, beside what it measures."""

    data: str = "not stated"
    """Description of the training images."""
    licence: str = "not stated"
    """Licence of the weights."""
    notes: list[str] = Field(default=[])
    """Further information for users of the weights."""

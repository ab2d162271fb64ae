"""Which network was chosen for a run, and how the networks compared that it was chosen from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter

from finetune.records.estimate import Estimate

STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class NetworkScore:
    """How well a linear classifier on one frozen network does on held-out training images.

    `spec` is the spec's name, `macs` are its multiply-adds per image. `accuracy` is by cross-validation on
    `images` images, None where the network was left out; `left_out` is then the reason. `seconds` is the time
    that measuring took, less where features were cached.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    spec: str
    weights: str
    licence: str
    macs: Annotated[int, Field(ge=0)]
    images: int = 0
    accuracy: Estimate | None = None
    seconds: float = 0.0
    left_out: str = ""


@dataclass(frozen=True)
class NetworkChoice:
    """The chosen spec's name, the reason in one sentence, and every network's score, the smallest first."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    spec: str
    reason: str
    scores: tuple[NetworkScore, ...]


NETWORK = TypeAdapter(NetworkChoice)

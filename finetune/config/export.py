"""The `export` section: how the ONNX file is written and how thoroughly it is checked."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from finetune.config.switch import Settings


class ExportSettings(Settings):
    """How a finished run becomes one ONNX file."""

    opset: Annotated[int, Field(ge=18, le=23)] = 20
    """ONNX operator set; 18 is the first whose Resize smooths when it shrinks, as the preprocessing does."""
    parity_images: Annotated[int, Field(ge=1)] = 200
    """At most this many validation images are compared with the torch network, spread over the split."""

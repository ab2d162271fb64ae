"""Use trained models: prediction, HTTP, a demo page, export. Only `serve.export` needs torch."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# onnxruntime reads it when it is first imported. Without it, it writes a device id under ~/.cache and
# looks up a host to send usage data to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from serve.artifact import ArtifactError, Metadata
    from serve.predictor import Predictor

__all__ = ["ArtifactError", "Metadata", "Predictor"]

_MODULES = {"ArtifactError": "serve.artifact", "Metadata": "serve.artifact", "Predictor": "serve.predictor"}


def __getattr__(name: str) -> Any:  # noqa: ANN401  attributes of a module have any type
    """Import a public name on first use, so that `import serve` loads neither numpy nor onnxruntime."""
    if name not in _MODULES:
        raise AttributeError(f"module 'serve' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)

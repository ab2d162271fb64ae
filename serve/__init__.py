"""What serves a trained model: the ONNX file's contract, inference, HTTP, a demo. Only export needs torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serve.artifact import ArtifactError, Metadata
    from serve.infer import Predictor

__all__ = ["ArtifactError", "Metadata", "Predictor"]

_HOMES = {"ArtifactError": "serve.artifact", "Metadata": "serve.artifact", "Predictor": "serve.infer"}


def __getattr__(name: str) -> Any:  # noqa: ANN401  a module's attributes have every type
    """Import on first use, so that `python -m serve --help` need not wait for onnxruntime."""
    if name not in _HOMES:
        raise AttributeError(f"module 'serve' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)

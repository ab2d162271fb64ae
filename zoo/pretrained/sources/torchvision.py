"""`torchvision: NAME`: weights by their name in torchvision, such as ResNet18_Weights.IMAGENET1K_V1."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn
from torchvision import models

from zoo.catalog.networks import on_meta
from zoo.catalog.torchvision_networks import build_model, input_of, names
from zoo.errors import WeightsError, did_you_mean
from zoo.pretrained.sources.base import Source, hash_in_name
from zoo.pretrained.sources.url import Download

# The files of DenseNet are older than its module names: `denselayer1.norm.1` became `denselayer1.norm1`.
OLD_KEYS = {"DenseNet": {"norm.1": "norm1", "norm.2": "norm2", "conv.1": "conv1", "conv.2": "conv2"}}
EXTRAS = ("aux_classifier", "AuxLogits", "aux1", "aux2")  # auxiliary heads, used only in training


def source(name: str, sha256: str, folder: Path) -> Source:
    """Describe weights as torchvision does. Raises WeightsError, with the nearest name."""
    weights = _weights(name)
    family = type(weights).__name__
    categories = weights.meta.get("categories")
    return Source(
        title=f"torchvision {name}",
        file=Download(sha256 or hash_in_name(weights.url), weights.url),
        licence=_licence(weights.meta),
        classes=len(categories) if categories else None,
        input=input_of(weights),
        rename=next((keys for start, keys in OLD_KEYS.items() if family.startswith(start)), {}),
        extras=EXTRAS,
        reference=partial(_reference, type(weights)),
    )


def _weights(name: str) -> Any:  # noqa: ANN401  (torchvision's enums have no type of their own)
    try:
        return models.get_weight(name)
    except (ValueError, KeyError, AttributeError) as error:
        hint = did_you_mean(name, _enum_names())
        raise WeightsError(
            f"torchvision has no weights '{name}'{hint}\n"
            "  expected: a name such as ResNet18_Weights.IMAGENET1K_V1"
        ) from error


def _enum_names() -> Iterator[str]:
    for model in names():
        for weights in models.get_model_weights(model):
            yield f"{type(weights).__name__}.{weights.name}"


def _licence(meta: dict[str, Any]) -> str:
    data = " and ".join(meta.get("_metrics", {})) or "their training images"
    own = meta.get("license")
    weights = f"their own, {own}" if own else "BSD-3-Clause, as torchvision"
    return f"{weights}; the images that they were trained on ({data}) have terms of their own"


def _reference(enum: type[Any]) -> nn.Module:
    name = next(model for model in names() if models.get_model_weights(model) is enum)
    return on_meta(lambda: build_model(name))

"""Weights by the names of torchvision's enums, such as ResNet18_Weights.IMAGENET1K_V1."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from typing import Any

from torch import nn
from torchvision import models

from zoo.catalog.meta import on_meta
from zoo.errors import WeightsError, nearest
from zoo.pretrained.download import Download
from zoo.pretrained.place import hash_in_name
from zoo.pretrained.sources import Source
from zoo.spec.header import TrainedInput

# DenseNet's files are older than its module names: `denselayer1.norm.1` became `denselayer1.norm1`.
OLD_KEYS = {"DenseNet": {"norm.1": "norm1", "norm.2": "norm2", "conv.1": "conv1", "conv.2": "conv2"}}
# With weights, these networks of torchvision normalise a second time inside; built here, they do not.
OWN_INPUT = {"GoogLeNet": 0.5, "Inception": 0.5}
EXTRAS = ("aux_classifier", "AuxLogits", "aux1", "aux2")  # helpers of training


def torchvision_source(name: str, sha256: str | None) -> Source:
    """Say what torchvision tells of its weights. Raises WeightsError, with the nearest name."""
    weights = _weights(name)
    family = type(weights).__name__
    categories = weights.meta.get("categories")
    return Source(
        title=f"torchvision {name}",
        place=Download(weights.url, sha256 or hash_in_name(weights.url)),
        licence=_licence(weights.meta),
        classes=len(categories) if categories else None,
        input=input_of(weights),
        rename=next((keys for start, keys in OLD_KEYS.items() if family.startswith(start)), {}),
        extras=EXTRAS,
        reference=partial(_reference, type(weights)),
    )


def weights_of(model: str) -> tuple[type[Any], ...]:
    """Give the members of the enum that belongs to a model, the default one first."""
    enum = models.get_model_weights(model)
    return tuple(dict.fromkeys((enum.DEFAULT, *enum))) if len(enum) else ()


@cache
def model_names() -> tuple[str, ...]:
    """Give the names of torchvision's classification and segmentation networks."""
    return (*models.list_models(module=models), *segmentation_names())


@cache
def segmentation_names() -> tuple[str, ...]:
    """Give the names of torchvision's segmentation networks."""
    return tuple(models.list_models(module=models.segmentation))


def _weights(name: str) -> Any:  # noqa: ANN401  (torchvision's enums have no type of their own)
    try:
        return models.get_weight(name)
    except (ValueError, KeyError, AttributeError) as error:
        near = nearest(name, _enum_names())
        hint = f"; did you mean '{near}'?" if near else ""
        raise WeightsError(
            f"torchvision has no weights '{name}'{hint}\n"
            "  expected: a name such as ResNet18_Weights.IMAGENET1K_V1"
        ) from error


def _enum_names() -> Iterator[str]:
    for model in model_names():
        for weights in models.get_model_weights(model):
            yield f"{type(weights).__name__}.{weights.name}"


def _licence(meta: dict[str, Any]) -> str:
    data = " and ".join(meta.get("_metrics", {})) or "their data"
    own = meta.get("license")
    said = f"their own, {own}" if own else "BSD-3-Clause, as torchvision"
    return f"{said}; the terms of the images they were trained on ({data}) are not torchvision's to give"


def input_of(weights: Any) -> TrainedInput:  # noqa: ANN401
    """Read torchvision's preprocessing. It crops the middle 7/8 or so; our `crop` takes the whole middle."""
    transforms, family = weights.transforms(), type(weights).__name__
    crop = getattr(transforms, "crop_size", None)
    size = (crop or transforms.resize_size)[0]
    mean, std = list(transforms.mean), list(transforms.std)
    for start, half in OWN_INPUT.items():
        if family.startswith(start):
            mean, std = [half] * 3, [half] * 3
    return TrainedInput(height=size, width=size, resize="crop" if crop else "squash", mean=mean, std=std)


def _reference(enum: type[Any]) -> nn.Module:
    name = next(model for model in model_names() if models.get_model_weights(model) is enum)
    return on_meta(lambda: build_model(name))


def build_model(name: str, **options: Any) -> nn.Module:  # noqa: ANN401
    """Build a network of torchvision without weights, and without what only its training needs."""
    builder = models.get_model_builder(name)
    if name in segmentation_names():
        options |= {"weights_backbone": None}
        options |= {} if name.startswith("lraspp") else {"aux_loss": False}
    if name in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "transform_input": False, "init_weights": True}
    net: nn.Module = builder(weights=None, **options)
    return net

"""The networks of timm, as the catalogue asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
from torch import nn

from zoo.catalog.stages import group
from zoo.errors import WeightsError
from zoo.pretrained.from_timm import find_settings, input_of, model_names, tags_of
from zoo.spec.header import Input, TrainedInput, WeightsEntry

LISTED = "timm.list_models()"
LEVELS = 5  # of a pyramid whose first level is the stem


def names() -> tuple[str, ...]:
    """Give the names of all networks."""
    return model_names()


def fault(name: str, task: str) -> str:
    """Say why a network cannot be had: another task, a tag that is not published, several heads."""
    try:
        heads = find_settings(name).classifier
    except WeightsError as error:
        return str(error).replace("\n  ", "; ")
    if task != "classification":
        return f"timm has networks for classification, and the task is {task}"
    if isinstance(heads, (tuple, list)) and len(heads) > 1:
        return f"{name} has several heads ({', '.join(heads)}), and here a network has one"
    return ""


def input(name: str) -> TrainedInput:  # noqa: A001
    """Give the preprocessing of its default weights."""
    return input_of(find_settings(name))


def weights(name: str) -> Mapping[str, WeightsEntry]:
    """Give an entry for every tag; `default` is the one that the name bears, else timm's own."""
    tags = tags_of(name)
    if not tags:
        return {}
    entries = {"default": WeightsEntry(timm=name if "." in name else tags[0])}
    return entries | {tag.partition(".")[2]: WeightsEntry(timm=tag) for tag in tags if "." in tag}


def build(name: str, size: Input, classes: int) -> nn.Module:
    """Build it for the spec's channels and, where it is made for one size, for the spec's size."""
    options: dict[str, Any] = {}
    if find_settings(name).fixed_input_size:
        options["img_size"] = (size.height, size.width)
    net: nn.Module = timm.create_model(
        name, pretrained=False, num_classes=classes, in_chans=size.channels, **options
    )
    return net


def head(name: str, net: nn.Module) -> str:
    """Give the path of the layer that gives the classes."""
    named = find_settings(name).classifier
    if isinstance(named, str):
        return str(named)
    classifier = getattr(net, "get_classifier")()  # noqa: B009  (unknown to nn.Module)
    return str(next(path for path, module in net.named_modules() if module is classifier))


def stages(net: nn.Module) -> tuple[str, ...]:
    """Give the levels that timm's feature_info names, the stem aside; blocks of one size in groups."""
    told = getattr(net, "feature_info", None)
    levels: list[dict[str, Any]] = list(getattr(told, "info", told) or ())
    paths = dict(net.named_modules())
    found = list(dict.fromkeys(level["module"] for level in levels if level["module"] in paths))
    if len({level["reduction"] for level in levels}) > 1 and len(levels) >= LEVELS:
        found = [path for path in found if path != levels[0]["module"]]
    return group(found) if len(found) > 1 else ()

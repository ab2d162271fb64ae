"""The networks of timm."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import timm
from timm.models import get_pretrained_cfg
from torch import nn

from zoo.catalog.stages import group
from zoo.errors import WeightsError, did_you_mean
from zoo.spec.header import Input, ResizeRule, TrainedInput, WeightsEntry

RESIZE: Mapping[str, ResizeRule] = {"center": "crop", "squash": "squash", "border": "pad"}
LISTED = "timm.list_models()"
LEVELS = 5  # of a pyramid with the stem as its first level


@cache
def names() -> tuple[str, ...]:
    """Return the names of all networks."""
    return tuple(timm.list_models())


def reason_unavailable(name: str, task: str, *, dense: bool) -> str:
    """Return why a network cannot be used: another task, a tag that is not published, several heads."""
    try:
        heads = find_settings(name).classifier
    except WeightsError as error:
        return str(error).replace("\n  ", "; ")
    if dense:
        return f"the networks of timm answer for every image, but the task is {task}"
    if isinstance(heads, (tuple, list)) and len(heads) > 1:
        return f"{name} has several heads ({', '.join(heads)}): only networks with one head can be used"
    return ""


def input(name: str) -> TrainedInput:  # noqa: A001
    """Return the preprocessing of its default weights."""
    return input_of(find_settings(name))


def weights(name: str) -> Mapping[str, WeightsEntry]:
    """Return an entry for every tag; `default` is the tag in the name, else timm's default."""
    tags = tags_of(name)
    if not tags:
        return {}
    entries = {"default": WeightsEntry(timm=name if "." in name else tags[0])}
    return entries | {tag.partition(".")[2]: WeightsEntry(timm=tag) for tag in tags if "." in tag}


def build(name: str, size: Input, classes: int) -> nn.Module:
    """Build it for the channels and, where its input size is fixed, the size of the spec."""
    options: dict[str, Any] = {}
    if find_settings(name).fixed_input_size:
        options["img_size"] = (size.height, size.width)
    net: nn.Module = timm.create_model(
        name, pretrained=False, num_classes=classes, in_chans=size.channels, **options
    )
    return net


def head(name: str, net: nn.Module) -> str:
    """Return the path of the layer that returns the logits."""
    named = find_settings(name).classifier
    if isinstance(named, str):
        return str(named)
    classifier = getattr(net, "get_classifier")()  # noqa: B009  (unknown to nn.Module)
    return str(next(path for path, module in net.named_modules() if module is classifier))


def stages(net: nn.Module) -> tuple[str, ...]:
    """Return the levels in timm's feature_info without the stem; blocks of one size in groups."""
    info = getattr(net, "feature_info", None)
    levels: list[dict[str, Any]] = list(getattr(info, "info", info) or ())
    paths = dict(net.named_modules())
    found = list(dict.fromkeys(level["module"] for level in levels if level["module"] in paths))
    if len({level["reduction"] for level in levels}) > 1 and len(levels) >= LEVELS:
        found = [path for path in found if path != levels[0]["module"]]
    return group(found) if len(found) > 1 else ()


def find_settings(name: str) -> Any:  # noqa: ANN401  (timm's PretrainedCfg)
    """Return timm's settings of a network. Raises WeightsError, with the nearest name."""
    model, _, tag = name.partition(".")
    if model in names():
        try:
            return get_pretrained_cfg(name)
        except RuntimeError as error:
            message = f"timm has no weights '{tag}' for {model}\n  expected: {format_tags(model)}"
            raise WeightsError(message) from error
    hint = did_you_mean(model, names())
    raise WeightsError(f"timm has no network '{model}'{hint}\n  expected: a name such as resnet18.a1_in1k")


def format_tags(model: str) -> str:
    """Return the names of the weights that timm publishes for a network."""
    return ", ".join(tags_of(model)) or "no weights: timm has none for this network"


def tags_of(model: str) -> tuple[str, ...]:
    """Return the names with tags that timm has weights for, the default one first."""
    named = model.partition(".")[0]
    default = get_pretrained_cfg(named)
    names = [name for name in timm.list_pretrained(f"{named}.*") if name.partition(".")[0] == named]
    first = f"{named}.{default.tag}" if default is not None else ""
    return tuple(sorted(names, key=lambda name: name != first))


def input_of(settings: Any) -> TrainedInput:  # noqa: ANN401
    """Return timm's preprocessing; timm's crop is a little smaller than our centre crop."""
    _, height, width = settings.input_size
    return TrainedInput(
        height=height,
        width=width,
        resize=RESIZE.get(settings.crop_mode, "crop"),
        mean=list(settings.mean),
        std=list(settings.std),
    )

"""Weights by the names of timm, such as resnet18.a1_in1k."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import timm
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from zoo.catalog.meta import on_meta
from zoo.errors import WeightsError, nearest
from zoo.pretrained.download import Download
from zoo.pretrained.hub import FILE, HubFile
from zoo.pretrained.place import Place, hash_in_name
from zoo.pretrained.sources import UNKNOWN_LICENCE, Source
from zoo.spec.header import ResizeRule, TrainedInput

RESIZE: Mapping[str, ResizeRule] = {"center": "crop", "squash": "squash", "border": "pad"}


def timm_source(name: str, sha256: str | None) -> Source:
    """Say what timm tells of its weights. Raises WeightsError, with the nearest name."""
    settings = find_settings(name)
    places = [place for place in _places(settings, sha256) if place is not None]
    if not places:
        raise WeightsError(f"timm publishes no weights for '{name}'\n  expected: {tags_in_words(name)}")
    place = next((place for place in places if place.find() is not None), places[0])
    full_name = f"{settings.architecture}.{settings.tag}" if settings.tag else settings.architecture
    return Source(
        title=f"timm {full_name}",
        place=place,
        licence=settings.license or UNKNOWN_LICENCE,
        classes=settings.num_classes or None,
        input=input_of(settings),
        reference=partial(_reference, settings.architecture),
        timm=full_name,
    )


def find_settings(name: str) -> Any:  # noqa: ANN401  (timm's PretrainedCfg)
    """Give what timm knows of a network, a tag with it or not. Raises WeightsError, with the nearest name."""
    model, _, tag = name.partition(".")
    if model in model_names():
        try:
            return get_pretrained_cfg(name)
        except RuntimeError as error:
            message = f"timm has no weights '{tag}' for {model}\n  expected: {tags_in_words(model)}"
            raise WeightsError(message) from error
    near = nearest(model, model_names())
    hint = f"; did you mean '{near}'?" if near else ""
    raise WeightsError(f"timm has no network '{model}'{hint}\n  expected: one such as resnet18.a1_in1k")


def tags_in_words(model: str) -> str:
    """Give the weights that timm publishes for a network."""
    return ", ".join(tags_of(model)) or "no weights: there are none for it"


def tags_of(model: str) -> tuple[str, ...]:
    """Give the names with tags that timm has weights for, the default one first."""
    named = model.partition(".")[0]
    default = get_pretrained_cfg(named)
    names = [name for name in timm.list_pretrained(f"{named}.*") if name.partition(".")[0] == named]
    first = f"{named}.{default.tag}" if default is not None else ""
    return tuple(sorted(names, key=lambda name: name != first))


@cache
def model_names() -> tuple[str, ...]:
    """Give the names of timm's networks."""
    return tuple(timm.list_models())


def input_of(settings: Any) -> TrainedInput:  # noqa: ANN401
    """Read timm's preprocessing. It crops a little less than the whole middle; ours takes all of it."""
    _, height, width = settings.input_size
    return TrainedInput(
        height=height,
        width=width,
        resize=RESIZE.get(settings.crop_mode, "crop"),
        mean=list(settings.mean),
        std=list(settings.std),
    )


def converted_tensors(source: Source, path: Path, channels: int, size: tuple[int, int]) -> dict[str, Tensor]:
    """Load a file through timm, which knows older key names, other formats, input sizes and channel counts.

    Raises whatever timm does where the file is for another network.
    """
    assert source.timm is not None
    settings = find_settings(source.timm)
    overlay = {"file": str(path), "custom_load": settings.custom_load if path.suffix == ".npz" else False}
    options = {"img_size": size} if settings.fixed_input_size else {}
    net = timm.create_model(
        source.timm, pretrained=True, pretrained_cfg_overlay=overlay, in_chans=channels, **options
    )
    tensors: dict[str, Tensor] = net.state_dict()
    return tensors


def _places(settings: Any, sha256: str | None) -> tuple[Place | None, Place | None]:  # noqa: ANN401
    hub = url = None
    if settings.hf_hub_id:
        hub = HubFile(settings.hf_hub_id, settings.hf_hub_filename or FILE, None, sha256 or "")
    if settings.url:
        url = Download(settings.url, sha256 or hash_in_name(settings.url))
    return hub, url


def _reference(architecture: str) -> nn.Module:
    return on_meta(lambda: timm.create_model(architecture))

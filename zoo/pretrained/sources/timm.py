"""`timm: NAME`: weights by their name in timm, such as resnet18.a1_in1k."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import timm
from torch import Tensor, nn

from zoo.catalog.networks import on_meta
from zoo.catalog.timm_networks import find_settings, format_tags, input_of
from zoo.errors import WeightsError
from zoo.pretrained.sources.base import UNKNOWN_LICENCE, Source, WeightsFile, hash_in_name
from zoo.pretrained.sources.hub import FILE, HubFile
from zoo.pretrained.sources.url import Download


def source(name: str, sha256: str, folder: Path) -> Source:
    """Describe weights as timm does. Raises WeightsError, with the nearest name."""
    settings = find_settings(name)
    files = _files(settings, sha256)
    if not files:
        raise WeightsError(f"timm publishes no weights for '{name}'\n  expected: {format_tags(name)}")
    full_name = f"{settings.architecture}.{settings.tag}" if settings.tag else settings.architecture
    return Source(
        title=f"timm {full_name}",
        file=next((file for file in files if file.find() is not None), files[0]),
        licence=settings.license or UNKNOWN_LICENCE,
        classes=settings.num_classes or None,
        input=input_of(settings),
        reference=partial(_reference, settings.architecture),
        convert=partial(_convert, full_name),
    )


def _files(settings: Any, sha256: str) -> list[WeightsFile]:  # noqa: ANN401  (timm's PretrainedCfg)
    files: list[WeightsFile] = []
    if settings.hf_hub_id:
        files.append(HubFile(sha256, settings.hf_hub_id, settings.hf_hub_filename or FILE))
    if settings.url:
        files.append(Download(sha256 or hash_in_name(settings.url), settings.url))
    return files


def _reference(architecture: str) -> nn.Module:
    return on_meta(lambda: timm.create_model(architecture))


def _convert(name: str, path: Path, channels: int, size: tuple[int, int]) -> dict[str, Tensor]:
    """Load a file through timm, which converts old key names, other formats, input sizes and channel counts.

    Raises whatever timm raises where the file is for another network.
    """
    settings = find_settings(name)
    overlay = {"file": str(path), "custom_load": settings.custom_load if path.suffix == ".npz" else False}
    options = {"img_size": size} if settings.fixed_input_size else {}
    net = timm.create_model(
        name, pretrained=True, pretrained_cfg_overlay=overlay, in_chans=channels, **options
    )
    tensors: dict[str, Tensor] = net.state_dict()
    return tensors

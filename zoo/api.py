"""`zoo.build` and `zoo.load`: make a network from a spec, with pretrained weights or without."""

from __future__ import annotations

import warnings
from pathlib import Path

from torch import nn

from zoo.builder.init import initialise
from zoo.builder.network import build_network, parametrise
from zoo.catalog.networks import build_catalogued
from zoo.pretrained.load import Origin, fetch_weights, load_weights
from zoo.spec.spec import Spec, read_spec


def build(
    spec: Spec | str | Path, *, weights: str | None = None, classes: int | None = None, seed: int = 0
) -> nn.Module:
    """Build a network in float32 on the CPU.

    `weights` names an entry of the spec's `weights`. If those weights were trained for another number of
    classes than `classes`, the head keeps its initial values, which depend on `seed`. The global random state
    of torch does not change. A problem with the weights that does not prevent loading is a Python warning;
    `zoo.load` returns it.

    In: the network takes (N, C, H, W). Out: (N, classes), or (N, classes, H, W) for segmentation.

    Raises: SpecError where shapes do not fit, WeightsError where the weights do not.
    """
    spec = spec if isinstance(spec, Spec) else read_spec(spec)
    net, origin = load(spec, weights=weights, classes=classes, seed=seed)
    for warning in origin.audit.warnings if origin else ():
        warnings.warn(f"{spec.name}, weights {weights}: {warning}", stacklevel=2)
    return net


def load(
    spec: Spec | str | Path, *, weights: str | None = None, classes: int | None = None, seed: int = 0
) -> tuple[nn.Module, Origin | None]:
    """Build a network as `zoo.build` does, and return it and the origin of its weights, None without any.

    The warnings in the audit of the origin are for the caller to show.
    """
    spec = spec if isinstance(spec, Spec) else read_spec(spec)
    if weights is not None:
        fetch_weights(spec, weights)  # first, because they may not be available
    classes = classes or spec.classes
    net = _declared(spec, classes, seed) if spec.model is None else build_catalogued(spec, classes, seed)
    return net, None if weights is None else load_weights(net, spec, weights, classes)


def _declared(spec: Spec, classes: int, seed: int) -> nn.Module:
    network = build_network(spec, classes, device="cpu")
    initialise(network, spec.choices, seed)
    parametrise(network, spec.choices)
    return network.net

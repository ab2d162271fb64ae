"""The functions of the zoo: read a spec, build its network, load weights into it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.spec.read import check_sections, parse_override, parse_spec
from zoo.spec.shapes import follow_shapes
from zoo.spec.spec import Spec

if TYPE_CHECKING:  # imported in the functions that need torch
    from torch import nn

    from zoo.pretrained.load import Origin


def read_spec(path: str | Path, set: Mapping[str, object] | None = None) -> Spec:  # noqa: A002
    """Read a spec: a file, or the name of one of the zoo's own; `set` overrides dotted keys.

    Values of `set` are plain ones, or texts as in a spec: {"finetune.epochs": "3"}.

    Raises SpecError with every problem, each with its place; GraftError when there is no such file.
    """
    spec = _completed(parse_spec(path, set))
    check_sections(spec)
    return spec


def override(spec: Spec, set: Mapping[str, object]) -> Spec:  # noqa: A002
    """Return the spec with more dotted keys overridden, checked again. Raises SpecError."""
    return _completed(parse_override(spec, set))


def check_network(spec: Spec) -> None:
    """Check that the shapes of a spec's network fit, without building it. Raises GraftError."""
    if spec.model is None:
        follow_shapes(spec, spec.expand(), spec.classes)
    elif not spec.is_chosen:
        from zoo.catalog.networks import build_on_meta

        build_on_meta(spec)


def build(
    spec: Spec | str | Path, *, weights: str | None = None, classes: int | None = None, seed: int = 0
) -> nn.Module:
    """Build a network in float32 on the CPU: (N, C, H, W) to (N, classes), or (N, classes, H, W).

    `weights` names an entry of the spec's `weights`; if it is for other classes than `classes`, the head is
    initialised from `seed`. Warnings about weights are Python warnings; `load` returns them.

    Raises SpecError where shapes do not fit, WeightsError where weights do not.
    """
    spec = spec if isinstance(spec, Spec) else read_spec(spec)
    net, origin = load(spec, weights=weights, classes=classes, seed=seed)
    for warning in origin.audit.warnings if origin else ():
        warnings.warn(f"{spec.name}, weights {weights}: {warning}", stacklevel=2)
    return net


def load(
    spec: Spec | str | Path, *, weights: str | None = None, classes: int | None = None, seed: int = 0
) -> tuple[nn.Module, Origin | None]:
    """Build a network as `build` does; return it with the origin of its weights, None without weights."""
    from zoo.pretrained.load import fetch_weights, load_weights

    spec = spec if isinstance(spec, Spec) else read_spec(spec)
    classes = classes or spec.classes
    if weights is not None:
        fetch_weights(spec, weights)  # first, because they may not be available
    net = _build(spec, classes, seed)
    return net, None if weights is None else load_weights(net, spec, weights, classes)


def _build(spec: Spec, classes: int, seed: int) -> nn.Module:
    if spec.model is not None:
        from zoo.catalog.networks import build_catalogued

        return build_catalogued(spec, classes, seed)
    from zoo.builder.init import initialise
    from zoo.builder.network import build_network, parametrise

    network = build_network(spec, classes, device="cpu")
    initialise(network, spec.choices, seed)
    parametrise(network, spec.choices)
    return network.net


def _completed(spec: Spec) -> Spec:
    """Return a spec with what the library of its catalogue model knows."""
    if spec.model is None or spec.is_chosen:
        return spec
    from zoo.catalog.networks import complete

    return complete(spec)

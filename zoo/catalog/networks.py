"""Whole networks by their names in timm and torchvision, treated as the zoo's own: `model: {timm: NAME}`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Protocol, cast

import torch
from torch import nn

from zoo.catalog.meta import on_meta
from zoo.catalog.stages import Anatomy, measured_stages
from zoo.errors import GraftError, Mark, Problem, nearest
from zoo.spec.header import Header, Input, TrainedInput, WeightsEntry
from zoo.spec.nodes import MapNode
from zoo.spec.spec import Spec

LIBRARIES = ("timm", "torchvision")


class Library(Protocol):
    """What the catalogue asks of another library's networks. `LISTED`: what to type to see their names."""

    LISTED: str

    def names(self) -> tuple[str, ...]:
        """Give the names of all networks."""

    def fault(self, name: str, task: str) -> str:
        """Say why a network cannot be had for a task, '' where it can; `name` is among the names."""

    def input(self, name: str) -> TrainedInput:
        """Give the preprocessing of its default weights."""

    def weights(self, name: str) -> Mapping[str, WeightsEntry]:
        """Give every entry of weights that is published for it, the default one first."""

    def build(self, name: str, size: Input, classes: int) -> nn.Module:
        """Build it with first weights of torch's current random numbers; forward gives logits alone."""

    def head(self, name: str, net: nn.Module) -> str:
        """Give the path of the layer that gives the classes."""

    def stages(self, net: nn.Module) -> tuple[str, ...]:
        """Give the stages that the library knows of, () where it knows none."""


def complete(header: Header, document: MapNode, problems: list[Problem]) -> Header:
    """Fill in what the library knows of a spec's model: input size, normalisation, published weights.

    What the spec says itself stays. Adds to `problems` where there is no such network.
    """
    assert header.model is not None
    library, name = _named(header.model.timm, header.model.torchvision)
    known = library.names()
    plain_name = name.partition(".")[0]
    fault = library.fault(name, header.task) if plain_name in known else ""
    if plain_name not in known or fault:
        mark = _mark(document)
        message = fault or f"{'timm' if header.model.timm else 'torchvision'} has no network '{name}'"
        expected = "" if fault else f"a name that {library.LISTED} gives"
        near = "" if fault else nearest(plain_name, known)
        problems.append(Problem(mark, "model", message, expected, near))
        return header
    said = header.input.model_fields_set
    filled = {key: value for key, value in library.input(name) if key not in said}
    return header.model_copy(
        update={
            "input": header.input.model_copy(update=filled),
            "weights": {**library.weights(name), **header.weights},
        }
    )


def build_catalogued(spec: Spec, classes: int, seed: int) -> nn.Module:
    """Build a spec's model for that many classes, in float32 on the processor, without published weights.

    Torch's own random numbers are left alone. Raises GraftError for an input that the network cannot take.
    """
    library, name = _of(spec)
    build_on_meta(spec, classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _build(spec, library, name, classes)


def build_on_meta(spec: Spec, classes: int | None = None) -> nn.Module:
    """Build a spec's model without any memory for its weights, and follow an image's shape through it.

    Raises GraftError where the image does not fit.
    """
    library, name = _of(spec)
    net = on_meta(lambda: _build(spec, library, name, classes or spec.classes))
    _check_output(spec, name, net, classes or spec.classes)
    return net


def find_anatomy(spec: Spec, net: nn.Module) -> Anatomy:
    """Give head and stages of a model: as the spec says, as its library says, else as its shapes show.

    Raises GraftError for a path of the spec that the network has not.
    """
    library, name = _of(spec)
    head = spec.head or library.head(name, net)
    stages = spec.stages or library.stages(net)
    if not stages:
        image = _image(spec.input)
        stages = measured_stages(build_on_meta(spec), head, image)
    paths = {path for path, _ in net.named_modules()}
    for path in (head, *stages):
        if path not in paths:
            near = nearest(path, paths)
            hint = f"; did you mean '{near}'?" if near else ""
            raise GraftError(f"{spec.path}: {name} has no module '{path}'{hint}")
    return Anatomy(head, stages)


def _build(spec: Spec, library: Library, name: str, classes: int) -> nn.Module:
    try:
        return library.build(name, spec.input, classes)
    except NotImplementedError:
        raise
    except (ValueError, RuntimeError, AssertionError) as error:
        raise _cannot_take(spec, name, error) from error


def _check_output(spec: Spec, name: str, net: nn.Module, classes: int) -> None:
    """Follow an image's shape through a network on the meta device."""
    was_training = net.training
    try:
        with torch.no_grad():
            output = net.eval()(_image(spec.input))
    except (ValueError, RuntimeError, AssertionError, IndexError, TypeError) as error:
        raise _cannot_take(spec, name, error) from error
    net.train(was_training)
    shape = tuple(getattr(output, "shape", ()))
    places = (spec.input.height, spec.input.width) if spec.task == "segmentation" else ()
    if shape[1:] != (classes, *places):
        gives = "x".join(map(str, shape[1:])) or type(output).__name__
        raise GraftError(
            f"{spec.path}: {name} gives {gives} for an image, not one number a class: it has no head"
        )


def _cannot_take(spec: Spec, name: str, error: Exception) -> GraftError:
    size = f"{spec.input.channels}x{spec.input.height}x{spec.input.width}"
    said = str(error).partition("\n")[0]
    return GraftError(f"{spec.path}: {name} cannot take images of {size}: {said}")


def _image(size: Input) -> torch.Tensor:
    return torch.empty(2, size.channels, size.height, size.width, device="meta")


def _of(spec: Spec) -> tuple[Library, str]:
    assert spec.model is not None
    return _named(spec.model.timm, spec.model.torchvision)


def _named(timm: str | None, torchvision: str | None) -> tuple[Library, str]:
    module = "zoo.catalog.timm_networks" if timm is not None else "zoo.catalog.torchvision_networks"
    return cast("Library", importlib.import_module(module)), timm or torchvision or ""


def _mark(document: MapNode) -> Mark:
    """Give the place of the network's name."""
    model: Any = document.items["model"]
    return next(iter(model.items.values())).mark if isinstance(model, MapNode) else document.keys["model"]

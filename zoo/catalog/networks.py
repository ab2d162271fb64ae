"""Whole networks by their names in timm and torchvision: `model: {timm: NAME}`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

import torch
from torch import nn

from zoo import limits
from zoo.catalog.stages import measured_stages
from zoo.errors import GraftError, Problem, SpecError, did_you_mean, nearest
from zoo.initializers import Draw
from zoo.spec.header import Input, TrainedInput, WeightsEntry
from zoo.spec.nodes import MapNode
from zoo.spec.spec import Spec


class Library(Protocol):
    """A module with the networks of another library. `LISTED`: the call that lists their names."""

    LISTED: str

    def names(self) -> tuple[str, ...]:
        """Return the names of all networks."""

    def reason_unavailable(self, name: str, task: str, *, dense: bool) -> str:
        """Return why a network cannot be used for a task, '' where it can; `name` is among the names."""

    def input(self, name: str) -> TrainedInput:
        """Return the preprocessing of its default weights."""

    def weights(self, name: str) -> Mapping[str, WeightsEntry]:
        """Return every entry of weights that is published for it, the default one first."""

    def build(self, name: str, size: Input, classes: int) -> nn.Module:
        """Build it, initialised from torch's global random stream; forward returns logits only."""

    def head(self, name: str, net: nn.Module) -> str:
        """Return the path of the layer that returns the logits."""

    def stages(self, net: nn.Module) -> tuple[str, ...]:
        """Return the stages that the library declares, () where it declares none."""


def complete(spec: Spec) -> Spec:
    """Return a spec with what the library knows of its model: input size, normalisation, published weights.

    What the spec itself says stays. Raises SpecError where there is no such network.
    """
    library, name = _library(spec)
    known, plain_name = library.names(), name.partition(".")[0]
    model = spec.document.items["model"]
    mark = next(iter(model.items.values())).mark if isinstance(model, MapNode) else model.mark
    if plain_name not in known:
        message = f"{library.LISTED.partition('.')[0]} has no network '{name}'"
        expected = f"a name that {library.LISTED} lists"
        raise SpecError([Problem(mark, "model", message, expected, nearest(plain_name, known))])
    if reason := library.reason_unavailable(name, spec.task, dense=spec.dense):
        raise SpecError([Problem(mark, "model", reason)])
    given = spec.input.model_fields_set
    missing = {key: value for key, value in library.input(name) if key not in given}
    return replace(
        spec,
        input=spec.input.model_copy(update=missing),
        weights={**library.weights(name), **spec.weights},
    )


def build_catalogued(spec: Spec, classes: int, seed: int) -> nn.Module:
    """Build a spec's model for that many classes, in float32 on the CPU, without published weights.

    Torch's global random stream does not change. Raises GraftError for an input of the wrong size.
    """
    library, name = _library(spec)
    build_on_meta(spec, classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _build(spec, library, name, classes)
    _draw_head(net, spec.head or library.head(name, net), classes, seed)
    return net


def build_on_meta(spec: Spec, classes: int | None = None) -> nn.Module:
    """Build a spec's model without memory for its weights, and check the shape of its output.

    Raises GraftError for an input of the wrong size.
    """
    library, name = _library(spec)
    net = on_meta(lambda: _build(spec, library, name, classes or spec.classes))
    count = sum(parameter.numel() for parameter in net.parameters())
    if count > limits.MAX_PARAMETERS:
        raise GraftError(
            f"{spec.path}: {name} would have {count:.3g} parameters\n"
            f"  expected: at most {limits.MAX_PARAMETERS:,}; fewer classes, or fewer channels of the input"
        )
    _check_output(spec, name, net, classes or spec.classes)
    return net


def find_head_and_stages(spec: Spec, net: nn.Module) -> tuple[str, tuple[str, ...]]:
    """Return head and stages of a model: as the spec says, else as its library says, else from its shapes.

    Raises GraftError for a path in the spec that is not in the network.
    """
    library, name = _library(spec)
    head = spec.head or library.head(name, net)
    stages = spec.stages or library.stages(net)
    if not stages:
        stages = measured_stages(build_on_meta(spec), head, _image(spec.input))
    paths = {path for path, _ in net.named_modules()}
    for path in (head, *stages):
        if path not in paths:
            hint = did_you_mean(path, paths)
            raise GraftError(f"{spec.path}: {name} has no module '{path}'{hint}")
    return head, stages


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network on the meta device, without memory; torch's global random stream does not change."""
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                return build()
        except NotImplementedError:  # its constructor computes with the values of tensors
            return build().to("meta")


def _build(spec: Spec, library: Library, name: str, classes: int) -> nn.Module:
    try:
        return library.build(name, spec.input, classes)
    except NotImplementedError:
        raise
    except (ValueError, RuntimeError, AssertionError) as error:
        raise _wrong_size(spec, name, error) from error


def _draw_head(net: nn.Module, head: str, classes: int, seed: int) -> None:
    """Fill the layers that return the logits uniformly within 1 / sqrt(fan_in), as in a declared network.

    Some libraries draw them so wide that training starts far above the loss of an even guess.
    """
    for path, module in net.get_submodule(head).named_modules(prefix=head):
        if isinstance(module, nn.Linear | nn.Conv2d) and len(module.weight) == classes:
            bound = 1 / math.sqrt(module.weight[0].numel())
            for name, parameter in module.named_parameters(recurse=False):
                Draw(seed, f"{path}.{name}").uniform(parameter.detach(), bound)


def _check_output(spec: Spec, name: str, net: nn.Module, classes: int) -> None:
    """Check the output's shape for an image on the meta device."""
    was_training = net.training
    try:
        with torch.no_grad():
            output = net.eval()(_image(spec.input))
    except (ValueError, RuntimeError, AssertionError, IndexError, TypeError) as error:
        raise _wrong_size(spec, name, error) from error
    net.train(was_training)
    shape = tuple(getattr(output, "shape", ()))
    places = (spec.input.height, spec.input.width) if spec.dense else ()
    if shape[1:] != (classes, *places):
        found = "x".join(map(str, shape[1:])) or type(output).__name__
        raise GraftError(
            f"{spec.path}: {name} returns {found} for an image, not one number per class: it has no head"
        )


def _wrong_size(spec: Spec, name: str, error: Exception) -> GraftError:
    size = f"{spec.input.channels}x{spec.input.height}x{spec.input.width}"
    reason = str(error).partition("\n")[0]
    return GraftError(f"{spec.path}: {name} cannot take images of {size}: {reason}")


def _image(size: Input) -> torch.Tensor:
    return torch.empty(2, size.channels, size.height, size.width, device="meta")


def _library(spec: Spec) -> tuple[Library, str]:
    """Return the library of a spec's model, and its name there. Importing timm takes a second."""
    assert spec.model is not None
    if spec.model.auto is not None:
        raise GraftError(
            f"{spec.path}: the network is chosen on images, so there is none before that\n"
            f"  expected: the spec of a network; or graft finetune, plan or compare, which choose"
        )
    if spec.model.timm is not None:
        from zoo.catalog import timm_networks

        return timm_networks, spec.model.timm
    from zoo.catalog import torchvision_networks

    return torchvision_networks, spec.model.torchvision or ""

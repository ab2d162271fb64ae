"""Describe a spec's network, layer by layer, at no cost: nothing but shapes is ever held."""

from __future__ import annotations

import importlib

from torch import nn

from zoo.builder.network import build_network, parametrise
from zoo.catalog.anatomy import anatomy
from zoo.describe.declared import declared_rows
from zoo.describe.description import Description, LayerRow, with_parts
from zoo.spec.spec import Spec


def describe(spec: Spec) -> Description:
    """Follow one image through a spec's network on the meta device.

    Raises SpecError where shapes do not fit, GraftError for a network that cannot be followed so.
    """
    if spec.model is None:
        network = build_network(spec)
        parametrise(network, spec.choices)
        rows, result = declared_rows(spec, network)
        return _description(spec, network.net, rows, result)
    net: nn.Module = importlib.import_module("zoo.catalog.networks").build_on_meta(spec)
    rows, result = importlib.import_module("zoo.describe.traced").traced_rows(net, spec.input)
    return _description(spec, net, rows, result)


def _description(spec: Spec, net: nn.Module, rows: tuple[LayerRow, ...], result: str) -> Description:
    found = anatomy(spec, net)
    return Description(
        spec=spec,
        layers=with_parts(rows, found.head, found.stages),
        result=result,
        head=found.head,
        stages=found.stages,
        params=sum(parameter.numel() for parameter in net.parameters()),
        state_bytes=sum(value.numel() * value.element_size() for value in net.state_dict().values()),
    )

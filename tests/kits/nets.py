"""Small specs for tests: written to a file, because a spec is a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from zoo.api import read_spec
from zoo.builder.network import Network, build_network
from zoo.layers import modules
from zoo.spec.items import PARAMETRISATIONS, ops
from zoo.spec.spec import Spec
from zoo.spec.tree import leaves

LAYERS = {name: entry for name, entry in ops().items() if name not in PARAMETRISATIONS}
HEAD = "input: {channels: 3, height: 16, width: 16}\nclasses: 4\n"
TAIL = """\
  pool: {adaptive_avg_pool: {size: 1}}
  flatten: flatten
  fc: {linear: {out: $classes}}
"""


def write(folder: Path, text: str, name: str = "net") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def spec_of(
    folder: Path, layers: str, more: str = "", change: Mapping[str, object] | None = None, tail: str = TAIL
) -> Spec:
    """Return the spec of a few layers, between an image of 16 pixels and a classifier of 4."""
    return read_spec(write(folder, f"{HEAD}{more}layers:\n{layers}{tail}"), change)


def network_of(folder: Path, layers: str, more: str = "", tail: str = TAIL) -> Network:
    return build_network(spec_of(folder, layers, more, tail=tail))


def ops_of(spec: Spec) -> list[tuple[str, str]]:
    """Return every layer's path and op."""
    return [(leaf.path, leaf.op) for leaf in leaves(spec.expand().root)]


def make(name: str, *shapes: tuple[int, ...], **given: object) -> nn.Module:
    """Build one layer with every weight 1 and every bias 0, as a net would call it."""
    layer = LAYERS[name].function(*shapes, **given)
    with torch.device("meta"):
        module: nn.Module = layer.build(modules)
    module.to_empty(device="cpu")
    for parameter_name, parameter in module.named_parameters():
        nn.init.constant_(parameter, 0.0 if parameter_name.endswith("bias") else 1.0)
    if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
        module.reset_running_stats()
    return module.eval()


def weight_shapes(net: nn.Module) -> list[tuple[str, torch.Size]]:
    """Return the name and shape of each tensor of a network, in order."""
    return [(name, value.shape) for name, value in net.state_dict().items()]

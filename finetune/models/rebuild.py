"""The network that a run left in its folder, whatever it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from finetune.models.ensemble import build_ensemble
from finetune.models.stage_probe import StageProbe
from finetune.records.run_folder import read_weights

Training = Mapping[str, object]


def rebuild_net(net: nn.Module, training: Training, weights: Path, *, head: str, classes: int) -> nn.Module:
    """The trained network: `net`, whose head lies at `head`, with what its `training` put round it.

    In: a network as the run's spec builds it, and what trained.json holds.
    """
    if "taps" in training:
        taps, features = training["taps"], training["features"]
        assert isinstance(taps, list)
        assert isinstance(features, int)
        net = StageProbe(net, head=head, taps=taps, features=features, classes=classes)
    if "ensemble" in training:
        record = training["ensemble"]
        assert isinstance(record, dict)
        net = build_ensemble(net, [net.state_dict()] * record["size"])
    read_weights(weights, net)
    return net

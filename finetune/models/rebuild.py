"""Rebuilding the trained network of a run from its folder."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from finetune.models.ensemble import build_ensemble
from finetune.models.stage_probe import StageProbe
from finetune.records.files import read_weights
from finetune.records.training import EnsembleTraining, StageProbeTraining, TrainingRecord


def rebuild_net(
    net: nn.Module, training: TrainingRecord, weights: Path, *, head: str, classes: int
) -> nn.Module:
    """Return the trained network: `net`, with its head at the path `head`, as `training` changed it.

    In: the network that the run's spec declares, and the record in trained.json.
    """
    if isinstance(training, StageProbeTraining):
        net = StageProbe(net, head=head, taps=training.taps, features=training.features, classes=classes)
    if isinstance(training, EnsembleTraining):
        net = build_ensemble(net, [net.state_dict()] * len(training.members))
    read_weights(weights, net)
    return net

"""A linear classifier over the features of several stages of a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from finetune.features.taps import HEAD, tap
from finetune.probes.probe import write_head
from finetune.probes.stage_select import StageFit


class StageProbe(nn.Module):
    """A network without its head, and a linear layer over the pooled outputs of several stages.

    `taps` names the stages from the input upward; HEAD stands for the input of the original head. `trunk` is
    modified: an identity replaces its head. `features` is the total number of channels of the taps.
    """

    def __init__(
        self, trunk: nn.Module, *, head: str, taps: Sequence[str], features: int, classes: int
    ) -> None:
        super().__init__()
        trunk.set_submodule(head, nn.Identity())
        self.trunk, self.replaced, self.taps = trunk, head, tuple(taps)
        self.head = nn.Linear(features, classes)

    def forward(self, image: Tensor) -> Tensor:
        """In: (N, C, H, W). Out: logits (N, classes)."""
        logits: Tensor = self.head(self.read(image))
        return logits

    def read(self, image: Tensor) -> Tensor:
        """Return the pooled outputs of the taps, concatenated. In: (N, C, H, W). Out: (N, features)."""
        stages = [name for name in self.taps if name != HEAD]
        with tap(self.trunk, self.replaced, stages, image.shape[2:]) as caught:
            self.trunk(image)
        return torch.cat([caught[name] for name in self.taps], dim=1)

    def extra_repr(self) -> str:
        return f"taps={', '.join(self.taps)}"


def build_stage_probe(trunk: nn.Module, head: str, fit: StageFit) -> StageProbe:
    """Return the classifier of a fit on the network that its features come from, which is modified."""
    classes, features = fit.probe.weight.shape
    net = StageProbe(trunk, head=head, taps=fit.taps, features=features, classes=classes)
    write_head(fit.probe, net.head)
    return net.eval()

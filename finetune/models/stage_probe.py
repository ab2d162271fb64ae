"""A network whose answer is one linear layer over several of its stages."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from finetune.features.taps import HEAD, tap
from finetune.probes.probe import write_head
from finetune.probes.stage_select import StageFit


class StageProbe(nn.Module):
    """A trunk, read at several stages, and a linear head over their averages.

    `taps` names the stages from the input upward; HEAD stands for what the trunk's own head was given. That
    head is replaced by nothing: the trunk is taken over. `features` is the total number of channels read.
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
        """The averages of the stages side by side. In: (N, C, H, W). Out: (N, features)."""
        stages = [name for name in self.taps if name != HEAD]
        with tap(self.trunk, self.replaced, stages, image.shape[2:]) as caught:
            self.trunk(image)
        return torch.cat([caught[name] for name in self.taps], dim=1)

    def extra_repr(self) -> str:
        return f"taps={', '.join(self.taps)}"


def build_stage_probe(trunk: nn.Module, head: str, fit: StageFit) -> StageProbe:
    """The network that a fit describes, on the trunk that gave its features, which is taken over."""
    classes, features = fit.probe.weight.shape
    net = StageProbe(trunk, head=head, taps=fit.taps, features=features, classes=classes)
    write_head(fit.probe, net.head)
    return net.eval()

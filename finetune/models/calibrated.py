"""The trained network with calibrated probabilities, and a number that says how unlike an image is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn

from finetune.features.taps import average, first_tensor
from finetune.models.novelty import Novelty
from finetune.models.stage_probe import StageProbe


class CalibratedNet(nn.Module):
    """A classifier whose logits are divided by a temperature.

    In: (N, C, H, W). Out: logits (N, classes). `head` is the path of the head; its input is what `novelty`
    scores. Source: Guo et al. 2017, arXiv:1706.04599.
    """

    temperature: Tensor

    def __init__(
        self, net: nn.Module, head: str, temperature: float = 1.0, novelty: Novelty | None = None
    ) -> None:
        super().__init__()
        self.net, self.head, self.novelty = net, head, novelty
        self.register_buffer("temperature", torch.tensor(temperature, dtype=torch.float32))

    def forward(self, images: Tensor) -> Tensor:
        """Return the calibrated logits."""
        logits: Tensor = self.net(images) / self.temperature
        return logits

    def with_unknown(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the calibrated logits, and how unlike the training images each image is, (N,)."""
        assert self.novelty is not None
        with catch_head_input(self.net, self.head, images.shape[2:]) as caught:
            logits = self(images)
        return logits, self.novelty(torch.stack(caught).mean(0))


@contextmanager
def catch_head_input(net: nn.Module, head: str, size: Sequence[int]) -> Iterator[list[Tensor]]:
    """Let each call of the head inside the block append its input, averaged over positions, (N, F).

    `size` is the (height, width) of the network's input. A network with several heads, such as an ensemble,
    gives the input of its first one; with test-time augmentation the head is called once for each view.
    """
    caught: list[Tensor] = []

    def catch(_module: nn.Module, given: object) -> None:
        caught.append(average(first_tensor(given), size))

    with find_head(net, head).register_forward_pre_hook(catch):
        yield caught


def find_head(net: nn.Module, path: str) -> nn.Module:
    """Return the head of a network that may be inside others, which average the predictions of several."""
    for module in net.modules():
        if isinstance(module, StageProbe):
            return module.head
        with suppress(AttributeError):
            return module.get_submodule(path)
    raise AssertionError(f"a network has a head at {path}")

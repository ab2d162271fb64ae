"""Which parameters learn, and what frozen parts keep."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

STORED = "normalises_by_stored_statistics"
"""An attribute of batch norms."""


def freeze(net: nn.Module, trains: Collection[str]) -> None:
    """Let only the parameters under these module paths learn."""
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(any(covers(path, name) for path in trains))


def covers(path: str, name: str) -> bool:
    """Return whether a module path contains a parameter or module; the empty path contains all."""
    return not path or name == path or name.startswith(path + ".")


def set_training(net: nn.Module) -> None:
    """Set training mode, but evaluation mode for modules whose own parameters are all frozen.

    A frozen batch norm keeps its running statistics, and a frozen stage has no dropout. So do batch norms
    that normalise by their stored statistics.
    """
    net.train()
    for module in net.modules():
        parameters = list(module.parameters())
        frozen = parameters and not any(parameter.requires_grad for parameter in parameters)
        if frozen or getattr(module, STORED, False):
            module.eval()


def use_stored_statistics(net: nn.Module, stored: bool) -> None:
    """Let batch norms normalise by their stored statistics in training, too, or again by those of each batch.

    Small batches have statistics of their own, which disturb weights that suit the stored ones.
    """
    for module in net.modules():
        if getattr(module, "running_mean", None) is not None:
            setattr(module, STORED, stored)


@contextmanager
def keep_running_statistics(net: nn.Module) -> Iterator[None]:
    """In this block, norms in training mode normalise by the batch and do not update running statistics.

    For forward passes that repeat images, or show images that are not training data.
    """
    norms = [module for module in net.modules() if getattr(module, "running_mean", None) is not None]
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked.clone() for norm in norms]  # type: ignore[operator]
    for norm in norms:
        norm.momentum = 0.0  # type: ignore[assignment]
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(count)  # type: ignore[operator]

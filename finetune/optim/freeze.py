"""Which parameters learn, and what stays as it was loaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def freeze(net: nn.Module, trains: Iterable[str]) -> list[str]:
    """Let only the parameters under the given module paths learn; returns the names that do."""
    prefixes = tuple(trains)
    learning = []
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(any(covers(prefix, name) for prefix in prefixes))
        if parameter.requires_grad:
            learning.append(name)
    return learning


def covers(prefix: str, name: str) -> bool:
    """Whether a module path holds that parameter or module; the empty path holds all."""
    return not prefix or name == prefix or name.startswith(prefix + ".")


def set_training(net: nn.Module) -> None:
    """Training mode for what learns; evaluation mode for what is frozen.

    A frozen batch norm keeps its stored mean and variance, and a frozen dropout stays off: otherwise
    a stage that "does not train" would still drift.
    """
    net.train()
    for module in net.modules():
        own = list(module.parameters())
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()

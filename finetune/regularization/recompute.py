"""Gradient checkpointing: stages forget their activations and compute them again in the backward pass."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from finetune.optim.batch_norm import keep_statistics


class Recomputed(nn.Module):
    """What a module's class is mixed with to be recomputed; names, weights and evaluation stay the same."""

    def forward(self, *inputs: Any, **named: Any) -> Any:  # noqa: ANN401  (as the module's own forward)
        """In training, the module's own forward under a checkpoint; otherwise plainly."""
        forward = super().forward
        if not (self.training and torch.is_grad_enabled()):
            return forward(*inputs, **named)
        return checkpoint(forward, *inputs, use_reentrant=False, context_fn=self._contexts, **named)

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        # Batch norms saw the batch in the forward pass: they must not count it again.
        return nullcontext(), keep_statistics(self)


def enable_checkpointing(net: nn.Module, stages: Iterable[str]) -> None:
    """Make the modules at these paths recompute their activations: less memory, about a third more time.

    Gradients stay the same. Source: Chen et al. 2016, arXiv:1604.06174.
    """
    for path in stages:
        stage = net.get_submodule(path)
        if not isinstance(stage, Recomputed):
            own = type(stage)
            stage.__class__ = type(own.__name__, (Recomputed, own), {})

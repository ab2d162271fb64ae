"""Networks of other libraries without any memory for their weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network on the meta device; torch's own random numbers are left alone."""
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                return build()
        except NotImplementedError:  # reckons its layout with tensors, which must lie somewhere
            return build().to("meta")

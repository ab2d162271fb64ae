"""Random numbers that depend on where in the run they are drawn, and on nothing that came before.

A run that was broken off and goes on draws what the unbroken run would have drawn.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch


def derive_seed(*place: int | str) -> int:
    """A seed for one place in the run, such as (seed, epoch, step, "mix"); from 0 to 2⁶³-1."""
    numbers = [zlib.crc32(part.encode()) if isinstance(part, str) else part % 2**64 for part in place]
    words = [len(place), *numbers]  # SeedSequence takes (1,) and (1, 0) for the same
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))


def make_generator(*place: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of torch seeded for one place in the run."""
    return torch.Generator(device).manual_seed(derive_seed(*place))

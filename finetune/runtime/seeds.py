"""Random seeds that depend only on the place in a run, so that a resumed run draws the same numbers."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(*place: int | str) -> int:
    """Return a seed from 0 to 2⁶³-1 for one place in a run, such as (seed, epoch, step, "mix")."""
    numbers = [zlib.crc32(part.encode()) if isinstance(part, str) else part % 2**64 for part in place]
    words = [len(place), *numbers]  # SeedSequence treats (1,) and (1, 0) alike
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))


def make_generator(*place: int | str) -> torch.Generator:
    """Return a torch generator seeded for one place in a run."""
    return torch.Generator().manual_seed(derive_seed(*place))


@contextmanager
def keep_random_state(device: torch.device) -> Iterator[None]:
    """Restore torch's random state, on the CPU and on this device, after the block."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield

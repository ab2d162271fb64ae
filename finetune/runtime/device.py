"""What the numbers of a computation depend on beside its inputs: the device, its threads, and torch."""

from __future__ import annotations

import torch


def describe_device(device: torch.device) -> str:
    """Return a name for files, such as `cpu-2-torch-2.9.0`. The sums of other threads round differently."""
    threads = f"-{torch.get_num_threads()}" if device.type == "cpu" else ""
    return f"{device.type}{threads}-torch-{torch.__version__.partition('+')[0]}"

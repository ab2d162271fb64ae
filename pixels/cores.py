"""The processor cores that this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Return how many cores this process may use, at least 1.

    These are the cores that it may run on (as `taskset` sets them), or the processor time that its container
    may take, in whole cores, where that is less.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _cpu_quota())))


def _cpu_quota() -> float:
    """Return the processor time per second that the control groups allow; infinity where they do not say."""
    try:
        lines = OWN_CGROUP.read_text().splitlines()
    except OSError:  # not Linux
        return math.inf
    quotas = [math.inf]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            root = CGROUPS / "cpu" if controllers else CGROUPS
            group = root / path.lstrip("/")
            quotas += [
                _read_quota(folder) for folder in (group, *group.parents) if folder.is_relative_to(root)
            ]
    return min(quotas)


def _read_quota(folder: Path) -> float:
    """Return the limit of one control group, of version 2 or 1."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period")
            )
        return int(quota) / int(period) if quota.isdecimal() else math.inf  # "max", or -1
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf

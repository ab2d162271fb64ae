"""What training and serving share: images to RGB pixels, the cores to use, text that is safe to print."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixels.cores import usable_cores
    from pixels.decode import SUFFIXES, decode_rgb, read_deep_max, read_orientation
    from pixels.errors import ImageError
    from pixels.limits import MAX_PIXELS

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "ImageError",
    "decode_rgb",
    "read_deep_max",
    "read_orientation",
    "usable_cores",
]

_MODULES = {  # imported on first use: what only prints a text needs no numpy
    "pixels.cores": ("usable_cores",),
    "pixels.decode": ("SUFFIXES", "decode_rgb", "read_deep_max", "read_orientation"),
    "pixels.errors": ("ImageError",),
    "pixels.limits": ("MAX_PIXELS",),
}


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            found: object = getattr(importlib.import_module(module), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module 'pixels' has no attribute '{name}'")

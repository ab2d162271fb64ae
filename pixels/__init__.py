"""Image files to RGB pixels: the one decoder of training and serving, and the cores that both may use."""

from pixels.cores import usable_cores
from pixels.decode import MAX_PIXELS, decode_rgb, read_deep_max, read_orientation
from pixels.errors import ImageError

__all__ = ["MAX_PIXELS", "ImageError", "decode_rgb", "read_deep_max", "read_orientation", "usable_cores"]

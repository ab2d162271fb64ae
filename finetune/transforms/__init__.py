"""Augmentation and preprocessing of images."""

IGNORED = 255
"""The value of pixels of a mask that do not count, such as the borders that an augmentation adds."""

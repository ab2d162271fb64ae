"""Pretrained weights: where they are, whether the file can be trusted, and how it fits a network."""

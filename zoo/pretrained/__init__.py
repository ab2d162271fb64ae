"""Pretrained weights: where they are, whether they can be trusted, how they fit a network."""

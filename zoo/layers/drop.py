"""Dropout: any of these may be the choice of the slot `drop`. All are the identity outside training."""

from __future__ import annotations

from zoo.layers.shape import Layer, Positive, Shape, Share, is_map
from zoo.registry import drop


@drop
def dropout(x: Shape, *, p: Share = 0.5) -> Layer:
    """Zero each value with probability p. Source: Srivastava et al. 2014, JMLR 15."""
    return Layer(x, lambda m: m.nn.Dropout(p))


@drop
def dropout2d(x: Shape, *, p: Share = 0.1) -> Layer:
    """Zero whole channels with probability p; a flat feature is a channel. Source: arXiv:1411.4280."""
    return Layer(x, lambda m: m.nn.Dropout2d(p) if is_map(x) else m.nn.Dropout(p))


@drop
def drop_block(x: Shape, *, p: Share = 0.1, size: Positive = 7) -> Layer:
    """Zero squares of pixels. Source: Ghiasi et al. 2018, arXiv:1810.12890.

    On flat features, squares of one value: dropout.
    """
    return Layer(x, lambda m: m.DropBlock(p, size) if is_map(x) else m.nn.Dropout(p))


@drop
def drop_path(x: Shape, *, p: Share = 0.1) -> Layer:
    """Zero the whole branch of an image with probability p: stochastic depth. Source: arXiv:1603.09382."""
    return Layer(x, lambda m: m.DropPath(p))

"""The layer library: one function a layer. Importing this package registers them all.

A function's positional parameters are the shapes of its inputs; its keyword-only parameters are what a
spec may write. It gives a module on the meta device, or the calls that it stands for.
"""

from zoo.layers import activation, conv, drop, join, linear, norm, pool, resize, shortcut

__all__ = ["activation", "conv", "drop", "join", "linear", "norm", "pool", "resize", "shortcut"]

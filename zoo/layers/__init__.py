"""The layer library: one function per layer. Importing this package registers them all, without torch.

Positional parameters are the shapes of the inputs; keyword-only parameters are what a spec may write. The
function returns a Layer (output shape and how to build the module), or the calls that it stands for.
"""

from zoo.layers import activation, conv, drop, join, linear, norm, pool, resize, shortcut

__all__ = ["activation", "conv", "drop", "join", "linear", "norm", "pool", "resize", "shortcut"]

"""The most that a spec or a file of weights may hold: a file of a stranger must end, and fit into memory.

A program that needs more sets these before it reads, as in `zoo.limits.MAX_LAYERS = 200_000`.
"""

from __future__ import annotations

MAX_BYTES = 2**20
"""Of the files of one spec: its own, and those that it extends and includes, as often as it does."""
MAX_FILES = 100
"""Files that one spec reads."""
MAX_CHAIN = 20
"""Specs of which each extends or includes the next."""
MAX_VALUES = 50_000
"""Texts, numbers, lists and mappings in the files of one spec, or in one argument after substitution."""
MAX_ARGUMENTS = 1_000_000
"""The same in the arguments of all layers together."""
MAX_DEPTH = 100
"""Lists and mappings within each other, in a file and in a network after blocks are written out."""
MAX_NAME = 255
"""Characters of a key, a name of a file, and the dotted path of a layer."""
MAX_LAYERS = 100_000
MAX_RULES = 1000
"""Rules for initial weights, and stages."""
MAX_PARAMETERS = 10**11
MAX_OUTPUT = 10**10
"""Numbers that one layer returns for one image."""
MAX_PROBLEMS = 100
"""Mistakes that one message lists."""
MAX_SHOWN = 4000
"""Characters of each part of a mistake."""
MAX_WEIGHTS_BYTES = 2**34
"""Of a file of weights, also while it is downloaded."""
MAX_DOWNLOAD_S = 86_400.0
MAX_HEADER_BYTES = 2**25
"""Of the part of a file of weights that says which tensors there are."""

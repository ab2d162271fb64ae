"""The compiler of the spec language."""

"""Sanity checks of a recipe before it is trained: each is one function, listed in `run`."""

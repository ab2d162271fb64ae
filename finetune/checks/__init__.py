"""Sanity checks of a recipe before it is trained, each a function in one of these files."""

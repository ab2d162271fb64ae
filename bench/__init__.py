"""Speeds of Graft as ratios to the plain alternative, both measured in one run."""

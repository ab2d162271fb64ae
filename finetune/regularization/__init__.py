"""Techniques that act on a step of training against overfitting."""

"""Choosing a network: how well each of several specs suits the user's images."""

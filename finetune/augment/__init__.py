"""Augmentation: the registered steps of a spec, and pictures of what they do."""

"""Linear classifiers and neighbours on frozen features."""

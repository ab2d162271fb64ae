"""Linear classifiers on frozen features, and what they and the features say about the images."""

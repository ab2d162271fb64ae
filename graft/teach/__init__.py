"""Teaching in the demo: name classes, give images for each, and get a trained model."""

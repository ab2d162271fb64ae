"""Training a network as its plan says."""

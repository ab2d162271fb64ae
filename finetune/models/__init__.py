"""Networks made of trained networks."""

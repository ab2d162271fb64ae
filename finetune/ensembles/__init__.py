"""Several sets of weights, or several views, that answer as one network."""

"""Short trainings that compare strategies on images left out of training."""

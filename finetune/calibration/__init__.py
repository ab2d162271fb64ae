"""What the validation images say about answers: calibrated probabilities, sets of classes, unknown images."""

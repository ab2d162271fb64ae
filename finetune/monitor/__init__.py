"""Monitoring a run: measurements after each epoch, a diagnosis at its end, pictures."""

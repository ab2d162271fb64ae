"""Metrics by name, for the tasks to choose from."""

"""The report of a run: made, and shown."""

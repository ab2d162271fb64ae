"""The HTTP endpoints, one file per protocol."""

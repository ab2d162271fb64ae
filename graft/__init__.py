"""The `graft` command."""

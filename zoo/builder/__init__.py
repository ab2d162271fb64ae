"""From a declared network to a module."""

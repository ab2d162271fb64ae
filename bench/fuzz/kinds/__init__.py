"""The kinds of input that are damaged: one module each."""

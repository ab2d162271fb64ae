"""An int8 version of a model file, where it pays."""

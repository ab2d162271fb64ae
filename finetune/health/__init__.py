"""Data health: what is wrong with a set of images, for a person to look at and to correct."""

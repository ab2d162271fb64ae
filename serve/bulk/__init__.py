"""Answers for whole folders of images, written to a table."""

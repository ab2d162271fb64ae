"""Watching a network learn: what is measured after each epoch, where it goes, and what it says in words."""

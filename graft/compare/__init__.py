"""Comparing networks on the user's images: accuracy, speed, size, and what training them would take."""

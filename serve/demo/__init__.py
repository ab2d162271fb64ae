"""A page in the browser on which any exported model answers for uploaded images."""

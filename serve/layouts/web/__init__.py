"""A page that answers in the browser alone, without a server."""

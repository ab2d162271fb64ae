"""Networks of other libraries, known by their names."""

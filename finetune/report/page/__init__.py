"""report.html: the result of a run for a person, one file with pictures that needs no network."""

"""The experiment: a recipe and what a run of it works on."""

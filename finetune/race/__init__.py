"""A race of strategies on images that are left out: short trainings, and the losers dropped early."""

"""Documents are cut into passages."""

"""Writing questions about the passages (synthetic data generation)."""

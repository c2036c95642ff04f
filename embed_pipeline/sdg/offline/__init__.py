"""Questions written without a language model."""

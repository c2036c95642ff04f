"""Questions written by a language model."""

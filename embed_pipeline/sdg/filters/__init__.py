"""Which questions are kept, and why the others are not."""

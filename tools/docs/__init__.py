"""The documentation: pages written from the code, and a check of what was built."""

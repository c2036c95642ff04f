"""Corpora at addresses: listed, and read through a copy in the home that holds what was fetched."""

"""BEIR metrics and the verdict."""

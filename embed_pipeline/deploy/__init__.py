"""Releases and the targets they run on."""

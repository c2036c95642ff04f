"""Retraining by itself, without Dagster: what changed, whether to run, whom to tell."""

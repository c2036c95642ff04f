"""Splits, hard negatives, the training set and the benchmark."""

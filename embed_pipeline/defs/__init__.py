"""The Dagster layer: one file per stage, thin over the library."""

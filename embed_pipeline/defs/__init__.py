"""The Dagster layer: thin over the library."""

OWNERS = ["team:embed-pipeline"]

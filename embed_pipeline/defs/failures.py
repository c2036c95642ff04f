"""Library errors as Dagster failures: one clear line, retried only when trying again can help."""

import dagster as dg

from embed_pipeline.errors import EmbedPipelineError


def to_failure(error: EmbedPipelineError) -> dg.Failure:
    """The failure of a step; its metadata carries the exit code for the command line."""
    return dg.Failure(
        description=str(error),
        metadata={"error": type(error).__name__, "exit_code": error.exit_code},
        allow_retries=error.transient,
    )

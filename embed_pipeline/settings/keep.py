"""What a home keeps."""

from embed_pipeline.settings.section import Section, runtime


class KeepSettings(Section):
    """What ``embed-pipeline gc`` leaves in a home; what a pointer, a release or a run needs stays in any case."""

    runs: int = runtime(
        100,
        "Newest runs whose history stays in the web UI; of older ones only those that materialised an asset last.",
        ge=1,
    )
    artifacts: int = runtime(
        0,
        "Versions of each asset that stay besides those in use, the newest first, with all they were made from.",
        ge=0,
    )
    embeddings: int = runtime(
        0, "Models that nothing in the home uses any more whose embeddings stay, those used last first.", ge=0
    )

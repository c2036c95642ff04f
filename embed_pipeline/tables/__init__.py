"""The declared schema of every stored table: column, type, meaning, constraints.

Schemas are dataframely classes over Polars frames: ``validate(Passages, frame)`` checks and orders the
columns, ``columns(Passages)`` describes them for the UI and the documentation.
"""

from embed_pipeline.tables.check import columns, empty, validate, with_column
from embed_pipeline.tables.corpus import (
    Chunks,
    CorpusManifest,
    Documents,
    Dropped,
    Metadata,
    Passages,
)
from embed_pipeline.tables.evaluation import (
    CandidateMetrics,
    EndpointMetrics,
    Metrics,
    QueryMetrics,
    RerankerMetrics,
    Runs,
    SystemMetrics,
)
from embed_pipeline.tables.questions import (
    Coverage,
    QaCandidates,
    QaPairs,
    RejectedCandidates,
    SetAside,
    Spending,
)
from embed_pipeline.tables.training import (
    MinedNegatives,
    RejectedNegatives,
    Splits,
    SweepComparison,
    TrainingSet,
    VariantComparison,
)

__all__ = [
    "CandidateMetrics",
    "Chunks",
    "CorpusManifest",
    "Coverage",
    "Documents",
    "Dropped",
    "EndpointMetrics",
    "Metadata",
    "Metrics",
    "MinedNegatives",
    "Passages",
    "QaCandidates",
    "QaPairs",
    "QueryMetrics",
    "RejectedCandidates",
    "RejectedNegatives",
    "RerankerMetrics",
    "Runs",
    "SetAside",
    "Spending",
    "Splits",
    "SweepComparison",
    "SystemMetrics",
    "TrainingSet",
    "VariantComparison",
    "columns",
    "empty",
    "validate",
    "with_column",
]

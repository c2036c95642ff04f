"""Settings of evaluation."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from embed_pipeline.settings.section import Section, added, runtime


class EvalSettings(Section):
    """Comparing the systems that people could use: base, tuned, BM25, and both fused."""

    gold: Path | None = runtime(
        None, "BEIR folder with human questions (its own corpus.jsonl is optional).", protected="path"
    )
    ks: tuple[int, ...] = Field((1, 5, 10, 100), description="Cut-offs of every metric.")
    resamples: int = Field(10_000, ge=100, description="Bootstrap and permutation resamples.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Level of the intervals.")
    alpha: float = Field(0.05, gt=0, lt=1, description="Significance level of the verdict.")
    seed: int = Field(42, description="Seed of the resamples.")
    deploys: Literal["dense", "hybrid"] = added(
        "dense", "How the model will be used, by which the verdict is decided: alone, or fused with BM25."
    )
    fusion: Literal["convex", "rrf"] = added(
        "convex", "How BM25 and the model are fused where deploys is hybrid: scores, or reciprocal ranks."
    )

    query_log: Path | None = runtime(
        None,
        "Text file of queries that people typed, one a line, without judgements: the search page offers those on which "
        "the systems differ most.",
        protected="path",
    )

    @model_validator(mode="after")
    def _has_ten(self) -> "EvalSettings":
        if any(k < 1 for k in self.ks) or 10 not in self.ks:
            raise ValueError("ks must be positive and contain 10, by which the verdict is decided")
        return self

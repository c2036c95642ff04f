"""Settings of splits, hard negatives and the training set."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from embed_pipeline.settings.addresses import refuse_address
from embed_pipeline.settings.section import Section, added, runtime


class PrepSettings(Section):
    """Splitting, mining, unrolling."""

    seed: int = Field(
        42, description="Seed of every choice in this stage; another one, or other ratios, splits all anew."
    )
    train_ratio: float = Field(0.8, gt=0, le=1, description="Share of questions for training.")
    validation_ratio: float = Field(0.1, ge=0, lt=1, description="Share that picks the checkpoint; 0: none.")
    test_ratio: float = Field(
        0.1, ge=0, lt=1, description="Share for the synthetic benchmark; 0: the verdict rests on eval.gold alone."
    )
    hard_negatives: int = Field(5, ge=0, description="Hard negatives asked for per question.")
    mining_candidates: Literal["dense", "bm25", "both"] = Field(
        "dense", description="Whose ranking is mined: the model's, BM25's, or both in turn."
    )
    hard_negative_margin: float | None = Field(
        0.95, gt=0, le=1, description="Passages scoring above this share of the lowest positive are dropped; null: off."
    )
    hard_negative_absolute_margin: float | None = Field(
        None, ge=0, description="Passages scoring above the lowest positive minus this are dropped; null: off."
    )
    hard_negative_first_rank: int = Field(1, ge=1, description="Rank from which candidates are taken.")
    hard_negative_last_rank: int | None = Field(None, ge=1, description="Rank up to which; null: as deep as needed.")
    hard_negative_choice: Literal["top", "random"] = Field(
        "top", description="The best-ranked candidates, or a seeded random choice of the rank window."
    )
    exclude_same_document: bool = Field(
        True,
        description="Never take passages of the question's own documents, or of those split with them.",
    )
    denoise: Literal["none", "cross_encoder", "llm"] = Field(
        "none", description="Who looks at each negative once more and drops what answers the question."
    )
    cross_encoder: str | None = Field(
        None, description="Hub id or folder of the model that denoises.", json_schema_extra={"protected": "model"}
    )
    denoise_threshold: float = Field(
        0.1, gt=0, le=1, description="Probability of relevance above which the cross-encoder drops a negative."
    )
    relabel: bool = added(
        False, "What denoising finds to answer the question becomes a positive of it; what is in doubt is dropped."
    )
    relabel_threshold: float = added(
        0.9, "Probability of relevance above which the cross-encoder makes a positive of a negative.", gt=0, le=1
    )
    relabel_at_most: float = runtime(
        0.5,
        "Share of the negatives looked at that may become positives; the run stops where it would be more.",
        gt=0,
        le=1,
    )
    imported_weight: int = added(
        1, "Times that an imported question stands in the training set; a generated one stands there once.", ge=1, le=50
    )
    mining_rounds: int = Field(1, ge=1, le=5, description="Mine and train this often; later rounds mine anew.")
    leave_out_shared_words: float = added(
        0.0,
        "Share of the words shared with the passage that the training questions of the offline generator leave out.",
        ge=0,
        lt=1,
    )
    name_documents: float = added(
        0.0,
        "Share of the training questions of the offline generator that get words telling of their document, as people "
        "say whose contract or manual they mean.",
        ge=0,
        le=1,
    )
    approximate_above: int = Field(
        10_000_000,
        ge=1,
        description="Above this many passages an approximate index is searched; on a CPU it pays off from some 20,000 "
        "questions on.",
    )
    approximate_index: Literal["hnsw", "ivf"] = Field(
        "ivf", description="ivf: clusters, repeatable; hnsw: a graph, not repeatable bit for bit."
    )

    @field_validator("cross_encoder")
    @classmethod
    def _names_a_model(cls, name: str | None) -> str | None:
        if name is not None:
            refuse_address(name)
        return name

    @model_validator(mode="after")
    def _sums_to_one(self) -> "PrepSettings":
        total = self.train_ratio + self.validation_ratio + self.test_ratio
        if abs(total - 1.0) > 1e-6:
            raise ValueError(
                f"train_ratio + validation_ratio + test_ratio must be 1, but {self.train_ratio} + "
                f"{self.validation_ratio} + {self.test_ratio} = {total:g}"
            )
        return self

    @model_validator(mode="after")
    def _can_mine(self) -> "PrepSettings":
        first, last = self.hard_negative_first_rank, self.hard_negative_last_rank
        if last is not None and last < first:
            raise ValueError(f"hard_negative_last_rank ({last}) is smaller than hard_negative_first_rank ({first})")
        if self.hard_negative_choice == "random" and last is None:
            raise ValueError("hard_negative_choice is random, but hard_negative_last_rank is not set")
        if self.denoise == "cross_encoder" and not self.cross_encoder:
            raise ValueError("denoise is cross_encoder, but cross_encoder names no model")
        return self

    @model_validator(mode="after")
    def _can_relabel(self) -> "PrepSettings":
        if self.relabel and self.denoise == "none":
            raise ValueError("relabel is true, but denoise is none, so nobody looks at negatives; set denoise")
        if self.relabel and self.relabel_threshold < self.denoise_threshold:
            raise ValueError(
                f"relabel_threshold ({self.relabel_threshold:g}) is smaller than denoise_threshold "
                f"({self.denoise_threshold:g})"
            )
        return self

"""Settings of splits, hard negatives, training and sweeps."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from embed_pipeline.settings.addresses import is_address, names_only_a_place, refuse_address
from embed_pipeline.settings.sdg import KEY_VARIABLE
from embed_pipeline.settings.section import Section, added, formerly_keyed, runtime

HYBRID = "hybrid"
"""The teacher that is the base model and BM25, fused."""


class LoraSettings(Section):
    """Low-rank adaptation (Hu et al. 2021): train small matrices beside the weights, merged when saved."""

    rank: int = Field(0, ge=0, description="Rank of the matrices; 0: train all weights.")
    alpha: int = Field(32, ge=1, description="Their weight is alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of the adapters' inputs dropped in training.")
    target_modules: tuple[str, ...] = Field((), description="Layers adapted, by name; empty: every linear layer.")


class FinetuneSettings(Section):
    """Contrastive fine-tuning."""

    seed: int = Field(42, ge=0, lt=2**32, description="Seed of batches and dropout.")
    epochs: int = Field(3, ge=1, description="Passes over the training rows.")
    batch_size: int = Field(128, ge=2, description="Questions per step; their positives are in-batch negatives.")
    learning_rate: float = Field(1e-5, gt=0, description="Peak of AdamW's learning rate.")
    warmup_steps: int = Field(5, ge=0, description="Steps until the learning rate is at its peak.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Longer gradients are cut to this norm.")
    temperature: float = Field(0.02, gt=0, description="Similarities are divided by it in the loss.")
    hard_negatives: int = Field(4, ge=0, description="Mined negatives per question used in the loss.")
    base_weight: float = Field(
        0.0, ge=0, lt=1, description="Share of the base model's weights in the final model (weight averaging)."
    )
    max_query_length: int = Field(128, ge=8, description="Tokens of a query in training.")
    max_passage_length: int = Field(256, ge=8, description="Tokens of a passage in training.")
    evaluations_per_epoch: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto",
        description="Validation runs (and checkpoints) per epoch; auto: one, and two where max_steps ends before it.",
    )
    max_steps: int | None = Field(None, ge=1, description="Stop after this many steps.")
    early_stopping_patience: int | None = Field(
        None, ge=1, description="Stop after this many validations without a new best; null: never."
    )
    objective: Literal["in_batch", "group", "margin_mse", "kl"] = Field(
        "in_batch",
        description="in_batch: InfoNCE over the batch's passages; group: over the question's own positive and "
        "negatives, as the reference; margin_mse, kl: distilled from a teacher's scores alone.",
    )
    teacher: str | None = formerly_keyed(
        None,
        "Distilled from: a cross-encoder or embedding model (hub id, folder), an endpoint (https://host/v1#model), or "
        "hybrid: the base model fused with BM25.",
        protected="model",
    )
    matryoshka_dimensions: tuple[int, ...] = Field((), description="Smaller sizes that should be useful prefixes.")
    false_negative_margin: float | None = Field(
        None, ge=0, description="In-batch passages scoring above the positive plus this are left out; null: off."
    )
    grad_cache: Literal["auto", "on", "off"] = Field(
        "auto", description="Large batches in small memory; auto: where a batch would not fit at once."
    )
    mini_batch_size: int | None = Field(None, ge=1, description="Texts held at once by grad_cache; null: by length.")
    lora: LoraSettings = LoraSettings()
    gradient_checkpointing: bool = Field(False, description="Recompute activations instead of holding them.")
    attention_implementation: Literal["auto", "eager", "sdpa", "flash_attention_2"] = Field(
        "auto", description="auto: flash_attention_2 on a GPU that has it, eager in bf16 on a CPU, else sdpa."
    )
    length_grouped: bool = Field(False, description="Batches of texts of similar length: less padding.")
    processes: int = Field(0, ge=0, description="Processes trained in at once, one a GPU; 0: one for each visible GPU.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 on a GPU with it and on a CPU with AMX, else fp32."
    )

    training_share: float = added(
        1.0, "Share of the training questions that is trained on; a larger share holds every smaller one.", gt=0, le=1
    )

    dropout: float | None = added(
        None, "Share of the activations dropped in training; null: the base model's own.", ge=0, lt=1
    )
    same_document_share: float = added(
        0.0, "Share of the batches that are filled document by document instead of at random.", ge=0, le=1
    )
    crop: Literal["front", "evidence"] = added(
        "front", "Which part of a longer positive is trained on: its beginning, or what stands around the evidence."
    )
    lexical_share: float = added(
        0.0,
        "Share of BM25 beside the cosine in what in_batch and group rank by: the model learns what words do not say.",
        ge=0,
        lt=1,
    )
    distillation_weight: float = added(
        0.0,
        "Weight of the divergence from finetune.teacher beside in_batch or group, whose weight is the rest.",
        ge=0,
        le=1,
    )
    teacher_key_env: str = runtime(
        "EMBEDDINGS_API_KEY",
        "Environment variable with the key that is sent to a teacher's endpoint; its name ends in _API_KEY.",
        protected="secret",
    )
    keep_layers: int | None = added(
        None, "Train a student: the base model with this many of its layers, at even distances; null: all.", ge=1
    )
    validate_on: Literal["dense", "hybrid"] = added(
        "dense", "Whose nDCG@10 picks the checkpoint: the model's alone, or that of the model fused with BM25."
    )

    report_to: tuple[Literal["tensorboard", "mlflow", "trackio", "wandb"], ...] = runtime(
        (), "Experiment trackers that follow the training; each needs the extra of its name.", protected="address"
    )

    reranker: bool = runtime(
        False, "Train a reranker on the same questions and measure it: adds the assets reranker and reranker_metrics."
    )
    reranker_model: str | None = runtime(
        None,
        "What it is trained from (hub id, folder, package:NAME): a cross-encoder, or an encoder that gets a new head; "
        "null: base_model with a new head.",
        protected="model",
    )
    reranker_epochs: int = added(1, "Passes over the questions.", ge=1, with_section=False)
    reranker_max_steps: int | None = added(None, "Stop after this many steps.", ge=1, with_section=False)
    reranker_batch_size: int = added(8, "Questions per step, each with its passages.", ge=1, with_section=False)
    reranker_learning_rate: float | None = added(
        None,
        "Peak of AdamW's learning rate; null: 5e-5 from a cross-encoder, 3e-4 with a new head.",
        gt=0,
        with_section=False,
    )
    reranker_negatives: int = added(
        4, "Mined negatives per question; prep.hard_negatives says how many there are.", ge=1, with_section=False
    )
    reranker_max_length: int | None = added(
        None,
        "Tokens of question and passage together, in training and use; the longer of the two is cut. null: "
        "finetune.max_query_length + finetune.max_passage_length, at most what the model takes.",
        ge=16,
        with_section=False,
    )

    @property
    def looks_at_words(self) -> bool:
        """Whether the training looks at what BM25 finds, so that ``eval.bm25`` can change it."""
        return bool(self.lexical_share) or self.teacher == HYBRID or self.validate_on == "hybrid"

    @field_validator("reranker_model")
    @classmethod
    def _names_a_model(cls, name: str | None) -> str | None:
        if name is not None:
            refuse_address(name)
        return name

    @field_validator("teacher")
    @classmethod
    def _names_only_a_place(cls, name: str | None) -> str | None:
        if name is not None and not is_address(name):
            refuse_address(name)
        elif name is not None and not names_only_a_place(name):
            raise ValueError(
                "the address of a teacher holds a host, and no user name, password or query; its key comes from the "
                "environment variable that teacher_key_env names"
            )
        return name

    @field_validator("teacher_key_env")
    @classmethod
    def _is_a_key(cls, name: str) -> str:
        """So that no other secret of the environment is sent to an endpoint."""
        if not KEY_VARIABLE.fullmatch(name):
            raise ValueError("the name of a variable with a key ends in _API_KEY; rename the variable")
        return name

    @model_validator(mode="after")
    def _consistent(self) -> "FinetuneSettings":
        if any(size < 1 for size in self.matryoshka_dimensions):
            raise ValueError("matryoshka_dimensions must be positive")
        if self.keep_layers is not None and self.base_weight:
            raise ValueError(
                f"keep_layers is {self.keep_layers} and base_weight {self.base_weight}, but base and student have "
                "different layers, so that they cannot be averaged; set base_weight to 0"
            )
        return self


class SweepSettings(Section):
    """Trainings that differ from the checkpoint's in one setting, compared in one table."""

    enabled: bool = runtime(False, "Part of the graph; embed-pipeline sweep turns it on for one run.")
    learning_rate_factors: tuple[Annotated[float, Field(gt=0)], ...] = runtime(
        (0.5, 2.0), "Times finetune.learning_rate."
    )
    epochs: tuple[Annotated[int, Field(ge=1)], ...] = runtime((), "Instead of finetune.epochs.")
    training_share: tuple[Annotated[float, Field(gt=0, le=1)], ...] = runtime(
        (), "Instead of finetune.training_share, such as 0.25 and 0.5: whether more questions would help."
    )

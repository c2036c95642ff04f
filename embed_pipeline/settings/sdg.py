"""Settings of the encoder, the corpus and the questions."""

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from embed_pipeline.settings.section import Section, added, runtime
from embed_pipeline.text.path_patterns import checked_patterns

KEY_VARIABLE = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*)?_API_KEY")


class LLMSettings(Section):
    """An OpenAI-compatible chat endpoint. The key itself comes from the environment."""

    base_url: str | None = Field(
        None,
        description="For example https://api.openai.com/v1. Unset: offline generator.",
        json_schema_extra={"protected": "address"},
    )
    model: str | None = Field(
        None, description="Model that writes the questions.", json_schema_extra={"protected": "model"}
    )
    judge_model: str | None = Field(
        None, description="Model that judges them; unset: the same.", json_schema_extra={"protected": "model"}
    )
    api_key_env: str = runtime(
        "EMBED_PIPELINE_LLM_API_KEY",
        "Environment variable that holds the key; its name ends in _API_KEY, or stands in allowed_key_variables.",
        protected="secret",
    )
    allowed_key_variables: tuple[str, ...] = runtime(
        (), "Other names of variables that api_key_env may name.", protected="secret"
    )
    temperature: float = Field(0.6, ge=0, le=2, description="Sampling temperature of the answers.")
    top_p: float = Field(0.95, gt=0, le=1, description="Nucleus sampling: share of probability kept.")
    max_tokens: int = Field(4096, ge=64, description="Longest answer.")
    exclude: tuple[str, ...] = added(
        (),
        "Patterns as of .gitignore: documents that are read, but never shown to a language model, nor are questions "
        "about them.",
        protected="address",
    )
    prompt_price: float | None = runtime(
        None, "USD per million prompt tokens of model; unset: as genai-prices knows it.", protected="money", ge=0
    )
    completion_price: float | None = runtime(
        None, "USD per million completion tokens of model; unset: as genai-prices knows it.", protected="money", ge=0
    )
    judge_prompt_price: float | None = runtime(
        None, "As of model, for judge_model; unset: as set for model.", protected="money", ge=0
    )
    judge_completion_price: float | None = runtime(
        None, "As of model, for judge_model; unset: as set for model.", protected="money", ge=0
    )
    concurrency: int = runtime(16, "Most requests in flight; fewer while the endpoint asks for fewer.", ge=1)
    timeout_seconds: float = runtime(120.0, "Longest wait for one answer.", gt=0)
    max_attempts: int = runtime(6, "Attempts for one request before it is set aside.", ge=1)

    @field_validator("exclude")
    @classmethod
    def _are_patterns(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        return checked_patterns(lines)

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        address = urlsplit(value)
        if address.scheme not in ("http", "https") or not address.hostname or address.username or address.password:
            raise ValueError(
                "must be an http(s) address without a user name or password in it; "
                "the key comes from the environment variable that api_key_env names"
            )
        return value

    @model_validator(mode="after")
    def _reads_a_key(self) -> "LLMSettings":
        """So that no other secret of the environment is sent to an endpoint."""
        if not KEY_VARIABLE.fullmatch(self.api_key_env) and self.api_key_env not in self.allowed_key_variables:
            raise ValueError(
                f"api_key_env names {self.api_key_env}, but the name of a key ends in _API_KEY; rename the variable, "
                "or list it in allowed_key_variables"
            )
        return self


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
    import_from: Path | None = runtime(
        None,
        "Questions of your own: .jsonl, a BEIR folder with qrels/train.tsv, the reference recipe's SDG records, or "
        "training data with negatives (the recipe's files, Automodel, FlagEmbedding, sentence-transformers).",
        protected="path",
    )
    also_generate: bool = added(
        False, "With import_from: write questions as well, as engine says; an imported one wins over its likes."
    )
    seed: int = Field(42, description="Seed of every random choice in this stage.")
    max_questions: int = Field(3200, ge=1, description="Upper bound of questions kept.")
    questions_per_passage: float = Field(
        4.0, gt=0, description="Offline generator: questions wanted per passage, before filters."
    )
    min_question_chars: int = Field(
        12, ge=1, description="Shortest question; a character of a script without spaces counts as three."
    )
    max_question_chars: int = Field(400, ge=10, description="Longest question.")
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
    min_hops: int = Field(1, ge=1, description="LLM: fewest facts that a question combines.")
    max_hops: int = Field(3, ge=1, description="LLM: most facts that a question combines.")
    min_complexity: int = Field(2, ge=1, le=5, description="LLM: least complexity of a question, 1 to 5.")
    min_questions: int = Field(20, ge=1, description="Fewer kept questions stop the run (blocking check).")
    budget_usd: float | None = runtime(
        None,
        "Most money for the answers of one generation; needs prices, set (llm.prompt_price) or known.",
        protected="money",
        gt=0,
    )
    budget_tokens: int | None = runtime(
        None, "Most tokens (prompt and completion) of one generation.", protected="money", ge=1
    )
    prompts: Path | None = runtime(
        None, "Folder with prompt files of your own; embed-pipeline prompts writes one.", protected="code"
    )
    llm: LLMSettings = LLMSettings()

    @property
    def generates(self) -> bool:
        """Whether questions are written, be it beside imported ones."""
        return self.import_from is None or self.also_generate

    @property
    def names_engine(self) -> bool:
        """Whether ``engine`` is one that asks a language model, by its name."""
        return self.engine not in ("auto", "offline")

    @model_validator(mode="after")
    def _consistent(self) -> "SdgSettings":
        if self.also_generate and self.import_from is None:
            raise ValueError("also_generate is true, but import_from names no questions to generate others beside")
        if self.min_hops > self.max_hops:
            raise ValueError(f"min_hops ({self.min_hops}) is larger than max_hops ({self.max_hops})")
        if self.min_question_chars > self.max_question_chars:
            raise ValueError("min_question_chars is larger than max_question_chars")
        if self.names_engine and not (self.llm.base_url and self.llm.model):
            raise ValueError(f"engine is {self.engine}, but llm.base_url or llm.model is not set")
        if self.llm.base_url and not self.llm.model:
            raise ValueError("llm.base_url is set, but llm.model is not")
        return self

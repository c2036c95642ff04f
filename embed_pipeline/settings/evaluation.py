"""Settings of evaluation."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from embed_pipeline.settings.addresses import is_address, looks_like_address, names_only_a_place
from embed_pipeline.settings.sdg import KEY_VARIABLE
from embed_pipeline.settings.section import Section, added, runtime

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_TAKEN = ("gold", "synthetic", "general", "validation", "all")
KEPT = 100
"""Passages kept of what a system finds for a query, at least; more where ``ks`` asks for more."""
_HUB_OR_PACKAGE = re.compile(r"package:\w+|(?!.*(\.\.|--))[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)


def _is_folder(text: str) -> bool:
    try:
        return Path(text).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):
        return False


class Bm25Settings(Section):
    """How words are compared, by BM25 as a system and in the fusions."""

    stemming: Literal["auto", "off"] = added(
        "auto",
        "auto: stems of the languages of the corpus stand beside its words, so that inflected forms meet; off: none.",
    )
    k1: float = added(
        0.9, "How much more a word counts that stands in a passage more often; 0: not at all.", ge=0, le=10
    )
    b: float = added(0.4, "How much a passage that is longer than the average is held back.", ge=0, le=1)
    title_weight: int = added(
        1, "How many times the title of a passage counts, which stands in its text once.", ge=1, le=10
    )


class EvalSettings(Section):
    """Comparing the systems that people could use: base, tuned, BM25, and both fused."""

    gold: Path | None = runtime(
        None, "BEIR folder with human questions (its own corpus.jsonl is optional).", protected="path"
    )
    gold_sets: dict[str, Path] = runtime(
        {}, "More of them by name; the first decides where gold is not given.", protected="path"
    )
    ks: tuple[int, ...] = Field((1, 5, 10, 100), description="Cut-offs of every metric.")
    resamples: int = Field(10_000, ge=100, description="Bootstrap and permutation resamples.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Level of the intervals.")
    alpha: float = Field(0.05, gt=0, lt=1, description="Significance level of the verdict.")
    seed: int = Field(42, ge=0, description="Seed of the resamples.")
    deploys: Literal["dense", "hybrid"] = added(
        "dense", "How the model will be used, by which the verdict is decided: alone, or fused with BM25."
    )
    fusion: Literal["convex", "rrf"] = added(
        "convex", "How BM25 and the model are fused where deploys is hybrid: scores, or reciprocal ranks."
    )
    bm25: Bm25Settings = added(Bm25Settings(), "How words are compared.", unkeyed={})
    query_log: Path | None = runtime(
        None,
        "Text file of queries that people typed, one a line, without judgements: the search page offers those on which "
        "the systems differ most.",
        protected="path",
    )
    keep_identical_ids: bool = added(
        False, "Keep a passage whose id is the query's among what is found; BEIR leaves it out."
    )
    general: Path | None = runtime(
        None, "BEIR folder of general questions, for what was forgotten; not given: the bundled ones.", protected="path"
    )
    max_forgetting: float = added(
        0.05, "Relative loss of nDCG@10 on them that is accepted; a significantly larger one blocks.", ge=0, le=1
    )

    rerank_depth: int = added(
        100, "Passages of the hybrid that the reranker orders anew (finetune.reranker).", ge=1, with_section=False
    )

    candidates: tuple[str, ...] = runtime(
        (),
        "Other models (hub id, folder) and endpoints (https://host/v1#model) to measure untrained on the test sets.",
        protected="address",
    )
    candidates_key_env: str = runtime(
        "EMBEDDINGS_API_KEY",
        "Environment variable with the key that is sent to these endpoints; its name ends in _API_KEY.",
        protected="secret",
    )

    @field_validator("candidates")
    @classmethod
    def _can_be_opened(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not name.strip() or name != name.strip():
                raise ValueError("a candidate is a hub id, a folder or an address, without spaces around it")
            if not is_address(name) and looks_like_address(name):
                raise ValueError(
                    "a candidate is a model of the hub (owner/name or name), package:name, a folder, or an address "
                    "that begins with http:// or https://; what was given is not shown: an address may hold a password"
                )
            if not (is_address(name) or _HUB_OR_PACKAGE.fullmatch(name) or _is_folder(name)):
                raise ValueError(
                    f"{name[:80]!r} is no candidate: name a model of the hub (owner/name or name), package:name, a "
                    "folder that is there, or an address that begins with http:// or https://"
                )
            if is_address(name) and not names_only_a_place(name):
                raise ValueError(
                    "the address of a candidate holds no user name, password or query; its key comes from the "
                    "environment variable that candidates_key_env names"
                )
        if len(set(names)) != len(names):
            raise ValueError("a candidate is named twice")
        return names

    @field_validator("candidates_key_env")
    @classmethod
    def _is_a_key(cls, name: str) -> str:
        """So that no other secret of the environment is sent to an endpoint."""
        if not KEY_VARIABLE.fullmatch(name):
            raise ValueError("the name of a variable with a key ends in _API_KEY; rename the variable")
        return name

    @field_validator("gold_sets")
    @classmethod
    def _named(cls, sets: dict[str, Path]) -> dict[str, Path]:
        wrong = [name for name in sets if name in _TAKEN or not _NAME.fullmatch(name)]
        if wrong:
            raise ValueError(
                f"{wrong[0]!r} cannot name a gold set: letters, digits, - and _, but none of {', '.join(_TAKEN)}"
            )
        return sets

    @property
    def all_gold(self) -> dict[str, Path]:
        """Every gold set by name; the first decides."""
        return ({} if self.gold is None else {"gold": self.gold}) | self.gold_sets

    @model_validator(mode="after")
    def _has_ten(self) -> "EvalSettings":
        if any(k < 1 for k in self.ks) or 10 not in self.ks:
            raise ValueError("ks must be positive and contain 10, by which the verdict is decided")
        if self.rerank_depth > max(KEPT, *self.ks):
            raise ValueError(
                f"rerank_depth is {self.rerank_depth}, but of each query {max(KEPT, *self.ks)} passages are kept; "
                "lower it, or give ks a larger cut-off"
            )
        return self

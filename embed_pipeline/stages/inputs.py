"""What lies outside the store and what several stages take in."""

from pathlib import Path
from typing import TYPE_CHECKING

from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import Version
from embed_pipeline.store.artifacts import Artifact

if TYPE_CHECKING:
    from embed_pipeline.llm.responses import ResponseStore
    from embed_pipeline.records import RetrievalSet

BASE_MODEL = ("base_model", "encoder")
"""The settings that say which base model it is and how it encodes."""
GOLD = ("eval.gold",)


def uses_llm(settings: Settings) -> bool:
    """Whether a chat endpoint writes the questions."""
    sdg = settings.sdg
    return sdg.names_engine or (sdg.engine == "auto" and sdg.llm.base_url is not None)


def base_model_version(settings: Settings) -> str:
    """Of the base model's content and how it encodes."""
    from embed_pipeline.encoders.base_model import base_encoder_spec

    return base_encoder_spec(settings.base_model, settings.encoder).version()


def base_model_external(settings: Settings) -> dict[str, Version]:
    """The base model's content and how it encodes."""
    return {"base_model": lambda _: base_model_version(settings)}


def responses(home: Path) -> "ResponseStore":
    """Every LLM response ever received in this home."""
    from embed_pipeline.llm.responses import ResponseStore

    return ResponseStore(home / "cache" / "responses.sqlite")


def gold_external(settings: Settings) -> dict[str, Version]:
    """Content of the gold set."""
    gold = settings.eval.gold
    return {} if gold is None else {"gold": lambda _: _gold_version(gold)}


def _gold_version(folder: Path) -> str:
    from embed_pipeline.evaluation.gold import gold_fingerprint

    return gold_fingerprint(folder.expanduser())


def retrieval_sets(settings: Settings, benchmark: Artifact, passages: Artifact) -> "list[RetrievalSet]":
    """The gold set, when there is one, and the synthetic benchmark, when it has queries."""
    from embed_pipeline.evaluation.gold import load_gold
    from embed_pipeline.formats.beir import read_retrieval_set
    from embed_pipeline.records import passage_text

    sets = []
    if settings.eval.gold is not None:
        rows = passages.frame().select("passage_id", "title", "text").iter_rows()
        texts = {passage_id: passage_text(title, text) for passage_id, title, text in rows}
        sets.append(load_gold(settings.eval.gold.expanduser(), texts))
    if benchmark.file("queries.jsonl").stat().st_size:
        sets.append(read_retrieval_set(benchmark.path, "test", "synthetic", kind="synthetic"))
    return sets

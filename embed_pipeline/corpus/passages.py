"""From documents to passages: cut, or taken as they are, and grouped."""

import polars as pl

from embed_pipeline.corpus.chunking.chunk import chunk_documents
from embed_pipeline.corpus.chunking.kept_cuts import KeptCuts
from embed_pipeline.corpus.chunking.tokens import token_counter, tokenizer_sha256
from embed_pipeline.corpus.kept import KeptCorpus
from embed_pipeline.corpus.near_duplicates import group_near_duplicates
from embed_pipeline.corpus.sources.detect import CorpusKind
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.settings import CorpusSettings


def cut_passages(
    documents: pl.DataFrame,
    kind: CorpusKind,
    chunks: pl.DataFrame | None,
    spec: EncoderSpec,
    settings: CorpusSettings,
    kept: KeptCorpus | None = None,
) -> pl.DataFrame:
    """The passages of a corpus with their near-duplicate groups: :class:`embed_pipeline.tables.Passages`.

    Args:
        documents: :class:`embed_pipeline.tables.Documents`.
        kind: rows of a BEIR folder and texts of training data are passages as they are, ids kept.
        chunks: :class:`embed_pipeline.tables.Chunks` of SDG records, which are the passages; else None.
        spec: the base model, in whose tokens passages are measured.
        kept: where documents were cut before, so that only what is new is cut; the result is the same without.
    """
    uncut = kind in ("beir", "training")
    cuts = KeptCuts(kept.passages, [tokenizer_sha256(spec), *_settings(settings)]) if kept else None
    frame = chunk_documents(documents, token_counter(spec), settings, uncut=uncut, chunks=chunks, kept=cuts)
    return group_near_duplicates(frame, settings.near_duplicate_threshold, kept.fingerprints if kept else None)


def _settings(settings: CorpusSettings) -> list[str]:
    """What of the settings decides where a document is cut."""
    return [
        settings.chunking,
        str(settings.passage_tokens),
        str(settings.min_passage_tokens),
        str(settings.sentences_per_passage),
    ]

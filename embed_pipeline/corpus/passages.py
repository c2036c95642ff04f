"""From documents to passages: cut, or taken as they are, and grouped."""

from collections.abc import Mapping

import polars as pl

from embed_pipeline.corpus.chunking.chunk import chunk_documents
from embed_pipeline.corpus.chunking.kept_cuts import KeptCuts
from embed_pipeline.corpus.chunking.pieces import CountTokens
from embed_pipeline.corpus.chunking.tokens import token_counter, tokenizer_sha256
from embed_pipeline.corpus.kept import KeptCorpus
from embed_pipeline.corpus.near_duplicates import group_near_duplicates
from embed_pipeline.corpus.sources.detect import CorpusKind
from embed_pipeline.corpus.unseen import Unseen, count_unseen, room_of
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.errors import InputError
from embed_pipeline.progress import say
from embed_pipeline.records import passage_text
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.tables import Documents, Passages, empty, validate
from embed_pipeline.text.language import detect_language


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
        kind: rows of a BEIR folder and texts of training data are passages as they are, ids kept; with
            ``split_long_rows`` those that the encoder does not see to their end are cut.
        chunks: :class:`embed_pipeline.tables.Chunks` of SDG records, which are the passages; else None.
        spec: the base model, in whose tokens passages are measured.
        kept: where documents were cut before, so that only what is new is cut; the result is the same without.
    """
    uncut = kind in ("beir", "training")
    count = token_counter(spec)
    cuts = KeptCuts(kept.passages, [tokenizer_sha256(spec), *_settings(settings)]) if kept else None
    if uncut and settings.split_long_rows:
        frame = _split(documents, spec, count, settings, cuts)
    else:
        frame = chunk_documents(documents, count, settings, uncut=uncut, chunks=chunks, kept=cuts)
    return group_near_duplicates(frame, settings.near_duplicate_threshold, kept.fingerprints if kept else None)


def unseen_of(passages: pl.DataFrame, spec: EncoderSpec) -> Unseen:
    """What the encoder does not see of passages."""
    return count_unseen(passages.select("title", "text", "token_count").rows(), spec, token_counter(spec))


def pieces_of(rows: Mapping[str, tuple[str, str]], spec: EncoderSpec) -> dict[str, list[str]]:
    """Of rows that are longer than the encoder takes the pieces that it reads instead, titles included.

    A piece has at most three quarters of the tokens that the encoder takes; the rest is for the title.

    Args:
        rows: id -> title and text.
    """
    count = token_counter(spec)
    room = room_of(spec, count)
    lengths = count([passage_text(*row) for row in rows.values()])
    long = {name: row for (name, row), tokens in zip(rows.items(), lengths, strict=True) if tokens > room}
    documents = pl.DataFrame(
        {
            "doc_id": list(long),
            "title": [title for title, _ in long.values()],
            "text": [text for _, text in long.values()],
            "sections": [[] for _ in long],
            "language": [detect_language(text) for _, text in long.values()],
        },
        schema={name: empty(Documents).schema[name] for name in ("doc_id", "title", "text", "sections", "language")},
    )
    settings = CorpusSettings(passage_tokens=max(16, 3 * room // 4))
    pieces: dict[str, list[str]] = {name: [] for name in long}
    for name, title, text in chunk_documents(documents, count, settings).select("doc_id", "title", "text").iter_rows():
        pieces[name].append(passage_text(title, text))
    return pieces


def way_out(kind: CorpusKind, settings: CorpusSettings) -> str:
    """What to do about passages that the encoder does not see to their end."""
    if kind in ("beir", "training") and not settings.split_long_rows:
        return "Set corpus.split_long_rows to true to cut such rows into passages; judgements follow."
    if kind == "records":
        return "Cut shorter chunks, or let corpus.path name the documents themselves."
    return "Lower corpus.passage_tokens, or raise encoder.max_passage_length as far as the model goes."


def _split(
    documents: pl.DataFrame, spec: EncoderSpec, count: CountTokens, settings: CorpusSettings, cuts: KeptCuts | None
) -> pl.DataFrame:
    """Rows as they are, but for those that are longer than the encoder takes: they are cut as documents are.

    Raises:
        InputError: a piece would have the id of another row.
    """
    room = room_of(spec, count)
    shown = [passage_text(*row) for row in documents.select("title", "text").iter_rows()]
    long = pl.Series([tokens > room for tokens in count(shown)], dtype=pl.Boolean)
    whole = chunk_documents(documents.filter(~long), count, settings, uncut=True)
    pieces = chunk_documents(documents.filter(long), count, settings, kept=cuts)
    both = sorted(set(whole["passage_id"]) & set(pieces["passage_id"]))
    if both:
        raise InputError(
            f"{both[0]}: a row has this id, and the piece of a long row would have it too. Give the row another id, or "
            "set corpus.split_long_rows to false."
        )
    say(f"{long.sum():,} of {documents.height:,} rows are cut into {pieces.height:,} passages (corpus.split_long_rows)")
    order = documents.select("doc_id").with_row_index("row")
    frame = pl.concat([whole, pieces]).join(order, on="doc_id", how="left").sort("row", "position").drop("row")
    return validate(Passages, frame)


def _settings(settings: CorpusSettings) -> list[str]:
    """What of the settings decides where a document is cut."""
    return [
        settings.chunking,
        str(settings.passage_tokens),
        str(settings.min_passage_tokens),
        str(settings.sentences_per_passage),
    ]

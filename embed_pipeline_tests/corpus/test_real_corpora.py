"""The whole stage on real documents; skipped where they are not at hand."""

import polars as pl
import pytest

from embed_pipeline.corpus.chunking.chunk import chunk_documents
from embed_pipeline.corpus.chunking.tokens import token_counter
from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.manifest import scan_corpus
from embed_pipeline.corpus.near_duplicates import group_near_duplicates
from embed_pipeline.settings import CorpusSettings

SETTINGS = CorpusSettings()


@pytest.mark.parametrize(
    ("folder", "language", "least"),
    [
        ("nvidia-docs/docs/cloud-native/gpu-operator", "en", 20),
        ("ant-manual-html/docs/manual/Types", "en", 20),
        ("cuad-pdf", "en", 40),
        ("xquad/zh/docs", "zh", 48),
        ("xquad/ar/docs", "ar", 48),
    ],
)
def test_real_documents_become_passages(corpora, base_model_spec, folder, language, least):
    root = corpora / folder
    parsed = read_documents(root, scan_corpus(root, SETTINGS), SETTINGS)
    assert parsed.documents.height >= least
    assert parsed.documents["language"].mode().to_list() == [language]
    passages = chunk_documents(parsed.documents, token_counter(base_model_spec), SETTINGS)
    texts = dict(parsed.documents.select("doc_id", "text").rows())
    rows = passages.to_dicts()
    assert [row["text"] for row in rows] == [texts[row["doc_id"]][row["start"] : row["end"]] for row in rows]
    assert max(passages["token_count"]) <= SETTINGS.passage_tokens
    small = passages.filter(pl.col("token_count") < SETTINGS.min_passage_tokens)
    assert small.height <= 0.01 * passages.height


def test_a_real_beir_folder_keeps_its_ids(corpora, base_model_spec):
    root = corpora / "xquad" / "de"
    parsed = read_documents(root, scan_corpus(root, SETTINGS), SETTINGS)
    passages = chunk_documents(parsed.documents, token_counter(base_model_spec), SETTINGS, uncut=parsed.kind == "beir")
    grouped = group_near_duplicates(passages, SETTINGS.near_duplicate_threshold)
    lines = (root / "corpus.jsonl").read_text("utf-8").splitlines()
    assert grouped.height == len(lines)
    assert grouped["passage_id"].to_list() == parsed.documents["doc_id"].to_list()

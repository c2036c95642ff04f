"""Fixed groups of sentences, as the reference recipe cuts."""

import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.corpus.chunking.chunk import chunk_documents
from embed_pipeline.corpus.parsers.blocks import Block, join_blocks
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.text.language import detect_language
from embed_pipeline_tests.corpus.build import documents
from embed_pipeline_tests.corpus.test_documents import SCRIPTS

NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
NUMBERED = [f"This is the sentence with number {word}." for word in NUMBERS]


def words(texts):
    return [len(text.split()) for text in texts]


def cut(frame, size=5):
    return chunk_documents(frame, words, CorpusSettings(chunking="sentences", sentences_per_passage=size))


def test_groups_cross_paragraphs_and_the_rest_stands_alone():
    frame = documents([" ".join(NUMBERED[:2]), " ".join(NUMBERED[2:4]), " ".join(NUMBERED[4:])], NUMBERED[:1])
    passages = cut(frame, 3)
    assert [re.findall(r"number (\w+)", text) for text in passages["text"]] == [
        ["one", "two", "three"],
        ["four", "five", "six"],
        ["seven", "eight"],
        ["one"],
    ]
    assert passages["passage_id"].to_list() == ["d0.md#0000", "d0.md#0001", "d0.md#0002", "d1.md#0000"]
    assert passages["text"][0] == f"{NUMBERED[0]} {NUMBERED[1]}\n\n{NUMBERED[2]}"
    assert passages["token_count"].to_list() == [21, 21, 14, 7]


def test_headings_count_as_sentences_and_sections_are_crossed():
    frame = documents([Block("Top", 1), NUMBERED[0], Block("Next part", 2), " ".join(NUMBERED[1:4])])
    passages = cut(frame, 4)
    assert passages["text"].to_list() == [
        f"Top\n\n{NUMBERED[0]}\n\nNext part\n\n{NUMBERED[1]}",
        f"{NUMBERED[2]} {NUMBERED[3]}",
    ]
    assert passages["title"].to_list() == ["Manual › Next part", "Manual › Next part"]


def test_no_group_is_cut_however_long():
    frame = documents([" ".join(["word"] * 3000) + "."])
    assert cut(frame)["token_count"].to_list() == [3000]


def check(frame, passages):
    """Passages slice back, stand in order and cover the document; returns how many each document has."""
    for document in frame.to_dicts():
        covered = 0
        for row in passages.filter(pl.col("doc_id") == document["doc_id"]).to_dicts():
            assert row["text"] == document["text"][row["start"] : row["end"]] == row["text"].strip()
            assert document["text"][covered : row["start"]].strip() == ""
            covered = row["end"]
        assert document["text"][covered:].strip() == ""


@given(
    st.lists(
        st.lists(st.text("ab。ไทé. \u0301\n!?中\u061f", min_size=1, max_size=80), min_size=1, max_size=8), max_size=3
    ),
    st.integers(1, 6),
)
def test_spans_are_verbatim_ordered_and_complete(contents, size):
    usable = [content for content in contents if join_blocks([Block(text) for text in content])[0].strip()]
    frame = documents(*usable, ["always something"])
    check(frame, cut(frame, size))


@pytest.mark.parametrize("language", sorted(SCRIPTS))
def test_scripts(language):
    frame = documents([SCRIPTS[language] * 4, SCRIPTS[language]], language=detect_language(SCRIPTS[language]))
    passages = cut(frame, 1)
    check(frame, passages)
    assert passages.height >= 2  # Thai marks no sentence ends: a paragraph is one


def test_every_setting_that_counts_is_in_the_key_of_the_stage():
    from embed_pipeline.settings import Settings
    from embed_pipeline.settings.sources import with_overrides
    from embed_pipeline.stages.corpus import passages

    versions = {
        passages.code_version(with_overrides(Settings(), [override] if override else []))
        for override in ("", "corpus.chunking=sentences", "corpus.sentences_per_passage=3", "corpus.processes=2")
    }
    assert len(versions) == 3

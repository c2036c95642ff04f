"""Texts of other people's training data found in the corpus."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.sdg.candidates import Hop
from embed_pipeline.sdg.exchange.passage_finder import WINDOW, find_passages
from embed_pipeline_tests.sdg.sample import documents_and_passages

DOCUMENTS, PASSAGES = documents_and_passages()
TEXT_OF = dict(DOCUMENTS.select("doc_id", "text").iter_rows())


def found(**texts):
    return find_passages(texts, PASSAGES, DOCUMENTS)


def test_a_passage_is_found_with_or_without_its_title_whatever_its_white_space():
    row = PASSAGES.row(1, named=True)
    loose = "\n  ".join(row["text"].split())
    expected = (Hop(row["passage_id"], ""),)
    assert found(a=loose, b=f"{row['title']} {row['text']}", c=row["text"] + "\u00ad") == dict.fromkeys("abc", expected)


def test_of_equal_passages_the_one_with_the_same_id_is_taken():
    first = PASSAGES.row(0, named=True)
    twice = pl.concat([PASSAGES, PASSAGES.head(1).with_columns(passage_id=pl.lit("mine"))])
    read = find_passages({"mine": first["text"], "other": first["text"]}, twice, DOCUMENTS)
    assert read == {"mine": (Hop("mine", ""),), "other": (Hop(first["passage_id"], ""),)}


def test_a_text_cut_otherwise_is_found_in_its_document():
    whole = TEXT_OF["alarm.md"]
    hops = found(part=whole)["part"]
    assert [hop.passage_id for hop in hops] == ["alarm.md#0", "alarm.md#1"]
    assert all(hop.evidence and hop.evidence in whole for hop in hops)


def test_what_stands_nowhere_or_is_too_short_or_empty_is_not_found():
    assert found(a="No corpus holds these words, whatever they mean.", b="alarm", c=" ") == {}


@given(st.data())
def test_every_slice_of_a_document_that_is_long_enough_is_found_where_it_stands(data):
    doc_id = data.draw(st.sampled_from(sorted(TEXT_OF)))
    text = TEXT_OF[doc_id]
    start = data.draw(st.integers(0, len(text) - 1))
    part = text[start : data.draw(st.integers(start, len(text)))]
    hops = found(part=part).get("part", ())
    spans = {row["passage_id"]: row["text"] for row in PASSAGES.to_dicts()}
    assert all((hop.evidence or part).split()[0] in spans[hop.passage_id] for hop in hops)
    if len("".join(part.split())) >= WINDOW and any(part.strip() in whole for whole in spans.values()):
        assert hops

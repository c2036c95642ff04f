import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.corpus.chunking.chunk import chunk_documents
from embed_pipeline.corpus.chunking.tokens import token_counter
from embed_pipeline.corpus.parsers.blocks import Block, join_blocks
from embed_pipeline.settings import CorpusSettings
from embed_pipeline.tables import Documents, empty
from embed_pipeline.text.language import detect_language
from embed_pipeline_tests.corpus.build import documents
from embed_pipeline_tests.corpus.test_documents import SCRIPTS

SENTENCE = "One two three four five six seven eight nine ten."


def words(texts):
    return [len(text.split()) for text in texts]


def characters(texts):
    return [len(text) for text in texts]


def superadditive(texts):
    """Worse than any tokenizer: joined texts cost more than their parts together."""
    return [len(text.split()) + len(text) // 40 for text in texts]


def settings(budget=40, smallest=8):
    return CorpusSettings(passage_tokens=budget, min_passage_tokens=smallest)


def check_invariants(frame, passages, count, budget, smallest=0):
    """Every promise about spans; returns the texts."""
    for document in frame.to_dicts():
        mine = passages.filter(pl.col("doc_id") == document["doc_id"])
        position, covered = 0, 0
        for row in mine.to_dicts():
            assert row["text"] == document["text"][row["start"] : row["end"]] == row["text"].strip()
            assert document["text"][covered : row["start"]].strip() == ""
            assert row["start"] >= covered
            assert row["position"] == position
            assert row["passage_id"] == row["group_id"] == f"{document['doc_id']}#{position:04d}"
            assert row["token_count"] == count([row["text"]])[0]
            assert row["token_count"] <= budget or len(row["text"]) == 1
            position, covered = position + 1, row["end"]
        assert document["text"][covered:].strip() == ""
    return passages["text"].to_list()


headings = st.builds(Block, st.text("abc XY", min_size=1, max_size=15), st.integers(1, 3))
prose = st.lists(st.text("ab。ไทé. \u0301\n!?", min_size=1, max_size=60), min_size=1, max_size=12).map(" ".join)
unspaced = st.text("中文字。句子ก็อ", min_size=1, max_size=400)
blocks = st.lists(st.one_of(headings, prose, unspaced), min_size=1, max_size=8)


@pytest.mark.parametrize("count", [words, characters, superadditive])
@given(contents=st.lists(blocks, min_size=1, max_size=3), budget=st.integers(16, 60), smallest=st.integers(0, 30))
def test_spans_are_verbatim_ordered_complete_and_within_budget(count, contents, budget, smallest):
    usable = [
        content for content in contents if join_blocks([Block(getattr(b, "text", b)) for b in content])[0].strip()
    ]
    frame = documents(*[*usable, ["always something"]])
    passages = chunk_documents(frame, count, settings(budget, smallest))
    check_invariants(frame, passages, count, budget)


def test_sentences_are_kept_whole():
    frame = documents([" ".join([SENTENCE] * 10)])
    texts = check_invariants(frame, chunk_documents(frame, words, settings()), words, 40)
    assert [text.count("One") for text in texts] == [4, 4, 2]
    assert all(text.startswith("One") and text.endswith("ten.") for text in texts)


def test_sections_are_not_mixed_and_give_their_heading_to_the_title():
    frame = documents([Block("Manual", 1), SENTENCE, Block("Limits", 2), SENTENCE, Block("Parts", 2), SENTENCE])
    passages = chunk_documents(frame, words, settings())
    assert passages["text"].to_list() == [f"{heading}\n\n{SENTENCE}" for heading in ("Manual", "Limits", "Parts")]
    assert passages["title"].to_list() == ["Manual", "Manual › Limits", "Manual › Parts"]


def test_a_section_that_is_too_small_joins_its_neighbour():
    frame = documents(
        [Block("A", 1), "Short one.", Block("B", 1), SENTENCE, Block("C", 1), SENTENCE, Block("D", 1), "End."]
    )
    passages = chunk_documents(frame, words, settings())
    assert passages["text"].to_list() == [
        f"A\n\nShort one.\n\nB\n\n{SENTENCE}",
        f"C\n\n{SENTENCE}\n\nD\n\nEnd.",
    ]
    assert passages["title"].to_list() == ["Manual › B", "Manual › C"]


def test_headings_never_stand_alone_nor_at_the_end():
    long = " ".join([SENTENCE] * 4)
    frame = documents(
        [Block("Top", 1), Block("Sub", 2), Block("Below", 3), long, Block("Next", 1), long, Block("Last", 1)]
    )
    texts = check_invariants(frame, chunk_documents(frame, words, settings()), words, 40)
    assert texts[0].startswith("Top\n\nSub\n\nBelow\n\nOne")
    assert [text for text in texts if text.strip() in ("Top", "Sub", "Below", "Next", "Last")] == []
    assert [text.endswith(("Below", "Next")) for text in texts] == [False] * len(texts)


def test_a_line_that_leads_in_stays_with_what_follows():
    filler = " ".join([SENTENCE] * 3)
    frame = documents([filler, "Run this:", "tally --loft now and then wait until the lamp is green.", SENTENCE])
    texts = chunk_documents(frame, words, settings())["text"].to_list()
    assert [text.endswith("Run this:") for text in texts] == [False] * len(texts)
    assert any("Run this:\n\ntally --loft" in text for text in texts)


def test_a_link_under_a_heading_is_no_passage():
    frame = documents([Block("Title", 1), "Source: https://example.com/a/b", Block("Body", 2), SENTENCE])
    texts = chunk_documents(frame, words, settings(smallest=0))["text"].to_list()
    assert texts == [f"Title\n\nSource: https://example.com/a/b\n\nBody\n\n{SENTENCE}"]


def test_the_last_passage_is_not_a_tiny_rest():
    frame = documents([" ".join([SENTENCE] * 5)])
    passages = chunk_documents(frame, words, settings(budget=40))
    assert passages["token_count"].to_list() == [30, 20]


def test_a_sentence_longer_than_the_budget_is_cut_between_words_into_equal_parts():
    sentence = " ".join(f"word{n}" for n in range(90)) + "."
    frame = documents([sentence])
    texts = check_invariants(frame, chunk_documents(frame, words, settings()), words, 40)
    assert " ".join(texts) == sentence
    assert {len(text.split()) for text in texts} <= {30, 31}


def test_code_is_cut_at_lines_first():
    code = "\n".join(f"call number {n} with some arguments" for n in range(20))
    frame = documents([code])
    texts = check_invariants(frame, chunk_documents(frame, words, settings()), words, 40)
    assert all(text.startswith("call") and text.endswith("arguments") for text in texts)


def test_text_without_any_boundary_is_cut_between_characters_but_not_inside_one():
    text = "e\u0323\u0302" * 300  # three code points that do not compose any further than to two
    frame = documents([text])
    texts = check_invariants(frame, chunk_documents(frame, characters, settings()), characters, 40)
    assert "".join(texts) == frame["text"][0]


@pytest.mark.parametrize("language", sorted(SCRIPTS))
def test_scripts(language, base_model_spec):
    frame = documents([SCRIPTS[language] * 8], language=detect_language(SCRIPTS[language]))
    count = token_counter(base_model_spec)
    texts = check_invariants(frame, chunk_documents(frame, count, settings(64, 8)), count, 64)
    assert len(texts) > 1
    assert max(map(len, texts)) <= 64 * 12


def test_chinese_and_arabic_are_cut_at_their_own_full_stops():
    for language, ends in (("zh", "。"), ("ar", ".؟")):
        frame = documents([SCRIPTS[language] * 6], language=language)
        texts = chunk_documents(frame, characters, settings(90, 8))["text"].to_list()
        assert [text[-1] in ends for text in texts] == [True] * len(texts)


def test_full_stops_inside_names_are_no_sentence_ends():
    frame = documents(["Put web.xml into WEB-INF/web.xml and MANIFEST.MF beside it. " * 8])
    texts = chunk_documents(frame, words, settings(16, 0))["text"].to_list()
    assert [text.endswith("it.") for text in texts] == [True] * len(texts)


def test_whole_documents_for_beir():
    frame = documents(["first " * 500], ["second"], title="").with_columns(doc_id=pl.Series(["q/1", "7"]))
    passages = chunk_documents(frame, words, settings(), uncut=True)
    assert passages.select("passage_id", "doc_id", "position", "group_id", "token_count").rows() == [
        ("q/1", "q/1", 0, "q/1", 500),
        ("7", "7", 0, "7", 1),
    ]
    assert passages["text"].to_list() == [text.strip() for text in frame["text"]]


def test_tokens_are_counted_in_few_calls():
    calls = []

    def count(texts):
        calls.append(len(texts))
        return words(texts)

    chunk_documents(documents(*[[" ".join([SENTENCE] * 9)]] * 50), count, settings())
    assert len(calls) <= 4


def test_no_documents_give_an_empty_table():
    assert chunk_documents(empty(Documents), words, settings()).height == 0

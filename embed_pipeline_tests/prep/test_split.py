"""Splits: everything assigned once, nothing leaks, growing corpora stay put."""

import polars as pl
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from embed_pipeline.errors import InputError
from embed_pipeline.prep.leakage import find_leaks
from embed_pipeline.prep.split import split_items
from embed_pipeline.settings import PrepSettings
from embed_pipeline_tests.prep.build import WordEncoder, corpus, grouped, pairs_of, passages_of

ENCODER = WordEncoder()
WORDS = ["lion", "river", "engine", "paper", "violin", "harbour", "lamp", "stone", "forest", "clock"]


def split_of(frame: pl.DataFrame, item_type: str) -> dict[str, str]:
    return dict(frame.filter(pl.col("item_type") == item_type).select("item_id", "split").iter_rows())


@st.composite
def corpora(draw):
    """Documents with shared texts, shared evidence, repeated and reworded questions."""
    count = draw(st.integers(12, 30))
    docs = [f"d{index:02d}" for index in range(count)]
    groups, texts = {}, {}
    for index, doc in enumerate(docs):
        size = draw(st.integers(1, 3))
        texts[doc] = [f"passage {index} {place} {WORDS[index % 10]}" for place in range(size)]
        if draw(st.integers(0, 9)) == 0:
            groups[f"{doc}#0"] = f"{docs[draw(st.integers(0, index))]}#0"
    questions = {}
    for index, doc in enumerate(docs):
        for place in range(draw(st.integers(1, 3))):
            positives = [f"{doc}#0"]
            if draw(st.integers(0, 9)) == 0:
                positives.append(f"{docs[draw(st.integers(0, count - 1))]}#0")
            text = f"q{index} w{place} {WORDS[(index + place) % 10]} v{index * 7 + place}"
            if draw(st.integers(0, 14)) == 0:
                text = f"which {WORDS[0]} is it"
            questions[f"{doc}q{place}"] = (text, list(dict.fromkeys(positives)))
    return pairs_of(questions), passages_of(texts, groups)


@settings(max_examples=25, deadline=None)
@given(corpora(), st.integers(0, 3), st.dictionaries(st.integers(0, 29), st.integers(0, 29), max_size=4))
def test_every_item_once_and_no_leak(tables, seed, twins):
    pairs, passages = tables
    names = passages["doc_id"].unique().sort()
    wanted = {names[one]: names[other] for one, other in twins.items() if max(one, other) < len(names)}
    documents = grouped(passages, wanted)
    try:
        frame = split_items(pairs, passages, ENCODER, PrepSettings(seed=seed), documents)
    except InputError:
        reject()
    assert set(split_of(frame, "document")) == set(passages["doc_id"])
    assert set(split_of(frame, "question")) == set(pairs["question_id"])
    assert frame.select("item_type", "item_id").is_duplicated().sum() == 0
    assert set(split_of(frame, "question").values()) == {"train", "validation", "test"}
    assert frame.group_by("component").agg(pl.col("split").n_unique())["split"].max() == 1
    assert find_leaks(pairs, passages, frame, ENCODER, documents).height == 0


def test_near_duplicate_documents_stay_together():
    pairs, passages = corpus(40)
    twins = {f"doc{number:03d}": f"doc{number - 20:03d}" for number in range(20, 40)}
    documents = grouped(passages, twins)
    apart = split_of(split_items(pairs, passages, ENCODER, PrepSettings()), "document")
    together = split_items(pairs, passages, ENCODER, PrepSettings(), documents)
    assert any(apart[one] != apart[other] for one, other in twins.items())
    assert [split_of(together, "document")[one] for one in twins] == [
        split_of(together, "document")[other] for other in twins.values()
    ]
    assert together["component"].n_unique() == 20
    assert together.equals(split_items(pairs, passages, ENCODER, PrepSettings(), documents.reverse()))


def test_documents_without_passages_do_not_matter():
    pairs, passages = corpus(12)
    more = pl.concat([grouped(passages, {}), pl.DataFrame({"doc_id": ["aaa"], "group_id": ["aaa"]})])
    frame = split_items(pairs, passages, ENCODER, PrepSettings(), more)
    assert frame.equals(split_items(pairs, passages, ENCODER, PrepSettings()))


def test_deterministic_and_seeded():
    pairs, passages = corpus(40)
    first = split_items(pairs, passages, ENCODER, PrepSettings())
    shuffled = split_items(pairs.sample(fraction=1, shuffle=True, seed=1), passages.reverse(), ENCODER, PrepSettings())
    assert first.equals(shuffled)
    assert not first.equals(split_items(pairs, passages, ENCODER, PrepSettings(seed=7)))


@pytest.mark.parametrize("seed", range(3))
def test_adding_a_document_moves_no_document_from_test_to_train(seed):
    pairs, passages = corpus(301)
    chosen = PrepSettings(seed=seed)
    kept = pairs.filter(pl.col("doc_ids").list.first() != "doc300")
    before = split_of(split_items(kept, passages.filter(pl.col("doc_id") != "doc300"), ENCODER, chosen), "document")
    after = split_of(split_items(pairs, passages, ENCODER, chosen), "document")
    moved = {doc: (before[doc], after[doc]) for doc in before if before[doc] != after[doc]}
    assert not [doc for doc, (_, now) in moved.items() if now == "train"]
    assert len(moved) <= 2


def test_ratios_are_kept():
    pairs, passages = corpus(300)
    shares = pl.Series(list(split_of(split_items(pairs, passages, ENCODER, PrepSettings()), "question").values()))
    counted = dict(shares.value_counts(normalize=True).iter_rows())
    assert counted["train"] == pytest.approx(0.8, abs=0.06)
    assert counted["test"] == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("seed", range(20))
def test_small_corpora_fill_every_split(seed):
    pairs, passages = corpus(12)
    values = list(split_of(split_items(pairs, passages, ENCODER, PrepSettings(seed=seed)), "question").values())
    assert values.count("test") >= 2
    assert values.count("validation") >= 2
    assert values.count("train") >= 12


def test_a_huge_component_is_trained_on():
    pairs, passages = corpus(10, questions=1)
    more = {f"big{index}": (f"unique{index} thing{index} asked{index}", ["doc000#0"]) for index in range(40)}
    both = pl.concat([pairs, pairs_of(more)])
    for seed in range(10):
        assert split_of(split_items(both, passages, ENCODER, PrepSettings(seed=seed)), "document")["doc000"] == "train"


def test_documents_without_questions_train_unless_joined():
    pairs, passages = corpus(12)
    texts = {"lonely": ["nobody asks about me"], "twin": ["copy of the first"]}
    passages = pl.concat([passages, passages_of(texts, {"twin#0": "doc003#0"})])
    splits = split_of(split_items(pairs, passages, ENCODER, PrepSettings()), "document")
    assert splits["lonely"] == "train"
    assert splits["twin"] == splits["doc003"]


def test_footers_do_not_join_the_corpus():
    pairs, passages = corpus(30, footer="all rights reserved")
    frame = split_items(pairs, passages, ENCODER, PrepSettings())
    assert frame["component"].n_unique() == 30
    assert find_leaks(pairs, passages, frame).height == 0


@pytest.mark.parametrize("documents", [1, 2, 3])
def test_too_few_documents_are_refused(documents):
    with pytest.raises(InputError, match=rf"{documents} document.*prep.validation_ratio and prep.test_ratio to 0"):
        split_items(*corpus(documents), ENCODER, PrepSettings())


def test_three_documents_without_validation():
    chosen = PrepSettings(train_ratio=0.8, validation_ratio=0, test_ratio=0.2)
    splits = split_of(split_items(*corpus(3), ENCODER, chosen), "document")
    assert sorted(splits.values()) == ["test", "train", "train"]


def test_one_document_without_held_out_splits():
    chosen = PrepSettings(train_ratio=1, validation_ratio=0, test_ratio=0)
    assert set(split_items(*corpus(1), ENCODER, chosen)["split"]) == {"train"}


def test_one_giant_component_is_refused():
    pairs, passages = corpus(20)
    linked = {
        f"l{index}": (f"link{index} of{index}", [f"doc{index:03d}#0", f"doc{index + 1:03d}#0"]) for index in range(19)
    }
    with pytest.raises(InputError, match="1 independent group"):
        split_items(pl.concat([pairs, pairs_of(linked)]), passages, ENCODER, PrepSettings())


def test_unknown_passages_are_named():
    pairs, passages = corpus(6)
    foreign = pairs_of({"x": ("what", ["elsewhere#0"])})
    with pytest.raises(InputError, match="elsewhere"):
        split_items(pl.concat([pairs, foreign]), passages, ENCODER, PrepSettings())

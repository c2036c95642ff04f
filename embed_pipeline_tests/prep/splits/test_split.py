"""Splits: everything assigned once, nothing leaks, growing corpora stay put."""

import random

import polars as pl
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from embed_pipeline.errors import InputError
from embed_pipeline.prep.splits.leakage import find_leaks
from embed_pipeline.prep.splits.split import split_items
from embed_pipeline.progress import SilentReporter, reporting
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


def of_documents(tables: tuple[pl.DataFrame, pl.DataFrame], names: set[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Only what belongs to these documents; questions with evidence elsewhere as well are left out."""
    pairs, passages = tables
    inside = pl.col("doc_ids").list.eval(pl.element().is_in(sorted(names))).list.all()
    return pairs.filter(inside), passages.filter(pl.col("doc_id").is_in(sorted(names)))


@st.composite
def growing_corpora(draw):
    """A corpus whose documents share text, evidence and questions, and the documents present at each step."""
    count = draw(st.integers(14, 40))
    rng = random.Random(draw(st.integers(0, 10**6)))
    docs = [f"{rng.randrange(16**6):06x}" for _ in range(count)]  # a new one is as often the lowest as not
    groups = {f"{doc}#0": f"{rng.choice(docs)}#0" for doc in docs if rng.random() < 0.12}
    texts = {doc: [f"passage {doc} {place}" for place in range(rng.randint(1, 3))] for doc in docs}
    questions = {}
    for doc in docs:
        for place in range(rng.choice((0, 1, 2, 3, 9))):
            positives = [f"{doc}#0", *([f"{rng.choice(docs)}#0"] if rng.random() < 0.1 else [])]
            text = f"what is w{doc} w{doc}{place}" if rng.random() > 0.05 else "which lion is it"
            questions[f"{doc}q{place}"] = (text, list(dict.fromkeys(positives)))
    present, steps = set(rng.sample(docs, 10)), []
    for _ in range(draw(st.integers(2, 5))):
        steps.append(set(present))
        absent = sorted(set(docs) - present)
        present |= set(rng.sample(absent, min(len(absent), rng.choice((1, 1, 4, 12)))))
        if draw(st.booleans()):
            present -= set(rng.sample(sorted(present), rng.randint(1, 3)))
    return (pairs_of(questions or {"q": ("what", [f"{docs[0]}#0"])}), passages_of(texts, groups)), steps


class Heard(SilentReporter):
    """Keeps the lines a user would read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


@settings(max_examples=20, deadline=None)
@given(growing_corpora(), st.integers(0, 2))
def test_nothing_leaves_the_test_split_for_training_whatever_is_added_merged_or_removed(growing, seed):
    tables, steps = growing
    chosen, previous, heard = PrepSettings(seed=seed), None, Heard()
    for names in steps:
        pairs, passages = of_documents(tables, names)
        try:
            with reporting(heard):
                frame = split_items(pairs, passages, ENCODER, chosen, previous=previous)
        except InputError:  # too few independent groups
            break
        assert find_leaks(pairs, passages, frame, ENCODER).is_empty()
        assert frame.equals(split_items(pairs, passages, ENCODER, chosen, previous=frame))
        now = split_of(frame, "document")
        if previous is not None and not heard.lines:
            before = split_of(previous, "document")
            assert not [doc for doc in names & before.keys() if (before[doc], now[doc]) == ("test", "train")]
            in_test = {doc for doc in names & before.keys() if before[doc] == "test"}
            joined = frame.filter(pl.col("item_id").is_in(sorted(in_test)))["component"].unique()
            merged = frame.filter((pl.col("item_type") == "document") & pl.col("component").is_in(joined.implode()))
            assert "train" not in merged["split"]
        previous, heard.lines = frame, []


@pytest.mark.parametrize("seed", range(3))
def test_a_growing_corpus_stays_and_its_shares_hold(seed):
    tables = corpus(300)
    names = sorted(tables[1]["doc_id"].unique())
    random.Random(seed).shuffle(names)
    chosen, previous = PrepSettings(seed=seed), None
    for size in (12, 13, 40, 41, 150, 300):
        frame = split_items(*of_documents(tables, set(names[:size])), ENCODER, chosen, previous=previous)
        if previous is not None:
            before, now = split_of(previous, "document"), split_of(frame, "document")
            assert {doc: now[doc] for doc in before} == before
        counted = frame.filter(item_type="question")["split"].value_counts()
        counts, total = dict(counted.iter_rows()), 2 * size
        assert abs(counts["test"] - 0.1 * total) <= max(1, 0.01 * total) + 1e-6
        assert abs(counts["validation"] - 0.1 * total) <= max(1, 0.01 * total) + 1e-6
        previous = frame


def test_a_document_that_joins_test_and_training_takes_both_to_test():
    pairs, passages = corpus(40)
    previous = split_items(pairs, passages, ENCODER, PrepSettings())
    before = split_of(previous, "document")
    train, test = (next(doc for doc, split in before.items() if split == wanted) for wanted in ("train", "test"))
    added = passages_of({"aaa": ["copied", "too"]}, {"aaa#0": f"{train}#0", "aaa#1": f"{test}#0"})
    frame = split_items(pairs, pl.concat([passages, added]), ENCODER, PrepSettings(), previous=previous)
    after = split_of(frame, "document")
    assert {doc: split for doc, split in after.items() if before.get(doc) != split} == {"aaa": "test", train: "test"}


def test_the_representative_of_a_component_is_no_matter_of_names():
    pairs, passages = corpus(200)
    previous = split_items(pairs, passages, ENCODER, PrepSettings())
    texts = {f"aaa{number:03d}": ["a copy"] for number in range(200)}
    twins = passages_of(texts, {f"aaa{number:03d}#0": f"doc{number:03d}#0" for number in range(200)})
    frame = split_items(pairs, pl.concat([passages, twins]), ENCODER, PrepSettings(), previous=previous)
    assert set(split_of(frame, "document").items()) > set(split_of(previous, "document").items())
    kept = set(frame["component"]) & set(previous["component"])
    assert 70 < len(kept) < 130  # the twin, always the lowest id, takes the name in half of them


def test_documents_trained_on_without_questions_may_still_be_placed():
    pairs, passages = corpus(100)
    few = pairs.filter(pl.col("doc_ids").list.first() < "doc010")
    previous = split_items(few, passages, ENCODER, PrepSettings())
    assert list(split_of(previous, "document").values()).count("train") >= 98 - 2
    after = split_of(split_items(pairs, passages, ENCODER, PrepSettings(), previous=previous), "document")
    assert 8 <= list(after.values()).count("test") <= 12
    before = split_of(previous, "document")
    assert {doc: after[doc] for doc in before if doc < "doc010"} == {
        doc: before[doc] for doc in before if doc < "doc010"
    }


def test_too_little_left_to_train_on_is_split_anew_only_after_a_removal():
    tables, heard = corpus(8), Heard()
    previous = split_items(*tables, ENCODER, PrepSettings())
    bound = previous.with_columns(
        pl.when(pl.col("split") == "train").then(pl.lit("test")).otherwise("split").alias("split")
    )
    with pytest.raises(InputError, match=r"prep\.seed to split all of them anew"):
        split_items(*tables, ENCODER, PrepSettings(), previous=bound)
    fewer = of_documents(tables, set(tables[1]["doc_id"]) - {"doc007"})
    with reporting(heard):
        frame = split_items(*fewer, ENCODER, PrepSettings(), previous=bound)
    assert frame.equals(split_items(*fewer, ENCODER, PrepSettings()))
    assert heard.lines == [
        "splits: of the documents that were trained on too few are left; all documents are split anew"
    ]


def test_splits_of_another_corpus_do_not_matter():
    tables = corpus(20)
    foreign = split_items(*corpus(30), ENCODER, PrepSettings()).with_columns(pl.col("item_id") + "x")
    assert split_items(*tables, ENCODER, PrepSettings(), previous=foreign).equals(
        split_items(*tables, ENCODER, PrepSettings())
    )


def test_query_types_and_hops_get_their_share():
    pairs, passages = corpus(200, questions=5)
    kinds = pl.Series(["keyword", "paraphrase", "contextual", "structural", "multi_hop"] * 200)
    rng = random.Random(3)
    pairs = pairs.with_columns(query_type=pl.Series(rng.choices(kinds.to_list()[:5], (6, 2, 2, 1, 1), k=1000)))
    pairs = pairs.with_columns(
        hop_count=pl.when(pl.col("query_type") == "multi_hop").then(2).otherwise(1).cast(pl.Int64)
    )
    frame = split_items(pairs, passages, ENCODER, PrepSettings(seed=11))
    placed = pairs.join(frame.filter(item_type="question"), left_on="question_id", right_on="item_id")
    for column in ("query_type", "hop_count"):
        for (value,), stratum in placed.group_by(column):
            shares = dict(stratum["split"].value_counts(normalize=True).iter_rows())
            assert shares["test"] == pytest.approx(0.1, abs=0.031), (column, value)
            assert shares["validation"] == pytest.approx(0.1, abs=0.031), (column, value)


def test_ratios_are_kept():
    pairs, passages = corpus(300)
    shares = pl.Series(list(split_of(split_items(pairs, passages, ENCODER, PrepSettings()), "question").values()))
    counted = dict(shares.value_counts(normalize=True).iter_rows())
    assert counted["test"] == pytest.approx(0.1, abs=0.01)
    assert counted["validation"] == pytest.approx(0.1, abs=0.01)


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

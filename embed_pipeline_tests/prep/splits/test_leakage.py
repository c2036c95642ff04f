"""Planted leaks are found."""

import ast
import random
from pathlib import Path

import polars as pl
import pytest

from embed_pipeline.corpus.near_duplicates import near_duplicates
from embed_pipeline.prep.splits import leakage, repeats
from embed_pipeline.prep.splits.leakage import find_leaks
from embed_pipeline.prep.splits.split import split_items
from embed_pipeline.settings import PrepSettings
from embed_pipeline_tests.prep.build import WordEncoder, corpus, grouped, pairs_of, passages_of

ENCODER = WordEncoder()


@pytest.fixture
def clean():
    pairs, passages = corpus(24)
    splits = split_items(pairs, passages, ENCODER, PrepSettings())
    assert find_leaks(pairs, passages, splits, ENCODER).is_empty()
    return pairs, passages, splits


def one(splits: pl.DataFrame, item_type: str, split: str) -> str:
    return splits.filter((pl.col("item_type") == item_type) & (pl.col("split") == split))["item_id"][0]


def replaced(frame: pl.DataFrame, key: str, name: str, column: str, value: object) -> pl.DataFrame:
    literal = pl.lit(pl.Series([value])).first() if isinstance(value, list) else pl.lit(value)
    return frame.with_columns(pl.when(pl.col(key) == name).then(literal).otherwise(pl.col(column)).alias(column))


def kinds(pairs, passages, splits, encoder=None) -> set[tuple[str, str, str]]:
    return set(find_leaks(pairs, passages, splits, encoder).iter_rows())


@pytest.mark.parametrize("held_out", ["test", "validation"])
def test_near_duplicate_passage(clean, held_out):
    pairs, passages, splits = clean
    train, test = f"{one(splits, 'document', 'train')}#0", f"{one(splits, 'document', held_out)}#0"
    leaked = replaced(passages, "passage_id", test, "group_id", train)
    assert kinds(pairs, leaked, splits) == {("same_group", train, test)}


@pytest.mark.parametrize("held_out", ["test", "validation"])
def test_near_duplicate_document(clean, held_out):
    pairs, passages, splits = clean
    train, other = one(splits, "document", "train"), one(splits, "document", held_out)
    documents = grouped(passages, {train: "a group", other: "a group"})
    assert kinds(pairs, passages, splits) == set()
    found = find_leaks(pairs, passages, splits, documents=documents)
    assert found.rows() == [("same_document_group", train, other)]


def test_identical_text(clean):
    pairs, passages, splits = clean
    train, test = f"{one(splits, 'document', 'train')}#1", f"{one(splits, 'document', 'test')}#1"
    text = passages.filter(pl.col("passage_id") == train)["text"][0]
    leaked = replaced(passages, "passage_id", test, "text", f"  {text.upper()}!")
    assert kinds(pairs, leaked, splits) == {("same_text", train, test)}


def test_question_moved_to_the_other_side(clean):
    pairs, passages, splits = clean
    moved = one(splits, "question", "test")
    leaked = replaced(splits, "item_id", moved, "split", "train")
    found = kinds(pairs, passages, leaked)
    passage = pairs.filter(pl.col("question_id") == moved)["passage_ids"][0][0]
    assert ("same_passage", passage, passage) in found
    assert ("split_document", passage.partition("#")[0], moved) in found


def test_same_question(clean):
    pairs, passages, splits = clean
    train, test = one(splits, "question", "train"), one(splits, "question", "test")
    text = pairs.filter(pl.col("question_id") == train)["question"][0]
    leaked = replaced(pairs, "question_id", test, "question", text.title() + "?")
    assert kinds(leaked, passages, splits) == {("same_question", train, test)}


@pytest.mark.parametrize("wording", ["{}?", "«{}»", "  {} !!", "{}\u200b", "ＷＨＥＲＥ {}"])
def test_same_question_with_other_punctuation(clean, wording):
    pairs, passages, splits = clean
    train, test = one(splits, "question", "train"), one(splits, "question", "test")
    text = pairs.filter(pl.col("question_id") == train)["question"][0]
    other = wording.format(text.upper().removeprefix("WHERE ") if "Ｗ" in wording else text.upper())
    leaked = replaced(pairs, "question_id", test, "question", other)
    assert kinds(leaked, passages, splits) == {("same_question", train, test)}


@pytest.mark.parametrize(
    ("one_text", "other_text"),
    [("what is C++", "what is C?"), ("what is C#", "what is C"), ("is it -5", "is it 5?"), ("is it 10²", "is it 102")],
)
def test_signs_tell_questions_apart(clean, one_text, other_text):
    pairs, passages, splits = clean
    train, test = one(splits, "question", "train"), one(splits, "question", "test")
    leaked = replaced(pairs, "question_id", train, "question", one_text)
    leaked = replaced(leaked, "question_id", test, "question", other_text)
    assert kinds(leaked, passages, splits) == set()


def test_similar_question_needs_the_encoder(clean):
    pairs, passages, splits = clean
    train, test = one(splits, "question", "train"), one(splits, "question", "test")
    words = " ".join(f"word{index}" for index in range(40))
    leaked = replaced(pairs, "question_id", train, "question", words)
    leaked = replaced(leaked, "question_id", test, "question", f"{words} more")
    assert kinds(leaked, passages, splits) == set()
    assert kinds(leaked, passages, splits, encoder=ENCODER) == {("similar_question", train, test)}


def test_evidence_in_two_splits(clean):
    pairs, passages, splits = clean
    train_doc, test = one(splits, "document", "train"), one(splits, "question", "test")
    own = pairs.filter(pl.col("question_id") == test)["passage_ids"][0].to_list()
    leaked = replaced(pairs, "question_id", test, "passage_ids", [*own, f"{train_doc}#2"])
    found = kinds(leaked, passages, splits)
    assert ("split_document", train_doc, test) in found
    assert ("same_passage", f"{train_doc}#2", f"{train_doc}#2") in found


def test_question_without_a_split(clean):
    pairs, passages, splits = clean
    lost = one(splits, "question", "train")
    found = kinds(pairs, passages, splits.filter(pl.col("item_id") != lost))
    assert ("unassigned", "", lost) in found


def long_text(seed: int, words: int = 150) -> list[str]:
    rng = random.Random(seed)
    return [f"word{rng.randrange(5000)}" for _ in range(words)]


@pytest.fixture
def written():
    """A corpus of long passages, every document a component of its own."""
    texts = {f"doc{d:02d}": [" ".join(long_text(10 * d + p)) for p in range(3)] for d in range(24)}
    asked = {
        f"q{d:02d}{q}": (f"where is delta{d}n{q} of epsilon{d}m{q}", [f"doc{d:02d}#{q}"])
        for d in range(24)
        for q in (0, 1)
    }
    pairs, passages = pairs_of(asked), passages_of(texts)
    splits = split_items(pairs, passages, ENCODER, PrepSettings())
    assert find_leaks(pairs, passages, splits, ENCODER).is_empty()
    return pairs, passages, splits


@pytest.mark.parametrize("place", [0, 2])
def test_near_duplicate_passage_with_wrong_group_ids(written, place):
    pairs, passages, splits = written
    train, test = f"{one(splits, 'document', 'train')}#{place}", f"{one(splits, 'document', 'test')}#0"
    copied = passages.filter(pl.col("passage_id") == train)["text"][0].split()
    near = replaced(passages, "passage_id", test, "text", " ".join([*copied[:75], "CHANGED", *copied[76:]]))
    assert kinds(pairs, near, splits) == {("near_duplicate", train, test)}
    parted = replaced(passages, "passage_id", test, "text", " ".join([*copied[:90], *long_text(99, 60)]))
    assert kinds(pairs, parted, splits) == set()


def test_near_duplicates_nobody_asks_about_give_no_answer_away(written):
    pairs, passages, splits = written
    train, test = f"{one(splits, 'document', 'train')}#2", f"{one(splits, 'document', 'test')}#2"
    copied = passages.filter(pl.col("passage_id") == train)["text"][0]
    assert kinds(pairs, replaced(passages, "passage_id", test, "text", f"{copied} page 7"), splits) == set()
    found = kinds(pairs, replaced(passages, "passage_id", test, "text", copied), splits)
    assert found == {("same_text", train, test)}


def test_near_duplicate_in_a_script_without_spaces(written):
    pairs, passages, splits = written
    train, test = f"{one(splits, 'document', 'train')}#0", f"{one(splits, 'document', 'test')}#0"
    rng = random.Random(5)
    text = "".join(chr(rng.randrange(0x4E00, 0x9000)) for _ in range(300))
    near = replaced(replaced(passages, "passage_id", train, "text", text), "passage_id", test, "text", text + "完")
    assert kinds(pairs, near, splits) == {("near_duplicate", train, test)}


def test_near_duplicate_document_with_wrong_group_ids_and_other_cuts(written):
    pairs, passages, splits = written
    train, test = one(splits, "document", "train"), one(splits, "document", "test")
    words = long_text(77, 900)
    whole = {name: " ".join(long_text(number, 900)) for number, name in enumerate(sorted(passages["doc_id"].unique()))}
    whole |= {train: " ".join(words), test: " ".join(["new", "start", *words[:450], "and", *words[450:]])}
    documents = grouped(passages, {}).with_columns(text=pl.col("doc_id").replace_strict(whole))
    found = find_leaks(pairs, passages, splits, documents=documents)
    assert found.rows() == [("near_duplicate_document", train, test)]


def test_multi_hop_evidence_shared_across_the_sides(written):
    pairs, passages, splits = written
    train, test = one(splits, "question", "train"), one(splits, "question", "test")
    shared = [pairs.filter(pl.col("question_id") == name)["passage_ids"][0][0] for name in (train, test)]
    leaked = pairs
    for name in (train, test):
        leaked = replaced(leaked, "question_id", name, "passage_ids", shared)
    found = kinds(leaked, passages, splits)
    assert {("same_passage", name, name) for name in shared} <= found
    assert ("split_document", shared[0].partition("#")[0], test) in found
    assert ("split_document", shared[1].partition("#")[0], train) in found


def test_what_the_grouping_can_miss_is_no_alarm():
    """Pairs around the threshold: whatever the estimate keeps apart is under the alarm."""
    rng = random.Random(11)
    pairs = {}
    for number in range(400):
        words, changed = long_text(number), rng.randint(1, 12)
        other = list(words)
        for place in rng.sample(range(len(words)), changed):
            other[place] = f"changed{place}"
        pairs[number] = (" ".join(words), " ".join(other))
    ids = [f"{number:03d}{side}" for number in pairs for side in "ab"]
    groups = dict(zip(ids, near_duplicates(ids, [text for pair in pairs.values() for text in pair], 0.85), strict=True))
    apart = [number for number in pairs if groups[f"{number:03d}a"] != groups[f"{number:03d}b"]]
    least = repeats.certain_duplicate(0.85)
    texts = [[repeats.Text(str(n), pairs[n][side], f"{n}{side}", True) for n in pairs] for side in (0, 1)]
    alarms = {int(name) for name, _ in repeats.find_repeats(texts[0], texts[1], least)}
    assert 100 < len(apart) < 380
    assert len(alarms) > 20
    assert alarms.isdisjoint(apart)


@pytest.mark.parametrize("module", [leakage, repeats])
def test_the_check_shares_no_code_with_what_it_checks(module):
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    own = {name for name in names if name.startswith("embed_pipeline")}
    assert own <= {
        "embed_pipeline.encoders.spec",
        "embed_pipeline.prep.splits.repeats",
        "embed_pipeline.text.scripts",
        "embed_pipeline.records",
    }
    assert "embed_pipeline.prep.splits.repeats" in {name for name in names if name} or module is repeats

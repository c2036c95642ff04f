"""What of a gold set was trained on is counted, told and sliced."""

import random
from dataclasses import replace

import polars as pl
import pytest

from embed_pipeline.prep.splits.gold_overlap import gold_overlap
from embed_pipeline.records import RetrievalSet
from embed_pipeline_tests.prep.build import WordEncoder, corpus, passages_of

ENCODER = WordEncoder()
WORDS = " ".join(f"word{number}" for number in range(60))
TRAINING = pl.DataFrame(
    {
        "question": ["where is the harbour", "who keeps the lamp", WORDS],
        "positive_id": ["doc000#0", "doc001#0", "doc002#0"],
    }
)


def gold_of(*questions: str, passages: dict[str, str] | None = None) -> RetrievalSet:
    """Gold questions about the last document, or about passages of their own."""
    own = passages or {f"doc{number:03d}#0": f"alpha{number} beta{number}p0 gamma{number}x0" for number in range(10)}
    names = [f"g{number}" for number in range(len(questions))]
    relevant = dict.fromkeys(passages or ["doc009#0"], 1)
    return RetrievalSet("gold", own, dict(zip(names, questions, strict=True)), dict.fromkeys(names, relevant))


def test_nothing_in_common():
    found = gold_overlap(gold_of("what else is there"), TRAINING, corpus(10)[1], ENCODER)
    assert found.summary() == {"gold_questions_in_training": 0, "gold_passages_in_training": 0}
    assert found.lines() == []
    assert found.sliced() is found.gold


@pytest.mark.parametrize("question", ["Where is the harbour?!", "ＷＨＥＲＥ is the harbour", f"{WORDS} more"])
def test_the_same_question_is_counted_told_and_sliced(question):
    found = gold_overlap(gold_of("what else is there", question), TRAINING, corpus(10)[1], ENCODER)
    assert found.summary()["gold_questions_in_training"] == 1
    named = replace(found, gold=replace(found.gold, name="lawyers"))
    assert named.summary()["lawyers_questions_in_training"] == 1
    assert named.lines()[0].startswith("lawyers: 1 of")
    assert set(found.questions) == {"g1"}
    assert found.lines()[0].startswith("gold: 1 of 2 questions are training questions as well")
    assert question[:30] in found.lines()[0]
    assert found.sliced().query_slices == {"g0": {"in_training": "no"}, "g1": {"in_training": "yes"}}


def test_evidence_of_training_questions_is_counted():
    rng = random.Random(1)
    text = [f"w{rng.randrange(900)}" for _ in range(150)]
    passages = passages_of({"doc000": [" ".join(text)], "doc001": ["short one here"], "doc002": ["and another"]})
    own = {
        "same": "Short, one HERE!",
        "near": " ".join([*text[:149], "changed"]),
        "other": " ".join(text[:100]),
        "untouched": "quite something else",
    }
    found = gold_overlap(gold_of("what else is there", passages=own), TRAINING, passages, ENCODER)
    assert found.passages == {"same", "near"}
    assert found.lines() == [
        "gold: 2 of 4 relevant passages are evidence of training questions as well; so the verdict is about new "
        "questions, but not about new documents"
    ]

"""Training questions that name their document."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.prep.naming import NAMES, document_names, named, naming
from embed_pipeline.text.words import words
from embed_pipeline_tests.prep.build import pairs_of, passages_of

TEXTS = {
    "corio": ["Corio may sublicense the hosting service. Corio pays.", "The term of this agreement is Corio's choice."],
    "purolator": ["Purolator pays for lost parcels. Purolator insures.", "The term of this agreement is one year."],
    "domini": ["Domini appoints the trust. Domini resigns.", "The term of this agreement is two years."],
}
PASSAGES = passages_of(TEXTS)


def shown(names):
    return {document: [word.surface for word in chosen] for document, chosen in names.items()}


def test_the_names_of_a_document_are_said_often_in_it_and_nowhere_else():
    found = shown(document_names(PASSAGES))
    assert [found[document][0] for document in TEXTS] == ["Corio", "Purolator", "Domini"]
    assert all(len(chosen) <= NAMES for chosen in found.values())


def test_a_name_stands_before_the_question_unless_it_has_it_already():
    names = document_names(PASSAGES)["corio"][:1]
    assert naming("who pays?", names, Random(0)) == "Corio who pays?"
    assert naming("who pays corio?", names, Random(0)) == "who pays corio?"
    assert naming("who pays?", [], Random(0)) == "who pays?"


def test_only_chosen_questions_of_one_document_are_named_and_the_same_way_every_time():
    pairs = pairs_of(
        {
            "a": ("how long is the term?", ["corio#1"]),
            "b": ("how long is the term?", ["domini#1"]),
            "c": ("how long are the terms?", ["corio#1", "domini#1"]),
        }
    )
    once, again = (named(pairs, PASSAGES, {"a", "c"}, 1.0, 7) for _ in range(2))
    assert once.equals(again)
    found = dict(once.select("question_id", "question").iter_rows())
    assert found["a"].endswith(" how long is the term?")
    assert found["b"] == "how long is the term?"
    assert found["c"] == "how long are the terms?"
    assert once.drop("question").equals(pairs.drop("question"))


def test_a_corpus_of_one_document_has_names_too():
    single = passages_of({"only": ["The pump of the pump runs. The pump stops."]})
    pairs = pairs_of({"a": ("when?", ["only#0"])})
    assert named(pairs, single, {"a"}, 1.0, 0)["question"][0].endswith("when?")


@given(st.integers(0, 10**6), st.sampled_from(sorted(TEXTS)), st.text("abc ?", max_size=20))
def test_the_question_itself_stays(seed, document, question):
    names = document_names(PASSAGES)[document]
    found = naming(question, names, Random(seed))
    assert found.endswith(question.strip()) or question.strip() == ""
    added = {word.form for word in words(found)} - {word.form for word in words(question)}
    assert added <= {word.form for word in names}
    assert len(added) <= 2

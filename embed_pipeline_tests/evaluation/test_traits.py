"""Length, overlap and language of questions."""

from embed_pipeline.evaluation.comparisons import slices_of
from embed_pipeline.evaluation.traits import overlaps, with_traits
from embed_pipeline.records import RetrievalSet
from embed_pipeline_tests.evaluation.helpers import numbered_set

GERMAN = "Die Bremsen der Lokomotive werden vor jeder Fahrt von zwei Personen gründlich geprüft und gereinigt."
ENGLISH = "The brakes of the locomotive are checked and cleaned by two people before every single journey."


def made(questions: list[str], passages: list[str]) -> RetrievalSet:
    ids = range(len(questions))
    return RetrievalSet(
        "gold",
        {f"p{i}": passage for i, passage in enumerate(passages)},
        {f"q{i}": question for i, question in enumerate(questions)},
        {f"q{i}": {f"p{i}": 1} for i in ids},
        {f"q{i}": {"kind": "odd" if i % 2 else "even"} for i in ids},
    )


def test_words_that_every_question_has_do_not_count() -> None:
    assert set(overlaps(numbered_set(30)).values()) == {1.0}  # "topic5" is the only content word, and it is there
    questions = [f"where is the thing{i} of other{i}" for i in range(30)]
    half = made(questions, [f"a manual about thing{i}" for i in range(30)])
    assert set(overlaps(half).values()) == {0.5}


def test_a_question_of_common_words_alone_counts_with_all_of_them() -> None:
    same = made(["where is it"] * 30, [f"it stands on page{i}" for i in range(30)])
    assert set(overlaps(same).values()) == {1 / 3}


def test_scripts_without_spaces_overlap_too() -> None:
    shares = overlaps(made(["富士山の高さ", "琵琶湖の広さ"], ["富士山は高い山です", "砂漠です"]))
    assert 0 < shares["q0"] < 1
    assert shares["q1"] == 0


def test_overlap_is_with_the_passage_judged_best() -> None:
    one = RetrievalSet("gold", {"a": "red", "b": "blue"}, {"q": "blue"}, {"q": {"a": 1, "b": 2}})
    assert overlaps(one) == {"q": 1.0}


def test_slices_by_length_overlap_and_language() -> None:
    questions = [
        f"who checks brake{i}" if i < 10 else f"who checks the brake{i} of it before every journey" for i in range(20)
    ]
    passages = [f"{GERMAN if i % 2 else ENGLISH} {f'brake{i}' if i % 3 else ''}" for i in range(20)]
    told = dict(slices_of(with_traits(made(questions, passages))))
    assert told["words=1-4"] == {f"q{i}" for i in range(10)}
    assert told["words=5-9"] == {f"q{i}" for i in range(10, 20)}
    assert told["language=de"] == {f"q{i}" for i in range(1, 20, 2)}
    assert told["language=en"] == {f"q{i}" for i in range(0, 20, 2)}
    assert told["kind=odd"] == told["language=de"]
    assert told["overlap=low"] == {f"q{i}" for i in range(0, 20, 3)}
    assert told["overlap=high"] == {f"q{i}" for i in range(20) if i % 3}


def test_what_all_questions_share_is_no_slice() -> None:
    plain = numbered_set(30)
    assert with_traits(plain).query_slices == plain.query_slices


def test_an_empty_set_stays_empty() -> None:
    assert with_traits(RetrievalSet("gold", {}, {}, {})).query_slices == {}

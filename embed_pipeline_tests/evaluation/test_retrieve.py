"""Dense runs, and BM25 in many scripts."""

from collections.abc import Sequence

import numpy as np
import pytest

from embed_pipeline.encoders.spec import Role, Vectors
from embed_pipeline.errors import StageError
from embed_pipeline.evaluation.retrieve import bm25_run, dense_run, encode_set, nearest
from embed_pipeline.records import RetrievalSet
from embed_pipeline_tests.evaluation.helpers import SPEC, WordEncoder, numbered_set


class PlaneEncoder:
    """Texts are two numbers, the vector itself; remembers the roles."""

    spec = SPEC

    def __init__(self) -> None:
        self.roles: list[str] = []

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        self.roles.append(role)
        return np.array([[float(part) for part in text.split()] for text in texts], np.float32)


def test_scores_are_inner_products_best_first() -> None:
    retrieval_set = RetrievalSet(
        "s", {"a": "1 0", "b": "0 1", "q": "0.5 0.5"}, {"q": "1 0", "r": "0 2"}, {"q": {"a": 1}, "r": {"b": 1}}
    )
    encoder = PlaneEncoder()
    run = dense_run(retrieval_set, encoder, 2, keep_identical_ids=True)
    assert run == {"q": {"a": 1.0, "q": 0.5}, "r": {"b": 2.0, "q": 1.0}}
    assert [list(found) for found in run.values()] == [["a", "q"], ["b", "q"]]
    assert sorted(encoder.roles) == ["passage", "query"]


def test_a_passage_with_the_id_of_its_query_is_left_out_as_in_beir() -> None:
    passages = {"a": "red apple pie", "b": "red apple tart", "c": "green pear"}
    retrieval_set = RetrievalSet(
        "s", passages, {"a": "red apple pie", "x": "green pear"}, {"a": {"b": 1}, "x": {"c": 1}}
    )
    for found in (dense_run(retrieval_set, WordEncoder(), 2), bm25_run(retrieval_set, 2)):
        assert next(iter(found["a"])) == "b"
        assert "a" not in found["a"]
        assert next(iter(found["x"])) == "c"
    assert len(dense_run(retrieval_set, WordEncoder(), 2)["a"]) == 2
    for kept in (dense_run(retrieval_set, WordEncoder(), 2, True), bm25_run(retrieval_set, 2, True)):
        assert next(iter(kept["a"])) == "a"


def test_k_may_exceed_the_corpus() -> None:
    run = dense_run(numbered_set(4), WordEncoder(), 100)
    assert {len(found) for found in run.values()} == {4}
    assert next(iter(run["q3"])) == "p3"


def test_a_vector_that_is_not_finite_is_an_error() -> None:
    retrieval_set = RetrievalSet("s", {"a": "1 nan"}, {"q": "1 0"}, {"q": {"a": 1}})
    with pytest.raises(StageError, match="vector of a passage is not finite"):
        dense_run(retrieval_set, PlaneEncoder(), 1)


def test_a_prefix_of_the_vectors_is_renormalised() -> None:
    vectors = encode_set(numbered_set(5), WordEncoder()).prefix(16)
    assert vectors.passages.shape == (5, 16)
    assert np.linalg.norm(vectors.queries, axis=1) == pytest.approx(np.ones(5))
    assert len(nearest(numbered_set(5), vectors, 3)["q1"]) == 3


def searched(passages: dict[str, str], query: str, k: int = 10) -> dict[str, float]:
    return bm25_run(RetrievalSet("s", passages, {"q": query}, {"q": {}}), k)["q"]


@pytest.mark.parametrize(
    ("relevant", "others", "query"),
    [
        ("The skein drum reels out slowly.", ["Lung pressure is low.", "The cradle is cold."], "skein drum"),
        ("Part OA-SK1207-C is a skein.", ["Part OA-SK1248-D is a skein.", "OA-CB0310-A"], "oa-sk1207-c"),
        ("东京是日本的首都。", ["北京是中国的首都。", "巴黎很漂亮。"], "日本首都东京"),
        ("東京都の人口は多い。", ["京都の寺は古い。", "大阪の食べ物。"], "東京都"),
        ("ｶﾀｶﾅの説明", ["ひらがなの本", "漢字の本"], "カタカナ"),
        ("กรุงเทพเป็นเมืองหลวงของไทย", ["เชียงใหม่อยู่ทางเหนือ", "ภูเก็ตเป็นเกาะ"], "เมืองหลวง"),
        ("서울은 한국의 수도이다", ["부산은 항구 도시이다", "제주도는 섬이다"], "수도가 서울"),
        ("नई दिल्ली भारत की राजधानी है", ["मुंबई एक बड़ा शहर है", "कोलकाता पूर्व में है"], "राजधानी दिल्ली"),
        ("القاهرة عاصمة مصر", ["الرباط عاصمة المغرب", "البحر واسع"], "القاهرة"),
        ("Die STRASSE ist gesperrt", ["Der Weg ist frei", "Das Haus ist alt"], "straße"),
        ("Η Αθήνα είναι πρωτεύουσα", ["Η Πάτρα είναι πόλη", "Το νησί"], "αθήνα"),
        ("Москва столица России", ["Казань стоит на Волге", "Байкал озеро"], "МОСКВА"),
    ],
)
def test_finds_the_passage_in_its_script(relevant: str, others: list[str], query: str) -> None:
    passages = {"other0": others[0], "right": relevant, "other1": others[1]}
    assert next(iter(searched(passages, query))) == "right"


def test_combining_marks_do_not_split_words() -> None:
    # Split at its vowel signs and virama, the query would share the letter pieces of the passage.
    assert searched({"p": "ह न द"}, "हिन्दी") == {}


def test_only_passages_sharing_a_word_are_found() -> None:
    passages = {"a": "red apple", "b": "green pear", "c": "red pear"}
    assert set(searched(passages, "red")) == {"a", "c"}
    assert len(searched(passages, "red pear", k=2)) == 2
    assert searched(passages, "unknown words") == {}
    assert searched(passages, "  ?! ") == {}


@pytest.mark.parametrize("passages", [{"a": ""}, {"a": "…", "b": "?!"}])
def test_a_corpus_without_words_finds_nothing(passages: dict[str, str]) -> None:
    assert searched(passages, "anything") == {}


def test_writes_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    searched({"a": "red apple", "b": "green pear"}, "apple")
    assert capfd.readouterr() == ("", "")


def test_a_passage_read_in_pieces_is_as_near_as_its_nearest_piece() -> None:
    passages = {"a": "9 9", "b": "0.6 0", "c": "0.5 0"}
    pieces = {"a": [f"0.{number} 0" for number in range(1, 8)] + ["-9 0"]}
    retrieval_set = RetrievalSet("s", passages, {"q": "1 0", "r": "-1 0"}, {"q": {"a": 1}}, pieces=pieces)
    vectors = encode_set(retrieval_set, PlaneEncoder())
    assert vectors.places is not None
    assert vectors.places.tolist() == [0] * 8 + [1, 2]
    found = nearest(retrieval_set, vectors, 2)
    assert {query: list(run) for query, run in found.items()} == {"q": ["a", "b"], "r": ["a", "c"]}
    assert found["q"]["a"] == pytest.approx(0.7)
    assert list(nearest(retrieval_set, vectors, 10)["q"]) == ["a", "b", "c"]


@pytest.mark.parametrize("k", [1, 3, 20, 60])
def test_pieces_give_the_same_as_the_maximum_over_all_of_them(k: int) -> None:
    rng = np.random.default_rng(7)
    sizes = rng.integers(1, 9, 40)
    names = [f"p{number}" for number in range(40)]
    values = {name: rng.normal(size=(size, 2)).round(3) for name, size in zip(names, sizes, strict=True)}
    pieces = {name: [f"{one} {two}" for one, two in rows] for name, rows in values.items()}
    queries = {f"q{number}": f"{one} {two}" for number, (one, two) in enumerate(rng.normal(size=(5, 2)).round(3))}
    retrieval_set = RetrievalSet("s", dict.fromkeys(names, "0 0"), queries, {}, pieces=pieces)
    found = dense_run(retrieval_set, PlaneEncoder(), k)
    for query, text in queries.items():
        vector = np.array([float(part) for part in text.split()])
        best = {name: float((rows @ vector).max()) for name, rows in values.items()}
        expected = sorted(best, key=lambda name: -best[name])[:k]
        assert list(found[query]) == expected
        assert [found[query][name] for name in expected] == pytest.approx([best[name] for name in expected], abs=1e-5)

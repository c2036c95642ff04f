"""BM25 in many scripts, and reciprocal rank fusion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.evaluation.baselines import bm25_run, hybrid_run
from embed_pipeline.records import RetrievalSet


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


def test_reciprocal_rank_fusion_by_hand() -> None:
    dense = {"q": {"a": 0.9, "b": 0.8, "c": 0.1}, "only_dense": {"a": 1.0}}
    sparse = {"q": {"b": 12.0, "d": 3.0}, "only_sparse": {"d": 1.0}}
    fused = hybrid_run([dense, sparse], k=3)
    assert fused["q"] == pytest.approx({"b": 1 / 62 + 1 / 61, "a": 1 / 61, "d": 1 / 62})
    assert list(fused["q"]) == ["b", "a", "d"]
    assert fused["only_dense"] == {"a": 1 / 61}
    assert fused["only_sparse"] == {"d": 1 / 61}
    assert hybrid_run([dense, sparse], k=3, c=0)["q"]["a"] == 1.0


found = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-1, 1), min_size=1)


@given(found)
def test_fusing_a_run_with_itself_keeps_its_order(run: dict[str, float]) -> None:
    once = hybrid_run([{"q": run}], k=100)["q"]
    twice = hybrid_run([{"q": run}, {"q": run}], k=100)["q"]
    assert list(once) == list(twice)
    assert set(once) == set(run)


@given(found, found)
def test_fusion_does_not_depend_on_the_order_of_runs(one: dict[str, float], two: dict[str, float]) -> None:
    assert hybrid_run([{"q": one}, {"q": two}], k=5) == hybrid_run([{"q": two}, {"q": one}], k=5)

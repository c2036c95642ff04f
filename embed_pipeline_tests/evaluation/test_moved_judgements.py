"""Judgements beside other texts."""

from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.evaluation.moved_judgements import Judged, as_judged, judged_now, moved, moved_warning
from embed_pipeline.records import RetrievalSet

WINCH = "The winch reels the tether in at two metres a second."
BRAKE = "A brake holds the drum when the power fails."
CUT = {"guide.md#0000": WINCH, "guide.md#0001": BRAKE, "other.md#0000": "Something else."}


def gold(passages: dict[str, str], judged: tuple[str, ...] = ("guide.md#0001",)) -> RetrievalSet:
    return RetrievalSet("gold", passages, {"q1": "what holds the drum?"}, {"q1": dict.fromkeys(judged, 1)})


def test_a_passage_that_holds_another_text_is_told_until_it_is_judged_again() -> None:
    first = as_judged(judged_now(gold(CUT)), [])
    later = {"guide.md#0000": "A new foreword.", "guide.md#0001": WINCH, "guide.md#0002": BRAKE}
    now = judged_now(gold(later))
    kept = as_judged(now, first)
    assert moved(now, kept) == [Judged("gold", "q1", "guide.md#0001", WINCH)]
    assert moved(now, as_judged(now, kept)) == moved(now, kept)
    again = judged_now(gold(later, ("guide.md#0002",)))
    assert moved(again, as_judged(again, kept)) == []


def test_a_small_change_of_the_text_is_none() -> None:
    first = as_judged(judged_now(gold(CUT)), [])
    now = judged_now(gold(CUT | {"guide.md#0001": f"{BRAKE} It is tested each spring."}))
    assert moved(now, as_judged(now, first)) == []


def test_whole_documents_may_change() -> None:
    assert judged_now(gold(CUT, ("guide.md#0000", "guide.md#0001"))) == []
    assert [one.passage_id for one in judged_now(gold(CUT, ("other.md#0000",)))] == ["other.md#0000"]


def test_the_warning_names_setting_and_passages() -> None:
    told = moved_warning("eval.gold", [Judged("gold", f"q{one}", f"guide.md#000{one}", WINCH) for one in range(4)])
    assert told.startswith("eval.gold: 4 judgements name passages with another text now than when first measured")
    assert "guide.md#0002, …)" in told.replace("'", "")
    assert "1 judgement names a passage" in moved_warning("eval.gold", [Judged("gold", "q", "guide.md#0003", WINCH)])


@given(st.dictionaries(st.sampled_from(list(CUT)), st.text(max_size=30)))
def test_what_is_seen_for_the_first_time_never_moved(texts: dict[str, str]) -> None:
    now = judged_now(gold(CUT | texts))
    assert moved(now, as_judged(now, [])) == []

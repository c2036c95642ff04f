import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.corpus import fingerprints
from embed_pipeline.corpus.near_duplicates import group_documents, group_near_duplicates
from embed_pipeline.tables import Passages, empty, validate
from embed_pipeline_tests.corpus.build import documents


def passages(texts):
    rows = [
        {
            "passage_id": passage_id,
            "doc_id": passage_id,
            "position": 0,
            "start": 0,
            "end": len(text),
            "title": "",
            "text": text,
            "token_count": 1,
            "group_id": passage_id,
            "language": "en",
        }
        for passage_id, text in texts.items()
    ]
    return validate(Passages, pl.DataFrame(rows))


def groups(texts, threshold=0.85):
    frame = group_near_duplicates(passages(texts), threshold)
    return dict(frame.select("passage_id", "group_id").rows())


def prose(seed, length=120):
    chooser = random.Random(seed)
    return " ".join("".join(chooser.choices("abcdefghij", k=5)) for _ in range(length))


def edited(text, place):
    words = text.split()
    words[place] = "changed"
    return " ".join(words)


def jaccard(one, other):
    shingles = [{tuple(text.split()[n : n + 3]) for n in range(len(text.split()) - 2)} for text in (one, other)]
    return len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1])


def test_exact_duplicates_are_the_same_text():
    texts = {
        "b": "Grüne  Hülle\nein",
        "a": "GRÜNE Hülle ein",
        "c": "ＧＲÜＮＥ hülle ein.",
        "d": "etwas anderes ganz",
        "e": "升空，限制。",
        "f": "升空限制",
    }
    assert groups(texts) == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "e", "f": "e"}


def test_near_duplicates_share_the_lowest_id_and_others_stay_apart():
    texts = {"p2": prose(1), "p1": edited(prose(1), 60), "q": prose(2)}
    assert jaccard(texts["p1"], texts["p2"]) > 0.9
    assert groups(texts) == {"p1": "p1", "p2": "p1", "q": "q"}


def test_below_the_threshold_is_no_duplicate():
    one = prose(1)
    other = " ".join(one.split()[:80] + prose(2, 40).split())
    assert jaccard(one, other) < 0.6
    assert groups({"a": one, "b": other}) == {"a": "a", "b": "b"}


def test_grouping_is_transitive():
    chain = [prose(1)]
    for place in range(2, 110, 9):
        chain.append(edited(chain[-1], place))
    assert jaccard(chain[0], chain[-1]) < 0.6
    found = groups({f"{n:02d}": text for n, text in enumerate(chain)})
    assert set(found.values()) == {"00"}


def test_scripts_without_spaces():
    base = "平台由缆绳系住风驱动两个转子发电操作员每天检查缆绳并把结果写入日志如果风速过高平台必须降落以免损坏设备" * 2
    other = "这本书讲述了一个关于海洋和月亮的古老传说以及居住在岛上的渔民们如何年复一年地等待潮水归来的故事"
    found = groups({"a": base + "完", "b": base + "了", "c": other})
    assert found == {"a": "a", "b": "a", "c": "c"}


def test_texts_without_words_are_only_grouped_when_equal():
    assert groups({"a": "---", "b": "***", "c": "---"}) == {"a": "a", "b": "b", "c": "a"}


@pytest.mark.parametrize("threshold", [0.3, 1.0])
def test_extreme_thresholds(threshold):
    texts = {"a": prose(1), "b": prose(1) + " ", "c": prose(2)}
    assert groups(texts, threshold) == {"a": "a", "b": "a", "c": "c"}


def test_row_order_does_not_matter_and_stays():
    texts = {f"{n}": edited(prose(n % 3), n) for n in range(9)}
    frame = passages(texts)
    forward = group_near_duplicates(frame, 0.85)
    backward = group_near_duplicates(frame.reverse(), 0.85)
    assert forward["passage_id"].to_list() == list(texts)
    assert backward.reverse().equals(forward)


def test_nothing_to_group():
    assert group_near_duplicates(empty(Passages), 0.85).height == 0


@given(seed=st.integers(0, 10_000), copies=st.lists(st.integers(0, 119), max_size=4), strangers=st.integers(0, 4))
def test_planted_duplicates_are_found(seed, copies, strangers):
    original = prose(seed)
    texts = {"0": original} | {f"copy{n}": edited(original, place) for n, place in enumerate(copies)}
    others = {f"other{n}": prose(20_000 + n) for n in range(strangers)}
    found = groups(texts | others)
    assert {found[key] for key in texts} == {"0"}
    assert [found[key] for key in others] == list(others)


def manuals(*texts):
    frame = group_documents(documents(*[[text] for text in texts]), 0.85)
    return frame["group_id"].to_list()


def test_documents_that_differ_in_a_few_words_everywhere_are_one_group():
    manual = prose(1, 2000)
    other = manual
    for place in range(0, 2000, 80):
        other = edited(other, place)
    assert jaccard(manual, other) > 0.87
    assert manuals(prose(2, 2000), other, manual, manual.upper(), prose(3, 2000)) == [
        "d0.md",
        "d1.md",
        "d1.md",
        "d1.md",
        "d4.md",
    ]


def test_documents_that_share_only_half_are_apart():
    assert manuals(prose(1, 500) + " " + prose(2, 500), prose(1, 500) + " " + prose(3, 500)) == ["d0.md", "d1.md"]


def test_a_long_document_is_sketched_in_parts():
    text = prose(1, 9000)
    assert len(text.split()) > 2 * fingerprints._SHINGLES_AT_ONCE
    assert manuals(text, edited(text, 8990)) == ["d0.md", "d0.md"]

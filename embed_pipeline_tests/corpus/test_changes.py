"""How much of a corpus changed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.corpus.changes import compare, documents_in

BEFORE = {"a.md": (10, "A"), "b.md": (20, "B"), "c.md": (30, "C"), "d.md": (40, "D")}


@pytest.mark.parametrize(
    ("now", "share", "shrink"),
    [
        (BEFORE, 0, 0),
        (BEFORE | {"a.md": (10, "X")}, 0.25, 0),
        (BEFORE | {"d.md": (100, "X")}, 1.0, 0),
        (BEFORE | {"e.md": (1, "E")}, 0.25, 0),
        ({**{k: v for k, v in BEFORE.items() if k != "a.md"}, "z.md": (10, "A")}, 0.25, 0),
        ({k: v for k, v in BEFORE.items() if k != "d.md"}, 0.4, 0.4),
        ({k: v for k, v in BEFORE.items() if k != "a.md"}, 0.25, 0.25),
        ({}, 1.0, 1.0),
    ],
)
def test_shares_of_documents_and_bytes(now, share, shrink):
    change = compare(BEFORE, now)
    assert change.share == pytest.approx(share)
    assert change.shrink == pytest.approx(shrink)


def test_from_nothing_everything_is_new():
    assert compare({}, BEFORE).share == 1.0
    assert compare({}, {}).share == 0.0
    assert compare({}, BEFORE).shrink == 0.0


def test_what_no_text_is_read_from_does_not_count():
    files = {"a.md": (1, "A"), "b.png": (9, "B"), "c.md": (0, "C"), "d.jsonl": (4, "D")}
    assert documents_in(files, "files").keys() == {"a.md"}
    assert documents_in(files, "beir").keys() == {"a.md", "b.png", "d.jsonl"}


_states = st.dictionaries(st.sampled_from("abcde"), st.tuples(st.integers(1, 9), st.sampled_from("XYZ")))


@given(_states, _states)
def test_shares_are_shares_and_symmetric_in_what_changed(before, now):
    there, back = compare(before, now), compare(now, before)
    assert (there.changed, there.changed_bytes) == (back.changed, back.changed_bytes)
    assert 0 <= there.shrink <= 1
    assert (there.changed == 0) == ({p: d for p, (_, d) in before.items()} == {p: d for p, (_, d) in now.items()})
    assert compare(before, before).share == 0

"""Reading what people typed, and how much systems differ."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.errors import InputError
from embed_pipeline.evaluation.query_log import (
    average_overlap,
    by_disagreement,
    clean_query,
    disagreement,
    read_query_log,
)

RANKING = st.lists(st.sampled_from("abcdefghijklmnop"), unique=True, max_size=12)


def log_of(tmp_path, data: bytes, **options):
    path = tmp_path / "log.txt"
    path.write_bytes(data)
    return read_query_log(path, **options)


def test_blank_lines_repeats_marks_and_control_characters(tmp_path):
    found = log_of(tmp_path, "\ufeffHow far?\n\n  how   FAR? \r\n\x01\x1b[31mred\tsail\x7f\n \t \nlast".encode())
    assert found.queries == ["How far?", "[31mred sail", "last"]
    assert (found.distinct, found.lines) == (3, 4)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(tmp_path, encoding):
    assert log_of(tmp_path, "café crème\nöl\n".encode(encoding)).queries == ["café crème", "öl"]


def test_a_line_in_another_encoding_among_others(tmp_path):
    assert log_of(tmp_path, "müde\n".encode() + "müde Katze\n".encode("cp1252")).queries == ["müde", "müde Katze"]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"how far?\nwhat\0now\n", 2),
        ("wie weit?\n".encode("utf-16-le"), 1),  # without its mark
        ("how far?\nwhat\0now\n".encode("utf-16"), 2),
        (gzip.compress(b"how far?\n" * 50, mtime=0), 1),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 3),
        (b"how far?\n" + "\u554f\u984c\u306f\u30fc\u81f3".encode("shift_jis") + b"\n", 2),
        (bytes(range(1, 256)), 2),
    ],
)
def test_what_is_no_text_is_refused_by_file_and_line(tmp_path, data, line):
    with pytest.raises(InputError, match=rf"eval\.query_log .*log\.txt, line {line}: is no text.*UTF-8"):
        log_of(tmp_path, data)


def test_the_last_line_may_end_in_an_older_encoding_and_without_a_line_feed(tmp_path):
    assert log_of(tmp_path, b"Lyon caf\xe9").queries == ["Lyon café"]


def test_a_character_that_a_long_line_is_cut_in_is_no_other_encoding(tmp_path):
    found = log_of(tmp_path, ("a" + "\u00e9" * 50_000 + "\nnext").encode())
    assert found.queries == ["a" + "\u00e9" * 1_999, "next"]


def test_nothing_and_nobody(tmp_path):
    with pytest.raises(InputError, match="holds no query"):
        log_of(tmp_path, b"\n  \n\x07\n")
    with pytest.raises(InputError, match=r"eval\.query_log .*cannot be read"):
        read_query_log(tmp_path / "missing.txt")
    with pytest.raises(InputError, match=r"eval\.query_log .*cannot be read"):
        read_query_log(tmp_path)


def test_a_large_log_is_sampled_evenly_and_always_the_same(tmp_path):
    lines = [f"query {number % 40_000}" for number in range(120_000)]
    found = log_of(tmp_path, "\n".join(lines).encode(), most=400)
    assert (len(found.queries), found.distinct, found.lines) == (400, 40_000, 120_000)
    assert len(set(found.queries)) == 400
    numbers = [int(query.split()[1]) for query in found.queries]
    assert numbers == sorted(numbers)  # as in the file
    assert 150 < sum(number < 20_000 for number in numbers) < 250
    assert log_of(tmp_path, "\n".join(reversed(lines)).encode(), most=400).queries == found.queries[::-1]


def test_a_file_that_is_one_long_line_does_not_fill_the_memory(tmp_path):
    found = log_of(tmp_path, b"a " * 3_000_000)
    assert max(len(query) for query in found.queries) <= 2_000


@given(st.text())
def test_a_clean_query_holds_nothing_that_cannot_be_shown_and_stays_as_it_is(text):
    cleaned = clean_query(text)
    assert clean_query(cleaned) == cleaned
    assert "\n" not in cleaned
    cleaned.encode()


@given(RANKING, RANKING)
def test_overlap_is_symmetric_and_between_none_and_all(one, other):
    found = average_overlap(one, other)
    assert 0 <= found <= 1
    assert found == average_overlap(other, one)
    assert average_overlap(one, one) == 1
    if not set(one[:10]) & set(other[:10]) and (one or other):
        assert found == 0


def test_a_difference_at_the_top_counts_more():
    usual = list("abcdefghij")
    at_the_top, at_the_end = ["b", "a", *usual[2:]], [*usual[:8], "j", "i"]
    assert average_overlap(usual, at_the_top) < average_overlap(usual, at_the_end) < 1


def test_by_hand():
    # first: 0 of 1; first two: 1 of 2
    assert average_overlap(["a", "b"], ["b", "c"]) == pytest.approx((0 / 1 + 1 / 2) / 2)
    found = {"base": {"a": 2.0, "b": 1.0}, "tuned": {"a": 2.0, "b": 1.0}, "bm25": {}}
    assert disagreement(found) == pytest.approx(1 - (1 + 0 + 0) / 3)


def test_those_that_differ_most_come_first():
    same = {"a": 3.0, "b": 2.0}
    runs = {
        "base": {"agreed": same, "disputed": same},
        "tuned": {"agreed": same, "disputed": {"c": 1.0}},
        "bm25": {"agreed": same},
    }
    assert by_disagreement(runs) == [("disputed", 1.0), ("agreed", 0.0)]

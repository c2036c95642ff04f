import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.corpus.parsers import blocks
from embed_pipeline.corpus.parsers import text as plain
from embed_pipeline.corpus.parsers.blocks import UnreadableError, clean_stretches, clean_text, join_blocks
from embed_pipeline.corpus.parsers.markdown import parse_markdown
from embed_pipeline.corpus.parsers.rst import parse_rst
from embed_pipeline.corpus.parsers.text import decode, parse_text

GERMAN = "Die Größe der Hülle beträgt zwölf Meter; ältere Geräte müssen überprüft werden. " * 20
RUSSIAN = "Платформа поднимается на тросе и передаёт энергию на землю через кабель. " * 20
JAPANESE = "この装置は風力で発電し、ケーブルで地上に電力を送ります。点検は毎年行います。" * 20


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (GERMAN, "utf-32"),
        (GERMAN, "cp1252"),
        (RUSSIAN, "cp1251"),
        (JAPANESE, "shift_jis"),
    ],
)
def test_encodings(text, encoding):
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("data", [b"\xff\xfea", bytes(range(128, 256)) * 40])
def test_what_cannot_be_decoded_is_unreadable(data):
    with pytest.raises(UnreadableError):
        decode(data)


def test_plain_text_stays_as_it_is():
    text, sections = join_blocks(parse_text(b"Title\r\n\r\nLine one\r\n  indented\r\n\r\n\r\n\r\nEnd  \r\n").blocks)
    assert text == "Title\n\nLine one\n  indented\n\nEnd"
    assert sections == []


def test_clean_text():
    assert clean_text("e\u0301\u00a0x\x07\x00y\ufeff\u00adz\x0cq\u2028r\ud800") == "é xyz\nq\nr"
    assert clean_text("a\tb \n \n\n\n c ") == "a\tb\n\n c"


@pytest.mark.parametrize("parse", [parse_text, parse_markdown, parse_rst])
def test_ligatures_are_spelled_out_in_every_format(parse):
    text, _ = join_blocks(parse("The eﬃcient ﬁlter lets the ﬂow oﬀ, ﬆill.".encode()).blocks)
    assert text == "The efficient filter lets the flow off, still."


@pytest.mark.parametrize(
    ("printed", "typed"), [("ﻻ ﻟﻤﻀﺨﺔ", "لا لمضخة"), ("ﬓ", "մն"), ("ĳsvogel", "ijsvogel"), ("10⁶ ½ ª №", "10⁶ ½ ª №")]
)
def test_forms_of_letters_for_printing_become_the_letters(printed, typed):
    assert clean_text(printed) == typed


@given(
    st.text(st.sampled_from("ab \n\r\t\x0c\xa0\xad\ufeff\u2028e\u0301\u1100\u1161ﬁ😀\ud800"), max_size=60),
    st.integers(0, 5),
)
def test_a_large_text_is_cleaned_stretch_by_stretch(text, stretch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_STRETCH", stretch)
        assert b"".join(clean_stretches(text)).decode() == clean_text(text)


def test_a_large_text_is_read_as_a_small_one(monkeypatch):
    data = "\n\nA line \r\n\n\n\n😀\xa0end\n\n".encode()
    small = join_blocks(parse_text(data).blocks)
    monkeypatch.setattr(plain, "_LARGE", 0)
    (block,) = parse_text(data).blocks
    assert block.is_clean
    assert join_blocks([block]) == small

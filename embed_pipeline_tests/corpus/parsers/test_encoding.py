"""Encodings: the cases, their siblings, and the table of languages."""

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.corpus.parsers.blocks import UnreadableError
from embed_pipeline.corpus.parsers.encoding import declared_in, decode, is_binary
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.markdown import parse_markdown
from embed_pipeline.corpus.parsers.rst import parse_rst
from embed_pipeline.corpus.parsers.text import parse_text
from embed_pipeline_tests.corpus.encoding_samples import CASES, ENCODINGS, SHORT, outcomes

GREETING = "Grüße aus Köln: Äpfel, Öl und schöne Straßen über natürlich fünf Brücken. "


@pytest.mark.parametrize("characters", [SHORT, None])
def test_thirty_languages_are_right_or_skipped_never_garbled(characters):
    assert len(ENCODINGS) >= 30
    table = outcomes(characters)
    assert [one for one in table if one.how == "garbled"] == []
    assert sum(one.how == "right" for one in table) >= 0.95 * len(table)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("en_cp1252.txt", "cp1252"),
        ("fr_cp1252.txt", "cp1252"),
        ("no_cp1252.txt", "cp1252"),
        ("sv_cp1252.txt", "cp1252"),
        ("t1b_enc_long__en_cp1252.txt", "cp1252"),
        ("tr_cp1254.txt", "cp1254"),
        ("ja_eucjp.txt", "euc_jp"),
    ],
)
def test_cases_are_read_in_their_encoding(name, encoding):
    data = (CASES / name).read_bytes()
    assert decode(data) == data.decode(encoding)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Vrátnice je otevřena od šesti do dvaadvaceti hodin, klíče vydává paní Dvořáková.", "cp1250"),
        ("A kaput este tíz órakor zárják, a kulcsokat a földszinti őr adja ki.", "iso8859-2"),
        ("La machine à œufs coûte 5 000 € – livraison comprise, même à l’étranger.", "cp1252"),
        ("Fråga vaktmästaren om nyckeln till översta våningen.", "cp1252"),
        ("전화를 받지 않으면 관리실에 알려 주십시오.", "cp949"),
        ("Vartus atrakina sargas, raktą gausite budėtojo kambaryje.", "cp1257"),
    ],
)
def test_siblings_are_read_in_their_encoding(text, encoding):
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("name", "bad", "kept"), [("cut_in_char.txt", 1, "Grüße aus Köln"), ("log_appended.md", 2, "Änderungen")]
)
def test_utf8_with_few_bad_bytes_is_utf8_and_says_so(name, bad, kept):
    losses = Losses()
    text = decode((CASES / name).read_bytes(), None, losses)
    assert kept in text
    assert text.count("\ufffd") == bad
    (told,) = losses.told()
    assert (told.kind, told.count) == ("undecodable", bad)
    assert any("\ufffd" in example for example in told.examples)


@given(st.integers(0, len(GREETING.encode()) - 1))
def test_one_bad_byte_anywhere_leaves_the_rest_as_it_is(at):
    data = GREETING.encode()
    text = decode(data[:at] + b"\xff" + data[at:])
    assert text.replace("\ufffd", "") in {GREETING, _without_the_cut_one(data, at)}


def _without_the_cut_one(data, at):
    return data[:at].decode("utf-8", "ignore") + data[at:].decode("utf-8", "ignore")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "euc_jp", "cp932"])
def test_a_file_cut_within_a_character_is_read_to_there(encoding):
    text = "ポンプを空運転しないでください。最初に弁を開けて、圧力を確認します。"
    losses = Losses()
    assert decode(text.encode(encoding)[:-1], None, losses) in {text[:-1] + "\ufffd", text[:-1]}
    assert [told.kind for told in losses.told()] == ["undecodable"]


@pytest.mark.parametrize("declared", ["iso-8859-1", "latin1", "latin-1", "us-ascii", "ISO_8859-1", "windows-1252"])
def test_labels_mean_what_browsers_take_them_for(declared):
    assert decode(b"10\x9620 bar, \x8045", declared) == "10–20 bar, €45"


@pytest.mark.parametrize(
    ("declared", "encoding", "text"),
    [
        ("iso-2022-jp", "iso2022_jp", "弁を開ける"),
        ("shift_jis", "cp932", "①弁を開ける"),
        ("gb2312", "gb18030", "水泵"),
        ("gbk", "gbk", "联通"),
        ("koi8-r", "koi8-r", "Насос"),
        ("hz-gb-2312", "hz", "水泵"),
        ("cp850", "cp850", "Größe"),
    ],
)
def test_a_declaration_counts(declared, encoding, text):
    assert decode(text.encode(encoding), declared) == text


@pytest.mark.parametrize("declared", ["iso-8859-1", "utf-16", "klingon", "hex", "", "x-user-defined", "gbk"])
def test_a_false_declaration_does_not_garble_utf8(declared):
    assert decode(GREETING.encode(), declared) == GREETING


@pytest.mark.parametrize("declared", ["rot13", "base64", "unicode-escape", "idna", "punycode", "undefined"])
def test_codecs_that_are_no_encoding_of_files_count_as_none(declared):
    text = "Grüße aus Köln, heute 10–20 °C und morgen kühler."

    assert decode(text.encode("cp1252"), declared) == text


def test_a_mode_line_declares_the_encoding_of_a_text():
    text = "Дверь"
    assert (
        "".join(block.text for block in parse_rst(b".. -*- coding: koi8-r -*-\n\n" + text.encode("koi8-r")).blocks)
        == text
    )
    assert text in parse_text(b"# vim: set fileencoding=cp866 :\n" + text.encode("cp866")).blocks[0].text
    assert declared_in(b"a coding: of dna\n") is None


@pytest.mark.parametrize("parse", [parse_text, parse_markdown, parse_rst])
def test_every_text_format_tells_of_bad_bytes(parse):
    assert [(loss.kind, loss.count) for loss in parse(GREETING.encode() + b"\xff").losses] == [("undecodable", 1)]


@pytest.mark.parametrize("encoding", ["cp500", "johab", "mac_iceland"])
def test_what_is_in_no_usual_encoding_is_skipped(encoding):
    korean = "전화를 받지 않으면 관리실에 알려 주십시오."
    icelandic = "Þessi hurð á að vera læst þegar veður er vont og enginn í húsinu, sagði vörðurinn við þá."
    text = korean if encoding == "johab" else icelandic
    with pytest.raises(UnreadableError, match="encoding cannot be told"):
        decode(text.encode(encoding, "ignore"))


@pytest.mark.parametrize(
    "text", [GREETING, "Дверь закрыта, ключ у сторожа.\n", "水泵不得在没有水的情况下运转。\n", "plain\n"]
)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_text(text, encoding):
    data = text.encode(encoding)
    assert decode(data) == text
    assert not is_binary(data)


def test_zeros_in_other_bytes_are_binary():
    assert is_binary(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00>\x00")
    assert is_binary(bytes(range(256)))
    assert not is_binary(codecs.BOM_UTF16_LE + "a".encode("utf-16-le"))


def test_colours_of_a_terminal_are_no_encoding():
    assert decode(b"\x1b[31mred\x1b[0m") == "\x1b[31mred\x1b[0m"
    assert decode("弁を開けて、圧力を確認します。".encode("iso2022_jp")) == "弁を開けて、圧力を確認します。"


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_text_or_a_reason(data):
    try:
        text = decode(data)
    except UnreadableError:
        return
    assert isinstance(text, str)


@settings(max_examples=50)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=60))
def test_utf8_comes_out_as_it_was(text):
    assert decode(text.encode()) == text.removeprefix("\ufeff")


def test_characters_of_terminals_are_left_out_and_told():
    losses = Losses()
    assert decode("a\x96b\x85c".encode(), None, losses) == "a\x96b\x85c"  # which clean_text leaves out
    (loss,) = losses.told()
    assert (loss.kind, loss.count, loss.examples) == ("control character", 1, ("U+0096 in a\x96b c",))
    assert parse_text("a\x96b".encode()).losses[0].kind == "control character"


@pytest.mark.parametrize("declared", ["latin-9000", "ansi", "utf8mb4"])
def test_a_label_that_nobody_knows_is_told_and_another_encoding_found(declared):
    losses, text = Losses(), "Die Größe der Wörter zählt für die Prüfung der Läufe."
    assert decode(text.encode("cp1252"), declared, losses) == text
    assert [(loss.kind, loss.examples) for loss in losses.told()] == [("declaration", (declared,))]
    assert decode(b"plain", declared, losses) == "plain"
    assert losses.told()[0].count == 1


def test_romanian_of_its_own_encoding():
    text = "Știința și „tehnica” românească: învățăm să creștem împreună, așa cum știm, pentru 20 € pe țară. "
    assert decode((text * 3).encode("iso8859-16"), "iso-8859-16") == text * 3
    guessed = decode((text * 3).encode("iso8859-16"))
    assert guessed == text * 3

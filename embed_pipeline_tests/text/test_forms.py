"""When two texts are the same: many scripts, every sign, and what holds for any text."""

import sys
import time
import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from embed_pipeline.prep.splits.repeats import wording_of
from embed_pipeline.text.forms import same_text_key, words
from embed_pipeline.text.scripts import non_starters

SIGNS = "+#<>=%/*&@$€£^|\\~_°§≠≤≥±×÷→😀"
# Characters that rules look at, and some of every script and kind.
AWKWARD = (
    "aBß5 1.,:;!?'\"`()-\u2010–—−+#<>=/%_&^´…‥²³⁻⁹½①₂㎡ﬁΆ中か゛ｶﾞ。、！「」다ไ้क्षि\u0338\u0301\u0345αשׁ־؟،ًم՞"
    "\u200b\u200d\ufe0f\xad😀≠\t\n\u3000\x00\u33a2"
    "\xa8\xb4\u309b\u309c\uff9e\uff9f\u3099\u0308\u0334\u0e38\u0e48"  # marks that Unicode reorders or sets on a blank
)
TEXT = st.text(st.one_of(st.sampled_from(AWKWARD), st.characters()), max_size=12)
WORD = st.text("abcdeghäéßжщλωअकمن한글", min_size=1, max_size=5)


@pytest.mark.parametrize(
    "texts",
    [
        ["What is a skein?", "what is  a SKEIN", "“What is a skein”", "What is a skein?!", "What is a (skein)…"],
        ["Straße", "STRASSE", "strasse."],
        ["Zürich", "Zu\u0308rich", "ZÜRICH"],
        ["file", "\ufb01le", "Ｆｉｌｅ", "fi\u200ble", "fi\xadle"],
        ["don't", "don’t", "don`t", "don´t", "don\u02bct"],
        ["x > 5", "x>5", "x >5", "X＞５", "x > 5?"],
        ["x - 5", "x-5", "x − 5", "x −5", "x – 5"],
        ["x != 5", "x!=5", "x ！＝ 5"],
        ["5 %", "5%", "5 ％"],
        ["a/b", "a / b", "a ∕ b"],
        ["½ cup", "1/2 cup", "1⁄2 cup"],
        ["10² m", "10^2 m", "10 ^ 2 m"],
        ["10⁻³", "10^-3", "10^−3"],
        ["5 m²", "5 ㎡"],
        ["H₂O", "H2O"],
        ["21 °C", "21 ℃", "21°C"],
        ["well-known", "well\u2010known", "well\u2011known", "Well–Known", "well－known"],
        ["2019–2024", "2019-2024", "2019 – 2024"],
        ["the valve - a part", "the valve – a part", "the valve — a part", "the valve, a part", "the valve: a part"],
        ["the valve—a part", "the valve -- a part"],
        ["e.g. this", "E.g.: this", "e.g this"],
        ["It ends.", "It ends", "It ends...", "It ends…", "It ends!"],
        ["C++?", "c++", "„C++“"],
        ["¿Qué es?", "qué es"],
        ["« Quoi ? »", "Quoi"],
        ["Что это?", "что это", "«ЧТО ЭТО»"],
        ["Οδός;", "ΟΔΌΣ", "οδόσ"],
        ["ما هو الضغط؟", "ما هو الضغط", "ما هو، الضغط؛"],
        ["צה״ל", 'צה"ל'],
        ["תל־אביב", "תל-אביב"],
        ["می\u200cخواهم", "میخواهم"],
        ["राजधानी कहाँ है।", "राजधानी कहाँ है?", "राजधानी कहाँ है॥"],
        ["你好，世界！", "你好世界", "你好 世界", "「你好」、世界。", "你好!世界"],
        ["使用GPU训练", "使用 GPU 训练"],
        ["ガスの圧力は？", "ｶﾞｽの圧力は", "ガスの圧力は。"],
        ["５〜１０分", "5~10分", "５～１０分"],
        ["ราคา เท่าไร", "ราคาเท่าไร"],
        ["압력은 얼마인가?", "압력은 얼마인가", "압력은 얼마인가"],
        ["ինչո՞ւ", "ինչու"],
        ["ሰላም።", "ሰላም"],
        ["❤\ufe0f", "❤"],
    ],
)
def test_the_same_text(texts):
    assert len({same_text_key(text) for text in texts}) == 1


@pytest.mark.parametrize(
    "texts",
    [
        ["C build", "C++ build", "C# build", "C- build", "*C build", "C* build"],
        ["x > 5", "x < 5", "x = 5", "x >= 5", "x <= 5", "x != 5", "x := 5", "x - 5", "x + 5", "x 5", "x ≥ 5", "x ≠ 5"],
        ["5", "-5", "+5", "±5", "5 %", "5 ‰", "5°", "5′", "5 $", "5 €", "#5", "§ 5", "~5", ".5", "-.5"],
        ["1.5", "15", "1,5", "1-5", "1/5", "1^5", "1.5.1"],
        ["a/b", "ab", "a b", "a-b", "a_b", "a.b", "a\\b", "a|b", "a&b", "a@b", "a*b", "a~b", "a÷b", "a×b"],
        [".NET", "NET", "N.ET"],
        ["--force", "-force", "force"],
        ["e-mail", "email", "e mail"],
        ["example.com", "example com", "examplecom"],
        ["U.S.", "US"],
        ["don't", "dont"],
        ["10²", "102", "10", "10₂", "10³", "10 2"],
        ["1½", "11/2", "1/2"],
        ["①②", "12"],
        ["log₂8", "log28", "log²8"],
        ["O(2ⁿ)", "O(2n)", "O(n²)"],
        ["10⁻³", "10³", "10-3"],
        ["What is a skein?", "What is the skein?"],
        ["resume", "résumé"],
        ["राजधानी कहाँ", "राजधानी कहीं"],
        ["काला", "कला"],
        ["علم", "عِلم", "عَلَم"],
        ["١٥", "١٫٥", "١٥٪"],
        ["五％", "五"],
        ["아버지가 방에", "아버지 가방에"],
        ["か", "が"],
        ["???", "!!!", "?", "-", "…", ""],
        ["👍", "👎"],
    ],
)
def test_different_texts(texts):
    assert len({same_text_key(text) for text in texts}) == len(texts)


def test_a_text_of_nothing_that_counts_is_its_own_key():
    assert same_text_key(" ?? \n!") == "?? !"
    assert same_text_key(" \t") == ""


@settings(max_examples=500, deadline=None)
@given(TEXT)
def test_the_key_of_a_key_is_the_key(text):
    key = same_text_key(text)
    assert same_text_key(key) == key


@pytest.mark.parametrize(
    "text",
    [
        "\u33a2\xa8\u309b\n\xb4",
        "x \u0308 \u0e38",
        "x\u0e48 \u0334 y",
        "か \u3099 \u3099",
        "か゛",
        "-.\u0e38\xb4\xb4\u0e38",
        ".>!\u0338\n5",
        "中¨゛",
        "a" + "\u0323\u0301" * 20 + "\u3099" * 40,
        "\u3099 \u0301\u0323 " * 40,
    ],
)
def test_the_key_of_a_key_is_the_key_where_marks_change_places(text):
    key = same_text_key(text)
    assert same_text_key(key) == key


@pytest.mark.parametrize("marks", ["\u0301\u0323", "\u0301", "\u3099 \u0301 ", "\uff9e\u0301", "\u0301\u034f"])
def test_a_megabyte_of_combining_marks_takes_no_time(marks):
    text = "a" + marks * (1_000_000 // len(marks.encode()))
    start = time.process_time()
    assert same_text_key(text)
    assert words(text)
    assert time.process_time() - start < 8


def test_of_more_marks_than_any_language_has_the_first_count_in_any_unicode_form():
    text = "ṩ" + "\u0301\u0323" * 20 + "b\u0301"
    keys = {same_text_key(form) for form in (text, *(unicodedata.normalize(name, text) for name in ("NFC", "NFD")))}
    assert len(keys) == 1
    assert same_text_key(text + "c") == keys.pop() + "c"
    assert same_text_key("a" + "\u0301" * 30) != same_text_key("a" + "\u0301" * 29)
    assert same_text_key("a" + "\u0301" * 30) == same_text_key("a" + "\u0301" * 31)
    assert words("a" + "\u0301" * 31) == ["á" + "\u0301" * 29]


def test_every_character_that_unicode_reorders_is_known():
    decomposed = ((chr(code), unicodedata.normalize("NFKD", chr(code))) for code in range(sys.maxunicode + 1))
    assert set(non_starters()) == {char for char, parts in decomposed if unicodedata.combining(parts[0])}


@settings(max_examples=500, deadline=None)
@given(TEXT)
def test_case_unicode_form_and_blank_space_do_not_count(text):
    key = same_text_key(text)
    assert same_text_key(text.casefold()) == key
    assert same_text_key(unicodedata.normalize("NFC", text)) == key
    assert same_text_key(unicodedata.normalize("NFD", text)) == key
    assert same_text_key(f"\n {text.replace(' ', '  ')}\t") == key


@settings(max_examples=300, deadline=None)
@given(st.lists(WORD, min_size=1, max_size=6), st.data())
def test_sentence_punctuation_does_not_count(parts, data):
    after = st.sampled_from(
        ["", ",", ";", ":", "?", "!", ".", "...", "…", "’", '"', "”", "»", ")", "]", "؟", "،", "।", "。"]
    )
    before = st.sampled_from(["", "(", "[", '"', "“", "«", "„", "¿", "¡", "'", "「"])
    dash = st.sampled_from([" ", " ", " - ", " – ", " — ", "—", " -- ", " · ", " • "])
    text = "".join(
        data.draw(before) + part + data.draw(after) + (data.draw(dash) if place < len(parts) - 1 else "")
        for place, part in enumerate(parts)
    )
    assert same_text_key(text) == same_text_key(text.upper()) == same_text_key(" ".join(parts))


@settings(max_examples=300, deadline=None)
@given(st.text("ab 中か 5", max_size=8), st.text("ab 中か 5", max_size=8), st.data())
def test_other_digits_and_signs_are_another_text(before, after, data):
    one, other = data.draw(st.lists(st.sampled_from([*"0123456789", *SIGNS, ""]), min_size=2, max_size=2, unique=True))
    assert same_text_key(f"{before}{one}{after}") != same_text_key(f"{before}{other}{after}")


@settings(max_examples=300, deadline=None)
@given(WORD, WORD, st.sampled_from(["-", ".", *SIGNS]))
def test_a_sign_between_two_words_is_neither_a_blank_nor_nothing(one, other, sign):
    found = {same_text_key(text) for text in (f"{one}{sign}{other}", f"{one} {other}", f"{one}{other}")}
    assert len(found) == 3


@settings(max_examples=500, deadline=None)
@given(TEXT)
def test_what_the_check_for_leaks_takes_for_the_same_is_the_same(text):
    assume(any(map(str.isalnum, text)))
    assert same_text_key(wording_of(text)) == same_text_key(text)


@settings(max_examples=300, deadline=None)
@given(TEXT, TEXT, TEXT)
def test_a_key_stands_in_the_key_of_what_holds_the_text(before, middle, after):
    quoted = f"The lung {middle} is full"
    assert same_text_key(quoted) in same_text_key(f"{before} {quoted} {after}")


def test_words_are_free_of_case_and_punctuation_and_single_characters_in_chinese():
    assert words("Low-alarm: 350 Pa, Straße!") == ["low", "alarm", "350", "pa", "strasse"]
    assert words("升空限制 ABC") == ["升", "空", "限", "制", "abc"]


def test_marks_belong_to_their_words():
    assert words("नई दिल्ली की") == ["नई", "दिल्ली", "की"]

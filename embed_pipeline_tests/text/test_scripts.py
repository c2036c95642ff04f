import re
import sys
import unicodedata

import pytest

from embed_pipeline.text.scripts import HANGUL, UNSPACED, combining_marks


@pytest.mark.parametrize("word", ["汉字", "漢々〇", "ひらがな", "カタカナ", "ไทย", "ລາວ", "မြန်မာ", "ខ្មែរ", "𠀀"])
def test_scripts_without_spaces(word):
    assert re.fullmatch(f"[{UNSPACED}]+", word)
    assert not re.search(f"[{HANGUL}]", word)


@pytest.mark.parametrize("word", ["word", "слово", "كلمة", "शब्द", "λέξη", "123", "한국어", "。", "　"])
def test_all_others(word):
    assert not re.search(f"[{UNSPACED}]", word)


def test_korean_syllables():
    assert re.fullmatch(f"[{HANGUL}]+", "한국어")


def test_no_combining_mark_is_missing():
    every = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith("M")]
    assert list(combining_marks()) == every

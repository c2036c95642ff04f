"""Characters of writing systems, as ranges for a character class of a regular expression."""

import sys
import unicodedata
from functools import cache

UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u3005\u3007"  # Han: repetition mark and zero
    "\u3040-\u30ff\u31f0-\u31ff"  # Hiragana, Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Han
)
"""Scripts that are written without spaces between words."""
HANGUL = "\uac00-\ud7a3"
"""Korean syllables; particles are glued to the word."""


@cache
def combining_marks() -> str:
    r"""Every combining mark: ``\w`` leaves them out, and most words of India and vocalised Arabic contain some."""
    return "".join(chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith("M"))


@cache
def non_starters() -> str:
    """Every character that Unicode may reorder among its neighbours, after NFKD: most combining marks."""
    half_width_voice_marks = "\uff9e\uff9f"
    return half_width_voice_marks + "".join(
        mark for mark in combining_marks() if unicodedata.combining(unicodedata.normalize("NFKD", mark)[0])
    )

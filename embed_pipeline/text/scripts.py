"""Characters of writing systems, as ranges for a character class of a regular expression."""

import unicodedata
from functools import cache
from itertools import chain

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


_WITH_MARKS = (range(0x300, 0x3400), range(0xA000, 0xAC00), range(0xF900, 0x20000), range(0xE0000, 0xE0200))
"""Where Unicode has combining marks: neither among Han characters and Korean syllables nor in empty planes."""


@cache
def combining_marks() -> str:
    r"""Every combining mark: ``\w`` leaves them out, and most words of India and vocalised Arabic contain some."""
    return "".join(chr(code) for code in chain(*_WITH_MARKS) if unicodedata.category(chr(code)).startswith("M"))


@cache
def non_starters() -> str:
    """Every character that Unicode may reorder among its neighbours, after NFKD: most combining marks."""
    half_width_voice_marks = "\uff9e\uff9f"
    return half_width_voice_marks + "".join(
        mark for mark in combining_marks() if unicodedata.combining(unicodedata.normalize("NFKD", mark)[0])
    )

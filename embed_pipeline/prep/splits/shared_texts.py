"""Which of many texts may be the same, without looking closely at each."""

import re
from collections import Counter
from typing import TYPE_CHECKING

from embed_pipeline.text.forms import same_text_key

if TYPE_CHECKING:
    import polars as pl

_OTHERS = "[^a-z0-9]+"
_NOT_COUNTED = re.compile(_OTHERS)


def shared_text_keys(texts: "pl.Series") -> list[str | None]:
    """The :func:`~embed_pipeline.text.forms.same_text_key` of each text that may be the same as another, else None.

    The key of an ASCII text holds its letters and digits in their order, lower case, so that two texts of which these
    differ are not the same. Only where they do not differ the key is worked out, and that of each text beyond ASCII.
    """
    ascii_only = texts.str.len_bytes() == texts.str.len_chars()
    plain = texts.str.to_lowercase().str.replace_all(_OTHERS, "").to_list()
    keys: list[str | None] = [None] * len(texts)
    for place in (~ascii_only).arg_true():
        key = same_text_key(texts[place])
        keys[place], plain[place] = key, _NOT_COUNTED.sub("", key)
    often = Counter(plain)
    for place, letters in enumerate(plain):
        if keys[place] is None and often[letters] > 1:
            keys[place] = same_text_key(texts[place])
    return keys

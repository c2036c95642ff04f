"""The numbers that Word puts before paragraphs by itself: "1.", "4.2", "(a)"."""

import re
from typing import Any

from embed_pipeline.corpus.parsers.docx_styles import WORD, is_on, number_of, value_of

_PLACE = re.compile(r"%(\d)")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"))
_HIGHEST = 32_767  # of Word
_ROMAN_SMALL = ((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))


class Numbering:
    """Counts the numbered paragraphs of a document, in its order.

    Args:
        root: the ``w:numbering`` element, None when the document has none.
    """

    def __init__(self, root: Any) -> None:
        kinds = () if root is None else root.iter(f"{WORD}abstractNum")
        self._kinds = {kind.get(f"{WORD}abstractNumId"): kind for kind in kinds}
        self._lists = {} if root is None else {one.get(f"{WORD}numId"): one for one in root.iter(f"{WORD}num")}
        self._counts: dict[str, dict[int, int]] = {}
        self._started: set[tuple[str, int]] = set()

    def label(self, number: str, level: int) -> str | None:
        """What Word writes before the next paragraph of that list; "-" for a bullet, None for an unknown list.

        Args:
            number: id of the list, the ``w:numId`` of the paragraph.
            level: from 0.
        """
        kind_id = value_of(self._lists.get(number), "abstractNumId")
        defined = self._level(number, level)
        if kind_id is None or defined is None:
            return None
        counts = self._counts.setdefault(kind_id, {})
        counts[level] = self._next(number, level, counts, defined)
        for deeper in [other for other in counts if other > level]:
            if value_of(self._level(number, deeper), "lvlRestart") != "0":
                del counts[deeper]
        form = value_of(defined, "numFmt") or "decimal"
        if form == "bullet":
            return "-"
        text = value_of(defined, "lvlText") or ""
        return _PLACE.sub(lambda place: self._shown(number, int(place.group(1)) - 1, counts, defined), text).strip()

    def _next(self, number: str, level: int, counts: dict[int, int], defined: Any) -> int:
        start = number_of(defined, "start", 1, _HIGHEST)
        override = self._override(number, level)
        restart = value_of(override, "startOverride")
        if restart is not None and (number, level) not in self._started:
            self._started.add((number, level))
            return number_of(override, "startOverride", 0, _HIGHEST)
        return counts[level] + 1 if level in counts else start

    def _shown(self, number: str, level: int, counts: dict[int, int], shower: Any) -> str:
        defined = self._level(number, level)
        count = counts.get(level, number_of(defined, "start", 1, _HIGHEST))
        form = "decimal" if is_on(shower, "isLgl") else value_of(defined, "numFmt") or "decimal"
        return _written(count, form)

    def _override(self, number: str, level: int) -> Any:
        one = self._lists.get(number)
        overrides = () if one is None else one.iter(f"{WORD}lvlOverride")
        return next((found for found in overrides if found.get(f"{WORD}ilvl") == str(level)), None)

    def _level(self, number: str, level: int) -> Any:
        override = self._override(number, level)
        own = None if override is None else override.find(f"{WORD}lvl")
        if own is not None:
            return own
        kind = self._kinds.get(value_of(self._lists.get(number), "abstractNumId"))
        levels = () if kind is None else kind.iter(f"{WORD}lvl")
        return next((found for found in levels if found.get(f"{WORD}ilvl") == str(level)), None)


def _written(count: int, form: str) -> str:
    """A number as Word writes it; forms of other scripts in decimals."""
    if form in ("lowerLetter", "upperLetter") and count > 0:
        letter = chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 + 1)
        return letter if form == "lowerLetter" else letter.upper()
    if form in ("lowerRoman", "upperRoman") and count > 0:
        roman = _roman(count)
        return roman if form == "lowerRoman" else roman.upper()
    if form == "none":
        return ""
    return f"{count:02}" if form == "decimalZero" else str(count)


def _roman(count: int) -> str:
    written = ""
    for value, letters in (*_ROMAN, *_ROMAN_SMALL):
        written += letters * (count // value)
        count %= value
    return written

"""What a file tells of its document beside title and text: the same names, forms and bounds for every format."""

import re
from collections.abc import Iterable, Mapping
from datetime import date, time
from typing import Any

from embed_pipeline.corpus.parsers.html_parts import names
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.metadata_values import entries, iso_date, language_tag, plain, web_address

KIND = "metadata"
"""Of what is told as left out."""
MOST_ENTRIES = 100
ENTRY_CHARS = 200
VALUE_CHARS = 2_000
MOST_NAMES = 50
_SCANNED = MOST_ENTRIES * (ENTRY_CHARS + 1)
_COMMAS = ",;|，；、،؛"
_SIGNS = {"tags": _COMMAS, "groups": _COMMAS, "author": ";"}
"""Lists, and what parts their entries where they stand in one text."""
_SINGLE = {"url": web_address, "date": iso_date, "language": language_tag}
"""What a document has one of, and its form."""
NAMES = ("url", "date", "tags", "groups", "author", "language")
"""The names that every format knows, in the order in which they are told."""
_CREDENTIALS = re.compile(r"//[^/?#]*@")
_NOBODY = names("unknown anonymous author user admin administrator owner none null root")

HEAD = {
    "url": "canonical_url canonical url permalink link",
    "date": "date published publish_date publishdate published_at pubdate created created_at updated lastmod "
    "last_modified modified",
    "tags": "tags tag keywords keyword",
    "groups": "groups group categories category",
    "author": "authors author",
    "language": "language lang",
}
"""How people write the names at the head of a file; of an address, a date and a language the first one counts."""
_ALIASES = frozenset(alias for aliases in HEAD.values() for alias in aliases.split())


ToldRow = tuple[str, str, str]
"""A row of :class:`~embed_pipeline.tables.Metadata`."""


def is_told(name: Any) -> bool:
    """Whether what stands under a name at the head of a file is metadata, in one of the spellings of :data:`HEAD`."""
    return _plain_name(name) in _ALIASES


def _plain_name(name: Any) -> str:
    return str(name).strip().lower().replace("-", "_")


class About:
    """Gathers what is told of a document; what cannot be kept is told among its losses.

    Args:
        losses: of the document.
    """

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._found: dict[str, list[str]] = {}

    def add(self, name: str, value: Any) -> None:
        """One more value.

        Of ``url``, ``date`` and ``language`` the first that is one counts; ``tags``, ``groups`` and ``author`` are
        lists; of any other name each value is kept, texts to 2,000 characters.

        Args:
            value: a text, number, date or list of them; a text of a list is parted at its commas, those of authors at
                semicolons. Mappings count by their ``name``. None, true and false are nothing.
        """
        if not name or (name in self._found and name in _SINGLE):
            return
        values = value if isinstance(value, list | tuple) else [value]
        if len(values) > MOST_ENTRIES:
            self._lose(name, f"{len(values) - MOST_ENTRIES:,} more", len(values) - MOST_ENTRIES)
        for one in values[:MOST_ENTRIES]:
            text = self._text(name, one)
            if text:
                self._take(name, text, is_list=values is value)

    def add_head(self, values: Mapping[Any, Any]) -> None:
        """What the head of a file tells, by any of the names that people give (:data:`HEAD`)."""
        given = {_plain_name(key): value for key, value in values.items()}
        for name, aliases in HEAD.items():
            for alias in aliases.split():
                self.add(name, given.get(alias))

    def told(self) -> dict[str, list[str]]:
        """Name -> values, those that every format knows first."""
        known = {name: self._found[name] for name in NAMES if name in self._found}
        return known | self._found

    def _text(self, name: str, value: Any) -> str:
        """A single value as text, still as it was written; empty where there is none."""
        if isinstance(value, Mapping) and isinstance(value.get("name"), str):
            value = value["name"]
        if value is None or (isinstance(value, bool) and name in NAMES):
            return ""
        if isinstance(value, date | time):
            return value.isoformat()
        if not isinstance(value, str | int | float):
            self._lose(name, f"a {'mapping' if isinstance(value, Mapping) else type(value).__name__}")
            return ""
        try:
            return str(value).strip()
        except ValueError:  # Python writes no whole number of more than 4,300 digits
            self._lose(name, "a number of thousands of digits")
            return ""

    def _take(self, name: str, text: str, *, is_list: bool) -> None:
        if name in _SINGLE:
            self._take_single(name, text)
        elif name in _SIGNS:
            self._take_entries(name, [plain(text[: ENTRY_CHARS * 4])] if is_list else self._parted(name, text))
        elif name in self._found or len(self._found) < MOST_NAMES:
            if len(text) > VALUE_CHARS:
                self._lose(name, f"{len(text) - VALUE_CHARS:,} more characters")
            self._append(name, plain(text[:VALUE_CHARS]))
        else:
            self._lose(name, text)

    def _take_single(self, name: str, text: str) -> None:
        found = _SINGLE[name](text) if len(text) <= 2 * VALUE_CHARS else None
        if name == "language" and found is not None and len(found) > ENTRY_CHARS:
            found = None
        if found is None:
            self._lose(name, _CREDENTIALS.sub("//…@", text) if name == "url" else text)
        elif name not in self._found:
            self._append(name, plain(found))

    def _parted(self, name: str, text: str) -> Iterable[str]:
        rest = text[_SCANNED:]
        if rest:  # a list of megabytes
            self._lose(name, f"{len(rest):,} more characters", 1 + sum(map(rest.count, _SIGNS[name])))
            text = text[:_SCANNED].rpartition(next((one for one in _SIGNS[name] if one in text[:_SCANNED]), ","))[0]
        return entries(text, _SIGNS[name])

    def _take_entries(self, name: str, found: Iterable[str]) -> None:
        there = {one.casefold() for one in self._found.get(name, ())}
        for one in found:
            entry = one.lstrip("#").strip() if name == "tags" else one
            if not entry or entry.casefold() in there or (name == "author" and entry.casefold() in _NOBODY):
                continue
            if len(entry) > ENTRY_CHARS or len(there) >= MOST_ENTRIES:
                self._lose(name, entry)
                continue
            there.add(entry.casefold())
            self._append(name, entry)

    def _append(self, name: str, value: str) -> None:
        values = self._found.setdefault(name, [])
        if value and value not in values:
            values.append(value)
        if not values:
            del self._found[name]

    def _lose(self, name: str, text: str, count: int = 1) -> None:
        self._losses.add(KIND, f"{name}: {plain(text[:VALUE_CHARS])}", count, characters=0)

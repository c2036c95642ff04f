"""What the styles of a Word document say of a paragraph: its level as a heading or in a list, and whether it shows."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_VALUE = f"{WORD}val"
_HEADING = re.compile(r"^heading (\d)\b", re.IGNORECASE)
_LIST = re.compile(r"^list(?: bullet| number)?(?: (\d))?$", re.IGNORECASE)
_BODY_TEXT = 9
_DEEPEST = 8  # level of a list, from 0
_DIGITS = 18


def value_of(parent: Any, path: str) -> str | None:
    """``w:val`` of an element below, such as ``pPr/numPr/ilvl``; empty where it has none, None without the element."""
    found = None if parent is None else parent.find("/".join(WORD + name for name in path.split("/")))
    return None if found is None else found.get(_VALUE, "")


def number_of(parent: Any, path: str, default: int, most: int) -> int:
    """``w:val`` of an element below as a whole number, at most ``most``; ``default`` where it is none."""
    value = value_of(parent, path) or ""
    return min(int(value[:_DIGITS]), most) if value.isascii() and value.isdigit() else default


def is_on(parent: Any, path: str) -> bool:
    """Whether a property that is on or off is on."""
    return value_of(parent, path) not in (None, "0", "false", "off")


class Styles:
    """The styles of a document.

    Args:
        root: the ``w:styles`` element, None when the document has none.
    """

    def __init__(self, root: Any) -> None:
        self._root = root

    @cached_property
    def _by_id(self) -> dict[str, Any]:
        styles = () if self._root is None else self._root.iter(f"{WORD}style")
        return {style.get(f"{WORD}styleId", ""): style for style in styles}

    @cached_property
    def _default(self) -> str:
        for name, style in self._by_id.items():
            if style.get(f"{WORD}type") == "paragraph" and style.get(f"{WORD}default") in ("1", "true", "on"):
                return name
        return ""

    def name(self, paragraph: Any) -> str:
        """Name of a paragraph's style in lower case; built-in ones are English in every language of Word."""
        return next((value_of(style, "name") or "" for style in self._chain(paragraph)), "").lower()

    def heading_level(self, paragraph: Any) -> int:
        """1 and deeper for a heading, by the paragraph's own outline level, the style, or a style that it builds on."""
        own = value_of(paragraph, "pPr/outlineLvl")
        if own:
            return _level(own)
        for style in self._chain(paragraph):
            name = value_of(style, "name") or ""
            heading = _HEADING.match(name)
            outline = value_of(style, "pPr/outlineLvl")
            if outline:
                return _level(outline)
            if heading or name.lower() == "title":
                return int(heading.group(1)) if heading else 1
        return 0

    def list_place(self, paragraph: Any) -> tuple[str, int] | None:
        """Id of the list and level from 0 of an item; an empty id where only the style's name tells of a list."""
        named = _LIST.match(self.name(paragraph))
        by_name = 0 if named is None else max(int(named.group(1) or 1) - 1, 0)
        for holder in (paragraph, *self._chain(paragraph)):
            number = value_of(holder, "pPr/numPr/numId")
            if number is not None:
                return None if number == "0" else (number, number_of(holder, "pPr/numPr/ilvl", by_name, _DEEPEST))
        return None if named is None else ("", by_name)

    def hides(self, run: Any) -> bool:
        """Whether a run is hidden text, itself or by its style."""
        own = run.find(f"{WORD}rPr")
        if value_of(own, "vanish") is not None:
            return is_on(own, "vanish")
        style = self._by_id.get(value_of(own, "rStyle") or "")
        return is_on(style, "rPr/vanish")

    def _chain(self, paragraph: Any) -> Iterator[Any]:
        """The paragraph's style and those that it builds on."""
        name: str | None = value_of(paragraph, "pPr/pStyle") or self._default
        seen: set[str] = set()
        while name and name in self._by_id and name not in seen:
            seen.add(name)
            yield self._by_id[name]
            name = value_of(self._by_id[name], "basedOn")


def _level(outline: str) -> int:
    return int(outline) + 1 if outline.isdigit() and int(outline) < _BODY_TEXT else 0

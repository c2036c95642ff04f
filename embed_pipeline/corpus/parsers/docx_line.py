"""A paragraph of a Word document as it grows."""

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from embed_pipeline.corpus.parsers.blocks import Block
from embed_pipeline.corpus.parsers.docx_styles import WORD, is_on, number_of, value_of
from embed_pipeline.corpus.parsers.scripts import subscript, superscript


@dataclass(frozen=True)
class Item(Block):
    """An item of a list, with its number or dash."""


class Line:
    """The text of a paragraph as it grows, and the blocks that follow it."""

    def __init__(self) -> None:
        self._pieces: list[tuple[str, str]] = []
        self.after: list[Block] = []

    def add(self, text: str, place: str = "") -> None:
        """A piece; ``place`` is empty, superscript or subscript."""
        if text:
            self._pieces.append((place, text))

    def follow(self, text: str) -> None:
        """A block of its own after the paragraph."""
        if text.strip():
            self.after.append(Block(text))

    def text(self) -> str:
        """All of it on the line."""
        runs = [(place, "".join(text for _, text in pieces)) for place, pieces in groupby(self._pieces, key=_first)]
        line = ""
        for index, (place, text) in enumerate(runs):
            if place == "superscript":
                following = runs[index + 1][1] if index + 1 < len(runs) else ""
                line += superscript(line[-40:], text, following)
            else:
                line += subscript(line[-40:], text) if place == "subscript" else text
        return line


def _first(piece: tuple[str, str]) -> str:
    return piece[0]


def raised(run: Any) -> str:
    """superscript, subscript, or empty for a run on the line."""
    alignment = value_of(run, "rPr/vertAlign")
    return alignment if alignment in ("superscript", "subscript") else ""


def form_value(field: Any) -> str:
    """What an old form field shows that is not text of the document: a box, a choice."""
    data = field.find(f"{WORD}ffData")
    if data is None:
        return ""
    box = data.find(f"{WORD}checkBox")
    if box is not None:
        ticked = is_on(box, "checked") if value_of(box, "checked") is not None else is_on(box, "default")
        return "☒" if ticked else "☐"
    choices = data.find(f"{WORD}ddList")
    if choices is None:
        return ""
    entries = [entry.get(f"{WORD}val", "") for entry in choices.iter(f"{WORD}listEntry")]
    chosen = number_of(choices, "result", number_of(choices, "default", 0, len(entries)), len(entries))
    return entries[chosen] if chosen < len(entries) else ""

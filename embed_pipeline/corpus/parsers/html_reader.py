"""One walk through a page: blocks in reading order, and what was left out. As deep as the page, without recursion."""

from collections.abc import Callable, Sequence
from typing import Any

from lxml import etree

from embed_pipeline.corpus.parsers.blocks import Block, list_item, one_line
from embed_pipeline.corpus.parsers.formula import linear, plain_tex
from embed_pipeline.corpus.parsers.html_frames import BREAK, Definitions, Frame, List, Table, Verbatim
from embed_pipeline.corpus.parsers.html_parts import (
    CODE,
    HEADINGS,
    VERBATIM,
    Parts,
    class_names,
    names,
    shown_texts,
)
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.pictures import alternative_text
from embed_pipeline.corpus.parsers.scripts import subscript, superscript

_BLOCKS = names(
    "address article aside blockquote body center dd details dialog div dt fieldset figcaption figure footer form "
    "header hgroup hr html legend li main p search section summary tbody td tfoot th thead tr table caption option"
)
_LISTS = names("ul ol menu dir")


class Reader:
    """Reads one page or a piece of one.

    Args:
        parts: says what is content.
        losses: where the rest is told.
        tree: makes a tree of source that the parser left as text, as in ``noframes``.
    """

    def __init__(self, parts: Parts, losses: Losses, tree: Callable[[str], Any]) -> None:
        self._parts = parts
        self._losses = losses
        self._tree = tree
        self._frames: list[Frame] = []
        self._captions: dict[Any, str] = {}

    @property
    def _top(self) -> Frame:
        return self._frames[-1]

    def read(self, root: Any) -> list[Block]:
        """Blocks of an element."""
        self._frames = [Frame(root)]
        walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
        for event, element in walk:
            if event == "start":
                if not self._start(element):
                    walk.skip_subtree()
                continue
            if event == "end":
                self._end(element)
            else:
                self._losses.add("comment" if event == "comment" else "code", element.text or "")
            if element is not root:
                self._top.say(element.tail or "")
        self._top.flush()
        return self._top.blocks

    def leave_out(self, kind: str, element: Any, without: Sequence[Any] = ()) -> None:
        """Tell of an element that is not read, but for some parts; scripts and comments within are told as such."""
        for node in element.iter():
            if not isinstance(node.tag, str):
                self._losses.add("comment", node.text or "")
            elif node.tag in CODE and kind != "code":
                self._losses.add("code", node.text or "")
        texts = [element.text or ""] if kind == "code" else [*shown_texts(element, without), element.get("value", "")]
        if kind in ("picture", "code") or any(text.strip() for text in texts):
            self._losses.add(kind, " ".join(texts))

    def _start(self, element: Any) -> bool:
        """Take in an element's beginning; whether its inside is read."""
        tag = element.tag
        kind = self._parts.left_out(element)
        if tag == "svg" and kind == "picture":
            self._top.say(self._graphic(element))
            return False
        if kind:
            self.leave_out(kind, element)
            return False
        if self._is_whole(element):
            return False
        frame = self._frame(element)
        if frame is not None:
            if tag not in ("sup", "sub", "rt"):
                self._top.flush()
            self._frames.append(frame)
        elif tag in _BLOCKS:
            self._top.flush()
            if isinstance(self._top, Table):
                self._start_row(tag)
        self._top.say(element.text or "")
        return True

    def _is_whole(self, element: Any) -> bool:
        """Elements that are read at once: line breaks, pictures, formulas."""
        tag = element.tag
        if tag == "br":
            self._top.say(BREAK)
        elif tag == "img":
            self._losses.add("picture")
            self._top.say(self._alternative(element))
        elif tag in ("title", "rp"):  # the page's title is read from its head
            return True
        elif tag in ("math", "script") or class_names(element) & {"katex-mathml"}:
            self._top.say(self._formula(element))
        elif tag in ("noframes", "noembed") and (element.text or "").strip():  # the parser leaves its inside as text
            self._embedded(element.text)
        elif tag == "iframe":
            if (element.text or "").strip():  # for browsers without frames
                self._losses.add("hidden", element.text)
            self._embedded(element.get("srcdoc"))
        else:
            return False
        return True

    def _embedded(self, source: str) -> None:
        """A page within this one, which stands there as text."""
        self._top.flush()
        for block in Reader(self._parts, self._losses, self._tree).read(self._tree(f"<div>{source}</div>")):
            self._top.add(block.text, block.level)

    def _alternative(self, picture: Any) -> str:
        """What stands for a picture, unless it repeats the caption."""
        text = alternative_text(plain_tex(picture.get("alt", "")))
        if picture.get("aria-hidden") == "true" or "fallback" in picture.get("class", ""):  # stands beside its text
            return ""
        figure = next(picture.iterancestors("figure"), None)
        return "" if figure is not None and text in self._caption(figure) else text

    def _caption(self, figure: Any) -> str:
        if figure not in self._captions:
            texts = (one_line("".join(caption.itertext())) for caption in figure.iter("figcaption"))
            self._captions[figure] = "\n".join(texts)
        return self._captions[figure]

    def _graphic(self, element: Any) -> str:
        """What a drawing says of itself; an icon's title is left out with its labels."""
        own = [child for child in element if child.tag in ("title", "desc")]
        is_described = element.get("role") == "img" or any(child.tag == "desc" for child in own)
        described = "\n".join("".join(child.itertext()) for child in own) if is_described else ""
        self.leave_out("picture", element, own if is_described else ())
        return f"{BREAK}{described}{BREAK}" if described.strip() else ""

    def _formula(self, element: Any) -> str:
        """The formula once: its source where the page has it, else its notation on a line."""
        if element.tag == "script":
            return plain_tex(element.text or "")
        sources = [note for note in element.iter("annotation") if "tex" in note.get("encoding", "").lower()]
        source = "".join(sources[0].itertext()) if sources else element.get("alttext", "")
        notation = linear(element if element.tag == "math" else next(element.iter("math"), element))
        if not source.strip():
            return notation
        self._losses.add("repeated", notation)
        return plain_tex(source)

    def _frame(self, element: Any) -> Frame | None:
        """A frame for what becomes one piece; within preformatted text nothing does."""
        tag, top = element.tag, self._top
        if isinstance(top, Verbatim):
            return None
        if tag in HEADINGS or tag in ("sup", "sub", "rt"):
            return Frame(element)
        if tag in VERBATIM:
            return Verbatim(element)
        if tag in _LISTS:
            return List(element)
        if tag == "dl":
            return Definitions(element)
        if tag == "table":
            return None if _is_layout(element, self._parts) else Table(element)
        within = {"li": List, "dt": Definitions, "dd": Definitions, "td": Table, "th": Table}.get(tag)
        return Frame(element) if within is not None and isinstance(top, within) else None

    def _start_row(self, tag: str) -> None:
        assert isinstance(self._top, Table)
        if tag in ("thead", "tbody", "tfoot"):
            self._top.sections.append([])
        elif tag == "tr":
            self._top.sections[-1].append([])

    def _end(self, element: Any) -> None:
        if len(self._frames) > 1 and self._top.element is element:
            frame = self._frames.pop()
            self._deliver(frame)
        elif element.tag in _BLOCKS:
            self._top.flush()

    def _deliver(self, frame: Frame) -> None:
        """Hand a piece that ended to the one around it."""
        tag, top, text = frame.tag, self._top, frame.text()
        if tag == "sup":
            top.say(superscript(top.before(), text, frame.element.tail or ""))
        elif tag == "sub":
            top.say(subscript(top.before(), text))
        elif tag == "rt":
            top.say(f"({text})" if text.strip() else "")
        elif tag in HEADINGS:
            top.add(one_line(text), HEADINGS[tag])
        elif tag == "li" and isinstance(top, List):
            top.add_item(text, frame.element.get("value"))
        elif tag == "dd":
            top.add(list_item("  ", text) if text.strip() else "")
        elif tag in ("td", "th") and isinstance(top, Table):
            top.add_cell(frame.element, text)
        elif tag in _LISTS and isinstance(top, List):
            top.add_list(text)
        else:
            top.add(text)


def _is_layout(table: Any, parts: Parts) -> bool:
    """A table that only arranges the page: it holds headings, or tables but no head cell, or a single column."""
    if next(table.iter("h1", "h2", "h3", "h4"), None) is not None or table.get("role") in ("presentation", "none"):
        return True
    if any(inner is not table for inner in table.iter("table")) and next(table.iter("th"), None) is None:
        return True
    return all(
        sum(cell.tag in ("td", "th") and parts.left_out(cell) != "furniture" for cell in row) <= 1
        for row in table.iter("tr")
    )

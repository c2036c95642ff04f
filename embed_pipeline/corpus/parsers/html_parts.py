"""Which parts of a page are its content, and what the others are."""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any


def names(text: str) -> frozenset[str]:
    """Words of a string as a set."""
    return frozenset(text.split())


HEADINGS = {f"h{level}": level for level in range(1, 7)}
VERBATIM = names("pre xmp listing plaintext")
FORMULA_SCRIPT = re.compile(r"math/(?:tex|asciimath)", re.IGNORECASE)
CODE = names("script style")
_PICTURES = names("svg iframe object embed audio video canvas")
_CONTROLS = names("select input textarea datalist")
_FURNITURE_ROLES = names("navigation banner contentinfo search menu menubar toolbar")
_MENUS = names(
    "nav navbar navigation sidebar breadcrumb breadcrumbs menu toc table-of-contents pagination sphinxsidebar related "
    "wy-nav-side wy-breadcrumbs"
)
_EDGES = names("footer site-footer page-footer site-header rst-footer-buttons")
_NEVER_CONTENT = names("cookie-banner cookie-consent skip-link headerlink anchor-link hash-link header-anchor") | names(
    "heading-anchor"
)
_GUTTERS = names("linenos lineno linenodiv gutter hljs-ln-numbers line-numbers-rows")
_ALWAYS_CONTENT = names("html body main article section") | HEADINGS.keys()
_NOTE_LINKS = names("footnote-ref footnote-reference footnoteref noteref footnote-backref footnote-back")
_NOTE_ROLES = names("doc-noteref doc-backlink")
_PROSE_CHARS = 40
_CHOICES = names("onclick role tabindex ng-click v-on:click @click data-toggle data-bs-toggle")
_UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_OPENED = re.compile(
    r"(?:tab(?!le)|collaps|accordion|toggl|expand|spoiler|fold|reveal|pane|faq|answer|solution|slide|carousel|more|"
    r"readmore|detail)"
)
_STATE = re.compile(r":(?:checked|target|hover|focus|active|open)|\[open\]")
_SELECTED = re.compile(r"[#.][\w-]+")
_COMBINATOR = re.compile(r"[\s>+~]+")
_QUOTED = re.compile(r"""(?<=['"`])[#.]?[\w-]+(?=['"`])""")
_OVERLAYS = names("dialog modal cookie cookies popup lightbox overlay loading spinner")
_MARK_CHARS = 6


class Parts:
    """Says of an element whether it is content, and the kind of what it is if not.

    Args:
        tree: the page, which says what can be opened.
        main_only: leave out headers, footers and what is named like furniture, too.
    """

    def __init__(self, tree: Any, main_only: bool) -> None:
        self._tree = tree
        self._main_only = main_only
        self._shown: dict[Any, set[tuple[str, str]]] = {}

    def left_out(self, element: Any) -> str:
        """Kind of :data:`~embed_pipeline.corpus.parsers.losses.DROPPED`; empty for content."""
        tag = element.tag
        if tag in CODE:
            return "" if FORMULA_SCRIPT.match(element.get("type", "")) else "code"
        if tag in _PICTURES:
            return "" if tag == "iframe" and element.get("srcdoc", "").strip() else "picture"
        if tag in _CONTROLS or (tag == "button" and not _is_title_button(element)):
            return "control"
        if self._is_hidden(element):
            return "hidden"
        classes = class_names(element)
        if _is_note_mark(element, classes):
            return "note mark"
        if classes & _GUTTERS:
            return "furniture"
        if tag == "nav" or classes & _NEVER_CONTENT or (self._main_only and self._is_furniture(element, classes)):
            return "navigation"
        return "repeated" if _is_second_formula(element, classes) else ""

    def _is_furniture(self, element: Any, classes: frozenset[str]) -> bool:
        """A header or footer of the page, or a menu by role or name that holds no prose."""
        if element.get("role") in _FURNITURE_ROLES:
            return True
        is_edge = element.tag in ("header", "footer")
        marks = classes | names(element.get("id", "").lower())
        if element.tag in _ALWAYS_CONTENT or not (is_edge or marks & (_MENUS | _EDGES)):
            return False
        inside = any(above.get("role") == "main" for above in element.iterancestors()) or any(
            True for _ in element.iterancestors("article", "main", "section")
        )
        if is_edge or marks & _EDGES:
            return not inside
        named = (classes if inside else marks) & _MENUS
        return bool(named) and not _holds_prose(element) and not (named == {"menu"} and _is_bill_of_fare(element))

    def _is_hidden(self, element: Any) -> bool:
        """Not shown, and nothing on the page tells that a reader could open it."""
        if element.tag in ("noscript", "noembed"):
            return self._main_only
        if element.tag == "template":
            return not {"shadowrootmode", "shadowroot"} & set(element.attrib)
        return _is_unseen(element) and not self._can_be_opened(element)

    def _can_be_opened(self, element: Any) -> bool:
        """A tab, a folded part: by its role or name, by what points to it, by its neighbours."""
        if element.tag in HEADINGS or _holds_formula(element):
            return True
        named = {word.lower() for name in ("class", "id") for word in _WORDS.findall(element.get(name, ""))}
        if named & _OVERLAYS or element.get("role") in ("dialog", "alertdialog"):
            return False
        if element.get("role") == "tabpanel" or element.get("hidden") == "until-found" or element.tag == "details":
            return True
        if any(_OPENED.match(word) for word in named):
            return True
        return self._is_pointed_to(element) or _follows_control(element) or self._has_shown_twin(element)

    def _has_shown_twin(self, element: Any) -> bool:
        """A neighbour of the same kind is shown: one of several that a reader chooses from."""
        parent = element.getparent()
        if parent is None:
            return False
        if parent not in self._shown:
            children = (child for child in parent.iterchildren("*") if not _is_unseen(child))
            self._shown[parent] = {(child.tag, name) for child in children for name in class_names(child)}
        return any((element.tag, name) in self._shown[parent] for name in class_names(element) - {"hidden", "hide"})

    def _is_pointed_to(self, element: Any) -> bool:
        """By a control or a link of the page, or by a script, which names an id or a class in quotes."""
        identity = element.get("id", "")
        selectors = [f"#{identity}"] * bool(identity) + [f".{name}" for name in element.get("class", "").split()]
        marks = [*selectors, *filter(None, [identity])]
        return not all(found.isdisjoint(marks) for found in (self._targets, self._quoted_in_scripts, self._styled_open))

    @cached_property
    def _targets(self) -> frozenset[str]:
        """What controls and links of the page point to."""
        attributes = ("aria-controls", "data-target", "data-bs-target", "for", "href", "popovertarget")
        found = (self._tree.xpath(f"//@{name}") for name in attributes)
        return frozenset(word for values in found for value in values for word in value.split())

    @cached_property
    def _styled_open(self) -> frozenset[str]:
        """Ids and classes that a style sheet shows when a reader ticks, points to or chooses something."""
        rules = (rule.rpartition("{") for style in self._tree.xpath("//style/text()") for rule in style.split("}"))
        return frozenset(
            name
            for selectors, _, properties in rules
            if not _UNSEEN.search(properties)
            for selector in selectors.rpartition("{")[2].split(",")
            if _STATE.search(selector)
            for name in _SELECTED.findall(_COMBINATOR.split(selector.strip())[-1])
        )

    @cached_property
    def _quoted_in_scripts(self) -> frozenset[str]:
        """Words in quotes in the scripts and handlers of the page."""
        sources = self._tree.xpath("//script/text() | //@*[starts-with(name(), 'on')]")
        return frozenset(word for source in sources for word in _QUOTED.findall(source))


def class_names(element: Any) -> frozenset[str]:
    """Classes in lower case."""
    return names(element.get("class", "").lower())


def shown_texts(element: Any, without: Sequence[Any] = ()) -> Iterator[str]:
    """Texts of an element without scripts, styles, comments, and what stands directly in some elements."""
    for node in element.iter():
        if isinstance(node.tag, str) and node.tag not in CODE and node not in without and node.text:
            yield node.text
        if node is not element and node.tail:
            yield node.tail


def _length(texts: Iterator[str]) -> int:
    return sum(len("".join(text.split())) for text in texts)


def _holds_prose(element: Any) -> bool:
    """Most of its text is no link, and there is a sentence's worth of it in a paragraph, an answer or a table."""
    whole = _length(shown_texts(element))
    linked = sum(_length(shown_texts(link)) for link in element.iter("a", "button"))
    if whole - linked < max(_PROSE_CHARS, whole / 2):
        return False
    if next(element.iter("p", "dd", "pre", "table", "blockquote"), None) is not None:
        return True
    return whole - linked >= 5 * _PROSE_CHARS and next(element.iter("li"), None) is None


def _is_bill_of_fare(element: Any) -> bool:
    """A menu of dishes, not of the page: most of its words are in no link, and nothing in it can be chosen."""
    chosen = [one for one in element.iter("*") if one.tag in ("a", "button") or _CHOICES & set(one.attrib)]
    whole, linked = _length(shown_texts(element)), sum(_length(shown_texts(one)) for one in chosen)
    return whole - linked >= max(_PROSE_CHARS, whole / 2)


def _is_title_button(button: Any) -> bool:
    """The title of a folded part or a tab, or the text of a heading."""
    if {"aria-expanded", "aria-controls", "data-bs-toggle", "data-toggle"} & set(button.attrib):
        return True
    return button.get("role") == "tab" or any(
        True for _ in button.iterancestors("h1", "h2", "h3", "h4", "h5", "h6", "summary", "dt", "legend")
    )


def _is_note_mark(element: Any, classes: frozenset[str]) -> bool:
    """A link to a note or back from it; the number of a note that links back stays."""
    if element.tag not in ("a", "sup"):
        return False
    text = "".join(shown_texts(element)).strip()
    if len(text) > _MARK_CHARS:
        return False
    if element.tag == "sup":
        links = [link for link in element.iter("a") if link.get("href", "").startswith("#")]
        return bool(links) and "".join("".join(shown_texts(link)) for link in links).strip() == text
    marked = element.get("role") in _NOTE_ROLES or bool(classes & _NOTE_LINKS)
    back = element.get("role") == "doc-backlink" or "backref" in element.get("class", "")
    return marked and not (back and any(character.isalnum() for character in text))


def _holds_formula(element: Any) -> bool:
    return "math" in element.get("class", "").lower() or element.tag == "math"


def _is_second_formula(element: Any, classes: frozenset[str]) -> bool:
    """The picture of a formula whose source stands beside it."""
    if any(name.startswith("mathjax") for name in classes):
        beside = [element, *element.iterancestors("span", "div")]
        return any(
            following.tag == "script" and FORMULA_SCRIPT.match(following.get("type", ""))
            for one in beside[:2]
            for following in islice(one.itersiblings(), 2)
        )
    if element.get("aria-hidden") == "true" and not classes.isdisjoint({"katex-html", "mjx-math"}):
        return True
    return element.tag == "mjx-math" and any(True for _ in element.itersiblings("mjx-assistive-mml"))


def _follows_control(element: Any) -> bool:
    before = element.getprevious()
    if before is None or not isinstance(before.tag, str):
        return False
    return any(
        one.tag in ("button", "summary")
        or "onclick" in one.attrib
        or "aria-expanded" in one.attrib
        or (
            one.tag == "a"
            and one.get("href", "").startswith(("#", "javascript:"))
            and not class_names(one) & _NEVER_CONTENT
        )
        for one in before.iter()
        if isinstance(one.tag, str)
    )


def _is_unseen(element: Any) -> bool:
    return "hidden" in element.attrib or _UNSEEN.search(element.get("style", "")) is not None

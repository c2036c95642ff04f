"""What of a Markdown file is not CommonMark: front matter, footnotes, comments, tags that are none."""

import html
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import date
from functools import cache, partial
from typing import Any, NamedTuple, cast

import yaml
from lxml.html import defs
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.reference import reference

from embed_pipeline.corpus.parsers.html_parts import names
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.metadata import is_told

_YAML = re.compile(r"\A\s*---[ \t]*\n(?P<inside>.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_TOML = re.compile(r"\A\s*\+\+\+[ \t]*\n(?P<inside>.*?)\n\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL)
_JSON = re.compile(r"\A(?P<inside>\{[ \t]*\n.*?\n\}|\{\"[^\n]*\})[ \t]*(?:\n|\Z)", re.DOTALL)
_KNOWN = names(
    "title date tags layout author authors description draft slug id weight categories keywords permalink url "
    "lang sidebar_label sidebar_position hide_title toc toctree linktitle summary aliases category published "
    "subtitle parent nav_order orphan myst jupytext kernelspec"
)
_PROSE_WORDS = 4
_MOST_FRONT, _MOST_BRACKETS = 100_000, 5_000
"""Characters and brackets of front matter: PyYAML takes seconds for so many, and goes on with their square."""
_TITLE_BITS = 1_000

_MYST = re.compile(
    r"^[^\S\n]*(?:`{3,}|~{3,}|:{3,})\{[\w:+.-]+\}|\{[a-zA-Z][\w:+.-]*\}`|^\([\w .:/-]+\)=[ \t]*$", re.MULTILINE
)
_MDX = re.compile(r"^import\s[^\n]*\sfrom\s+['\"]", re.MULTILINE)
_CLOSING = re.compile(r"</([A-Za-z][\w.:-]*)\s*>")
_NOTE = re.compile(r"\[\^([^\]\s]+)\]:")
_DEFINITION = re.compile(r"\[([^\]]+)\]:[ \t]*(\S*)[ \t]*(.*)")
_LABEL = re.compile(r"(?=\[([^\]]{1,999})\])")
_ADDRESS = re.compile(r"[/.#:@?&=%]|^<")

_ATTRIBUTE = r"\s+[A-Za-z_:@#][\w:.@-]*(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|\{[^{}]*\}|[^\s\"'=<>`{}]+))?"
_TAG = re.compile(rf"<(?P<end>/?)(?P<name>[A-Za-z][\w.:-]*)(?P<attributes>(?:{_ATTRIBUTE})*)\s*(?P<empty>/?)>")
_BARE = re.compile(r"(?<![\w.@-])[A-Za-z_:@#][\w:.@-]*(?=\s|$)(?!\s*=)")
_VALUED = re.compile(r"=\s*(?:\"[^\"]*\"|'[^']*'|\{[^{}]*\}|[^\s\"'=<>`{}]+)")
_FOREIGN = re.compile(r"<(?:svg|math|script|style)\b", re.IGNORECASE)
_ANY_TAG = re.compile(rf"<!--.*?(?:-->|\Z)|{_TAG.pattern}|<(?=[A-Za-z/])", re.DOTALL)
_ELEMENTS = frozenset(defs.tags) | names(
    "article aside audio bdi canvas data datalist details dialog embed figcaption figure footer header hgroup "
    "main mark menu meter nav output picture progress rp rt ruby search section slot source summary template "
    "time track video wbr"
)
_VOID = names("area base basefont col embed frame img input isindex link meta param source track")
_ALONE = names("br hr wbr")
_LEVELS = 500  # the parser leaves out without a word what is nested deeper
_NO_END = names("p li dt dd tr td th rp rt")
_SWITCHES = names(
    "hidden open disabled checked controls autoplay loop muted required readonly selected multiple reversed "
    "async defer nowrap noshade compact novalidate allowfullscreen default inert markdown"
)


class _Yaml(yaml.SafeLoader):
    """Dates stay as they are written: one that no calendar has would make the others unreadable."""


_Yaml.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for sign, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class FrontMatter(NamedTuple):
    """The values at the head of a file, and the text after them."""

    values: dict[str, Any]
    rest: str

    @property
    def title(self) -> str:
        """As the values name it; may be empty."""
        title = self.values.get("title")
        if isinstance(title, bool) or (isinstance(title, int) and title.bit_length() > _TITLE_BITS):
            return ""  # Python writes no number of thousands of digits
        return str(title) if isinstance(title, str | int | float | date) else ""

    def tell(self, losses: Losses) -> None:
        """Sentences among the values, which are neither in the text nor in the metadata."""
        for key, value in self.values.items():
            if key != "title" and not is_told(key):
                for text in _texts(value):
                    if len(text.split()) >= _PROSE_WORDS:
                        losses.add("front matter", text)


def front_matter(text: str, losses: Losses) -> FrontMatter:
    """YAML between dashes, TOML between pluses or JSON at the head of a file; a thematic break is none.

    What is neither a thematic break nor readable is left out and told.
    """
    for pattern, load in ((_YAML, partial(yaml.load, Loader=_Yaml)), (_TOML, tomllib.loads), (_JSON, json.loads)):
        match = pattern.match(text)
        if match is None:
            continue
        inside = match.group("inside")
        try:
            if len(inside) > _MOST_FRONT or sum(map(inside.count, "[{")) > _MOST_BRACKETS:
                raise ValueError("longer or deeper than its reader bears")
            values = load(inside)
        except (yaml.YAMLError, ValueError, RecursionError):
            if pattern is _JSON or inside.startswith("\n") or not re.match(r"[\w-]+\s*[:=]", inside):
                break
            losses.add("front matter", inside)
            return FrontMatter({}, text[match.end() :])
        if values is None or (isinstance(values, dict) and _are_settings(values, inside)):
            return FrontMatter(values or {}, text[match.end() :])
        break
    return FrontMatter({}, text)


def _texts(value: Any) -> Iterator[str]:
    """Texts in a value, those of lists and mappings within it included; each list and mapping once."""
    waiting, seen = [value], set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list | dict) and id(one) not in seen:  # aliases of YAML may repeat one without end
            seen.add(id(one))
            waiting.extend(reversed(list(one.values()) if isinstance(one, dict) else one))


def _are_settings(values: dict[Any, Any], source: str) -> bool:
    """Whether a mapping is one for the program that shows the file, not a note with a colon in it."""
    keys = {str(key) for key in values}
    if {key.lower() for key in keys} & _KNOWN:
        return True
    sentences = any(isinstance(value, str) and _ends_as_sentence(value) for value in values.values())
    return not source.startswith("\n") and not (sentences and any(key[:1].isupper() or " " in key for key in keys))


def _ends_as_sentence(value: str) -> bool:
    words = value.split()
    return len(words) >= _PROSE_WORDS and re.fullmatch(r".+[.!?]", words[-1]) is not None


class Dialect:
    """What of a file decides how its signs are to be read."""

    def __init__(self, text: str) -> None:
        self.is_myst = _MYST.search(text) is not None
        self._is_mdx = _MDX.search(text) is not None
        self._closed = frozenset(_CLOSING.findall(text))
        self._closed_elements = frozenset(name.lower() for name in self._closed)

    def is_markup(self, tag: str) -> bool:
        """Whether what stands in angle brackets is a tag of HTML (or a component of MDX) and not text."""
        match = _TAG.fullmatch(tag)
        if match is None:
            return tag.startswith(("<!", "<?"))
        name, attributes = match.group("name"), match.group("attributes")
        if self._is_mdx and name[0].isupper():
            return name in self._closed or bool(match.group("empty"))
        bare = set(_BARE.findall(_VALUED.sub("=", attributes)))
        if name.lower() not in _ELEMENTS or any(
            one.lower() not in _SWITCHES and not one.startswith("data-") for one in bare
        ):
            return False
        if name.lower() in _VOID:
            return bool(attributes)
        known_end = name.lower() in _ALONE | _NO_END | self._closed_elements
        return known_end or bool(match.group("end")) or bool(match.group("empty"))

    def escaped(self, source: str) -> str:
        """A piece of HTML in which what is no tag is text."""
        if _FOREIGN.search(source):
            return source
        return _ANY_TAG.sub(self._escape, source)

    def _escape(self, match: re.Match[str]) -> str:
        tag = match.group()
        return tag if tag.startswith("<!--") or self.is_markup(tag) else html.escape(tag, quote=False)


@cache
def parser() -> MarkdownIt:
    """CommonMark with tables and strikethrough. Footnotes stay text, their labels are gathered in ``env["notes"]``;
    so do definitions that lead nowhere. A footnote ends the paragraph before it, as on GitHub. Comments that are
    written as definitions are gathered in ``env["comments"]``.
    """
    markdown = MarkdownIt("commonmark", {"maxNesting": _LEVELS}).enable(["table", "strikethrough"])
    markdown.block.ruler.at("reference", _reference)
    markdown.block.ruler.before("reference", "note", _begins_note, {"alt": ["paragraph"]})
    return markdown


def _begins_note(state: StateBlock, start: int, _end: int, silent: bool) -> bool:
    """Whether a paragraph ends here; the note itself is one."""
    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    return silent and _NOTE.match(line) is not None


def _labels(state: StateBlock) -> Counter[str]:
    """How often what stands in square brackets, in lower case."""
    if "labels" not in state.env:
        state.env["labels"] = Counter(_LABEL.findall(state.src.lower()))
    return cast("Counter[str]", state.env["labels"])


def _reference(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    note = _NOTE.match(line)
    if note:
        state.env.setdefault("notes", set()).add(note.group(1))
        return False
    definition = _DEFINITION.match(line)
    leads_nowhere = definition and definition.group(2) and not _ADDRESS.search(definition.group(2))
    if definition and leads_nowhere and _labels(state)[definition.group(1).lower()] < 2:  # none but itself uses it
        return False
    if not reference(state, start, end, silent):
        return False
    if definition and (definition.group(1).startswith("//") or definition.group(2) == "#"):
        state.env.setdefault("comments", []).append(definition.group(3).strip("\"'()"))
    return True

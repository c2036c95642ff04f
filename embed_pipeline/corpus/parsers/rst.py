"""reStructuredText. Directives and roles that docutils does not know (Sphinx' and others) keep their content."""

import re
from collections.abc import Callable
from typing import Any

from docutils import frontend, nodes, utils
from docutils.parsers.rst import Directive, Parser, directives, roles
from docutils.parsers.rst.languages import en

from embed_pipeline.corpus.parsers.blocks import Block, Extracted, UnreadableError, list_item, table_rows, unwrap
from embed_pipeline.corpus.parsers.encoding import declared_in, decode
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.metadata import About, is_told
from embed_pipeline.corpus.parsers.pictures import alternative_text
from embed_pipeline.corpus.parsers.scripts import subscript, superscript

_DIRECTIVE_NAME = re.compile(r"^[^\S\n]*(?:\.\.|[|].*[|])\s*(?:\|[^|\n]+\|\s*)?([\w:+.-]*\w)::", re.MULTILINE)
_ROLE_NAME = re.compile(r":([a-zA-Z][\w:+.-]*):`")
_ROLE_TARGET = re.compile(r"^(.*\S)\s*<[^<>]*>$", re.DOTALL)
_RULE_LINE = re.compile(r"^\s*([^\w\s])\1{2,}\s*$")
_DIRECTIVE_LINE = re.compile(r"^\s*\.\.\s+[\w:+.-]+::\s*")
_OPTION_LINE = re.compile(r"^\s*:[\w-]+:(\s|$)")
_CODE = ("code", "code-block", "sourcecode", "prompt", "mermaid", "parsed-literal", "highlight-block", "math")
_SETTINGS = "settings"
_DROPPED = {
    **dict.fromkeys(("toctree", "contents", "index", "sectnum", "target-notes"), "navigation"),
    **dict.fromkeys(("literalinclude", "include", "graphviz"), "unresolved"),
    **dict.fromkeys(("automodule", "autoclass", "autofunction", "autosummary"), "unresolved"),
    **dict.fromkeys(("highlight", "default-role", "default-domain", "currentmodule", "module", "title"), _SETTINGS),
    "image": "picture",
    "raw": "code",
    "meta": "front matter",
}
"""Directives without text of their own, and what is lost with them: nothing with settings."""
_ICON_ROLES = ("octicon", "fas", "fab", "far", "fa", "material-regular", "material-outlined")
_ADMONITIONS = ("attention", "caution", "danger", "error", "hint", "important", "note", "tip", "warning")
_RCS = re.compile(r"^\$[A-Z]\w+: (.*) \$$")
"""A value that a version control system keeps, as in ``$Date: 2002/08/22 $``."""
_ERROR = 3
_LONGEST_LINE = 1_000_000
_ENGLISH: Any = en


class _AnyOption(dict[str, Any]):
    """An option specification that takes every option as it is."""

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, name: str) -> Any:
        return lambda value: value


class _Kept(Directive):
    """A directive whose argument and content are kept as text."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec = _AnyOption()

    def run(self) -> list[nodes.Node]:
        container = nodes.container()
        for argument in self.arguments:
            children, _ = self.state.inline_text(argument, self.lineno)
            container += nodes.paragraph("", "", *children)
        self.state.nested_parse(self.content, self.content_offset, container)
        return [container]


class _Code(_Kept):
    """A directive whose content is code; its argument is the language."""

    def run(self) -> list[nodes.Node]:
        text = "\n".join(self.content)
        return [nodes.literal_block(text, text)]


class _Lost(nodes.Invisible, nodes.Element):
    """Stands where something was left out, with its ``kind`` and ``text``."""


class _Dropped(_Kept):
    """A directive that points elsewhere or steers the page: nothing to read."""

    def run(self) -> list[nodes.Node]:
        kind = _DROPPED[self.name.lower()]
        if kind == _SETTINGS:
            return []
        if kind == "picture":
            return [nodes.image(uri="", alt=self.options.get("alt", ""))]
        shown = (*self.arguments, *self.content)
        if kind == "front matter":
            shown = tuple(value for name, value in self.options.items() if not is_told(name.partition(" ")[0]))
        return [_Lost(kind=kind, text="\n".join(shown), options=dict(self.options))]


def _any_role(name: str, _raw: str, text: str, *_: Any, **__: Any) -> tuple[list[Any], list[Any]]:
    """Text of a role without the target: ``:ref:`Title <label>``` gives the title."""
    titled = _ROLE_TARGET.match(utils.unescape(text))
    shown = titled.group(1) if titled else utils.unescape(text).lstrip("~!")
    return [nodes.Text("" if name.lower() in _ICON_ROLES else shown)], []


def parse_rst(data: bytes) -> Extracted:
    """Headings and blocks. Comments, tables of contents and the like are told as losses; targets are left out.

    Nothing is read from other files (``include`` and the like) and nothing is written to standard error.

    Raises:
        UnreadableError: a line is longer than a million characters.
    """
    losses = Losses()
    text = decode(data, declared_in(data), losses)
    if any(len(line) > _LONGEST_LINE for line in text.splitlines()):
        raise UnreadableError(f"a line of it is longer than {_LONGEST_LINE:,} characters")
    document = _new_document()
    _learn_names(text, document)
    Parser().parse(text, document)
    about = About(losses)
    about.add_head(_head(document))
    blocks = _Reader(document, losses).blocks(document, 0)
    return Extracted(blocks, losses=losses.told(), metadata=about.told())


def _head(document: nodes.document) -> dict[str, str]:
    """What the fields at the head of a document tell, below its title or before it, and its ``meta`` directives."""
    told: dict[str, str] = {}
    for lost in document.findall(_Lost):
        if lost["kind"] == "front matter":
            told |= {name.partition(" ")[0]: value for name, value in lost["options"].items() if value}
    first: nodes.Node | None = document
    while isinstance(first, nodes.document | nodes.section):
        first = next((node for node in first.children if not isinstance(node, nodes.Invisible | nodes.title)), None)
    for field in first.findall(nodes.field) if isinstance(first, nodes.field_list) else ():
        told[field[0].astext()] = _RCS.sub(r"\1", field[1].astext().strip())
    return told


def _new_document() -> nodes.document:
    settings = frontend.get_default_settings(Parser)
    settings.report_level = settings.halt_level = 5
    settings.warning_stream = ""  # docutils: a false stream writes nowhere
    settings.file_insertion_enabled = settings.raw_enabled = False
    settings.syntax_highlight = "none"
    settings.line_length_limit = _LONGEST_LINE  # above it docutils gives up the whole file without a word
    return utils.new_document("document", settings)


def _learn_names(text: str, document: nodes.document) -> None:
    """Register what the text uses and docutils does not know."""
    for name in _CODE:
        directives.register_directive(name, _Code)
    for name in _DROPPED:
        directives.register_directive(name, _Dropped)
    for name in set(_DIRECTIVE_NAME.findall(text)):
        if directives.directive(name.lower(), _ENGLISH, document)[0] is None:
            directives.register_directive(name.lower(), _Kept)
    for name in set(_ROLE_NAME.findall(text)):
        if roles.role(name.lower(), _ENGLISH, 0, document.reporter)[0] is None:
            roles.register_local_role(name.lower(), _any_role)


class _Reader:
    """Turns nodes into text and tells what it leaves out."""

    def __init__(self, document: nodes.document, losses: Losses) -> None:
        self._substitutions = document.substitution_defs
        self._losses = losses
        self._by_kind: dict[type[nodes.Element], Callable[[Any], str]] = {
            nodes.image: self._picture,
            nodes.system_message: self._refused,
            nodes.literal_block: nodes.Element.astext,
            nodes.doctest_block: nodes.Element.astext,
            nodes.math_block: nodes.Element.astext,
            nodes.TextElement: self._inline,
            nodes.bullet_list: self._list,
            nodes.enumerated_list: self._list,
            nodes.definition_list: self._definitions,
            nodes.field: self._field,
            nodes.table: self._table,
            nodes.footnote: self._note,
            nodes.citation: self._note,
        }
        """The first that fits counts."""

    def blocks(self, parent: nodes.Element, depth: int) -> list[Block]:
        """Blocks of a node's children; ``depth`` counts the sections around them."""
        blocks: list[Block] = []
        for node in parent.children:
            if isinstance(node, nodes.section):
                blocks.extend(self.blocks(node, depth + 1))
            elif isinstance(node, nodes.title) and isinstance(parent, nodes.section):
                blocks.append(Block(self._inline(node), depth))
            elif isinstance(node, nodes.container | nodes.block_quote):
                blocks.extend(self.blocks(node, depth))
            else:
                blocks.append(Block(self._text(node)))
        return blocks

    def _text(self, node: nodes.Node) -> str:
        """Text of one node, without the blank line around it; empty for what is not content."""
        if isinstance(node, nodes.Text):
            return node.astext()
        if not isinstance(node, nodes.Element) or self._is_left_out(node):
            return ""
        for kind, read in self._by_kind.items():
            if isinstance(node, kind):
                return read(node)
        if node.tagname in _ADMONITIONS:
            return f"{node.tagname.capitalize()}: {self._lines(node)}"
        return self._lines(node)

    def _is_left_out(self, node: nodes.Element) -> bool:
        """Whether a node is not content; what of it an author wrote is told."""
        if isinstance(node, _Lost):
            if node["text"] or node["kind"] != "front matter":
                self._losses.add(node["kind"], node["text"])
        elif isinstance(node, nodes.comment):
            if node.astext().strip():
                self._losses.add("comment", node.astext())
        else:
            return isinstance(node, nodes.substitution_definition | nodes.pending)
        return True

    def _picture(self, node: nodes.image) -> str:
        """What stands for a picture; one without a description is told."""
        text = alternative_text(node.get("alt", ""))
        if not text:
            self._losses.add("picture", node.get("alt", ""))
        return text

    def _refused(self, message: nodes.system_message) -> str:
        """Source with an error; what is left out with a mere warning, as a table in another file, is told."""
        if message.get("level", 0) >= _ERROR:
            return _lost_source(message)
        if "ignoring" in message.astext():
            for source in message.findall(nodes.literal_block):
                self._losses.add("unresolved", source.astext())
        return ""

    def _field(self, node: nodes.field) -> str:
        return f"{self._text(node[0])}: {self._lines(node[1])}".strip(": ")

    def _lines(self, node: nodes.Node) -> str:
        return "\n".join(text for text in map(self._text, node.children) if text.strip())

    def _inline(self, node: nodes.Element) -> str:
        """Running text, wrapped lines joined."""
        parts: list[str] = []
        self._gather(node, parts)
        return unwrap("".join(parts))

    def _gather(self, node: nodes.Element, parts: list[str]) -> None:
        """Substitutions that are defined are put in, raised and lowered text is put on the line."""
        for at, child in enumerate(node.children):
            if isinstance(child, nodes.Text):
                parts.append(child.astext())
            elif isinstance(child, nodes.substitution_reference):
                known = self._substitutions.get(child.get("refname", ""))
                parts.append(known.astext() if known is not None else child.astext())
            elif isinstance(child, nodes.superscript):
                after = node.children[at + 1].astext() if at + 1 < len(node.children) else ""
                parts[:] = ["".join(parts)]
                parts.append(superscript(parts[0], child.astext(), after))
            elif isinstance(child, nodes.subscript):
                parts[:] = ["".join(parts)]
                parts.append(subscript(parts[0], child.astext()))
            elif isinstance(child, nodes.footnote_reference | nodes.citation_reference):
                parts.append(self._note_mark(child, "".join(parts)))
            elif isinstance(child, nodes.image):
                parts.append(self._picture(child))
            elif isinstance(child, nodes.Element) and not self._is_left_out(child):
                self._gather(child, parts)

    def _note_mark(self, node: nodes.Element, before: str) -> str:
        label = node.astext() or node.get("refname", "")
        if not label:
            self._losses.add("note mark", "#" if node.get("auto") == 1 else "*")
            return ""
        return f"[{label}]" if not before or before[-1].isspace() else f" [{label}]"

    def _note(self, node: nodes.Element) -> str:
        labels = [child.astext() for child in node.children if isinstance(child, nodes.label)] or node.get("names", [])
        texts = [self._text(child) for child in node.children if not isinstance(child, nodes.label)]
        text = "\n".join(text for text in texts if text.strip())
        return f"[{labels[0]}] {text}" if labels else text

    def _list(self, node: nodes.Element) -> str:
        texts = [text for text in map(self._lines, node.children) if text.strip()]
        first = node.get("start", 1)
        ordered = isinstance(node, nodes.enumerated_list)
        return "\n".join(list_item(f"{n}. " if ordered else "- ", text) for n, text in enumerate(texts, first))

    def _definitions(self, node: nodes.Element) -> str:
        lines = []
        for item in node.children:
            meanings = [child for child in item.children if isinstance(child, nodes.definition)]
            terms = [self._text(child) for child in item.children if not isinstance(child, nodes.definition)]
            lines.append(" : ".join(terms))
            lines.extend(list_item("  ", self._lines(child)) for child in meanings)
        return "\n".join(line for line in lines if line.strip())

    def _table(self, node: nodes.table) -> str:
        titles = [self._inline(child) for child in node.children if isinstance(child, nodes.title)]
        rows = [[self._lines(entry) for entry in row.children] for row in node.findall(nodes.row)]
        return "\n".join(text for text in (*titles, table_rows(rows)) if text.strip())


def _lost_source(message: nodes.system_message) -> str:
    """Source that docutils refused and shows only in its error message, without its markup lines."""
    lines = "\n".join(node.astext() for node in message.findall(nodes.literal_block)).split("\n")
    lines = [_DIRECTIVE_LINE.sub("", line) for line in lines if not _RULE_LINE.match(line)]
    return "\n".join(line for line in lines if not _OPTION_LINE.match(line)).strip("\n")

"""reStructuredText. Directives and roles that docutils does not know (Sphinx' and others) keep their content."""

import re
from typing import Any

from docutils import frontend, nodes, utils
from docutils.parsers.rst import Directive, Parser, directives, roles
from docutils.parsers.rst.languages import en

from embed_pipeline.corpus.parsers.blocks import Block, Extracted, list_item, table_rows, unwrap
from embed_pipeline.corpus.parsers.encoding import declared_in, decode
from embed_pipeline.corpus.parsers.losses import Losses

_DIRECTIVE_NAME = re.compile(r"^\s*(?:\.\.|[|].*[|])\s*(?:\|[^|\n]+\|\s*)?([\w:+.-]*\w)::", re.MULTILINE)
_ROLE_NAME = re.compile(r":([a-zA-Z][\w:+.-]*):`")
_ROLE_TARGET = re.compile(r"^(.*\S)\s*<[^<>]*>$", re.DOTALL)
_RULE_LINE = re.compile(r"^\s*([^\w\s])\1{2,}\s*$")
_DIRECTIVE_LINE = re.compile(r"^\s*\.\.\s+[\w:+.-]+::\s*")
_OPTION_LINE = re.compile(r"^\s*:[\w-]+:(\s|$)")
_CODE = ("code", "code-block", "sourcecode", "prompt", "mermaid", "parsed-literal", "highlight-block", "math")
_DROPPED = (
    *("toctree", "contents", "index", "meta", "highlight", "default-role", "default-domain", "title", "sectnum"),
    *("literalinclude", "include", "image", "raw", "graphviz", "target-notes", "currentmodule", "module"),
    *("automodule", "autoclass", "autofunction", "autosummary"),
)
_ICON_ROLES = ("octicon", "fas", "fab", "far", "fa", "material-regular", "material-outlined")
_ADMONITIONS = ("attention", "caution", "danger", "error", "hint", "important", "note", "tip", "warning")
_ERROR = 3
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


class _Dropped(_Kept):
    """A directive that points elsewhere or steers the page: nothing to read."""

    def run(self) -> list[nodes.Node]:
        return []


def _any_role(name: str, _raw: str, text: str, *_: Any, **__: Any) -> tuple[list[Any], list[Any]]:
    """Text of a role without the target: ``:ref:`Title <label>``` gives the title."""
    titled = _ROLE_TARGET.match(utils.unescape(text))
    shown = titled.group(1) if titled else utils.unescape(text).lstrip("~!")
    return [nodes.Text("" if name.lower() in _ICON_ROLES else shown)], []


def parse_rst(data: bytes) -> Extracted:
    """Headings and blocks; comments, targets, images and tables of contents are left out.

    Nothing is read from other files (``include`` and the like) and nothing is written to standard error.
    """
    losses = Losses()
    text = decode(data, declared_in(data), losses)
    document = _new_document()
    _learn_names(text, document)
    Parser().parse(text, document)
    return Extracted(_blocks(document, 0), losses=losses.told())


def _new_document() -> nodes.document:
    settings = frontend.get_default_settings(Parser)
    settings.report_level = settings.halt_level = 5
    settings.warning_stream = ""  # docutils: a false stream writes nowhere
    settings.file_insertion_enabled = settings.raw_enabled = False
    settings.syntax_highlight = "none"
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


def _blocks(parent: nodes.Element, depth: int) -> list[Block]:
    """Blocks of a node's children; ``depth`` counts the sections around them."""
    blocks: list[Block] = []
    for node in parent.children:
        if isinstance(node, nodes.section):
            blocks.extend(_blocks(node, depth + 1))
        elif isinstance(node, nodes.title) and isinstance(parent, nodes.section):
            blocks.append(Block(_inline(node), depth))
        elif isinstance(node, nodes.container | nodes.block_quote):
            blocks.extend(_blocks(node, depth))
        else:
            blocks.append(Block(_text(node)))
    return blocks


def _text(node: nodes.Node) -> str:
    """Text of one node, without the blank line around it; empty for what is not content."""
    if isinstance(node, nodes.Text):
        return node.astext()
    if not isinstance(node, nodes.Element):
        return ""
    if isinstance(node, nodes.comment | nodes.target | nodes.substitution_definition | nodes.image | nodes.pending):
        return ""
    if isinstance(node, nodes.system_message):
        return _lost_source(node)
    if isinstance(node, nodes.literal_block | nodes.doctest_block | nodes.math_block):
        return node.astext()
    if isinstance(node, nodes.TextElement):
        return _inline(node)
    if isinstance(node, nodes.bullet_list | nodes.enumerated_list):
        return _list(node)
    if isinstance(node, nodes.definition_list):
        return _definitions(node)
    if isinstance(node, nodes.field):
        return f"{_text(node[0])}: {_lines(node[1])}".strip(": ")
    if isinstance(node, nodes.table):
        return _table(node)
    if node.tagname in _ADMONITIONS:
        return f"{node.tagname.capitalize()}: {_lines(node)}"
    return _lines(node)


def _lines(node: nodes.Node) -> str:
    return "\n".join(text for text in map(_text, node.children) if text.strip())


def _inline(node: nodes.Element) -> str:
    """Running text; substitutions that are defined are put in, wrapped lines joined."""
    definitions = node.document.substitution_defs if node.document is not None else {}
    parts = []
    for child in node.findall(lambda child: isinstance(child, nodes.Text | nodes.substitution_reference)):
        if isinstance(child, nodes.substitution_reference):
            known = definitions.get(child.get("refname", ""))
            parts.append(known.astext() if known is not None else child.astext())
        elif not isinstance(child.parent, nodes.substitution_reference | nodes.image | nodes.target):
            parts.append(child.astext())
    return unwrap("".join(parts))


def _list(node: nodes.Element) -> str:
    texts = [text for text in map(_lines, node.children) if text.strip()]
    first = node.get("start", 1)
    ordered = isinstance(node, nodes.enumerated_list)
    return "\n".join(list_item(f"{n}. " if ordered else "- ", text) for n, text in enumerate(texts, first))


def _definitions(node: nodes.Element) -> str:
    lines = []
    for item in node.children:
        terms = [_text(child) for child in item.children if not isinstance(child, nodes.definition)]
        lines.append(" : ".join(terms))
        lines.extend(list_item("  ", _lines(child)) for child in item.children if isinstance(child, nodes.definition))
    return "\n".join(line for line in lines if line.strip())


def _table(node: nodes.table) -> str:
    titles = [_inline(child) for child in node.children if isinstance(child, nodes.title)]
    rows = [[_lines(entry) for entry in row.children] for row in node.findall(nodes.row)]
    return "\n".join(text for text in (*titles, table_rows(rows)) if text.strip())


def _lost_source(message: nodes.system_message) -> str:
    """Source that docutils refused and shows only in its error message, without its markup lines."""
    if message.get("level", 0) < _ERROR:
        return ""
    lines = "\n".join(node.astext() for node in message.findall(nodes.literal_block)).split("\n")
    lines = [_DIRECTIVE_LINE.sub("", line) for line in lines if not _RULE_LINE.match(line)]
    return "\n".join(line for line in lines if not _OPTION_LINE.match(line)).strip("\n")

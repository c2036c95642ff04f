"""Markdown (CommonMark with tables, and what MyST, Docusaurus and GitHub add to it)."""

import re
from functools import cache
from typing import TYPE_CHECKING

import yaml
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from embed_pipeline.corpus.parsers.blocks import Block, Extracted, list_item, one_line, table_rows, unwrap
from embed_pipeline.corpus.parsers.encoding import declared_in, decode
from embed_pipeline.corpus.parsers.html import fragment_text
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.rst import parse_rst

if TYPE_CHECKING:
    from markdown_it.token import Token

_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_DIRECTIVE = re.compile(r"^\{([\w:+.-]+)\}\s*(.*)$")
_COLON_FENCE = re.compile(r"^\s*:{3,}\s*(?:\{([\w:+.-]+)\}|[a-z]+(?=\s|$))?\s*(.*)$")
_OPTION = re.compile(r"^\s*:[\w-]+:(?:\s.*)?$")
_TARGET = re.compile(r"^\([\w .:/-]+\)=$")
_ROLE = re.compile(r"\{[\w:+.-]+\}$")
_ROLE_TARGET = re.compile(r"^(.*\S)\s*<[^<>]*>$", re.DOTALL)
_ALERT = re.compile(r"^\[!(\w+)\]\s*")
_ATTRIBUTES = re.compile(r"\s*\{[#.][^{}]*\}\s*$")
_BREAK_TAG = re.compile(r"<br\s*/?>", re.IGNORECASE)
_SOFT, _HARD = "\x1e", "\n"
_NO_TEXT = frozenset({"toctree", "image", "figure", "include", "literalinclude", "contents", "raw", "index"})
_CODE = frozenset({"code", "code-block", "code-cell", "sourcecode", "prompt", "math", "mermaid", "literal"})


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


def parse_markdown(data: bytes) -> Extracted:
    """Headings and blocks; front matter, comments, link targets and images are left out."""
    losses = Losses()
    text = decode(data, declared_in(data), losses).replace("\r\n", "\n").replace("\r", "\n")
    front = _FRONT_MATTER.match(text)
    values = _front_matter(front.group(1)) if front else None
    if front and values is not None:
        text = text[front.end() :]
    title = (values or {}).get("title")
    return Extracted(_blocks(text), one_line(title) if isinstance(title, str) else "", losses.told())


def _front_matter(text: str) -> dict[str, object] | None:
    """The YAML between the dashes; None when it is no mapping, hence a thematic break and text."""
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return values if isinstance(values, dict) else ({} if values is None else None)


def _blocks(text: str) -> list[Block]:
    root = SyntaxTreeNode(_parser().parse(text))
    blocks = []
    for node in root.children:
        if node.type == "heading":
            heading = _ATTRIBUTES.sub("", one_line(_inline(node)))
            blocks.append(Block(heading, int(node.tag[1:])))
        elif node.type == "fence" and _DIRECTIVE.match(node.info.strip()):
            blocks.extend(_directive(node))
        else:
            blocks.append(Block(_block(node)))
    return blocks


def _block(node: SyntaxTreeNode) -> str:
    """Text of one block, without the blank line around it."""
    match node.type:
        case "paragraph" | "heading":
            return _paragraph(_inline(node))
        case "fence" if _DIRECTIVE.match(node.info.strip()):
            return "\n".join(block.text for block in _directive(node))
        case "fence" | "code_block":
            return node.content.rstrip("\n")
        case "bullet_list":
            return "\n".join(list_item("- ", _children(item)) for item in node.children)
        case "ordered_list":
            first = int(node.attrs.get("start", 1))
            items = enumerate(node.children, first)
            return "\n".join(list_item(f"{number}. ", _children(item)) for number, item in items)
        case "blockquote":
            return _ALERT.sub(lambda match: match.group(1).capitalize() + ": ", _children(node))
        case "table":
            rows = [row for part in node.children for row in part.children]
            return table_rows([[_paragraph(_inline(cell)) for cell in row.children] for row in rows])
        case "html_block":
            return fragment_text(node.content)
        case _:
            return ""


def _children(node: SyntaxTreeNode) -> str:
    return "\n".join(text for text in map(_block, node.children) if text.strip())


def _directive(node: SyntaxTreeNode) -> list[Block]:
    """Blocks of a MyST directive: code as it stands, Markdown parsed, navigation left out."""
    match = _DIRECTIVE.match(node.info.strip())
    assert match is not None
    name, argument = match.group(1).lower(), match.group(2)
    if name in _NO_TEXT:
        return []
    lines = node.content.split("\n")
    while lines and _OPTION.match(lines[0]):
        lines.pop(0)
    content = "\n".join(lines).strip("\n")
    if name == "eval-rst":
        return list(parse_rst(content.encode("utf-8", "replace")).blocks)
    if name in _CODE:
        return [Block(content)]
    head = [Block(_paragraph(_inline_text(argument)))] if argument else []
    return head + [Block(block.text) for block in _blocks(content)]


def _inline_text(text: str) -> str:
    tokens = _parser().parseInline(text)
    return "".join(_inline_tokens(token.children or []) for token in tokens)


def _inline(node: SyntaxTreeNode) -> str:
    """Text of a node's inline content; soft line breaks are marked, hard ones are line ends."""
    return "".join(_inline_tokens(child.token.children or []) for child in node.children if child.token)


def _inline_tokens(tokens: "list[Token]") -> str:
    parts: list[str] = []
    for token in tokens:
        match token.type:
            case "text":
                parts.append(token.content)
            case "code_inline":
                parts.append(_code(token.content, parts))
            case "softbreak":
                parts.append(_SOFT)
            case "hardbreak":
                parts.append(_HARD)
            case "html_inline" if _BREAK_TAG.fullmatch(token.content):
                parts.append(_HARD)
    return "".join(parts)


def _code(content: str, before: list[str]) -> str:
    """Inline code; after a MyST role (``{ref}``, dropped from ``before``) its title without the target."""
    if not before or not _ROLE.search(before[-1]):
        return content
    before[-1] = _ROLE.sub("", before[-1])
    titled = _ROLE_TARGET.match(content)
    return titled.group(1) if titled else content


def _paragraph(inline: str) -> str:
    """Join soft-wrapped lines; drop fence lines, their options, comments and targets."""
    kept: list[str] = []
    in_fence_head = False
    for line in re.split(f"({_SOFT}|{_HARD})", inline):
        fence = _COLON_FENCE.match(line) if line.lstrip().startswith(":::") else None
        if fence:
            in_fence_head = True
            kept.append("" if fence.group(1) in _NO_TEXT else fence.group(2))
        elif _TARGET.match(line) or line.startswith("% ") or (in_fence_head and _OPTION.match(line)):
            continue
        else:
            in_fence_head = in_fence_head and line in (_SOFT, _HARD)
            kept.append(line)
    return unwrap("".join(kept), _SOFT)

"""Markdown (CommonMark with tables, and what MyST, Docusaurus and GitHub add to it)."""

import html
import re
from typing import TYPE_CHECKING, Any

from markdown_it.tree import SyntaxTreeNode

from embed_pipeline.corpus.parsers.blocks import Block, Extracted, list_item, one_line, table_rows, unwrap
from embed_pipeline.corpus.parsers.encoding import declared_in, decode
from embed_pipeline.corpus.parsers.html import fragment_text
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.markdown_syntax import Dialect, front_matter, parser
from embed_pipeline.corpus.parsers.metadata import About
from embed_pipeline.corpus.parsers.pictures import alternative_text
from embed_pipeline.corpus.parsers.rst import parse_rst
from embed_pipeline.corpus.parsers.scripts import subscript, superscript

if TYPE_CHECKING:
    from markdown_it.token import Token

_DIRECTIVE = re.compile(r"^\{([\w:+.-]+)\}\s*(.*)$")
_COLON_FENCE = re.compile(r"^\s*:{3,}\s*(?:\{([\w:+.-]+)\}|[a-z]+(?=\s|$))?\s*(.*)$")
_OPTION = re.compile(r"^\s*:([\w-]+):(?:\s+(.*))?$")
_TARGET = re.compile(r"^\([\w .:/-]+\)=$")
_ROLE = re.compile(r"\{([\w:+.-]+)\}$")
_ROLE_TARGET = re.compile(r"^(.*\S)\s*<[^<>]*>$", re.DOTALL)
_ALERT = re.compile(r"^\[!(\w+)\]\s*")
_ATTRIBUTES = re.compile(r"\s*\{[#.][^{}]*\}\s*$")
_BREAK_TAG = re.compile(r"<br\s*/?>", re.IGNORECASE)
_RAISED_TAG = re.compile(r"<(/?)(sup|sub)\b[^<>]*>", re.IGNORECASE)
_PICTURE_TAG = re.compile(r"<img\b(?:[^<>]*\balt\s*=\s*[\"']([^\"'<>]*)[\"'])?", re.IGNORECASE)
_NOTE_MARK = re.compile(r"(^|\s?)\[\^([^\]\s]+)\](:\s*)?")
_PANDOC = re.compile(r"(?<=\w)(?:\^([^\s^]{1,12})\^|(?<!~)~(\w{1,8})~(?!~))")
_AROUND = 100
_CELL_END = re.compile(r"(?<!\\)\|")
_SOFT, _HARD = "\x1e", "\n"
_LOST = {
    "include": "unresolved",
    "literalinclude": "unresolved",
    "toctree": "navigation",
    "contents": "navigation",
    "index": "navigation",
    "raw": "code",
}
"""Directives without text of their own, and what is lost with them."""
_PICTURES = frozenset({"image", "figure"})
_CODE = frozenset({"code", "code-block", "code-cell", "sourcecode", "prompt", "math", "mermaid", "literal"})


def parse_markdown(data: bytes) -> Extracted:
    """Headings and blocks. Comments, front matter and the like are told as losses; link targets are left out."""
    losses = Losses()
    text = decode(data, declared_in(data), losses).replace("\r\n", "\n").replace("\r", "\n")
    text = text.replace("\0", "")  # Markdown shows U+FFFD for it, a file of nothing else would be a document
    front = front_matter(text, losses)
    front.tell(losses)
    about = About(losses)
    about.add_head(front.values)
    blocks = _Reader(Dialect(front.rest), losses).blocks(front.rest)
    return Extracted(blocks, one_line(front.title), losses.told(), about.told())


class _Reader:
    """Turns syntax into text and tells what it leaves out."""

    def __init__(self, dialect: Dialect, losses: Losses) -> None:
        self._dialect = dialect
        self._losses = losses
        self._notes: frozenset[str] = frozenset()
        self._lines: list[str] = []

    def blocks(self, text: str) -> list[Block]:
        environment: dict[str, Any] = {}
        root = SyntaxTreeNode(parser().parse(text, environment))
        outer, self._lines = self._lines, text.split("\n")
        self._notes |= environment.get("notes", set())
        for comment in environment.get("comments", []):
            self._losses.add("comment", comment)
        blocks = [block for node in root.children for block in self._top(node)]
        self._lines = outer
        return blocks

    def _top(self, node: SyntaxTreeNode) -> list[Block]:
        if node.type == "heading":
            heading = _ATTRIBUTES.sub("", one_line(self._inline(node)))
            return [Block(heading, int(node.tag[1:]))]
        if node.type == "fence" and _DIRECTIVE.match(node.info.strip()):
            return self._directive(node)
        if node.type == "paragraph" and self._is_comment(node):
            self._losses.add("comment", node.children[0].content)
            return []
        return [Block(self._block(node))]

    def _is_comment(self, node: SyntaxTreeNode) -> bool:
        """A block of lines that begin with %, in a file of MyST."""
        lines = node.children[0].content.split("\n") if node.children else []
        return self._dialect.is_myst and all(re.match(r"%(?:\s|$)", line.lstrip()) for line in lines)

    def _block(self, node: SyntaxTreeNode) -> str:
        """Text of one block, without the blank line around it."""
        match node.type:
            case "paragraph" | "heading":
                return self._paragraph(self._inline(node))
            case "fence" if _DIRECTIVE.match(node.info.strip()):
                return "\n".join(block.text for block in self._directive(node))
            case "fence" | "code_block":
                return node.content.rstrip("\n")
            case "bullet_list":
                return "\n".join(list_item("- ", self._children(item)) for item in node.children)
            case "ordered_list":
                items = enumerate(node.children, int(node.attrs.get("start", 1)))
                return "\n".join(list_item(f"{number}. ", self._children(item)) for number, item in items)
            case "blockquote":
                return _ALERT.sub(lambda match: match.group(1).capitalize() + ": ", self._children(node))
            case "table":
                return self._table(node)
            case "html_block":
                return fragment_text(self._dialect.escaped(node.content), self._losses)
            case _:
                return ""

    def _table(self, node: SyntaxTreeNode) -> str:
        rows = [row for part in node.children for row in part.children]
        for row in rows:
            begin, end = row.map or (0, 0)
            cells = [cell for line in self._lines[begin:end] for cell in _CELL_END.split(line.strip(" \t>").strip("|"))]
            beyond = [cell.strip() for cell in cells[len(row.children) :]]
            if any(beyond):  # renderers show no more cells than the heading row has
                self._losses.add("hidden", " | ".join(beyond))
        return table_rows([[self._paragraph(self._inline(cell)) for cell in row.children] for row in rows])

    def _children(self, node: SyntaxTreeNode) -> str:
        return "\n".join(text for text in map(self._block, node.children) if text.strip())

    def _directive(self, node: SyntaxTreeNode) -> list[Block]:
        """Blocks of a MyST directive: code as it stands, Markdown parsed, navigation left out."""
        match = _DIRECTIVE.match(node.info.strip())
        assert match is not None
        name, argument = match.group(1).lower(), match.group(2)
        lines = node.content.split("\n")
        options: dict[str, str] = {}
        while lines and (option := _OPTION.match(lines[0])):
            options[option.group(1)] = option.group(2) or ""
            lines.pop(0)
        content = "\n".join(lines).strip("\n")
        if name in _PICTURES:
            caption = self.blocks(content) if name == "figure" else []
            return [Block(self._picture(options.get("alt", ""))), *(Block(block.text) for block in caption)]
        if name in _LOST:
            self._losses.add(_LOST[name], f"{argument}\n{content}")
            return []
        if name == "eval-rst":
            inner = parse_rst(content.encode("utf-8", "replace"))
            self._losses.take(inner.losses)
            return list(inner.blocks)
        if name in _CODE:
            return [Block(content)]
        head = [Block(self._paragraph(self._inline_text(argument)))] if argument else []
        return head + [Block(block.text) for block in self.blocks(content)]

    def _inline_text(self, text: str) -> str:
        tokens = parser().parseInline(text)
        return "".join(self._inline_tokens(token.children or []) for token in tokens)

    def _inline(self, node: SyntaxTreeNode) -> str:
        """Text of a node's inline content; soft line breaks are marked, hard ones are line ends."""
        return "".join(self._inline_tokens(child.token.children or []) for child in node.children if child.token)

    def _inline_tokens(self, tokens: "list[Token]") -> str:
        parts: list[str] = []
        raised: list[tuple[int, bool]] = []
        for at, token in enumerate(tokens):
            match token.type:
                case "text":
                    parts.append(self._words(token.content))
                case "code_inline":
                    parts.append(_code(token.content, parts))
                case "softbreak":
                    parts.append(_SOFT)
                case "hardbreak":
                    parts.append(_HARD)
                case "image":
                    parts.append(self._picture(token.content))
                case "html_inline" if (tag := _RAISED_TAG.fullmatch(token.content)) and self._dialect.is_markup(
                    token.content
                ):
                    if not tag.group(1):
                        raised.append((len(parts), tag.group(2).lower() == "sup"))
                    elif raised:
                        self._lower(parts, *raised.pop(), after=_following(tokens[at + 1 :]))
                case "html_inline":
                    parts.append(self._tag(token.content))
        return "".join(parts)

    def _words(self, text: str) -> str:
        """Text with footnote marks set apart, and Pandoc's superscripts and subscripts on the line."""
        text = _NOTE_MARK.sub(self._note_mark, text) if self._notes else text
        return _PANDOC.sub(lambda match: _on_the_line(match, text), text)

    def _note_mark(self, match: re.Match[str]) -> str:
        if match.group(2) not in self._notes:
            return match.group()
        before = "" if match.start() == 0 and not match.group(1) and match.group(3) else " "
        return f"{before}[{match.group(2)}]" + (" " if match.group(3) else "")

    def _lower(self, parts: list[str], begin: int, is_super: bool, after: str) -> None:
        """Put raised or lowered text on the line."""
        inside, before = "".join(parts[begin:]), "".join(parts[:begin])
        parts[begin:] = [superscript(before, inside, after) if is_super else subscript(before, inside)]

    def _tag(self, tag: str) -> str:
        """Text of what stands in angle brackets within a line."""
        if tag.startswith("<!--"):
            self._losses.add("comment", tag.removeprefix("<!--").removesuffix("-->"))
            return ""
        if not self._dialect.is_markup(tag):
            return tag
        picture = _PICTURE_TAG.match(tag)
        if picture:
            return self._picture(html.unescape(picture.group(1) or ""))
        return _HARD if _BREAK_TAG.fullmatch(tag) else ""

    def _picture(self, description: str) -> str:
        """What stands for a picture; one without a description is told."""
        text = alternative_text(description)
        if not text:
            self._losses.add("picture", description)
        return text

    def _paragraph(self, inline: str) -> str:
        """Join soft-wrapped lines; drop fence lines, their options, and targets."""
        kept: list[str] = []
        in_fence_head = False
        for line in re.split(f"({_SOFT}|{_HARD})", inline):
            fence = _COLON_FENCE.match(line) if line.lstrip().startswith(":::") else None
            if fence:
                in_fence_head = True
                kept.append(self._fence_line(fence.group(1), fence.group(2)))
            elif _TARGET.match(line) or (in_fence_head and _OPTION.match(line)):
                continue
            else:
                in_fence_head = in_fence_head and line in (_SOFT, _HARD)
                kept.append(line)
        return unwrap("".join(kept), _SOFT)

    def _fence_line(self, name: str | None, argument: str) -> str:
        if name in _PICTURES:
            return self._picture("")
        if name not in _LOST:
            return argument
        self._losses.add(_LOST[name], argument)
        return ""


def _code(content: str, before: list[str]) -> str:
    """Inline code; after a MyST role (``{ref}``, dropped from ``before``) its title without the target."""
    role = _ROLE.search(before[-1]) if before else None
    if role is None:
        return content
    before[-1] = before[-1][: role.start()]
    if role.group(1) in ("sup", "superscript"):
        return superscript("".join(before), content)
    if role.group(1) in ("sub", "subscript"):
        return subscript("".join(before), content)
    titled = _ROLE_TARGET.match(content)
    return titled.group(1) if titled else content


def _on_the_line(match: re.Match[str], text: str) -> str:
    before, after = text[max(match.start() - _AROUND, 0) : match.start()], text[match.end() : match.end() + 1]
    return superscript(before, match.group(1), after) if match.group(1) else subscript(before, match.group(2))


def _following(tokens: "list[Token]") -> str:
    return tokens[0].content if tokens and tokens[0].type == "text" else ""

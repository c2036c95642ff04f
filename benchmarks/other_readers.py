"""Another way to read each format of documents, which shares no code with the pipeline: for ``losses.py``."""

import codecs
import html
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree


class _HtmlText(HTMLParser):
    """Text of a page, but for scripts, styles and comments."""

    NOT_SHOWN = ("script", "style", "template")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._inside = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._inside += tag in self.NOT_SHOWN
        self.parts.append("" if tag in _INLINE else "\n")

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag in self.NOT_SHOWN and self._inside > 0
        self.parts.append("" if tag in _INLINE else "\n")

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.parts.append(data)


_INLINE = frozenset(
    "a abbr b bdi bdo big cite code em font i kbd mark q s samp small span strike strong sub sup tt u var wbr".split()  # noqa: SIM905
)
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([\w-]+)", re.IGNORECASE)
_AS_BROWSERS = {"iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252"}


def html_text(path: Path) -> str:
    data = path.read_bytes()
    declared = _CHARSET.search(data[:4096])
    name = declared.group(1).decode().lower() if declared else "utf-8"
    page = _HtmlText()
    page.feed(decoded(data, _AS_BROWSERS.get(name, name)))
    page.close()
    return "".join(page.parts)


def decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding, "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def plain_text(path: Path) -> str:
    """In the encoding that the file's name ends in (``letter_cp1252.txt``), else by its mark, else UTF-8."""
    data = path.read_bytes()
    named = path.stem.rpartition("_")[2]
    for mark, encoding in (
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
        (codecs.BOM_UTF8, "utf-8-sig"),
    ):
        if data.startswith(mark):
            return decoded(data, encoding)
    try:
        known = codecs.lookup(named).name if any(char.isdigit() for char in named) or "euc" in named else "utf-8"
    except LookupError:
        known = "utf-8"
    return decoded(data, known).replace("\ufffd", " ")


_YAML = r"---[ \t]*\n(?:[ \t#-].*\n|[\w .-]+:.*\n|\s*\n)*?(?:---|\.\.\.)"
_TOML = r"\+\+\+[ \t]*\n(?:.*\n)*?\+\+\+"
_FRONT = re.compile(rf"\A\s*(?:{_YAML}|{_TOML})[ \t]*(?:\n|\Z)")
_MARKDOWN_MARKUP = (
    (re.compile(r"<!--.*?-->", re.DOTALL), " "),
    (re.compile(r"!\[([^\[\]]*)\]\([^()\s]*(?:\([^()]*\)[^()]*)*(?:\s+\"[^\"]*\")?\)"), r" "),
    (re.compile(r"\]\(<[^<>]*>\s*\)|\]\([^()]*(?:\([^()]*\)[^()]*)*\)"), "] "),
    (re.compile(r"^\s{0,3}\[(?!\^)[^\]]+\]:\s*\S+.*$", re.MULTILINE), " "),
    (re.compile(r"\]\[[^\]]*\]"), "] "),
    (re.compile(r"\[\^[^\]\s]+\]"), " "),
    (re.compile(r"^[ \t>]*(?:`{3,}|~{3,}|:{3,})[ \t]*\{?[\w+.:-]*\}?.*$", re.MULTILINE), " "),
    (re.compile(r"\{[\w:+.-]+\}(?=`)|\{[#.][^{}\n]*\}"), " "),
    (re.compile(r"^[ \t]*:[\w-]+:.*$", re.MULTILINE), " "),
    (re.compile(r"^\([\w .:/-]+\)=$", re.MULTILINE), " "),
)
_TAG = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]*)(?:\s[^<>]*)?/?>")


def markdown_text(path: Path) -> str:
    from lxml.html import defs

    text = _FRONT.sub("", plain_text(path).replace("\r\n", "\n"))
    for pattern, stands in _MARKDOWN_MARKUP:
        text = pattern.sub(stands, text)
    text = _TAG.sub(lambda tag: " " if tag[1].lower() in defs.tags else tag[0], text)
    return html.unescape(text)


_WITH_ARGUMENT = "code-block|code|sourcecode|parsed-literal|list-table|csv-table|table|rst-class|only|raw"
_RST_MARKUP = (
    (re.compile(r"^\s*\.\. _[^:\n]*:.*$", re.MULTILINE), " "),
    (
        re.compile(
            r"^\s*\.\. (?:image|figure|include|literalinclude|highlight|contents|default-role|meta|index)::.*$",
            re.MULTILINE,
        ),
        " ",
    ),
    (re.compile(r"^\s*\.\. \|[^|\n]+\| (?:image|replace|unicode|date)::", re.MULTILINE), " "),
    (re.compile(rf"^\s*\.\. (?:{_WITH_ARGUMENT})::.*$", re.MULTILINE), " "),
    (re.compile(r"^(\s*)\.\. [\w:+.-]+::", re.MULTILINE), " "),
    (re.compile(r"^\s*:[\w -]+:(?:[ \t].*)?$", re.MULTILINE), " "),
    (re.compile(r":[\w:+.-]+:(?=`)"), " "),
    (re.compile(r"\s*<[^<>`]*>`_{0,2}"), "` "),
    (re.compile(r"\[#?[\w*]*\]_"), " "),
)


def rst_text(path: Path) -> str:
    text = plain_text(path).replace("\r\n", "\n")
    for pattern, stands in _RST_MARKUP:
        text = pattern.sub(stands, text)
    return text


def pdf_text(path: Path) -> str:
    if shutil.which("pdftotext") is None:
        raise SystemExit("pdftotext is not installed (Debian and Ubuntu: apt-get install poppler-utils)")
    done = subprocess.run(["pdftotext", "-enc", "UTF-8", str(path), "-"], capture_output=True, check=False)
    return done.stdout.decode("utf-8", "replace")


_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_DOCX_PARTS = re.compile(r"word/(document|footnotes|endnotes|header\d*|footer\d*)\.xml")


def docx_text(path: Path) -> str:
    """Paragraphs of the body, of notes, headers and footers; what stands twice for older programs stands once."""
    with zipfile.ZipFile(path) as archive:
        roots = [
            ElementTree.fromstring(archive.read(name)) for name in archive.namelist() if _DOCX_PARTS.fullmatch(name)
        ]
    return "\n".join("".join(_docx_runs(root)) for root in roots)


def _docx_runs(element: ElementTree.Element) -> Iterator[str]:
    tag = element.tag.rpartition("}")[2]
    if tag in ("Fallback", "instrText", "delText"):
        return
    if tag == "t":
        yield element.text or ""
    elif tag in ("tab", "br", "cr", "noBreakHyphen"):
        yield " "
    for child in element:
        yield from _docx_runs(child)
    if tag in ("p", "tc"):
        yield "\n"


READERS: dict[str, Callable[[Path], str]] = {
    "text": plain_text,
    "markdown": markdown_text,
    "rst": rst_text,
    "html": html_text,
    "pdf": pdf_text,
    "docx": docx_text,
}
UNSEEN = {"html": ("code", "comment"), "markdown": ("code", "comment"), "rst": (), "pdf": (), "docx": (), "text": ()}
"""Kinds of losses that the other way does not see either."""

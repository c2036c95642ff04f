"""Do other libraries read pages and Word documents better than this one?

    python benchmarks/parsers.py CASES CORPUS …

CASES is a folder with ``html`` and ``docx`` in it, such as ``embed_pipeline_tests/corpus/cases``; a CORPUS is a folder
of pages or Markdown. Wanted beside this package, in an environment of their own: ``trafilatura``, ``markitdown[docx]``,
``mammoth``, ``docx2txt`` and ``html2text`` (needed for a corpus of pages); what is missing is left out.

A case is right when the text holds everything that it must and nothing that it must not. Of a corpus: characters of
text, how many of the words of an independent reader are in it (html2text for pages, the file itself for Markdown; a
word that stands there twice counts twice), and seconds of processor time. Tables of Markdown are printed.
"""

import io
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from embed_pipeline.corpus.parsers.blocks import Extracted, clean_text
from embed_pipeline.corpus.parsers.docx import parse_docx
from embed_pipeline.corpus.parsers.html import parse_html
from embed_pipeline.corpus.parsers.markdown import parse_markdown

Read = Callable[[bytes], str]


class Case(NamedTuple):
    """What a text must hold and must not, as patterns."""

    must: tuple[str, ...]
    never: tuple[str, ...] = ()


PROSE = "The skein drum turns slowly while the platform is lofted, and nobody stands below it. " * 4
OWN_PAGES = {  # what a reader that keeps everything gets wrong
    "menus": (
        f"<nav><a href=/>Home</a></nav><main><h1>Lofting</h1><p>{PROSE}</p></main><footer>Imprint</footer>",
        Case(("Lofting", "nobody stands below"), ("Home", "Imprint")),
    ),
    "note_links": (
        f"<article><h1>Lofting</h1><p>{PROSE}Since 1987<sup><a href='#n1'>12</a></sup>.<p id=n1>A note.</article>",
        Case(("Since 1987",), (r"198712",)),
    ),
    "code": (
        f"<article><h1>Code</h1><pre>if x:\n    kneel()</pre><p>{PROSE}</p></article>",
        Case((r"if x:\n    kneel\(\)",)),
    ),
}
CASES = {
    "html/cjk_wrap.html": Case(("然后打开控制柜的门，检查所有接线端子",)),
    "html/iso2022jp.html": Case(("ポンプの説明",)),
    "html/katex.html": Case((r"E ?= ?mc\^(2|\{2\})",), (r"(?s)E\s*=\s*m\s*c\^?\s*2.*E\s*=\s*m\s*c\^?\s*2", "mc2")),
    "html/latin1_declared_cp1252.html": Case(("Don’t", "10–20 bar", "€45")),
    "html/mail_thread.html": Case(("valve 1 is", "valve 140 is", "the culprit was the gasket")),
    "html/spans.html": Case((r"(North|\|) *\| *5 kg *\| *9 EUR", r"Standard *\|[^|\n]*\| *Express")),
    "html/sup.html": Case((r"10(⁶|\^\{?6|<sup>6)", "2019"), (r"10-3", "20193")),
    "html/tabs.html": Case(("On Linux copy", "On Windows register", "AGENT_PROXY", "Uninstall by deleting")),
    "html/ui_guide.html": Case((r"\bMenu\b", "menu widget opens", "Pagination", "Twenty rows")),
    "docx/footnote.docx": Case(("Certificate 77-B covers only the 50 Hz", r"in 2019\b")),
    "docx/moved.docx": Case(("signed in May", "Budget is 55 thousand"), (r"(?s)signed in May.*signed in May", "40")),
    "docx/styles.docx": Case((r"(?m)^#+ (\d+\. )?Wartung", r"(?m)^#+ (\d+\. )?Reinigung", r"first", "third")),
    "docx/textbox.docx": Case((r"of crushing\s+Maximum load 40 t\s", r"Class[ |]+7"), (r"(?s)crushing.*crushing",)),
}


def ours(parse: Callable[[bytes], Extracted]) -> Read:
    """Text with headings marked, as the others mark them."""

    def read(data: bytes) -> str:
        blocks = parse(data).blocks
        return "\n\n".join("#" * block.level + " " * bool(block.level) + clean_text(block.text) for block in blocks)

    return read


def readers(kind: str) -> Iterator[tuple[str, Read]]:
    """Readers of pages, Word documents or Markdown that are installed."""
    yield "this one", ours({"html": parse_html, "docx": parse_docx, "md": parse_markdown}[kind])
    if kind == "html" and find_spec("trafilatura"):
        import trafilatura

        yield (
            "trafilatura",
            lambda data: (
                trafilatura.extract(data, output_format="markdown", include_tables=True, favor_recall=True) or ""
            ),
        )
    if find_spec("markitdown"):
        from markitdown import MarkItDown, StreamInfo

        markitdown = MarkItDown()
        yield (
            "markitdown",
            lambda data: (
                markitdown.convert_stream(io.BytesIO(data), stream_info=StreamInfo(extension=f".{kind}")).markdown
            ),
        )
    if kind == "docx" and find_spec("mammoth"):
        import mammoth

        yield "mammoth", lambda data: mammoth.convert_to_markdown(io.BytesIO(data)).value
    if kind == "docx" and find_spec("docx2txt"):
        import docx2txt

        yield "docx2txt", lambda data: docx2txt.process(io.BytesIO(data))


def try_to(read: Read, data: bytes) -> str:
    """Text; nothing where the library fails."""
    try:
        return read(data)
    except Exception as error:
        print(f"{type(error).__name__}: {error}"[:200], file=sys.stderr)
        return ""


def is_right(text: str, case: Case) -> bool:
    plain = re.sub(r"\\([^a-zA-Z0-9\s])", r"\1", text)
    return all(re.search(must, plain) for must in case.must) and not any(re.search(one, plain) for one in case.never)


def cases(folder: Path, kind: str) -> None:
    found = {name: ((folder / name).read_bytes(), case) for name, case in CASES.items() if name.startswith(kind)}
    if kind == "html":
        found |= {name: (page.encode(), case) for name, (page, case) in OWN_PAGES.items()}
    names = [name for name, _ in readers(kind)]
    print(f"| {kind} | {' | '.join(names)} |\n| --- |{' :-: |' * len(names)}")
    right = Counter()
    for name, (data, case) in found.items():
        marks = []
        for reader, read in readers(kind):
            good = is_right(try_to(read, data), case)
            right[reader] += good
            marks.append("yes" if good else "no")
        print(f"| {Path(name).stem} | {' | '.join(marks)} |")
    print(f"| of {len(found)} | {' | '.join(str(right[name]) for name in names)} |\n")


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


def corpus(folder: Path) -> None:
    for kind, suffixes in (("html", {".html", ".htm"}), ("md", {".md"})):
        files = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix in suffixes]
        if files:
            print(f"| {folder.name}, {len(files)} .{kind} | characters | words kept | seconds |")
            print("| --- | ---: | ---: | ---: |")
            expected = [words(independent(kind, data)) for data in files]
            for name, read in readers(kind):
                start = time.process_time()
                texts = [try_to(read, data) for data in files]
                seconds = time.process_time() - start
                print(f"| {name} | {sum(map(len, texts)):,} | {kept(expected, texts):.2%} | {seconds:.1f} |")
            print()


def kept(expected: Sequence[Counter[str]], texts: Sequence[str]) -> float:
    """Share of the expected words, by characters, that the texts hold."""
    whole = sum(len(word) * count for one in expected for word, count in one.items())
    missing = sum(
        len(word) * count
        for one, text in zip(expected, texts, strict=True)
        for word, count in (one - words(text)).items()
    )
    return 1 - missing / whole


def independent(kind: str, data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    if kind == "md":
        return text
    from html2text import HTML2Text

    reader = HTML2Text()
    reader.ignore_links = reader.ignore_images = reader.ignore_emphasis = reader.unicode_snob = True
    reader.body_width = 0
    return reader.handle(text)


def main() -> None:
    folder, *corpora = map(Path, sys.argv[1:])
    for kind in ("html", "docx"):
        cases(folder, kind)
    for one in corpora:
        corpus(one)


if __name__ == "__main__":
    main()

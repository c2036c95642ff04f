"""Files that are made to take long, or to bring a parser down: work grows with the file, and reasons are plain."""

import gc
import sys
import time

import pytest

from embed_pipeline.corpus.parsers.blocks import Block, Extracted, UnreadableError, join_blocks
from embed_pipeline.corpus.parsers.docx_numbering import Numbering
from embed_pipeline.corpus.parsers.docx_styles import WORD, number_of
from embed_pipeline.corpus.parsers.file import FileBatch, Skipped, parse_batch
from embed_pipeline.corpus.parsers.grid import Cell, spread
from embed_pipeline.corpus.parsers.html import parse_html
from embed_pipeline.corpus.parsers.markdown import parse_markdown
from embed_pipeline.corpus.parsers.registry import BY_SUFFIX, Format
from embed_pipeline.corpus.parsers.rst import parse_rst
from embed_pipeline.files import sha256_bytes

N = 400


def calls(parse, source: str) -> int:
    """How many functions are called, in Python and from it: a measure of work that no other program disturbs."""
    count = 0

    def counted(_frame, event, _argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        parse(source.encode())
    finally:
        sys.setprofile(None)
    return count


HTML = {
    "unclosed paragraphs": lambda n: "<p>word " * n,
    "unclosed items": lambda n: "<ul>" + "<li>x" * n,
    "siblings": lambda n: "<div>some text</div>" * n,
    "hidden siblings": lambda n: "<div class=a>a</div>" + '<div class="a b" hidden>some text</div>' * n,
    "nested elements": lambda n: "<div>" * (n * 2) + "x",
    "menus": lambda n: '<div class="menu">Soup of the day with bread and butter for two people</div>' * n,
    "pictures of a figure": lambda n: (
        "<figure>" + '<img alt="an otter">' * n + "<figcaption>Two otters</figcaption></figure>"
    ),
    "raised": lambda n: "<p>" + "x<sup>2</sup> " * n,
    "rows": lambda n: "<table>" + "<tr><td>a<td>b" * n + "</table>",
    "classes": lambda n: '<p class="' + " ".join(f"c{i}" for i in range(n)) + '">text</p>',
    "attributes": lambda n: "<p " + " ".join(f"a{i}=1" for i in range(n)) + ">text</p>",
    "comments": lambda n: "a<!-- b -->" * n,
    "pages within": lambda n: '<iframe srcdoc="&lt;p&gt;x"></iframe>' * n,
    "style sheets": lambda n: "<style>" + "#a:checked ~ #b {color: red}" * n + "</style><p id=b hidden>x</p><p>y</p>",
}
RST = {
    "headings": lambda n: "".join(f"Head {i}\n========\n\ntext\n\n" for i in range(n)),
    "items": lambda n: "- item\n" * n,
    "grid table": lambda n: "+---+---+\n" + "| a | b |\n+---+---+\n" * n,
    "simple table": lambda n: "=== ===\na   b\n=== ===\n" + "c   d\n" * n + "=== ===\n",
    "csv table": lambda n: ".. csv-table::\n\n" + "   a,b\n" * n,
    "notes": lambda n: "".join(f".. [{i}] note\n" for i in range(1, n)),
    "quotations": lambda n: "".join(" " * (i % 2) + "x\n" for i in range(n)),
}


@pytest.mark.parametrize("kind", HTML)
def test_work_grows_with_a_page(kind):
    once, twice = (calls(parse_html, HTML[kind](size)) for size in (N, 2 * N))
    assert twice < 2.2 * once


@pytest.mark.parametrize("kind", RST)
def test_work_grows_with_a_text(kind):
    calls(parse_rst, RST[kind](3))  # what is loaded once
    once, twice = (calls(parse_rst, RST[kind](size)) for size in (N // 4, N // 2))
    assert twice < 2.2 * once


def test_an_element_of_too_many_attributes_is_refused():
    attributes = " ".join(f"data-number-{i}=1" for i in range(10_001))
    with pytest.raises(UnreadableError, match="more than 10,000 attributes"):
        parse_html(f"<p {attributes}>text</p>".encode())
    words = "word " * 30_000  # a long value is no list of attributes
    assert parse_html(f'<p title="{words}">text</p>'.encode()).blocks == [Block("text")]


def test_spanning_cells_fill_no_memory():
    rows = [[Cell(f"a{n}", rows=0), Cell("b")] for n in range(2000)]
    grid = spread(rows)
    assert sum(map(len, grid)) < 200_000
    assert [f"a{n}" in row for n, row in enumerate(grid)] == [True] * 2000


def test_lines_longer_than_docutils_takes_are_read():
    text, _ = join_blocks(parse_rst(b"Before.\n\n" + b"word " * 4000).blocks)
    assert text == "Before.\n\n" + "word " * 3999 + "word"
    with pytest.raises(UnreadableError, match="a line of it is longer than 1,000,000 characters"):
        parse_rst(b"x" * 1_000_001)


# what a parser raises


def skipped(tmp_path, monkeypatch, parse) -> str:
    monkeypatch.setitem(BY_SUFFIX, ".md", Format("markdown", (".md",), parse))
    (tmp_path / "a.md").write_bytes(b"x")
    (found,) = parse_batch(FileBatch(tmp_path, [("a.md", sha256_bytes(b"x"))], 1))
    assert isinstance(found, Skipped)
    return found.reason


def test_deep_nesting_has_a_plain_reason(tmp_path, monkeypatch):
    def deeper(data: bytes) -> Extracted:
        return deeper(data)

    assert skipped(tmp_path, monkeypatch, deeper) == "nested too deeply to be read as markdown"


def test_a_formula_of_a_thousand_levels_has_a_plain_reason(tmp_path):
    data = b"<p>x</p><math>" + b"<mrow>" * 1500 + b"x"
    (tmp_path / "a.html").write_bytes(data)
    (found,) = parse_batch(FileBatch(tmp_path, [("a.html", sha256_bytes(data))], 1))
    assert found == Skipped("a.html", "nested too deeply to be read as html")


def test_what_a_library_in_rust_raises_is_a_reason(tmp_path, monkeypatch):
    panic = type("PanicException", (BaseException,), {})

    def fail(_: bytes) -> Extracted:
        raise panic("index out of bounds")

    reason = skipped(tmp_path, monkeypatch, fail)
    assert reason == "cannot be parsed as markdown (PanicException: index out of bounds)"


def test_an_interrupt_is_none(tmp_path, monkeypatch):
    def stop(_: bytes) -> Extracted:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        skipped(tmp_path, monkeypatch, stop)
    assert gc.isenabled()


# numbers in Word documents


def level(start: str, form: str) -> Numbering:
    from lxml import etree

    names = f'xmlns:w="{WORD[1:-1]}"'
    return Numbering(
        etree.fromstring(
            f'<w:numbering {names}><w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:start w:val="{start}"/>'
            f'<w:numFmt w:val="{form}"/><w:lvlText w:val="%1."/></w:lvl></w:abstractNum>'
            '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>'
        )
    )


@pytest.mark.parametrize(("start", "label"), [("3", "3."), ("1_0", "1."), ("many", "1."), ("", "1."), ("٣", "1.")])
def test_a_start_that_is_no_number_is_one(start, label):
    assert level(start, "decimal").label("1", 0) == label


@pytest.mark.parametrize("form", ["lowerLetter", "upperRoman"])
def test_a_start_of_billions_fills_no_memory(form):
    assert len(level("9" * 400, form).label("1", 0) or "") < 2000
    assert number_of(None, "start", 7, 10) == 7


@pytest.mark.parametrize("name", ["a.md", "a.html"])
def test_a_title_leaves_room_for_the_text(tmp_path, name):
    title = "long title " * 5_000
    data = f"---\ntitle: {title}\n---\n\nText." if name == "a.md" else f"<title>{title}</title><p>Text.</p>"
    (tmp_path / name).write_text(data)
    (found,) = parse_batch(FileBatch(tmp_path, [(name, sha256_bytes(data.encode()))], 1))
    assert not isinstance(found, Skipped)
    assert 480 < len(found["title"]) <= 500 and found["title"].split()[-1] in ("long", "title")


@pytest.mark.parametrize("data", [b"x" + b" \n" * 30_000 + b"y", b"---\nfoo: " + b"a " * 40_000 + b"\n---\nx"])
def test_blank_lines_and_long_values_cost_what_they_weigh(data):
    parse_markdown(b"x")
    began = time.process_time()
    parse_markdown(data)
    assert time.process_time() - began < 3

"""Formats: what a file's name says, and how one more of them is read everywhere."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from embed_pipeline.corpus.documents import read_documents
from embed_pipeline.corpus.manifest import scan_corpus
from embed_pipeline.corpus.parsers.blocks import Block, Extracted, UnreadableError
from embed_pipeline.corpus.parsers.registry import BY_SUFFIX, FORMATS, Format, format_of, stem_of
from embed_pipeline.errors import InputError
from embed_pipeline.settings import CorpusSettings

SENTENCE = "An otter swims in the cold river near the old mill while it rains on the hills."


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.txt", "text"),
        ("b.TEXT", "text"),
        ("readme.Md", "markdown"),
        ("readme.markdown", "markdown"),
        ("guide.rst", "rst"),
        ("page.htm", "html"),
        ("page.html", "html"),
        ("paper.pdf", "pdf"),
        ("letter.docx", "docx"),
        ("guide.rst.txt", "rst"),
        ("guide.md.TXT", "markdown"),
        ("guide.markdown.txt", "markdown"),
        ("page.html.txt", "text"),
        ("paper.pdf.txt", "text"),
        ("guide.rst.text", "text"),
        ("v1.2.txt", "text"),
        ("picture.png", None),
        ("guide.rst.zip", None),
        ("Makefile", None),
    ],
)
def test_the_format_of_a_file_by_its_name(path, name):
    found = format_of(path)
    assert (found.name if found is not None else None) == name


@pytest.mark.parametrize(("path", "stem"), [("a/guide.rst.txt", "guide"), ("v1.2.md", "v1.2"), ("x.png", "x.png")])
def test_the_stem_has_no_suffix_of_a_format(path, stem):
    assert stem_of(path) == stem


def test_no_suffix_belongs_to_two_formats():
    assert len(BY_SUFFIX) == sum(len(one.suffixes) for one in FORMATS)
    assert len({one.name for one in FORMATS}) == len(FORMATS)


def test_every_format_has_a_test_file():
    tested = {file.stem.removeprefix("test_") for file in Path(__file__).parent.glob("test_*.py")}
    assert {one.name for one in FORMATS} <= tested


PARSERS = "embed_pipeline.corpus.parsers."


def test_no_parser_is_loaded_before_a_file_of_its_format_is_read():
    script = (
        "import sys\n"
        "from embed_pipeline.corpus.parsers.registry import format_of\n"
        "known = format_of('a.md'), format_of('a.pdf')\n"
        "before = set(sys.modules)\n"
        "known[0].parse(b'# Head')\n"
        "print(*before, '|', *sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    before, after = (set(part.split()) for part in done.stdout.split("|"))
    assert not {PARSERS + name for name in ("markdown", "html", "rst", "pdf", "docx", "email")} & before
    assert not {"lxml", "docutils", "markdown_it"} & before
    assert PARSERS + "markdown" in after
    assert not {PARSERS + "pdf", PARSERS + "docx"} & after


@pytest.mark.parametrize("chosen", FORMATS, ids=lambda one: one.name)
def test_every_parser_is_where_its_line_says(chosen):
    if chosen.package is not None:
        pytest.importorskip(chosen.package)
    with suppress(UnreadableError):  # for want of a file
        assert isinstance(chosen.parse(b"Hello"), Extracted)


def test_one_more_format_is_listed_read_and_told_of(tmp_path, monkeypatch):
    """Its suffix is read, titles lose it, binary content is found in it."""
    (tmp_path / "loud.shout").write_text(SENTENCE.upper())
    (tmp_path / "broken.shout").write_bytes(b"\x00\x01")
    settings = CorpusSettings()
    with pytest.raises(InputError, match=r"unsupported format \.shout"):
        scan_corpus(tmp_path, settings)
    shout = Format("shout", (".shout",), lambda data: Extracted([Block(data.decode().lower())]), is_text=True)
    monkeypatch.setitem(BY_SUFFIX, ".shout", shout)
    manifest = scan_corpus(tmp_path, settings)
    assert dict(manifest.select("path", "reason").rows()) == {
        "broken.shout": "binary content in a text file",
        "loud.shout": None,
    }
    (document,) = read_documents(tmp_path, manifest, settings).documents.to_dicts()
    assert (document["doc_id"], document["title"]) == ("loud.shout", "loud")
    assert document["text"] == SENTENCE.lower()

"""What every format tells of its documents, in one form; and hostile files, of which nothing is believed."""

import io
import json
import re
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.corpus.parsers.email import parse_email
from embed_pipeline.corpus.parsers.epub import parse_epub
from embed_pipeline.corpus.parsers.html import parse_html
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.markdown import parse_markdown
from embed_pipeline.corpus.parsers.metadata import ENTRY_CHARS, MOST_ENTRIES, NAMES, VALUE_CHARS, About
from embed_pipeline.corpus.parsers.pdf import parse_pdf
from embed_pipeline.corpus.parsers.registry import FORMATS, format_of
from embed_pipeline.corpus.parsers.rst import parse_rst
from embed_pipeline_tests.corpus.parsers import metadata_files as files
from embed_pipeline_tests.corpus.parsers.pdf_files import make_pdf

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50) | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


def lost(extracted):
    """Examples of what was not kept of the metadata."""
    return [text for loss in extracted.losses if loss.kind == "metadata" for text in loss.examples]


def parsed(name, data):
    return format_of(name).parse(data)


# -- the one form ----------------------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from([*NAMES, "price", "canonical-url", "lastmod", "Category", ""]), ANYTHING))
def test_whatever_stands_there_what_is_told_is_short_text(values):
    losses = Losses()
    about = About(losses)
    about.add_head(values)
    for name, value in values.items():
        about.add(name, value)
    told = about.told()
    json.dumps([told, [vars(loss) for loss in losses.told()]])
    assert "" not in told
    for name, found in told.items():
        assert found and len(set(found)) == len(found) <= MOST_ENTRIES
        for one in found:
            assert one == " ".join(one.split()) != "" and not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e]", one)
            assert len(one) <= (VALUE_CHARS if name not in NAMES or name == "url" else ENTRY_CHARS)
    assert all(len(told.get(name, ())) <= 1 for name in ("url", "date", "language"))
    assert all(loss.characters == 0 for loss in losses.told())


WORDS = st.text(st.characters(exclude_characters=",;|，；、،؛#", exclude_categories=["C", "Z"]), min_size=1, max_size=9)


@given(st.lists(WORDS))
def test_tags_are_the_same_as_a_list_and_as_one_text(tags):
    told = []
    for value in (tags, ", ".join(tags), ";".join(tags), f" {' | '.join(tags)};"):
        about = About(Losses())
        about.add("tags", value)
        told.append(about.told().get("tags", []))
    assert told[1:] == told[:1] * 3
    assert [one.casefold() for one in told[0]] == list(dict.fromkeys(one.casefold() for one in told[0]))


@pytest.mark.parametrize("name", ["tags", "groups", "author"])
@pytest.mark.parametrize("sign", [",", ";", " "])
def test_a_list_of_megabytes_is_cut_and_told(name, sign):
    losses = Losses()
    about = About(losses)
    about.add(name, sign.join(f"word{number}" for number in range(300_000)))
    assert len(about.told().get(name, [])) <= MOST_ENTRIES
    (loss,) = losses.told()
    assert loss.kind == "metadata" and loss.examples[0].startswith(f"{name}: ")
    assert max(map(len, loss.examples)) <= 200


def test_an_address_that_does_not_count_makes_room_for_one_that_does():
    losses = Losses()
    about = About(losses)
    about.add_head({"canonical_url": "javascript:alert(1)", "permalink": "/a/b/"})
    about.add_head({"date": "soon", "lastmod": "2026-01-31"})
    assert about.told() == {"url": ["/a/b/"], "date": ["2026-01-31"]}
    assert losses.told()[0].examples == ("url: javascript:alert(1)", "date: soon")


# -- formats ---------------------------------------------------------------------------------------------

SAME = {
    "date": ["2026-01-31"],
    "tags": ["pumps", "high water"],
    "groups": ["Manuals"],
    "author": ["Ada Lovelace"],
    "language": ["en-GB"],
}


@pytest.mark.parametrize("name", files.GOOD)
def test_every_format_tells_the_same_in_one_form(name):
    extracted = parsed(name, files.GOOD[name])
    told = {key: [one[:10] if key == "date" else one for one in found] for key, found in extracted.metadata.items()}
    expected = {key: value for key, value in SAME.items() if key not in files.LACKS.get(name, ())}
    assert {key: told[key] for key in told if key != "url"} == expected
    assert ("url" in told) == (name in files.WITH_URL)
    if "url" in told:
        assert told["url"] == ["https://a.example/pumps"]
    assert lost(extracted) == []


@pytest.mark.parametrize("name", files.HOSTILE)
def test_of_a_hostile_file_nothing_is_believed_and_its_text_is_read(name):
    extracted = parsed(name, files.HOSTILE[name])
    assert "The pump is primed." in " ".join(block.text for block in extracted.blocks)
    told = extracted.metadata
    assert "url" not in told and "date" not in told, told
    assert all(len(one) <= ENTRY_CHARS and one.isprintable() for found in told.values() for one in found)
    assert sum(map(len, told.values())) <= 2 * MOST_ENTRIES
    assert lost(extracted) or {"front matter"} & {loss.kind for loss in extracted.losses}


def test_every_format_but_plain_text_has_a_case_of_each_kind():
    suffixes = {one.suffixes[0] for one in FORMATS} - {".txt"}
    for cases in (files.GOOD, files.HOSTILE):
        assert {f".{name.rpartition('.')[2]}" for name in cases} == suffixes


# -- what single formats do ------------------------------------------------------------------------------


def test_front_matter_that_cannot_be_read_is_told_and_the_document_is_read():
    extracted = parse_markdown(b"---\ntitle: [unclosed\ntags: a\n---\n# Pumps\n\nThe pump is primed.\n")
    assert [block.text for block in extracted.blocks] == ["Pumps", "The pump is primed."]
    assert [loss.kind for loss in extracted.losses] == ["front matter"]
    assert extracted.metadata == {}


def test_the_password_of_a_refused_address_is_not_told():
    extracted = parse_markdown(b"---\nurl: https://ada:secret@a.example/pumps\n---\nThe pump is primed.\n")
    assert (extracted.metadata, lost(extracted)) == ({}, ["url: https://…@a.example/pumps"])


def test_a_date_that_no_calendar_has_leaves_the_other_values():
    extracted = parse_markdown(b"---\ntitle: Pumps\ndate: 2026-02-30\ntags: [a, b]\n---\nThe pump is primed.\n")
    assert (extracted.title, extracted.metadata) == ("Pumps", {"tags": ["a", "b"]})
    assert lost(extracted) == ["date: 2026-02-30"]


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("---\npublished: true\ndate: 2026-02-01 10:00:00 +0100\n---", {"date": ["2026-02-01T10:00:00+01:00"]}),
        ("---\ntags:\n  - '#a'\n  - A\nauthors:\n  - name: Ada\n    email: x\n---", {"tags": ["a"], "author": ["Ada"]}),
        ('+++\ntitle = "P"\ndate = 2026-02-01\ntags = ["a"]\n+++', {"date": ["2026-02-01"], "tags": ["a"]}),
        ('{\n"title": "P", "lastmod": "1.2.2026", "category": "M"\n}', {"date": ["2026-02-01"], "groups": ["M"]}),
        ("---\ntitle: 0x" + "F" * 9000 + "\ntags: [0x" + "F" * 9000 + ", b]\n---", {"tags": ["b"]}),
    ],
)  # fmt: skip
def test_heads_of_other_programs(head, told):
    assert parse_markdown(f"{head}\n\nThe pump is primed.\n".encode()).metadata == told


def test_fields_of_a_document_count_at_its_head_alone():
    text = "Pumps\n=====\n\n:Date: $Date: 2026/01/31 $\n:Tags: a\n\nText.\n\n"
    text += "More\n----\n\n:Date: 2000-01-01\n:Author: Ada\n"
    assert parse_rst(text.encode()).metadata == {"date": ["2026-01-31"], "tags": ["a"]}
    text = ".. a comment\n\n:lang: de\n\nPumps\n=====\n\n"
    text += ".. meta::\n   :keywords: a, b\n   :description: Of pumps.\n\nText.\n"
    assert parse_rst(text.encode()).metadata == {"language": ["de"], "tags": ["a", "b"]}


def test_of_a_page_what_was_published_counts_before_what_was_changed():
    page = """<html lang=de><head><meta name=date content=2020-01-01>
    <meta name=description content="Of pumps, and water.">
    <meta property="article:modified_time" content="2026-03-01">
    <meta property="article:published_time" content="2026-01-31T08:00:00Z">
    <meta property="article:tag" content="a"><meta property="article:tag" content="b">
    <meta name=Keywords content="b, c"><meta property="og:url" content="https://b.example/">
    <link rel="alternate canonical" href="https://a.example/">
    <meta property="article:author" content="https://social.example/ada"><meta name=viewport content=x>
    </head><body><p>The pump is primed.</p>
    <span itemprop=author><meta itemprop=author content="A commenter"></span></body></html>"""
    extracted = parse_html(page.encode())
    assert extracted.metadata == {
        "url": ["https://a.example/"],
        "date": ["2026-01-31T08:00:00+00:00"],
        "tags": ["a", "b", "c"],
        "language": ["de"],
    }
    assert "Of pumps" not in str([block.text for block in extracted.blocks])


def test_bytes_in_the_info_dictionary_that_are_no_characters_cost_no_pdf():
    details = "/Author <FFFE00D8> /Keywords <FEFFD80000410042>"
    read = parse_pdf(make_pdf([[(72, 700, "The boiler is made of steel.")]], details=details))
    assert "boiler" in read.blocks[0].text and read.metadata["tags"] == ["\N{REPLACEMENT CHARACTER}AB"]


def test_of_a_pdf_the_info_dictionary_counts_before_xmp_and_pictures_count_never():
    xmp = files.XMP
    page = [[(72, 700, "The pump is primed.")]]
    both = parse_pdf(make_pdf(page, details="/CreationDate (D:20200101) /Keywords (x)", xmp=[xmp]))
    assert both.metadata == {"date": ["2020-01-01"], "tags": ["x"], "author": ["Ada Lovelace"]}
    assert both.title == "Pumps of the world"
    assert parse_pdf(make_pdf(page, xmp=[xmp, xmp.replace("Ada", "Bob")])).metadata == {}
    damaged = parse_pdf(make_pdf(page, xmp=[xmp.replace("</rdf:RDF>", "")]))
    assert damaged.metadata == {} and damaged.blocks


def test_a_mail_tells_its_date_and_nobody():
    head = b"From: Ada <ada@a.example>\nTo: b@b.example\nSubject: Pumps\nDate: Sat, 31 Jan 2026 10:00:00 +0100\n"
    extracted = parse_email(head + b"\nThe pump is primed.\n")
    assert extracted.metadata == {"date": ["2026-01-31T10:00:00+01:00"]}
    assert extracted.title == "Pumps"


def test_identifiers_of_a_book_are_no_addresses_and_its_series_is_a_group():
    archive = zipfile.ZipFile(io.BytesIO(files.GOOD["pumps.epub"]))
    assert "urn:isbn" in archive.read("book.opf").decode()
    extracted = parse_epub(files.GOOD["pumps.epub"])
    assert extracted.metadata["url"] == ["https://a.example/pumps"]


@pytest.mark.parametrize("name", ["pumps.docx", "pumps.pptx", "pumps.xlsx"])
def test_properties_that_programs_write_are_left_out(name):
    written = files.core(creator="python-docx", title="Untitled", keywords="", created="2026-01-31T00:00:00Z")
    data = files.office(name, written)
    extracted = parsed(name, data)
    assert extracted.metadata == {"date": ["2026-01-31T00:00:00+00:00"]}
    assert extracted.title == ""

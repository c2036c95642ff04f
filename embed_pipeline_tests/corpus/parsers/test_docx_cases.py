"""Word documents that are read wrongly elsewhere: small fixtures in ``cases/docx``, and others of the same kind."""

import hashlib
import io
import zipfile
from pathlib import Path

import docx
import pytest
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import parse_xml

from embed_pipeline.corpus.parsers.blocks import join_blocks
from embed_pipeline.corpus.parsers.docx import parse_docx
from embed_pipeline.corpus.parsers.file import FileBatch, Skipped, parse_batch

CASES = Path(__file__).parents[1] / "cases" / "docx"
TYPES = "application/vnd.openxmlformats-officedocument.wordprocessingml"
RELATIONSHIPS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
NAMESPACES = (
    " ".join(
        f'xmlns:{prefix}="http://schemas.openxmlformats.org/{address}"'
        for prefix, address in {
            "w": "wordprocessingml/2006/main",
            "m": "officeDocument/2006/math",
            "r": "officeDocument/2006/relationships",
            "mc": "markup-compatibility/2006",
            "wp": "drawingml/2006/wordprocessingDrawing",
            "a": "drawingml/2006/main",
            "pic": "drawingml/2006/picture",
            "dgm": "drawingml/2006/diagram",
        }.items()
    )
    + ' xmlns:v="urn:schemas-microsoft-com:vml"'
)


def written(body: str, parts: dict[str, tuple[str, str]] | None = None, styles: str = "", numbering: str = "") -> bytes:
    """A document with that body; further parts by relationship name, with their content type and XML."""
    document = docx.Document()
    for element in list(parse_xml(f"<w:body {NAMESPACES}>{body}</w:body>")):
        document.element.body.insert(len(document.element.body) - 1, element)
    for style in parse_xml(f"<w:styles {NAMESPACES}>{styles}</w:styles>"):
        document.styles.element.append(style)
    for one in parse_xml(f"<w:numbering {NAMESPACES}>{numbering}</w:numbering>"):
        document.part.numbering_part.element.append(one)
    for index, (name, (content_type, xml)) in enumerate((parts or {}).items()):
        part = Part(PackURI(f"/word/extra{index}.xml"), content_type, xml.encode(), document.part.package)
        document.part.rels.get_or_add(f"{RELATIONSHIPS}/{name}", part)
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def relationship(parts: dict[str, tuple[str, str]], kind: str) -> str:
    """Id of the relationship of that kind in a document with those parts."""
    rels = docx.Document(io.BytesIO(written("", parts))).part.rels
    return next(name for name, rel in rels.items() if kind in rel.reltype)


def read(*arguments, **keywords) -> str:
    return join_blocks(parse_docx(written(*arguments, **keywords)).blocks)[0]


def told(*arguments, **keywords) -> dict[str, tuple[int, int, tuple[str, ...]]]:
    losses = parse_docx(written(*arguments, **keywords)).losses
    return {loss.kind: (loss.count, loss.characters, loss.examples) for loss in losses}


def case(name: str):
    extracted = parse_docx((CASES / name).read_bytes())
    text, sections = join_blocks(extracted.blocks)
    losses = {loss.kind: loss for loss in extracted.losses}
    return text, [(section.heading, section.level) for section in sections], losses


def paragraph(text: str, properties: str = "") -> str:
    return f'<w:p><w:pPr>{properties}</w:pPr><w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def test_text_boxes_are_blocks_of_their_own():
    text, _, losses = case("textbox.docx")
    assert text == (
        "Press brake\n\nClose the guard before each stroke. Then press the pedal.\n\n"
        "Danger of crushing\nMaximum load 40 t\nClass | 7"
    )
    assert (losses["repeated"].count, losses["repeated"].characters) == (1, 36)


def test_other_text_boxes():
    def drawn(inner: str) -> str:
        return f"<w:r><w:pict><v:shape><v:textbox>{inner}</v:textbox></v:shape></w:pict></w:r>"

    box = f"<w:txbxContent>{paragraph('Wear gloves')}{paragraph('Keep dry')}</w:txbxContent>"
    assert read(f"<w:p>{run('Lift here.')}{drawn(box)}</w:p>") == "Lift here.\n\nWear gloves\nKeep dry"
    fallback = f"<mc:AlternateContent><mc:Choice/><mc:Fallback>{drawn(box)}</mc:Fallback></mc:AlternateContent>"
    assert read(f"<w:p>{fallback}</w:p>") == "Wear gloves\nKeep dry"
    within = f"<w:txbxContent><w:p>{run('Outer')}{drawn(box)}</w:p></w:txbxContent>"
    assert read(f"<w:p>{drawn(within)}</w:p>") == "Outer\nWear gloves\nKeep dry"
    cells = f"<w:tc><w:p>{run('a')}{drawn(box)}</w:p></w:tc><w:tc>{paragraph('b')}</w:tc>"
    assert read(f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>") == "a Wear gloves Keep dry | b"


def test_notes_follow_their_paragraph():
    text, _, losses = case("footnote.docx")
    assert text == (
        "Report\n\nThe turbine was certified in 2019 [1]\n\n"
        "[1] Certificate 77-B covers only the 50 Hz variant; the 60 Hz variant must not be connected.\n\n"
        "Header and footer text exist too."
    )
    assert losses["furniture"].examples == ("ACME confidential",)


def test_other_notes():
    notes = (
        f"<w:endnotes {NAMESPACES}><w:endnote w:type='separator' w:id='0'>{paragraph('line')}</w:endnote>"
        f"<w:endnote w:id='1'>{paragraph('See')}{paragraph('there.')}</w:endnote>"
        f"<w:endnote w:id='2'>{paragraph('Nobody points here')}</w:endnote></w:endnotes>"
    )
    parts = {"endnotes": (f"{TYPES}.endnotes+xml", notes)}
    mark = "<w:r><w:endnoteReference w:id='1'/></w:r>"
    in_table = f"<w:tbl><w:tr><w:tc><w:p>{run('a')}{mark}</w:p></w:tc><w:tc>{paragraph('b')}</w:tc></w:tr></w:tbl>"
    assert read(in_table + paragraph("After."), parts) == "a [1] | b\n\n[1] See\nthere.\n\nAfter."
    missing = f"<w:p>{run('x')}<w:r><w:footnoteReference w:id='9'/></w:r></w:p>"
    assert told(in_table + missing, parts)["unresolved"] == (2, 25, ("footnote 9", "Nobody points here"))


def test_moved_text_stands_once():
    text, _, losses = case("moved.docx")
    assert text == "Minutes\n\nThe board met on Monday.\n\nThe contract is signed in May.\n\nBudget is 55 thousand."
    assert losses["repeated"].examples == ("The contract is signed in May.",)
    assert losses["deleted"].examples == ("40",)


def test_other_tracked_changes():
    body = (
        f"<w:p><w:moveFrom>{run('Old place')}</w:moveFrom>{run('Kept')}"
        f"<w:ins><w:moveTo>{run(' moved')}</w:moveTo></w:ins>"
        f"<w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>"
    )
    assert read(body) == "Kept moved"
    deleted = "<w:p><w:del><w:r><w:delText>x</w:delText></w:r></w:del></w:p>"
    row = f"<w:tr><w:tc>{deleted}</w:tc><w:tc>{paragraph('')}</w:tc></w:tr>"
    kept = f"<w:tr><w:tc>{paragraph('a')}</w:tc><w:tc>{paragraph('b')}</w:tc></w:tr>"
    assert read(f"<w:tbl>{row}{kept}</w:tbl>") == "a | b"


def test_headings_by_any_style():
    text, headings, losses = case("styles.docx")
    assert headings == [("Wartung", 1), ("Reinigung", 1)]
    assert text.endswith("gespült.\n\n1. first\n2. second\n  - third")
    assert losses == {}


@pytest.mark.parametrize(
    ("properties", "styles", "level"),
    [
        ("<w:pStyle w:val='A'/>", "<w:style w:styleId='A'><w:pPr><w:outlineLvl w:val='2'/></w:pPr></w:style>", 3),
        (
            "<w:pStyle w:val='B'/>",
            "<w:style w:styleId='B'><w:basedOn w:val='A'/></w:style>"
            "<w:style w:styleId='A'><w:basedOn w:val='Heading2'/></w:style>",
            2,
        ),
        ("<w:pStyle w:val='Heading3'/><w:outlineLvl w:val='9'/>", "", 0),
        ("<w:pStyle w:val='C'/>", "<w:style w:styleId='C'><w:basedOn w:val='C'/></w:style>", 0),
        ("<w:pStyle w:val='D'/>", "<w:style w:styleId='D'><w:name w:val='heading 4 numbered'/></w:style>", 4),
    ],
)
def test_other_headings(properties, styles, level):
    (block,) = parse_docx(written(paragraph("Wartung", properties), styles=styles)).blocks
    assert block.level == level


def test_numbers_as_word_shows_them():
    levels = "".join(
        f"<w:lvl w:ilvl='{level}'><w:start w:val='1'/><w:numFmt w:val='{form}'/><w:lvlText w:val='{text}'/></w:lvl>"
        for level, (form, text) in enumerate([("decimal", "%1."), ("decimal", "%1.%2"), ("lowerRoman", "(%3)")])
    )
    numbering = (
        f"<w:abstractNum w:abstractNumId='90'>{levels}</w:abstractNum>"
        "<w:num w:numId='90'><w:abstractNumId w:val='90'/></w:num>"
        "<w:num w:numId='91'><w:abstractNumId w:val='90'/>"
        "<w:lvlOverride w:ilvl='0'><w:startOverride w:val='1'/></w:lvlOverride></w:num>"
    )

    def item(text: str, level: int, number: int = 90, style: str = "") -> str:
        place = f"<w:numPr><w:ilvl w:val='{level}'/><w:numId w:val='{number}'/></w:numPr>"
        return paragraph(text, f"<w:pStyle w:val='{style}'/>{place}" if style else place)

    body = [
        item("Scope", 0, style="Heading1"),
        item("Limits", 1, style="Heading2"),
        item("a", 2),
        item("b", 2),
        item("Other", 1),
        item("Terms", 0),
        item("c", 1),
        item("again", 0, 91),
        item("two", 0, 91),
        paragraph("none", "<w:numPr><w:numId w:val='0'/></w:numPr>"),
    ]
    assert read("".join(body), numbering=numbering) == (
        "1. Scope\n\n1.1 Limits\n\n    (i) a\n    (ii) b\n  1.2 Other\n2. Terms\n  2.1 c\n1. again\n2. two\n\nnone"
    )


def test_cells_stay_under_their_heading():
    def cell(text: str, properties: str = "") -> str:
        return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text)}</w:tc>"

    rows = [
        cell("Zone") + cell("Standard", "<w:gridSpan w:val='2'/>") + cell("Express"),
        cell("North", "<w:vMerge w:val='restart'/>") + cell("1") + cell("2") + cell("3"),
        cell("", "<w:vMerge/>") + cell("4") + cell("5") + cell("6"),
        cell("All prices plus tax", "<w:gridSpan w:val='4'/>"),
    ]
    late = f"<w:tr><w:trPr><w:gridBefore w:val='1'/></w:trPr>{cell('7') + cell('8') + cell('9')}</w:tr>"
    table = "".join(f"<w:tr>{row}</w:tr>" for row in rows) + late
    assert read(f"<w:tbl>{table}</w:tbl>") == (
        "Zone | Standard | Standard | Express\nNorth | 1 | 2 | 3\nNorth | 4 | 5 | 6\nAll prices plus tax\n | 7 | 8 | 9"
    )
    assert read(f"<w:tbl><w:tr>{cell('Note')}</w:tr><w:tr>{cell('Text')}</w:tr></w:tbl>") == "Note\n\nText"


def test_formulas_on_a_line():
    def part(text: str) -> str:
        return f"<m:r><m:t>{text}</m:t></m:r>"

    power = f"<m:sSup><m:e>{part('c')}</m:e><m:sup>{part('2')}</m:sup></m:sSup>"
    fraction = f"<m:f><m:num>{part('a+b')}</m:num><m:den>{part('2')}</m:den></m:f>"
    total = (
        "<m:nary><m:naryPr><m:chr m:val='∑'/></m:naryPr>"
        f"<m:sub>{part('i=1')}</m:sub><m:sup>{part('n')}</m:sup><m:e>{part('x')}</m:e></m:nary>"
    )
    root = f"<m:rad><m:deg/><m:e>{part('2')}</m:e></m:rad>"
    brackets = f"<m:d><m:dPr><m:begChr m:val='['/><m:endChr m:val=']'/></m:dPr><m:e>{part('x')}</m:e></m:d>"
    body = f"<w:p>{run('Let ')}<m:oMath>{part('E=m')}{power}</m:oMath>{run(' hold.')}</w:p>"
    assert read(body) == "Let E=mc^2 hold."
    alone = f"<w:p><m:oMathPara><m:oMath>{fraction}{part('=')}{root}{brackets}</m:oMath></m:oMathPara></w:p>"
    assert read(alone) == "(a+b)/2=√(2)[x]"
    assert read(f"<w:p><m:oMath>{total}</m:oMath></w:p>") == "∑_(i=1)^n x"


def test_symbols_powers_and_hidden_text():
    raised, lowered = ("<w:vertAlign w:val='superscript'/>", "<w:vertAlign w:val='subscript'/>")
    symbol_font = "<w:rFonts w:ascii='Symbol' w:hAnsi='Symbol'/>"
    pieces = [
        run("5 ") + "<w:r><w:sym w:font='Symbol' w:char='F06D'/></w:r>" + run("m, "),
        run("D", symbol_font) + run("T ") + "<w:r><w:sym w:font='Wingdings' w:char='F0E0'/></w:r>",
        run(" 10") + run("-", raised) + run("3", raised) + run(" of H") + run("2", lowered) + run("O"),
        run("secret", "<w:vanish/>") + run(" shown", "<w:vanish w:val='0'/>"),
    ]
    body = f"<w:p>{''.join(pieces)}</w:p>"
    assert read(body) == "5 μm, ΔT → 10^-3 of H2O shown"
    assert told(body) == {"hidden": (1, 6, ("secret",))}


def test_form_fields_and_readings():
    def field(data: str) -> str:
        return f"<w:r><w:fldChar w:fldCharType='begin'><w:ffData>{data}</w:ffData></w:fldChar></w:r>"

    ticked, empty = (field(f"<w:checkBox><w:default w:val='{value}'/></w:checkBox>") for value in (1, 0))
    entries = "<w:listEntry w:val='red'/><w:listEntry w:val='blue'/>"
    choice = field(f"<w:ddList><w:result w:val='1'/>{entries}</w:ddList>")
    ruby = f"<w:r><w:ruby><w:rt>{run('かん')}</w:rt><w:rubyBase>{run('漢')}</w:rubyBase></w:ruby></w:r>"
    assert read(f"<w:p>{ticked}{run(' yes ')}{empty}{run(' no ')}{choice}{ruby}</w:p>") == "☒ yes ☐ no blue漢(かん)"


def test_pictures_and_diagrams():
    inline = "<wp:inline><wp:docPr id='1' name='x' descr='{}'/><pic:pic/></wp:inline>"
    drawing = f"<w:p><w:r><w:drawing>{inline}</w:drawing></w:r></w:p>"
    assert read(drawing.format("The pump in section")) == "The pump in section"
    assert read(drawing.format("A pump&#10;&#10;Description automatically generated") + paragraph("x")) == "x"
    assert told(drawing.format("x.png")) == {"picture": (1, 0, ())}
    diagram = f"<a:p {NAMESPACES}><a:r><a:t>Lift</a:t></a:r></a:p><a:p><a:r><a:t>Lower</a:t></a:r></a:p>"
    data = f"<dgm:dataModel {NAMESPACES}>{diagram}</dgm:dataModel>"
    parts = {"diagramData": ("application/vnd.openxmlformats-officedocument.drawingml.diagramData+xml", data)}
    name = relationship(parts, "diagram")
    body = f"<w:p><w:r><w:drawing><dgm:relIds r:dm='{name}'/></w:drawing></w:r></w:p>"
    assert read(body, parts) == "Lift\nLower"


def test_a_table_of_contents_and_comments_are_told():
    comments = f"<w:comments {NAMESPACES}><w:comment w:id='1'>{paragraph('Check this')}</w:comment></w:comments>"
    entry = "<w:style w:styleId='T'><w:name w:val='toc 1'/></w:style>"
    body = paragraph("Limits 3", "<w:pStyle w:val='T'/>") + paragraph("Text.")
    parts = {"comments": (f"{TYPES}.comments+xml", comments)}
    assert read(body, parts, styles=entry) == "Text."
    losses = told(body, parts, styles=entry)
    assert losses == {"navigation": (1, 7, ("Limits 3",)), "comment": (1, 9, ("Check this",))}


def test_a_chunk_of_html_is_read():
    parts = {"aFChunk": ("text/html", "<p>From <b>elsewhere</b></p><script>x</script>")}
    name = relationship(parts, "aFChunk")
    body = f"{paragraph('Here.')}<w:altChunk r:id='{name}'/><w:altChunk r:id='none'/>"
    assert read(body, parts) == "Here.\n\nFrom elsewhere"
    assert told(body, parts) == {"code": (1, 1, ("x",)), "unresolved": (1, 4, ("none",))}


def changed(data: bytes, changes: dict[str, tuple[str, str]]) -> bytes:
    """A file with a text replaced in some of its parts, in all of them for "*"."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            for before, after in (change for part, change in changes.items() if part in ("*", name)):
                content = content.replace(before.encode(), after.encode())
            new.writestr(name, content)
    return buffer.getvalue()


def test_what_other_readers_refuse_is_read_whole():
    strict = changed(
        written(paragraph("Wartung", "<w:pStyle w:val='Heading1'/>")),
        {
            "*": (
                "http://schemas.openxmlformats.org/wordprocessingml/2006/",
                "http://purl.oclc.org/ooxml/wordprocessingml/",
            )
        },
    )
    (block,) = parse_docx(strict).blocks
    assert (block.text, block.level) == ("Wartung", 1)
    nowhere = "<Relationship Id='r99' Type='x/image' Target='../NULL'/></Relationships>"
    dangling = changed(written(paragraph("x")), {"word/_rels/document.xml.rels": ("</Relationships>", nowhere)})
    assert [block.text for block in parse_docx(dangling).blocks] == ["x"]
    deep = "<w:sdt><w:sdtContent>" * 200 + paragraph("Inside.") + "</w:sdtContent></w:sdt>" * 200
    large = paragraph("a " * 5_500_000)
    data = changed(written(paragraph("x")), {"word/document.xml": ("<w:body>", f"<w:body>{deep}{large}")})
    assert [block.text[:8] for block in parse_docx(data).blocks] == ["Inside.", "a a a a ", "x"]


def test_a_document_that_is_too_deep_is_skipped_by_name(tmp_path):
    deep = "<w:sdt>" * 1500 + paragraph("Inside.") + "</w:sdt>" * 1500
    data = changed(written(paragraph("x")), {"word/document.xml": ("<w:body>", f"<w:body>{deep}")})
    (tmp_path / "deep.docx").write_bytes(data)
    (skipped,) = parse_batch(FileBatch(tmp_path, [("deep.docx", hashlib.sha256(data).hexdigest())], 1))
    assert isinstance(skipped, Skipped)
    assert skipped.reason == "nested too deeply to be read as docx"

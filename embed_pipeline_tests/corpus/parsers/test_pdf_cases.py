"""PDFs that went wrong once, and others of their kind."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from embed_pipeline.corpus.parsers.blocks import join_blocks
from embed_pipeline.corpus.parsers.pdf import parse_pdf
from embed_pipeline_tests.corpus.parsers.pdf_files import column, make_pdf, text_field, tick_box

CASES = Path(__file__).parents[1] / "cases" / "pdf"
WORDS = ("one", "two", "three", "four", "five", "six")
LEFT = (
    "The intake valve has to be",
    "opened slowly because the",
    "pressure surge would other-",
    "wise damage the membrane of",
    "the expansion tank. After a",
    "minute the pump is started.",
)
RIGHT = (
    "Warranty claims expire two",
    "years after delivery. They",
    "are void when spare parts of",
    "other makers were installed",
    "or the seal of the housing",
    "was broken by the customer.",
)
THIRD = (
    "Keep the vessel closed and",
    "cool at all times, since the",
    "liquid boils at low heat and",
    "its vapour is heavier than",
    "air. Do not store it in the",
    "cellar of an inhabited house.",
)
LEFT_TEXT = (
    "The intake valve has to be opened slowly because the pressure surge would otherwise damage the membrane of the "
    "expansion tank. After a minute the pump is started."
)
RIGHT_TEXT = (
    "Warranty claims expire two years after delivery. They are void when spare parts of other makers were installed "
    "or the seal of the housing was broken by the customer."
)
THIRD_TEXT = " ".join(THIRD)


def case(name: str) -> bytes:
    return (CASES / f"{name}.pdf").read_bytes()


def text_of(data: bytes) -> str:
    return join_blocks(parse_pdf(data).blocks)[0]


def lines_in(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


def told(data: bytes) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {loss.kind: (loss.count, loss.examples) for loss in parse_pdf(data).losses}


def body(word: str):
    return column([f"Body {word} of the handbook stands here on its page and says", f"what part {word} does."])


# furniture


def test_data_sheets_keep_every_line():
    text = " ".join(text_of(case("data_sheets")).split())
    for number, weight, order, price in ((101, 13, 4711, 199), (102, 17, 4712, 249), (203, 9, 4720, 149)):
        for line in (f"Pump P-{number}", f"Weight: {weight} kg", f"Order number {order}", f"Price: {price} EUR"):
            assert line in text
    assert told(case("data_sheets")) == {}


def test_invoices_keep_their_totals():
    text = " ".join(text_of(case("total_line")).split())
    assert text.count("Total in euro") == text.count("Pupils read it aloud") == 4
    assert [f"Total in euro {amount}" in text for amount in (1250, 980, 77, 4310)] == [True] * 4


def test_an_answer_alone_on_the_last_line_is_kept():
    assert "founded in 1987" in " ".join(text_of(case("answer_year")).split())


@pytest.mark.parametrize(
    "lines",
    [
        lambda n, word: [f"The firm of {word} was founded in", str(1987 + n)],
        lambda n, word: [f"How many legs has the stool of {word}?", "Write the number down:", str(n)],
        lambda n, word: [f"Lesson {n}", "", f"In lesson {word} we learn about the sea."],
        lambda n, word: [f"Pump P-{100 + n}", "", f"Made of {word} parts.", f"Order number {4711 + n}"],
        lambda n, word: [f"Sold to {word}.", "", f"{n} Total"],
    ],
)
def test_what_happens_to_count_with_the_pages_is_kept(lines):
    pages = [lines(n, word) for n, word in enumerate(WORDS, 1)]
    data = make_pdf([column(page) for page in pages])
    text = " ".join(text_of(data).split())
    assert [line in text for page in pages for line in page if line] == [True] * sum(bool(x) for p in pages for x in p)
    assert "furniture" not in told(data)


@pytest.mark.parametrize(
    "numbers", [(5, 6, 7, 8), ("vi", "vii", "viii", "ix"), ("- 9 -", "- 10 -", "- 11 -", "- 12 -")]
)
@pytest.mark.parametrize("title", ["Merrin handbook", "Handbuch 2024, Ausgabe 3"])
def test_headers_and_page_numbers_are_dropped_and_told(numbers, title):
    pages = [
        [(72, 760, title), (500, 760, str(number)), *body(word), (72, 40, "Confidential"), (300, 30, f"Page {n} of 4")]
        for n, (word, number) in enumerate(zip(WORDS, numbers, strict=False), 1)
    ]
    data = make_pdf(pages)
    text = text_of(data)
    assert text.count("Body") == 4
    assert not [word for word in (title, "Confidential", "Page", *map(str, numbers)) if word in text]
    count, examples = told(data)["furniture"]
    assert (count, examples[0]) == (12, f"{title} {numbers[0]}")


@pytest.mark.parametrize("footer", ["Annual report 2023 | {}", "Seite {} von 9", "Rev. C, sheet {}", "{}"])
def test_a_document_may_begin_at_any_page(footer):
    pages = [[*body(word), (72, 30, footer.format(n))] for n, word in enumerate(WORDS, 211)]
    text = text_of(make_pdf(pages))
    assert text.count("Body") == 6
    assert "211" not in text
    assert "216" not in text


def test_left_and_right_pages_have_headers_of_their_own():
    pages = [[(72, 760, "Title of it" if n % 2 else "By the author"), *body(word)] for n, word in enumerate(WORDS)]
    text = text_of(make_pdf(pages))
    assert "Title of it" not in text
    assert "By the author" not in text


def test_the_same_words_elsewhere_on_the_page_are_text():
    pages = [[(72, 760 - 40 * n, "Note well"), *column([f"Body {word}."], top=400)] for n, word in enumerate(WORDS)]
    assert text_of(make_pdf(pages)).count("Note well") == 6


def test_a_number_alone_on_a_single_page_is_text():
    assert "7" in text_of(make_pdf([[*body("one"), (300, 30, "7")]]))


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils (pdftotext) is not installed")
def test_what_is_in_is_out_or_told(corpora):
    """Characters of real contracts, as poppler reads them, are in the text or told; 2 % may differ."""
    for file in sorted((corpora / "cuad-pdf").glob("*.pdf"))[::4]:
        poppler = subprocess.run(["pdftotext", file, "-"], check=True, capture_output=True, text=True).stdout
        extracted = parse_pdf(file.read_bytes())
        counted = Counter("".join(poppler.split()))
        missing = (counted - Counter("".join(join_blocks(extracted.blocks)[0].split()))).total()
        told_of = sum(loss.characters for loss in extracted.losses)
        assert abs(missing - told_of) < 0.02 * counted.total(), file.name


# reading order


def columns(*texts, lefts=(60, 240, 420), by_row=True, size=10):
    pieces = [
        [(left, 700 - 13 * n, line, size) for n, line in enumerate(lines)]
        for left, lines in zip(lefts, texts, strict=False)
    ]
    return (
        [piece for row in zip(*pieces, strict=True) for piece in row]
        if by_row
        else [one for part in pieces for one in part]
    )


def test_columns_drawn_row_by_row():
    assert text_of(case("two_col_rowwise")) == text_of(case("two_col_ok")) == f"{LEFT_TEXT} {RIGHT_TEXT}"


@pytest.mark.parametrize("by_row", [True, False])
@pytest.mark.parametrize("lefts", [(60, 320), (60, 205)])
def test_two_columns_with_wide_and_narrow_gutter(by_row, lefts):
    assert text_of(make_pdf([columns(LEFT, RIGHT, lefts=lefts, by_row=by_row)])) == f"{LEFT_TEXT} {RIGHT_TEXT}"


def test_three_columns_under_a_title_across_them():
    title = "A manual of pumps and valves for the household and the workshop"
    data = make_pdf([[(60, 740, title, 14), *columns(LEFT, RIGHT, THIRD)]])
    assert text_of(data) == f"{title}\n\n{LEFT_TEXT} {RIGHT_TEXT} {THIRD_TEXT}"


def test_columns_whose_lines_are_not_level():
    lines = [
        piece
        for n, (left, right) in enumerate(zip(LEFT, RIGHT, strict=True))
        for piece in ((60, 700 - 13 * n, left, 10), (320, 694 - 13 * n, right, 10))
    ]
    assert text_of(make_pdf([lines])) == f"{LEFT_TEXT} {RIGHT_TEXT}"


def test_lines_drawn_from_bottom_to_top_are_read_from_top_to_bottom():
    lines = ["The first line of a text that is rather long", "goes on in the second one and", "ends in the third."]
    assert text_of(make_pdf([list(reversed(column(lines)))])) == " ".join(lines)


def test_a_page_that_is_turned():
    lines = ["Turned pages have text in them, too, and", "it goes on in the second line."]
    assert text_of(make_pdf([column(lines)], rotate=90)) == " ".join(lines)


@pytest.mark.parametrize("matrix", ["0 1 -1 0", "0 -1 1 0", "-1 0 0 -1"])
def test_a_page_whose_text_is_turned(matrix):
    lines = ["The first line of a turned page is", "followed by the second one of it."]
    step = {"0 1 -1 0": (14, 0), "0 -1 1 0": (-14, 0), "-1 0 0 -1": (0, 14)}[matrix]
    drawn = [
        f"BT /F1 12 Tf {matrix} {300 + step[0] * n} {300 + step[1] * n} Tm ({text}) Tj ET\n"
        for n, text in enumerate(lines)
    ]
    assert text_of(make_pdf([[]], drawn="".join(drawn))) == " ".join(lines)


@pytest.mark.parametrize("note", ["A note", "A note along the margin that is longer than the text of the page itself"])
def test_text_along_the_margin_leaves_the_other_text_whole(note):
    drawn = f"BT /F1 12 Tf 0 1 -1 0 30 100 Tm ({note}) Tj ET\n"
    text = text_of(make_pdf([column(["The text of the page is here."])], drawn=drawn))
    assert lines_in(text) == [note, "The text of the page is here."]


def test_paragraphs_go_on_after_a_hyphen():
    assert "\n" not in text_of(case("paragraph"))
    assert told(case("paragraph"))["hyphenation"] == (2, ("inter-mediate", "main-tenance"))


# tables


def test_a_wrapped_row_of_a_table_is_a_line():
    assert lines_in(text_of(case("table_wrapped"))) == [
        "Fault list of the boiler",
        "Code | Cause | Remedy",
        "E01 | The flame sensor is covered with soot and sees nothing | Clean the sensor with a soft cloth and restart "
        "the burner",
        "E02 | Water pressure below one bar in the circuit | Refill water until the gauge shows one and a half bar",
    ]


ROWS = (("Part", "Material", "Price"), ("pump", "bronze", "199"), ("valve", "plastic", "24"), ("seal", "rubber", "3"))


@pytest.mark.parametrize("by_row", [True, False])
@pytest.mark.parametrize("after_head", [0, 10])
def test_plain_tables_however_they_are_drawn(by_row, after_head):
    lefts = (60, 200, 340)
    places = [
        (x, 700 - 18 * r - (after_head if r else 0), ROWS[r][c], 10) for r in range(4) for c, x in enumerate(lefts)
    ]
    drawn = places if by_row else [place for c in range(3) for place in places[c::3]]
    closing = (60, 560, "All prices are in euro and hold until the end of the year; parts are listed on page four.", 10)
    expected = [" | ".join(row) for row in ROWS]
    assert lines_in(text_of(make_pdf([[*drawn, closing]]))) == [*expected, closing[2]]


def test_rows_at_equal_distances_of_which_some_are_wrapped():
    lines = (
        ("E01", "The flame sensor is covered", "Clean the sensor"),
        ("", "with soot", ""),
        ("E02", "Water pressure is low", "Refill water until the"),
        ("", "", "gauge shows two bar"),
        ("E03", "Fuse blown", "Replace it"),
    )
    lefts = (60, 120, 320)
    pieces = [
        (x, 700 - 13 * r, text, 10) for r, row in enumerate(lines) for x, text in zip(lefts, row, strict=True) if text
    ]
    assert lines_in(text_of(make_pdf([pieces]))) == [
        "E01 | The flame sensor is covered with soot | Clean the sensor",
        "E02 | Water pressure is low | Refill water until the gauge shows two bar",
        "E03 | Fuse blown | Replace it",
    ]


def test_numbers_and_dashes_are_cells_and_empty_cells_keep_their_column():
    rows = (
        ("Load", "2022", "2023", "2024"),
        ("Total", "1.5", "2.5", "3.5"),
        ("Net", "-", "12", "1,300"),
        ("Rest", "7", "", "9"),
    )
    lefts = (60, 200, 300, 400)
    cells = [
        (x, 700 - 14 * r, text, 10) for r, row in enumerate(rows) for x, text in zip(lefts, row, strict=True) if text
    ]
    data = make_pdf([[(60, 730, "Table 3. Loads", 10), *cells, (60, 630, "Source: own figures.", 10)]])
    expected = [" | ".join(row) for row in rows]
    assert lines_in(text_of(data)) == ["Table 3. Loads", *expected, "Source: own figures."]


def test_terms_with_wrapped_explanations():
    lines = (
        ("Valve", 700, "Lets water in and is opened by hand"),
        ("", 687, "before the pump is started."),
        ("Pump", 660, "Moves the water to the tank on the"),
        ("", 647, "roof of the house."),
        ("Tank", 620, "Holds it."),
    )
    pieces = [(x, y, text, 10) for term, y, rest in lines for x, text in ((60, term), (160, rest)) if text]
    assert lines_in(text_of(make_pdf([pieces]))) == [
        "Valve | Lets water in and is opened by hand before the pump is started.",
        "Pump | Moves the water to the tank on the roof of the house.",
        "Tank | Holds it.",
    ]


def test_lists_and_labels_are_no_tables():
    pieces = [(60, 700, "1.", 10), (80, 700, "Open the valve slowly and", 10), (80, 687, "wait for a minute.", 10)]
    pieces += [(60, 674, "2.", 10), (80, 674, "Start the pump.", 10)]
    pieces += [(60, 640, "Weight:", 10), (200, 640, "13 kg", 10), (60, 626, "Price:", 10), (200, 626, "199 EUR", 10)]
    assert lines_in(text_of(make_pdf([pieces]))) == [
        "1. Open the valve slowly and wait for a minute.",
        "2. Start the pump.",
        "Weight: 13 kg",
        "Price: 199 EUR",
    ]


# forms, pages without text, titles


def test_values_stand_beside_their_labels():
    assert lines_in(text_of(case("form"))) == [
        "Application for a building permit. Name of the applicant: Lena Fischer-Brandt",
        "Parcel number: 4711/23",
        "[x] garage included",
    ]


def test_fields_on_the_line_below_it_and_passwords():
    fields = [
        text_field("n", "Ann Lee", "120 696 300 712"),
        text_field("d", "1 May 1990", "72 640 300 656"),
        tick_box("a", True, "72 618 84 630"),
        tick_box("b", False, "280 618 292 630"),
        text_field("p", "hunter2", "72 560 300 576", flags=1 << 13),  # pragma: allowlist secret
    ]
    page = [(72, 700, "Name:"), (72, 660, "Date of birth"), (90, 620, "I agree"), (300, 620, "I disagree")]
    assert lines_in(text_of(make_pdf([[*page, (72, 580, "Password")]], annotations=fields))) == [
        "Name: Ann Lee",
        "Date of birth 1 May 1990",
        "[x] I agree",
        "[ ] I disagree",
        "Password",
    ]


def test_a_box_may_stand_after_its_label():
    fields = [tick_box("a", True, "160 698 172 710"), tick_box("b", False, "160 678 172 690")]
    page = [(72, 700, "Heat pump:"), (72, 680, "Solar panels:"), (72, 640, "Signature of the owner")]

    assert lines_in(text_of(make_pdf([page], annotations=fields))) == [
        "Heat pump: [x]",
        "Solar panels: [ ]",
        "Signature of the owner",
    ]


def test_choices_typed_text_and_comments():
    box = "/F 4 /Rect"
    notes = [
        "<< /Type /Annot /Subtype /Widget /FT /Ch /T (c) /V (Blue) /Opt [(Red) (Blue)] /Ff 131072 "
        f"{box} [150 696 250 712] >>",
        f"<< /Type /Annot /Subtype /FreeText /Contents (Typed on top) {box} [300 500 500 520] /DA (/F1 10 Tf) >>",
        f"<< /Type /Annot /Subtype /Text /Contents (A sticky note) {box} [500 700 520 720] >>",
    ]
    data = make_pdf([[(72, 700, "Colour")]], annotations=notes)
    assert lines_in(text_of(data)) == ["Colour Blue", "Typed on top"]
    assert told(data) == {"comment": (1, ("A sticky note",))}


def test_pages_without_text_are_told():
    assert "ventilation system" in text_of(case("half_scanned"))
    assert told(case("half_scanned")) == {"empty page": (1, ("page 2",))}
    (loss,) = parse_pdf(case("half_scanned")).losses
    assert loss.characters == 0
    pages = [column(["Text on page one."]), [], [], column(["Text on page four."])]
    assert told(make_pdf(pages, drawn="0 0 9 9 re f\n")) == {"empty page": (2, ("page 2", "page 3"))}
    assert told(make_pdf(pages)) == {}  # nothing at all is on them


def test_a_page_with_nothing_but_a_header_is_told():
    pages = [[(72, 760, "Merrin handbook"), *(body(word) if word != "three" else [])] for word in WORDS]
    assert told(make_pdf(pages, drawn="0 0 9 9 re f\n"))["empty page"] == (1, ("page 3",))


@pytest.mark.parametrize(
    "title",
    ["(anonymous)", "Untitled", "untitled-2", "Microsoft Word - a.doc", "report_v3.indd", "Document1", "unknown", "-"],
)
def test_titles_of_generators_are_refused(title):
    assert parse_pdf(case("table_wrapped")).title == ""
    assert parse_pdf(make_pdf([body("one")], title=title)).title == ""


@pytest.mark.parametrize("title", ["The document", "Print shops of Bern", "Unknown waters", "1984", "Slide rules"])
def test_titles_of_people_are_kept(title):
    assert parse_pdf(make_pdf([body("one")], title=title)).title == title


# characters


def test_powers_and_marks_of_notes():
    assert text_of(case("superscript")) == "Inoculate 10^6 cells per millilitre into the flask and wait for a day."
    runs = [
        ("Sold in 2019", 0),
        ("3", 5),
        (" for 10", 0),
        ("-3", 5),
        (" units of 5 m", 0),
        ("2", 5),
        (" each, see the report", 0),
    ]
    runs += [
        ("12", 5),
        (", the 4", 0),
        ("th", 5),
        (" of H", 0),
        ("2", -3),
        ("O and 2", 0),
        ("16", 5),
        (". E = mc", 0),
        ("2", 5),
    ]
    drawn = "".join(f"/F1 {7 if rise else 12} Tf {rise} Ts ({text}) Tj " for text, rise in runs)
    data = make_pdf([[]], drawn=f"BT 72 700 Td {drawn} ET\n")
    assert text_of(data) == (
        "Sold in 2019 for 10^-3 units of 5 m^2 each, see the report, the 4th of H2O and 2^16. E = mc^2"
    )
    assert told(data) == {"note mark": (2, ("3", "12"))}


def test_ligatures_are_letters():
    assert "The final efficiency of the offshore float and its fire pump was confirmed." in text_of(case("ligatures"))


def test_hyphens_at_line_ends():
    assert text_of(case("hyphens")) == (
        "We offer a cost-effective long-term plan. The plan is cost-effective for small sites, too, and a "
        "state-of-the-art control unit is included. Run the tool with --dry-run first, see "
        "https://example.org/manual/quick-start.html and write to service-desk@example.org. The compound n-hexane is "
        "flammable; hyphenation of ordinary words is mended."
    )
    assert told(case("hyphens")) == {"hyphenation": (1, ("hyphen-ation",))}


@pytest.mark.parametrize(
    ("above", "below", "joined"),
    [
        ("A cold winter came and COVID-", "19 went on for long.", "COVID-19"),
        ("It has an on- and off-", "switch at the back, an on-off-switch.", "off-switch"),
        ("Der Vor-", "und Nachlauf wird gemessen.", "Vor- und Nachlauf"),
        ("Run it with --no-", "cache or with (--no-cache).", "--no-cache"),
        ("Look at www.example.org/long-", "name for more of it.", "www.example.org/long-name"),
        ("The x-", "axis is drawn below.", "x-axis"),
        ("Each word that is well-", "known is a wellknown one.", "wellknown"),
        ("The members of the Anglo-", "Saxon house are there.", "Anglo-Saxon"),
        ("The extra-", "ordinary case is rare.", "extraordinary"),
    ],
)
def test_hyphens_of_other_kinds(above, below, joined):
    assert joined in text_of(make_pdf([column([above, below])]))


@pytest.mark.parametrize("joined", ["UTF-8", "Jean-Pierre", "2019-2020", "RFC-2119"])
def test_a_short_line_that_ends_with_a_hyphen_goes_on(joined):
    above, below = joined.split("-")
    lines = ["The first line of the paragraph is as wide as the column.", f"Then {above}-", f"{below} follows."]

    assert text_of(make_pdf([column(lines)])) == f"{lines[0]} Then {joined} follows."


def test_a_hyphen_that_nothing_follows_stays():
    assert text_of(make_pdf([column(["The valve is of the type", "known as half-"])])).endswith("known as half-")


@pytest.mark.parametrize(
    "foot",
    [
        lambda n, word: [(72, 40, f"{n}. Grease the bearing of {word}")],
        lambda n, word: [(72, 40, f"{n}."), (90, 40, f"Grease the bearing of {word}")],
        lambda n, word: [(72, 40, "Carried forward"), (500, 40, f"{n * 417 % 1000},{n * 37 % 90 + 10}")],
        lambda n, word: [(500, 40, f"EUR {n}.00")],
        lambda n, word: [(72, 40, f"Step {n * 2} of the {word} plan")],
    ],
)
def test_lists_and_amounts_at_the_foot_are_text(foot):
    """Also where a page number stands below them, which goes."""
    pages = [[*body(word), *foot(n, word), (300, 20, str(n))] for n, word in enumerate(WORDS, 1)]
    data = make_pdf(pages)
    text = " ".join(text_of(data).split())
    for n, word in enumerate(WORDS, 1):
        assert all(" ".join(part[2].split()) in text for part in foot(n, word))
    count, examples = told(data)["furniture"]
    assert (count, examples) == (6, ("1", "2", "3"))

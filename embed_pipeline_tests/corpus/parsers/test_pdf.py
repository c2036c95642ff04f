import pytest

from embed_pipeline.corpus.parsers.blocks import UnreadableError, join_blocks
from embed_pipeline.corpus.parsers.pdf import parse_pdf
from embed_pipeline_tests.corpus.parsers.pdf_files import column, make_pdf

LONG = [
    "The skein drum turns slowly while the platform is lofted and the warden",
    "watches the payout, which must stay below one metre per second for main-",
    "tenance reasons.",
    "",
    "A second paragraph begins after a gap and goes on for more than one line,",
    "so that it has to be joined.",
]


def text_of(data: bytes) -> str:
    return join_blocks(parse_pdf(data).blocks)[0]


def test_lines_are_joined_into_paragraphs_and_hyphens_mended():
    assert text_of(make_pdf([column(LONG)])) == (
        "The skein drum turns slowly while the platform is lofted and the warden watches the payout, which must "
        "stay below one metre per second for maintenance reasons.\n\n"
        "A second paragraph begins after a gap and goes on for more than one line, so that it has to be joined."
    )


def test_running_headers_footers_and_page_numbers_are_dropped():
    pages = [
        [
            (72, 760, "Merrin handbook"),
            *column([f"Page body number {word} says something of its own here."]),
            (72, 60, f"Revision C, sheet {n}"),
            (300, 40, f"- {n} -"),
        ]
        for n, word in enumerate(("one", "two", "three", "four"), 1)
    ]
    text = text_of(make_pdf(pages))
    assert [f"number {word} says" in text for word in ("one", "two", "three", "four")] == [True] * 4
    for furniture in ("handbook", "Revision", "- 1 -", "4"):
        assert furniture not in text


def test_compounds_keep_their_hyphen_at_a_line_end():
    lines = ["The parties maintain a site that carries both of their marks, called the Co-", "Branded Site below."]
    assert text_of(make_pdf([column(lines)])) == "".join(lines)


@pytest.mark.parametrize("shown", ["{}", "- {} -", "-{}-"])
@pytest.mark.parametrize("numbers", [[1, 2, 3, 4], [2, 2, 3, 3, 4, 4, 6, 7]])
def test_page_numbers_inside_the_text_are_dropped_when_they_count_up_pages_apart(shown, numbers):
    """The number of a page may stand at its foot and again at the head of the next one."""
    lines: list[str] = []
    for place, n in enumerate(numbers):
        again = place and numbers[place - 1] == n
        lines += [] if again else [f"Clause {letter} of page {'abcdefg'[n - 1]}." for letter in "abcdefghijklmnopqrst"]
        lines.append(shown.format(n))
    pages = [column(lines[start : start + 40], top=760) for start in range(0, len(lines), 40)]
    extracted = parse_pdf(make_pdf(pages))
    text = join_blocks(extracted.blocks)[0]
    assert "Clause t of page d." in text
    assert not any(character.isdigit() for character in text)
    assert {loss.kind: loss.count for loss in extracted.losses} == {"furniture": len(numbers)}


def test_numbers_that_count_up_close_together_are_text():
    lines = [line for n in range(1, 9) for line in (str(n), f"Item with {n * 70} parts.")]
    assert [word for word in text_of(make_pdf([column(lines)])).split() if word in "12345678"] == list("12345678")


def test_other_bare_numbers_stay():
    lines = [line for n in (9, 3, 70, 12, 5) for line in (f"Value {n * 11} is measured.", str(n))]
    text = text_of(make_pdf([column(["Some text before.", *lines, "Some text after the values."])]))
    assert [str(n) in text.split() for n in (9, 3, 70, 12, 5)] == [True] * 5


def test_a_paragraph_goes_on_over_the_page_break():
    first, second = "The inspection of the fairlead throat takes place every two", "hundred hours of operation."
    assert text_of(make_pdf([column([first]), column([second])])) == f"{first} {second}"


def test_outline_entries_become_headings_and_metadata_the_title():
    data = make_pdf(
        [column(["Limits", "", "The limit of the Merrin is eleven metres per second at the cradle."])],
        outline=["Limits"],
        title="Merrin handbook",
    )
    extracted = parse_pdf(data)
    _, sections = join_blocks(extracted.blocks)
    assert extracted.title == "Merrin handbook"
    assert [(section.heading, section.level) for section in sections] == [("Limits", 1)]


def test_a_title_left_by_an_office_program_is_ignored():
    assert parse_pdf(make_pdf([column(LONG)], title="Microsoft Word - draft3.doc")).title == ""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"not a pdf at all", "not a valid PDF"),
        (make_pdf([column(LONG)])[:200], "not a valid PDF"),
        (make_pdf([column(LONG)], encrypted=True), "encrypted"),
        (make_pdf([[]]), "no text"),
    ],
)
def test_unusable_pdfs(data, reason):
    with pytest.raises(UnreadableError, match=reason):
        parse_pdf(data)

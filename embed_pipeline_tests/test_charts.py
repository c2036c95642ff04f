"""Charts: small, the same every time, and readable as SVG."""

import base64
import re
import xml.etree.ElementTree as ET

import pytest

from embed_pipeline import charts

DRAWN = {
    "histogram": lambda: charts.histogram("scores", {"pos": [0.1, 0.9], "neg": [0.2, 0.2], "none": []}, "cosine"),
    "flat histogram": lambda: charts.histogram("scores", {"pos": [0.5, 0.5]}, "cosine"),
    "lines": lambda: charts.lines("loss", {"train": [(n, 1 / (n + 1)) for n in range(5000)]}, "step", "loss"),
    "many lines": lambda: charts.lines(
        "l", {str(s): [(n, (n * s) % 7) for n in range(400)] for s in range(4)}, "x", "y"
    ),
    "many bars": lambda: charts.bars("funnel", {f"reason number {n}": 100.0 * n for n in range(16)}, "questions"),
    "dollars": lambda: charts.bars("x", {"llm/a$b_$c^{": 1.0}, "questions"),
    "bars": lambda: charts.bars("recipes", {"a & <b>": 3.0, "b": 0.0}, "questions"),
}


def svg_of(markdown: str) -> str:
    found = re.fullmatch(r"!\[([^]]+)\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", markdown)
    assert found is not None
    return base64.b64decode(found[2]).decode("utf-8")


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_a_chart_is_a_small_svg_and_the_same_every_time(draw):
    first = draw()
    assert ET.fromstring(svg_of(first)).tag.endswith("svg")
    assert len(first) <= charts.LARGEST_BYTES
    assert draw() == first


def test_bars_carry_their_numbers():
    assert ">12,345<" in svg_of(charts.bars("x", {"a": 12345.0}, "questions"))
    assert ">0.25<" in svg_of(charts.bars("x", {"a": 0.25}, "questions"))


HOSTILE = [
    "<script>alert(1)</script>",
    "![x](http://evil/x.png)",
    "[x](javascript:alert(1))",
    "a | b\n| c |",
    "# head\n- item",
    "`code` *b* _i_ ~~s~~ $m$",
    "https://evil.example www.evil.example a@b.example",
    "&lt;b&gt;",
    "\\| pipe",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_escaped_text_is_shown_as_it_is_and_does_nothing(text):
    from markdown_it import MarkdownIt

    document = charts.table(["text"], [[charts.escaped(text)]])
    tokens = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(document)
    cells = [token for token in tokens if token.type == "inline"][1:]
    assert len(cells) == 1
    assert {child.type for child in cells[0].children} <= {"text", "text_special"}
    assert "".join(child.content for child in cells[0].children) == " ".join(text.split())
    assert not re.search(r"(?:https?:|www\.|@)", charts.escaped(text)) or "www" in text


def test_escaped_text_is_cut():
    assert charts.escaped("abcdef", 4) == "abc…"
    assert charts.escaped("abcd", 4) == "abcd"


def test_numbers_of_a_table_stand_to_the_right():
    assert charts.table(["a", "b"], [["x", 1234], ["y", 5]]).splitlines() == [
        "| a | b |", "| --- | ---: |", "| x | 1,234 |", "| y | 5 |"
    ]  # fmt: skip


def test_labels_and_title_are_text_in_the_chart():
    svg = svg_of(DRAWN["histogram"]())
    assert all(f">{word}<" in svg for word in ("scores", "cosine", "pos", "neg"))
    assert ">none<" not in svg


@pytest.mark.parametrize(
    "nothing",
    [
        charts.histogram("x", {"a": []}, "label"),
        charts.lines("x", {"a": []}, "x", "y"),
        charts.bars("x", {}, "label"),
    ],
)
def test_nothing_to_show_is_said(nothing):
    assert nothing == "x: no values"


def test_a_chart_too_large_for_the_event_log_is_left_out():
    assert charts.bars("many", {f"name {n}": n for n in range(150)}, "x") == "many: too large to show here"

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
    assert len(svg_of(first)) <= charts.LARGEST_BYTES
    assert draw() == first


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

"""Whatever the elements and however they are nested: a word of a page is in its text, or told."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.corpus.parsers.blocks import join_blocks
from embed_pipeline.corpus.parsers.html import parse_html

TAGS = (
    *(
        "p",
        "div",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "table",
        "tr",
        "td",
        "th",
        "caption",
        "pre",
        "h1",
        "h2",
        "b",
        "a",
    ),
    *("sup", "sub", "nav", "header", "footer", "main", "article", "section", "aside", "details", "summary", "button"),
    *("select", "textarea", "blockquote", "span", "noscript", "script", "figure", "figcaption", "ruby", "rt", "code"),
    *("svg", "template"),
)
ATTRIBUTES = ("", " hidden", " class='menu'", " id='footer'", " style='display:none'", " rowspan=2", " colspan=3")


@st.composite
def pages(draw, depth=0):
    """Source in which every word stands once; the number of the word makes it unique."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        if depth > 4 or draw(st.booleans()):
            parts.append(f" word{draw(st.integers(0, 10**6))}x ")
        else:
            tag, attribute = draw(st.sampled_from(TAGS)), draw(st.sampled_from(ATTRIBUTES))
            parts.append(f"<{tag}{attribute}>{draw(pages(depth + 1))}</{tag}>")
    return "".join(parts)


@settings(max_examples=60, deadline=None)
@given(pages())
def test_every_word_is_read_or_told(source):
    extracted = parse_html(f"<body>{source}".encode())
    text = join_blocks(extracted.blocks)[0]
    missing = {word for word in re.findall(r"word\d+x", source) if word not in text}
    assert sum(map(len, missing)) <= sum(loss.characters for loss in extracted.losses)
    told = " ".join(example for loss in extracted.losses for example in loss.examples)
    if sum(loss.count for loss in extracted.losses) == 1 and len(told) < 200:
        assert all(word in told for word in missing)

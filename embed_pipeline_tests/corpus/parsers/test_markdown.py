from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.corpus.parsers.blocks import join_blocks
from embed_pipeline.corpus.parsers.markdown import parse_markdown

CASES = Path(__file__).parent.parent / "cases" / "markdown"
MANUAL = """---
title: Manual of the Merrin
tags: [a, b]
---
<!-- licence
over several

lines -->

# The *Merrin* {#merrin}

A paragraph with a [link](https://example.com/target "tip"), `code`, ![a picture](x.png) and a
soft line break<br>and a hard one. <!-- inline comment -->

## Limits

| machine | wind |
| --- | --- |
| Merrin | 11 m/s |
| Pintail | **9** m/s |

1. Loft:
   ```bash
   tally --loft   now
   ```
2. Kneel

- outer
  - inner

> [!WARNING]
> Never in a storm.

    indented code

<details><summary>More</summary>

Hidden text.

</details>

***

[ref]: https://example.com/never
"""


def text_and_sections(source: str):
    extracted = parse_markdown(source.encode())
    text, sections = join_blocks(extracted.blocks)
    return extracted, text, sections


def test_golden_manual():
    extracted, text, sections = text_and_sections(MANUAL)
    assert extracted.title == "Manual of the Merrin"
    assert [(section.heading, section.level) for section in sections] == [("The Merrin", 1), ("Limits", 2)]
    assert text == (
        "The Merrin\n\n"
        "A paragraph with a link, code, a picture and a soft line break\nand a hard one.\n\n"
        "Limits\n\n"
        "machine | wind\nMerrin | 11 m/s\nPintail | 9 m/s\n\n"
        "1. Loft:\n   tally --loft   now\n2. Kneel\n\n"
        "- outer\n  - inner\n\n"
        "Warning: Never in a storm.\n\n"
        "indented code\n\n"
        "More\n\n"
        "Hidden text."
    )


def test_sections_start_at_their_heading_and_end_at_the_next():
    _, text, sections = text_and_sections(MANUAL)
    assert [text[section.start :].startswith(section.heading) for section in sections] == [True, True]
    assert sections[0].end == sections[1].start
    assert sections[-1].end == len(text)


def test_myst_directives_keep_their_content_and_lose_their_markup():
    source = """(a-target)=
# Guide

```{note} Mind the *drum*
:class: wide

Turn the {ref}`skein drum <drum>` **slowly**.
```

```{toctree}
:hidden:
one
two
```

```{code-block} python
:linenos:
x = 1
```

::::{tab-set}
:::{tab-item} Linux
:sync: linux
Use {command}`apt`.
:::
::::

:::{include} ./other.md

```{eval-rst}
.. note:: From reStructuredText.
```

% a comment
"""
    _, text, _ = text_and_sections(source)
    assert text == (
        "Guide\n\nMind the drum\n\n"
        "Turn the skein drum slowly.\n\nx = 1\n\nLinux Use apt.\n\nNote: From reStructuredText."
    )


def test_chinese_lines_are_joined_without_a_space():
    _, text, _ = text_and_sections("# 手册\n\n这是第一行，\n这是第二行。\n\nEnglish line\nand another.")
    assert text == "手册\n\n这是第一行，这是第二行。\n\nEnglish line and another."


def test_dashes_that_are_no_front_matter_stay():
    _, text, _ = text_and_sections("---\njust a sentence\n---\n\nbody")
    assert "just a sentence" in text
    assert "body" in text


def test_broken_front_matter_is_dropped():
    extracted, text, _ = text_and_sections("---\na: [1\n---\nbody")
    assert (extracted.title, text) == ("", "body")


def read(source: str):
    return text_and_sections(source)[1]


def losses_of(source: str):
    return {loss.kind: loss for loss in parse_markdown(source.encode()).losses}


def case(name: str):
    extracted = parse_markdown((CASES / name).read_bytes())
    return extracted.title, join_blocks(extracted.blocks)[0]


def test_case_table():
    _, text = case("table.md")
    assert "Region | % of total | % change\nNorth | 41 | +3" in text
    assert "- % of invoices paid late: 12" in text
    assert "rose to 20 % of revenue in March, against 17 % of revenue a year before." in text
    assert "% of staff trained is reported by HR every quarter." in text
    assert "% figures are rounded to whole numbers." in text


@pytest.mark.parametrize(
    "source",
    ["% of all pumps fail.\n", "```{note}\nx\n```\n\n1. % of pumps\n", "{ref}`a`\n\n> % of pumps\n", "a\n% of pumps\n"],
)
def test_percent_signs_at_the_beginning_of_a_line_are_text(source):
    assert "% of" in read(source)
    assert "comment" not in losses_of(source)


def test_a_block_of_comment_in_a_myst_file_is_told():
    source = "```{note}\nx\n```\n\n% who wrote this\n% and why\n"
    assert read(source) == "x"
    assert losses_of(source)["comment"].examples == ("% who wrote this % and why",)


def test_case_generics():
    _, text = case("generics.md")
    assert text == (
        "Containers\n\n"
        "Use Vec<T> or Map<String, Integer> for lists; replace <your-token> by the token and call "
        "connect(<host>:<port>). If a<b and c>d then swap. Email ops@example.org.\n\n<placeholder>\n\n"
        "Line after the placeholder."
    )


@pytest.mark.parametrize(
    "text",
    [
        "cp <source> <target>",
        "Option<i> and List<a> and Array<object>",
        "run <command> with <input> or <title>",
        "<name> of the <file_name>",
        "Promise<void> </end>",
        "if x<y and z>w then",
        "<T extends Comparable<T>>",
    ],
)
def test_angle_brackets_that_are_no_tags_stay(text):
    assert read(text) == text
    assert read(f"<div>\n{text}\n</div>") == text


def test_tags_give_their_text_alone():
    assert (
        read('<b>bold</b> <a href="x">link</a> <img src="x.png" alt="Alt"> <span hidden>x</span>') == "bold link Alt x"
    )
    assert read(
        'import Tabs from "@theme/Tabs";\n\n<Tabs>\n<TabItem value="a">\n\nIn it\n\n</TabItem>\n</Tabs>'
    ).endswith('"@theme/Tabs";\n\nIn it')


def test_case_front_matter_in_toml():
    assert case("hugo_toml.md") == (
        "Rotor balancing",
        "Balance the rotor on both planes before it is mounted.",
    )


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ('+++\ntitle = "T"\n\n[menu]\nname = "x"\n+++\nbody', "T"),
        ('{\n  "title": "T"\n}\nbody', "T"),
        ("---\n\ntitle: T\n\n---\nbody", "T"),
        ("---\ntitle: 2021\n---\nbody", "2021"),
        ("---\nserial: a b c\n---\nbody", ""),
        ("+++\nbroken = [\n+++\nbody", ""),
    ],
)
def test_front_matter(source, title):
    extracted, text, _ = text_and_sections(source)
    assert (extracted.title, text) == (title, "body")


def test_case_notes_between_thematic_breaks():
    _, text = case("hr_notes.md")
    assert text == "Warning: never open the lid while the drum is turning.\n\nThe drum stops within four seconds."


@pytest.mark.parametrize(
    "source",
    ["---\nNote: keep it dry at all times.\n---\nbody", "---\n\nlid: shut\n\n---\nbody", "+++\nplus signs\n+++\nbody"],
)
def test_what_stands_between_rules_is_text(source):
    between = source.strip("-+\n").split("\n")[0]
    assert between in read(source)
    assert "body" in read(source)


def test_sentences_of_front_matter_are_told():
    told = losses_of("---\ntitle: A\ndescription: How the pump is taken apart.\ndraft: true\n---\nbody")["front matter"]
    assert (told.count, told.examples) == (1, ("How the pump is taken apart.",))


def test_case_footnotes():
    _, text = case("footnotes.md")
    assert "The pump was replaced [1] in spring [b]." in text
    assert "[1] 2014" in text
    assert "[b] By the supplier itself, free of charge." in text
    assert "[hint]: see chapter nine" in text
    assert "[warranty]: none" in text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("In 2019[^x].\n\n[^x]: Ten bar", "In 2019 [x].\n\n[x] Ten bar"),
        ("A set [^a-z] of letters", "A set [^a-z] of letters"),
        ("> quoted[^1]\n>\n> [^1]: in it", "quoted [1]\n[1] in it"),
        ("see [this][ref]\n\n[ref]: page.md 'Tip'", "see this"),
        ("see [that]\n\n[that]: nowhere", "see that"),
    ],
)
def test_notes_and_definitions(source, text):
    assert read(source) == text


def test_notes_follow_one_another_and_a_paragraph_without_blank_lines():
    source = "Built.[^a] Sold 2019[^b] again[^c].\n[^a]: First.\n[^b]: 2014\n    and later.\n\n- item\n[^c]: Last.\n"
    blocks = parse_markdown(source.encode()).blocks

    assert [block.text for block in blocks] == [
        "Built. [a] Sold 2019 [b] again [c].",
        "[a] First.",
        "[b] 2014 and later.",
        "- item",
        "[c] Last.",
    ]


def test_sentences_within_lists_and_mappings_of_front_matter_are_told():
    toml = b'+++\ntitle = "T"\n[params]\nnote = "The valve of the pump sticks."\n+++\nBody\n'
    yaml = b"---\ntitle: T\nsteps:\n- a: The valve of the pump sticks.\n  b: &x [short]\n  c: [*x, *x]\n---\nBody\n"

    for source in (toml, yaml):
        extracted = parse_markdown(source)
        assert [block.text for block in extracted.blocks] == ["Body"]
        assert [(loss.kind, loss.count, loss.examples) for loss in extracted.losses] == [
            ("front matter", 1, ("The valve of the pump sticks.",))
        ]


def test_what_is_metadata_is_not_told_as_left_out():
    head = "---\ntags: the pump, its valve, and water\nauthor: Ada Lovelace; Charles Babbage\n---\nbody"
    assert losses_of(head) == {}


def test_json_on_one_line_is_front_matter_and_a_line_in_braces_is_not():
    extracted = parse_markdown(b'{"title": "Pumps", "tags": ["a"]}\n\nThe pump is primed.\n')
    assert (extracted.title, extracted.metadata) == ("Pumps", {"tags": ["a"]})
    assert [block.text for block in extracted.blocks] == ["The pump is primed."]
    assert read('{"a" or "b"}\nbody') == '{"a" or "b"} body'


@pytest.mark.timeout(20)
@pytest.mark.parametrize("source", ["a^b" * 70_000, "".join(f"[r{n}]: word\n\n" for n in range(30_000))])
def test_time_is_in_proportion_to_length(source):
    assert parse_markdown(source.encode()).blocks[0].text.startswith(source[:3])


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("10<sup>6</sup> cells, 10<sup>-3</sup> m, m<sup>2</sup>", "10^6 cells, 10^-3 m, m^2"),
        ("in 2019<sup>3</sup> the 4<sup>th</sup> pump<sup>[1](#n)</sup>", "in 2019 [3] the 4th pump [1]"),
        ("H<sub>2</sub>O, 10^6^ and H~2~O, ~~gone~~", "H2O, 10^6 and H2O, gone"),
        ("{sup}`x` 10{sup}`6`", "x 10^6"),
    ],
)
def test_raised_and_lowered_text(source, text):
    assert read(source) == text


def test_what_is_left_out_is_told():
    source = """<!-- licence -->

text <!-- why --> ![](x.png) ![y.png](y.png)

[//]: # (remark)

```{include} other.md
```

```{toctree}
one
```

```{figure} x.png
:alt: The drum

Its caption.
```

| a | b |
| - | - |
| 1 | 2 | three |
"""
    assert "The drum\n\nIts caption." in read(source)
    told = {kind: loss.examples for kind, loss in losses_of(source).items()}
    assert set(told["comment"]) == {"licence", "why", "remark"}
    assert told["picture"] == ("y.png",)
    assert told["unresolved"] == ("other.md",)
    assert told["navigation"] == ("one",)
    assert told["hidden"] == ("three",)


def test_what_is_nested_deep_is_read():
    assert read("> " * 60 + "deep") == "deep"


WORDS = st.lists(st.text("bcdfgh", min_size=4, max_size=7), min_size=1, max_size=4, unique=True)
FRAMES = [
    "{} {}",
    "# {}\n\n{}",
    "- {}\n  - {}",
    "> {} {}",
    "| {} |\n| - |\n| {} | {} |",
    "<div>{}</div>\n\n{}",
    "<!-- {} --> {}",
    "```{{note}} {}\n{}\n```",
    "```{{include}} {}\n{}\n```",
    "```{{figure}} x.png\n:alt: {}\n\n{}\n```",
    "[^{0}]: {0}\n\n{1}[^{0}]",
    "[{}]: {}",
    "![{}](x.png) {}",
    "{}<{}>",
    "<{}> <sup>{}</sup>",
    "% {}\n{}",
    ":::{{tip}} {}\n{}\n:::",
    "`{}` {{ref}}`{} <x>`",
    "1. {}\n\n   {}\n",
    "{}\n---\n{}",
    "{}\\\n{}",
    "<details><summary>{}</summary>\n\n{}\n</details>",
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(FRAMES), WORDS), min_size=1, max_size=5))
def test_every_word_is_read_or_told(pieces):
    words, parts = set(), []
    for number, (frame, some) in enumerate(pieces):
        filled = [f"{word}{number}x{place}" for place, word in enumerate((some * 3)[:3])]
        words |= {word for place, word in enumerate(filled) if f"{{{place}}}" in frame or place < frame.count("{}")}
        parts.append(frame.format(*filled))
    extracted = parse_markdown("\n\n".join(parts).encode())
    lost = " ".join(example for loss in extracted.losses for example in loss.examples)
    beyond = sum(loss.count > len(loss.examples) for loss in extracted.losses)
    assert beyond or {word for word in words if word not in join_blocks(extracted.blocks)[0] + lost} == set()


def test_zero_bytes_are_left_out():
    text = join_blocks(parse_markdown(b"# Pu\0mps\n\nThe pump\0 leaks.\n").blocks)[0]
    assert text == "Pumps\n\nThe pump leaks."
    assert join_blocks(parse_markdown(b"\0" * 2_000).blocks)[0] == ""

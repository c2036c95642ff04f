from embed_pipeline.corpus.parsers.blocks import join_blocks
from embed_pipeline.corpus.parsers.markdown import parse_markdown

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
        "A paragraph with a link, code,  and a soft line break\nand a hard one.\n\n"
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

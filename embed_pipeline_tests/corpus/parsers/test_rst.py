from pathlib import Path

import pytest

from embed_pipeline.corpus.parsers.blocks import join_blocks
from embed_pipeline.corpus.parsers.rst import parse_rst

CASE = Path(__file__).parent.parent / "cases" / "rst" / "guide.rst"
GUIDE = """.. a comment
   of two lines

.. |product| replace:: Merrin

.. _label:

#####
Guide
#####

Set up |product| as in :ref:`the drum chapter <drum>` and :external+x:doc:`page`,
see `here <https://example.com>`__ and ``literal``.

Steps
=====

#. First
#. Second:

   .. code-block:: console
      :emphasize-lines: 1
      :unknown-option: yes

      $ tally  --loft

- bullet

term
  Its meaning.

.. note::

   Mind *this*.

.. tab-set::
   :sync-group: os

   .. tab-item:: Linux **now**
      :sync: linux

      Inside a tab.

.. list-table::
   :header-rows: 1

   * - Part
     - Number
   * - Skein
     - OA-SK1248-D

.. image:: x.png
   :alt: the drum from above

.. toctree::
   :hidden:

   other

.. include:: /etc/passwd
"""


def text_and_sections(source: str):
    return join_blocks(parse_rst(source.encode()).blocks)


def test_golden_guide():
    text, sections = text_and_sections(GUIDE)
    assert [(section.heading, section.level) for section in sections] == [("Guide", 1), ("Steps", 2)]
    assert text == (
        "Guide\n\n"
        "Set up Merrin as in the drum chapter and page, see here and literal.\n\n"
        "Steps\n\n"
        "1. First\n2. Second:\n   $ tally  --loft\n\n"
        "- bullet\n\n"
        "term\n  Its meaning.\n\n"
        "Note: Mind this.\n\n"
        "Linux now\n\n"
        "Inside a tab.\n\n"
        "Part | Number\nSkein | OA-SK1248-D\n\n"
        "the drum from above"
    )


@pytest.mark.parametrize(
    "source",
    [
        ".. versionchanged:: 2.0\n   The content stays.\n",
        ".. some-directive-nobody-knows:: argument\n   :option: x\n\n   The content stays.\n",
        ".. note::\n   :no-such-option: 1\n\n   The content stays.\n",
        ".. list-table::\n\n   * - The content stays.\n   * - a\n     - b\n",
        "Title\n==\n\nThe content stays.\n",
        ":unknown:`The content stays.`\n",
        "The content stays. |undefined| `unclosed\n",
        "A\n=\n\nB\n~\n\nC\n-\n\nThe content stays.\n",
    ],
)
def test_broken_or_unknown_markup_never_loses_content_nor_complains(source, capfd):
    text, _ = text_and_sections(source)
    captured = capfd.readouterr()
    assert "The content stays." in text
    assert (captured.out, captured.err) == ("", "")


def test_a_heading_inside_a_directive_is_kept():
    text, _ = text_and_sections(".. card::\n\n   Inner\n   -----\n\n   Body.\n")
    assert "Inner" in text
    assert "Body." in text
    assert "---" not in text


def test_case_guide():
    text, _ = join_blocks(parse_rst(CASE.read_bytes()).blocks)
    assert "10^6 cells and H2O." in text
    assert "footnote [1]." in text
    assert "[1] The footnote text about seals." in text
    for kept in (
        "Close the valve first",
        "電源 | power",
        "一 | 二",
        "Use winget.",
        "E = m c^2",
        "param host: name of the host",
    ):
        assert kept in text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("10\\ :sup:`-3` m and m\\ :superscript:`2`", "10^-3 m and m^2"),
        ("in 2019\\ :sup:`3` the 4\\ :sup:`th`", "in 2019 [3] the 4th"),
        ("since 2019 [#seal]_.\n\n.. [#seal] Of rubber.", "since 2019 [seal].\n\n[seal] Of rubber."),
        ("see [Fox2002]_\n\n.. [Fox2002] A book.", "see [Fox2002]\n\n[Fox2002] A book."),
        ("an _`inline target` here", "an inline target here"),
        ("press |go|\n\n.. |go| image:: x.png\n   :alt: the green button", "press the green button"),
    ],
)
def test_marks_and_raised_text(source, text):
    assert text_and_sections(source)[0] == text


def test_what_is_left_out_is_told():
    source = """.. who wrote this

text [#]_

.. image:: x.png
   :alt: x.png

.. include:: other.rst

.. csv-table:: Limits
   :file: limits.csv

.. toctree::

   one

.. meta::
   :description: How the pump is taken apart.
   :keywords: the pump, its valve, and water

.. highlight:: python

.. [#] A note.
"""
    extracted = parse_rst(source.encode())
    assert join_blocks(extracted.blocks)[0] == "text\n\nA note."
    told = {loss.kind: " ".join(loss.examples) for loss in extracted.losses}
    assert told["comment"] == "who wrote this"
    assert told["picture"] == "x.png"
    assert "other.rst" in told["unresolved"]
    assert "limits.csv" in told["unresolved"]
    assert told["navigation"] == "one"
    assert told["front matter"] == "How the pump is taken apart."
    assert told["note mark"] == "#"

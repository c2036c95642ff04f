import pytest

from embed_pipeline.corpus.parsers.blocks import join_blocks
from embed_pipeline.corpus.parsers.rst import parse_rst

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
   :alt: never

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
        "Part | Number\nSkein | OA-SK1248-D"
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

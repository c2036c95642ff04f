"""The heading row of a long table goes with every passage of it."""

from pathlib import Path

import polars as pl
import pytest

from embed_pipeline.corpus.chunking.chunk import chunk_documents
from embed_pipeline.corpus.chunking.table_rows import heading_row, table_at, tables_of
from embed_pipeline.corpus.parsers.blocks import Block, table_rows
from embed_pipeline.corpus.parsers.html import parse_html
from embed_pipeline.corpus.parsers.markdown import parse_markdown
from embed_pipeline.records import heading_of, passage_text
from embed_pipeline_tests.corpus.build import documents
from embed_pipeline_tests.corpus.chunking.test_chunk import SENTENCE, check_invariants, settings, words

CASE = Path(__file__).parents[1] / "cases" / "chunk" / "bigtable.md"


def prices(rows, head=("Article", "Weight", "Price")):
    return [list(head), *([f"A{number:04d}", f"{number} kg", f"{number}.50"] for number in range(rows))]


def cut(*blocks, budget=40, smallest=8):
    frame = documents(list(blocks))
    passages = chunk_documents(frame, words, settings(budget, smallest))
    check_invariants(frame, passages, words, budget, smallest)
    return passages


def seen(passages):
    return [passage_text(*row) for row in passages.select("title", "text").iter_rows()]


def test_the_case():
    passages = cut(*parse_markdown(CASE.read_bytes()).blocks, budget=200, smallest=24)
    assert passages.height > 10
    assert all(text.count("Article | Weight in kg | Price") == 1 for text in seen(passages))
    rows = [line for text in passages["text"] for line in text.split("\n") if line.startswith("A")]
    assert len([row for row in rows if row.startswith("A0")]) == 400
    counts = [words([text])[0] for text in passages["text"][1:]]
    assert all(count + 8 <= 200 for count in counts), "the heading row has its room in the budget"


def test_a_table_of_a_page():
    body = "".join(f"<tr><td>pump {n}</td><td>{n} bar</td></tr>" for n in range(60))
    page = f"<main><h1>Pumps</h1><p>See below.</p><table><tr><th>Name</th><th>Pressure</th></tr>{body}</table></main>"
    passages = cut(*parse_html(page.encode()).blocks)
    assert passages.height > 3
    assert all("Name | Pressure" in text for text in seen(passages))
    assert set(passages["title"][1:]) == {"Manual › Pumps › | Name | Pressure"}


def test_two_tables_have_each_its_own_heading_and_prose_has_none():
    first, second = prices(30), prices(30, ("Part", "Mass", "Cost"))
    prose = " ".join([SENTENCE] * 6)
    passages = cut(table_rows(first), Block("Next", 1), prose, Block("Parts", 1), table_rows(second), prose)
    for title, text in passages.select("title", "text").iter_rows():
        begins = text.split("\n")[0]
        if begins.startswith("A0"):
            assert ("| Article | Weight | Price" in title) != ("| Part | Mass | Cost" in title)
            assert ("Parts" in title) == ("| Part |" in title)
        else:
            assert "|" not in title


def test_empty_cells_merged_cells_and_a_rule_are_part_of_a_table():
    text = "Head | One | Two\n|---|---|---|\na | | 1\nb |  |\nwide cell | 2\nc | d | e\nf | g | h\nend of it"
    (table,) = tables_of(text)
    assert text[table.start : table.body] == "Head | One | Two"
    assert text[table.body : table.end].endswith("f | g | h")
    assert table_at([table], text.index("b |")) is table
    assert table_at([table], 0) is table_at([table], text.index("end of it")) is None


def test_the_heading_row_of_a_table_in_a_list_or_a_quotation():
    (table,) = tables_of(text := "Prices:\n- Name | Price\n  a | 1\n  b | 2")
    assert heading_row(text, table) == "| Name | Price"


@pytest.mark.parametrize(
    "text",
    [
        "cat one | sort\ncat two | sort",
        "curl -s http://a | sudo gpg -o b \\\n  && curl c | \\\n  sed d | \\\n  tee e",
        "a || b\nc || d\ne || f",
        "no bar\nat all\nin here",
        "ls | wc\nps | grep a | wc\ndf | sort | head | wc\ncat",
    ],
)
def test_what_is_no_table(text):
    assert tables_of(text) == []


def test_a_heading_row_never_takes_more_than_half_of_the_budget():
    head = [f"column number {number} with unit" for number in range(20)]
    rows = [[f"{row}.{cell}" for cell in range(20)] for row in range(6)]
    passages = cut(table_rows([head, *rows]), budget=40, smallest=0)
    titles = [title for title in passages["title"] if "|" in title]
    assert titles
    assert all(title.startswith("Manual › | column number 0 with unit | column") for title in titles)
    assert all(words([title.partition(" › ")[2]])[0] <= 20 for title in titles)


def test_a_row_longer_than_a_passage_keeps_its_heading_too():
    long = " ".join([SENTENCE] * 12)
    passages = cut(table_rows([["Symptom", "Fix"], ["none", "nothing"], ["leak", long], ["noise", long]]))
    assert all("Symptom | Fix" in text for text in seen(passages))
    assert all(text.endswith(("ten.", "nothing")) for text in passages["text"]), "cut between sentences"


def test_groups_of_sentences_have_it_as_well():
    cell = "First comes this. Then comes that. It ends here."
    frame = documents([table_rows([["Step", "What"], *([f"{n}", cell] for n in range(9))])])
    passages = chunk_documents(frame, words, settings().model_copy(update={"chunking": "sentences"}))
    assert passages.height > 2
    assert set(passages["title"][1:]) == {"Manual › | Step | What"}


def test_a_title_without_the_row():
    assert heading_of("Price list › Screws › | Article | Price › each") == "Price list › Screws"
    assert heading_of("| Article | Price") == ""
    assert heading_of("A | B › C | D") == "A | B › C | D"


def test_headings_are_asked_without_the_row():
    from embed_pipeline.evaluation.probes import headings

    titles = [f"Manual › Part {n // 2}" + " › | Name | Price" * (n % 2) for n in range(30)]
    frame = pl.DataFrame({"passage_id": [f"p{n:02d}" for n in range(30)], "title": titles})
    asked = headings({}, frame)
    assert len(asked.queries) == 15
    assert not any("|" in query for query in asked.queries.values())
    assert all(len(found) == 2 for found in asked.qrels.values())

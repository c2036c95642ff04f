import polars as pl

from embed_pipeline import tables
from embed_pipeline.sdg.candidates import set_aside_frame
from embed_pipeline.sdg.generation.overview import SHOWN, cost_table, set_aside_table, spending_frame

NAMES = ("requests", "prompt_tokens", "completion_tokens", "usd", "estimated", "seconds")
BY_MODEL = {
    "w|riter": dict(zip(NAMES, (4.0, 4000.0, 40.0, 0.5, 1.0, 2.0), strict=True)),
    "judge": dict.fromkeys(NAMES, 0.0),
}


def test_the_ledger_is_a_table_with_a_sum():
    frame = spending_frame(BY_MODEL)
    assert tables.validate(tables.Spending, frame).equals(frame)
    *_, judge, writer, total = cost_table(frame).splitlines()
    assert judge == "| judge | 0 | 0 | 0 | 0.0000 | 0 | 0.00 |"
    assert writer == "| w&#124;riter | 4 | 4,000 | 40 | 0.5000 | 1 | 0.50 |"
    assert total == "| all | 4 | 4,000 | 40 | 0.5000 | 1 | 0.50 |"
    assert spending_frame({}).is_empty()


def test_what_was_lost_is_told_by_cause_with_an_escaped_example():
    rows = [("check questions", f"d{n}.md", f"it cites passage {n} of 2 (question: x{n})") for n in range(3)]
    rows.append(("write questions", "<b>.md", "the model refused: [click](http://x)"))
    shown = set_aside_table(set_aside_frame(rows))
    assert "| check questions | it cites passage of | 3 | d0.md&#58; it cites passage 0 of 2" in shown
    assert "the model refused | 1 |" in shown
    assert "<b>" not in shown and "[click]" not in shown


def test_many_causes_are_cut():
    words = [chr(97 + n // 26) + chr(97 + n % 26) for n in range(SHOWN + 5)]
    shown = set_aside_table(set_aside_frame([("s", "r", word) for word in words]))
    assert "and 5 more causes" in shown
    assert set_aside_table(pl.DataFrame(schema=set_aside_frame([]).schema)).count("\n") == 1

"""The comparison as sentences, Markdown and a chart."""

import pytest
from lxml import etree

from embed_pipeline.evaluation.evaluate import TunedEvaluation, evaluate_base, evaluate_tuned
from embed_pipeline.evaluation.report import (
    comparison_rows,
    markdown_table,
    ordered,
    svg_systems,
    system_rows,
    verdict_lines,
    verdict_sentence,
    verdict_word,
)
from embed_pipeline.settings import EvalSettings
from embed_pipeline_tests.evaluation.helpers import WordEncoder, numbered_set

SETTINGS = EvalSettings(resamples=500)
SVG = "{http://www.w3.org/2000/svg}"
SETS = [numbered_set(36), numbered_set(40, "gold")]


@pytest.fixture(scope="module")
def evaluation() -> TunedEvaluation:
    before = evaluate_base(SETS, WordEncoder([f"topic{i}" for i in range(20)]), SETTINGS)
    return evaluate_tuned(SETS, WordEncoder(["topic13"]), before, SETTINGS)


def test_systems_have_an_order_and_unknown_ones_come_last() -> None:
    assert ordered({"endpoint": 1, "tuned": 1, "tuned@64": 1, "bm25": 1}) == ["bm25", "tuned", "endpoint", "tuned@64"]


def test_every_system_has_a_row_and_one_is_best(evaluation: TunedEvaluation) -> None:
    rows = {row["system"]: row for row in system_rows(evaluation.summary, "gold")}
    assert list(rows) == ["bm25", "base", "hybrid", "convex", "tuned", "hybrid_tuned", "convex_tuned"]
    (best,) = [name for name, row in rows.items() if row["best"]]
    values = {name: row["values"]["ndcg@10"] for name, row in rows.items()}
    assert values[best] == max(values.values())
    assert rows["tuned"]["versus"] is None
    assert rows["base"]["versus"]["delta"] == pytest.approx(values["base"] - values["tuned"], abs=1e-5)
    assert rows["bm25"]["versus"]["delta"] == pytest.approx(values["bm25"] - values["tuned"], abs=1e-5)
    for row in rows.values():
        low, high = row["interval"]
        assert low <= row["values"]["ndcg@10"] <= high


def test_chart_has_a_dot_for_every_system(evaluation: TunedEvaluation) -> None:
    text = svg_systems(evaluation.summary)
    assert len(text.encode()) < 30_000
    chart = etree.fromstring(text.encode())
    assert chart.tag == f"{SVG}svg"
    dots = [(dot.get("class"), float(dot.get("cx"))) for dot in chart.iter(f"{SVG}circle")]
    expected = []
    for test_set in ("synthetic", "gold"):
        means = {name: values["ndcg@10"] for name, values in evaluation.summary["test_sets"][test_set].items()}
        expected.append(("after", means["bm25"]))
        for before, after in (("base", "tuned"), ("hybrid", "hybrid_tuned"), ("convex", "convex_tuned")):
            expected += [("before", means[before]), ("after", means[after])]
    assert [kind for kind, _ in dots] == [kind for kind, _ in expected]
    assert [place for _, place in dots] == pytest.approx([190 + 400 * value for _, value in expected], abs=0.1)
    assert max(float(dot.get("cy")) for dot in chart.iter(f"{SVG}circle")) < float(chart.get("height"))


def test_markdown_holds_every_system_and_every_metric(evaluation: TunedEvaluation) -> None:
    rows = comparison_rows(evaluation.summary)
    assert len(rows) == 40
    assert list(rows[0]) == ["test_set", "metric", "base", "tuned", "delta", "p", "p_corrected", "ci"]
    text = markdown_table(evaluation.summary)
    assert text.startswith("**ship**: The tuned model is significantly better than the base model.")
    assert sum(line.startswith("| gold |") for line in text.splitlines()) == 20
    bold = [line for line in text.splitlines() if line.startswith("| **")]
    assert len(bold) == 2  # the best of each set
    assert all(line.count("**") == 10 for line in bold)


def decision(verdict: str, delta: float, **more: object) -> dict:
    found = {
        "test_set": "synthetic",
        "systems": ["base", "tuned"],
        "before": 0.5,
        "after": 0.5 + delta,
        "delta": delta,
        "ci95": [delta, delta],
        "p": 0.0002,
        "queries": 40,
        "clusters": 12,
        "firm": True,
        "reasons": ["Because."],
        "advice": ["Do this."],
    }
    return {"decision": found | more, "verdict": verdict}


@pytest.mark.parametrize(
    ("verdict", "delta", "words"),
    [
        ("ship", 0.2, "The tuned model is significantly better than the base model."),
        ("no_gain", 0.0, "No gain of the tuned model over the base model could be shown."),
        ("regress", -0.2, "The tuned model is significantly worse than the base model."),
    ],
)
def test_every_verdict_has_plain_words(verdict: str, delta: float, words: str) -> None:
    sentence = verdict_sentence(decision(verdict, delta))
    assert sentence.startswith(f"{words} On the generated questions")
    assert sentence.endswith("p < 0.001; 40 questions in 12 groups).")


def test_a_gain_that_may_not_be_believed_is_not_called_none() -> None:
    sentence = verdict_sentence(decision("no_gain", 0.2, ci95=[0.1, 0.3]))
    assert sentence.startswith(
        "Whether the tuned model is better than the base model cannot be told from these questions."
    )


def test_it_says_whether_it_is_firm_and_what_was_forgotten() -> None:
    assert verdict_word(decision("ship", 0.2)) == "ship"
    assert verdict_word(decision("ship", 0.2, firm=False)) == "ship (provisional)"
    forgotten = decision("ship", 0.2) | {"forgetting": {"blocks": True, "reason": "on general questions much was lost"}}
    assert verdict_lines(forgotten)[1:] == ["Because.", "On general questions much was lost.", "Do this."]

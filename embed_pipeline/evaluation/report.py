"""The comparison for people: table rows, Markdown, a chart, and report.html."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import polars as pl
from markupsafe import Markup

from embed_pipeline.evaluation.compare import DECIDING_METRIC
from embed_pipeline.files import write_text
from embed_pipeline.records import RetrievalSet
from embed_pipeline.store.reports import REPORT

SYSTEMS = ("bm25", "hybrid", "base", "tuned")
CHART_METRICS = ("ndcg@10", "recall@10")
EXAMPLES = 10
_COLOURS = {"bm25": "#b98536", "hybrid": "#8273b8", "base": "#8a94a6", "tuned": "#2b8a78"}
_CHART = {"width": 640, "left": 98, "full": 460}
_MAX_TEXT = 300
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def comparison_rows(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per test set and metric, in the order of the summary.

    Returns:
        ``[{"test_set", "metric", "bm25", "hybrid", "base", "tuned", "delta", "ci": [lo, hi], "p"}]``
    """
    return [
        {
            "test_set": test_set,
            "metric": metric,
            **{system: summary["test_sets"][test_set][system][metric] for system in SYSTEMS},
            "delta": found["delta"],
            "ci": found["ci95"],
            "p": found["p"],
        }
        for test_set, by_metric in summary["comparison"].items()
        for metric, found in by_metric.items()
    ]


def verdict_sentence(summary: Mapping[str, Any]) -> str:
    """The verdict in plain words, with the numbers it rests on."""
    test_set = summary["decision"]["test_set"]
    found = summary["comparison"][test_set][DECIDING_METRIC]
    meaning = {
        "ship": "the tuned model is significantly better than its base",
        "no_gain": "no significant difference between the tuned model and its base could be shown",
        "regress": "the tuned model is significantly worse than its base",
    }[summary["verdict"]]
    low, high = found["ci95"]
    p = p_value(found["p"])
    p = p if p.startswith("<") else f"= {p}"
    return (
        f"{meaning}. On the {test_set} questions nDCG@10 is {score(found['tuned'])} against {score(found['base'])} "
        f"({signed(found['delta'])}, interval {signed(low)} to {signed(high)}, p {p})."
    )


def markdown_table(summary: Mapping[str, Any]) -> str:
    """The verdict and every row of :func:`comparison_rows` as Markdown."""
    lines = [
        f"**{summary['verdict']}**: {verdict_sentence(summary)}",
        "",
        "| test set | metric | BM25 | hybrid | base | tuned | change | interval | p |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in comparison_rows(summary):
        systems = " | ".join(score(row[system]) for system in SYSTEMS)
        interval = f"{signed(row['ci'][0])} to {signed(row['ci'][1])}"
        lines.append(
            f"| {row['test_set']} | {row['metric']} | {systems} | {signed(row['delta'])} | {interval} "
            f"| {p_value(row['p'])} |"
        )
    return "\n".join(lines) + "\n"


def svg_bars(summary: Mapping[str, Any]) -> str:
    """nDCG@10 and recall@10 of every system on every test set as a standalone SVG with its own background."""
    titles, bars, y = [], [], 0
    for test_set, systems in summary["test_sets"].items():
        for metric in CHART_METRICS:
            y += 30
            titles.append({"y": y, "text": f"{metric}, {test_set} questions"})
            y += 10
            for system in SYSTEMS:
                value = systems[system][metric]
                width = round(value * _CHART["full"], 1)
                bars.append({"y": y, "system": system, "value": value, "width": width, "colour": _COLOURS[system]})
                y += 22
    label = "ndcg@10 and recall@10 of BM25, hybrid, base and tuned"
    template = environment().get_template("bars.svg.j2")
    return template.render(**_CHART, height=y + 12, titles=titles, bars=bars, label=label)


def write_report(
    summary: Mapping[str, Any],
    metrics: pl.DataFrame,
    base_scores: pl.DataFrame,
    tuned_scores: pl.DataFrame,
    sets: Sequence[RetrievalSet],
    folder: Path,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write report.html: one file without scripts or references to others, the same bytes for the same input.

    Args:
        summary: of :class:`embed_pipeline.evaluation.evaluate.TunedEvaluation`.
        metrics: :class:`embed_pipeline.tables.Metrics`, for the slices.
        base_scores: :class:`embed_pipeline.tables.QueryMetrics` holding at least the base.
        tuned_scores: the same, holding the tuned model.
        sets: the test sets, for the texts of the questions.
        folder: where report.html goes.
        extra: lines about the model, name -> value.
    """
    rows = comparison_rows(summary)
    slices = metrics.filter(pl.col("slice") != "all").to_dicts()
    test_sets = [
        {
            "name": test_set.name,
            "queries": len(test_set.queries),
            "passages": len(test_set.passages),
            "rows": [row for row in rows if row["test_set"] == test_set.name],
            "slices": [row for row in slices if row["test_set"] == test_set.name],
            **_examples(test_set, base_scores, tuned_scores),
        }
        for test_set in sets
    ]
    page = environment().get_template("report.html.j2")
    html = page.render(
        verdict=summary["verdict"],
        sentence=verdict_sentence(summary),
        chart=Markup(svg_bars(summary)),  # noqa: S704 - escaped by its own template
        test_sets=test_sets,
        has_synthetic="synthetic" in summary["test_sets"],
        extra=dict(extra or {}),
    )
    write_text(folder / REPORT, html)


def score(value: float) -> str:
    """``0.1234``."""
    return f"{value:.4f}"


def signed(value: float) -> str:
    """``+0.1234``, ``-0.1234`` or ``0.0000``."""
    return f"{value:+.4f}" if round(value, 4) else "0.0000"


def p_value(value: float) -> str:
    """``0.012``, or ``< 0.001``."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _examples(
    test_set: RetrievalSet, base_scores: pl.DataFrame, tuned_scores: pl.DataFrame
) -> dict[str, list[dict[str, Any]]]:
    """The questions whose deciding metric changed most, each way."""
    base = _by_query(base_scores, test_set.name, "base")
    tuned = _by_query(tuned_scores, test_set.name, "tuned")
    rows: list[dict[str, Any]] = [
        {
            "text": _shortened(test_set.queries[query]),
            "base": base[query],
            "tuned": tuned[query],
            "delta": tuned[query] - base[query],
        }
        for query in sorted(base)
    ]
    ordered = sorted(rows, key=lambda row: -row["delta"])
    improved = [row for row in ordered if row["delta"] > 0][:EXAMPLES]
    worsened = [row for row in reversed(ordered) if row["delta"] < 0][:EXAMPLES]
    return {"improved": improved, "worsened": worsened}


def _by_query(scores: pl.DataFrame, test_set: str, system: str) -> dict[str, float]:
    chosen = scores.filter(test_set=test_set, system=system, metric=DECIDING_METRIC)
    return dict(chosen.select("query_id", "value").iter_rows())


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


def _printable(value: Any) -> Any:
    """Control characters, which HTML and SVG forbid, become the replacement character."""
    return _CONTROL.sub("\ufffd", value) if isinstance(value, str) and not isinstance(value, Markup) else value


def environment() -> jinja2.Environment:
    """Templates of this folder, with the figures of reports as filters."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("embed_pipeline.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(score=score, signed=signed, p_value=p_value)
    return environment

"""report.html: the evaluation as one page that needs no network.

Its only script is ours, always the same, so that whoever serves the page can allow it by its hash and nothing else.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from embed_pipeline.evaluation.compare import DECIDING_METRIC
from embed_pipeline.evaluation.diagnosis_rows import diagnosis_rows
from embed_pipeline.evaluation.question_rows import question_data
from embed_pipeline.evaluation.report import (
    SHOWN_METRICS,
    comparison_rows,
    environment,
    printable,
    svg_systems,
    system_rows,
    verdict_lines,
    verdict_word,
)
from embed_pipeline.evaluation.report_script import script
from embed_pipeline.files import write_text
from embed_pipeline.records import RetrievalSet
from embed_pipeline.store.reports import REPORT

CURVE = {"width": 300, "height": 120}


@dataclass(frozen=True)
class About:
    """What the page tells besides figures; everything may be left out.

    Attributes:
        model: facts about the model, name -> value.
        funnel: what there was at each step from documents to training rows, in order.
        curves: name -> [(step, value)], of the training.
        versions: rows of (asset, version, stage version, seconds).
        cost: name -> value.
        disputed: as :func:`embed_pipeline.evaluation.disputed.disputed_queries` gives them, with the texts of what
            the systems put first.
    """

    model: Mapping[str, str] = field(default_factory=dict)
    funnel: Mapping[str, int] = field(default_factory=dict)
    curves: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    versions: Sequence[tuple[str, str, str, str]] = ()
    cost: Mapping[str, str] = field(default_factory=dict)
    disputed: Mapping[str, Any] = field(default_factory=dict)


def write_page(
    summary: Mapping[str, Any],
    metrics: pl.DataFrame,
    scores: pl.DataFrame,
    runs: pl.DataFrame,
    sets: Sequence[RetrievalSet],
    folder: Path,
    about: About | None = None,
    diagnosis: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write report.html: one file that loads nothing, the same bytes for the same input.

    Args:
        summary: of :class:`embed_pipeline.evaluation.evaluate.TunedEvaluation`.
        metrics: :class:`embed_pipeline.tables.Metrics`, for the slices.
        scores: :class:`embed_pipeline.tables.QueryMetrics` of every system.
        runs: :class:`embed_pipeline.tables.Runs` with base and tuned.
        sets: the test sets, for the texts.
        folder: where report.html goes.
        diagnosis: of :func:`embed_pipeline.evaluation.diagnosis.diagnose`.
    """
    told = about or About()
    first, *more = verdict_lines(summary)
    data, left_out = question_data(sets, scores, runs)
    slices = metrics.filter((pl.col("slice") != "all") & (pl.col("metric") == DECIDING_METRIC)).to_dicts()
    html = (
        environment()
        .get_template("report.html.j2")
        .render(
            verdict=summary["verdict"],
            word=verdict_word(summary),
            first=first,
            more=more,
            firm=summary["decision"]["firm"],
            chart=Markup(svg_systems(summary)),  # noqa: S704 - escaped by its own template
            shown=SHOWN_METRICS,
            test_sets=[_set_data(summary, one, slices) for one in sets],
            forgetting=summary.get("forgetting"),
            diagnosed=diagnosis_rows(sets, diagnosis or {}),
            fusion=summary.get("fusion"),
            about=told,
            curves=[_curve(name, points) for name, points in told.curves.items() if len(points) > 1],
            most=max(told.funnel.values(), default=0),
            has_synthetic=any(one.kind == "synthetic" for one in sets),
            data=_embedded(data),
            left_out=left_out,
            script=Markup(script()),  # noqa: S704 - ours
        )
    )
    write_text(folder / REPORT, html)


def _set_data(
    summary: Mapping[str, Any], test_set: RetrievalSet, slices: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "name": test_set.name,
        "kind": test_set.kind,
        "queries": summary["queries"][test_set.name],
        "clusters": summary["clusters"][test_set.name],
        "passages": len(test_set.passages),
        "version": summary["test_set_versions"][test_set.name][:12],
        "systems": system_rows(summary, test_set.name),
        "rows": [row for row in comparison_rows(summary) if row["test_set"] == test_set.name],
        "slices": [row for row in slices if row["test_set"] == test_set.name],
    }


def _curve(name: str, points: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """A line within :data:`CURVE`, and what stands at its ends."""
    steps, values = zip(*points, strict=True)
    low, high = min(values), max(values)
    wide, tall = (max(steps) - min(steps)) or 1.0, (high - low) or 1.0
    line = " ".join(
        f"{(step - min(steps)) / wide * CURVE['width']:.1f},{(high - value) / tall * CURVE['height']:.1f}"
        for step, value in points
    )
    return {"name": name, "line": line, "low": f"{low:.3f}", "high": f"{high:.3f}", "steps": int(max(steps)), **CURVE}


def _embedded(data: Any) -> Markup:
    """JSON that may stand in a page: nothing in it can end the element it stands in."""
    text = json.dumps(_printable(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above


def _printable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _printable(one) for name, one in value.items()}
    return [_printable(one) for one in value] if isinstance(value, list) else printable(value)

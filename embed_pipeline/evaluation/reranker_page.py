"""report.html of the reranker: one page that loads nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from embed_pipeline.evaluation.report import environment, svg_systems
from embed_pipeline.evaluation.systems import name_of


def reranker_page(summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """The sentence, a chart, and for each test set every system with its cost.

    Args:
        summary: of :class:`embed_pipeline.evaluation.reranking.RerankedEvaluation`.
        rows: of :class:`embed_pipeline.tables.RerankerMetrics`.
    """
    test_sets = []
    for name, count in summary["queries"].items():
        own = [row for row in rows if row["test_set"] == name]
        best = summary["decisions"][name]["best"]
        test_sets.append(
            {
                "name": name,
                "queries": count,
                "clusters": summary["clusters"][name],
                "rows": [{**row, "name": name_of(row["system"]), "best": row["system"] == best} for row in own],
            }
        )
    return (
        environment()
        .get_template("reranker.html.j2")
        .render(
            sentence=summary["sentence"],
            depth=summary["depth"],
            chart=Markup(svg_systems(summary)),  # noqa: S704 - escaped by its own template
            test_sets=test_sets,
        )
    )

"""The comparison for people: sentences, Markdown, charts; the page is :mod:`embed_pipeline.evaluation.page`."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from embed_pipeline.evaluation.compare import DECIDING_METRIC
from embed_pipeline.evaluation.figures import capital, p_in_words, p_value, score, signed
from embed_pipeline.evaluation.systems import SYSTEMS, name_of, way_of

SHOWN_METRICS = ("ndcg@10", "recall@10", "mrr@10", "ndcg@1")
PAIRS = (
    ("base", "tuned"),
    ("hybrid", "hybrid_tuned"),
    ("convex", "convex_tuned"),
    ("reranked_untrained", "reranked"),
)
"""The same use before and after training: one line of the chart each."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_PLOT = {"left": 190, "width": 400, "right": 150, "row": 34}


def ordered(systems: Mapping[str, Any]) -> list[str]:
    """Names of systems in the order in which they are shown."""
    return [one for one in SYSTEMS if one in systems] + [one for one in systems if one not in SYSTEMS]


def comparison_rows(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tuned against base: one row per test set and metric, in the order of the summary.

    Returns:
        ``[{"test_set", "metric", "base", "tuned", "delta", "ci": [lo, hi], "p", "p_corrected"}]``
    """
    return [
        {
            "test_set": test_set,
            "metric": metric,
            **{name: found[name] for name in ("base", "tuned", "delta", "p", "p_corrected")},
            "ci": found["ci95"],
        }
        for test_set, by_metric in summary["comparison"].items()
        for metric, found in by_metric.items()
    ]


def system_rows(summary: Mapping[str, Any], test_set: str) -> list[dict[str, Any]]:
    """One row per system on a test set.

    Returns:
        ``[{"system", "name", "best", "interval": [lo, hi], "values": {metric: mean}, "versus": {…} | None}]``;
        ``versus`` is the system against the tuned model, None for the tuned model itself.
    """
    systems = summary["test_sets"][test_set]
    best = max(systems, key=lambda one: systems[one][DECIDING_METRIC])
    return [
        {
            "system": system,
            "name": name_of(system),
            "best": system == best,
            "interval": summary.get("intervals", {}).get(test_set, {}).get(system),
            "values": {metric: systems[system][metric] for metric in SHOWN_METRICS if metric in systems[system]},
            "versus": _versus(summary, test_set, system),
        }
        for system in ordered(systems)
    ]


def _versus(summary: Mapping[str, Any], test_set: str, system: str) -> dict[str, Any] | None:
    if system == "base":  # the other way round than it was compared
        found = summary["comparison"][test_set][DECIDING_METRIC]
        low, high = found["ci95"]
        return {"delta": -found["delta"], "ci95": [-high, -low], "p_corrected": found.get("p_corrected", found["p"])}
    found = summary.get("versus", {}).get(test_set, {}).get(system, {}).get(DECIDING_METRIC)
    return None if found is None else {name: found[name] for name in ("delta", "ci95", "p_corrected")}


def verdict_sentence(summary: Mapping[str, Any]) -> str:
    """The verdict in plain words, with the numbers it rests on."""
    decision = summary["decision"]
    before, after = (name_of(system) for system in decision["systems"])
    low, high = decision["ci95"]
    unclear = (
        f"whether {after} is better than {before} cannot be told from these questions"
        if low > 0 or high < 0
        else f"no gain of {after} over {before} could be shown"
    )
    meaning = {
        "ship": f"{after} is significantly better than {before}",
        "no_gain": unclear,
        "regress": f"{after} is significantly worse than {before}",
    }[summary["verdict"]]
    p = p_in_words(decision["p"])
    asked = {"synthetic": "generated"}.get(decision["test_set"], decision["test_set"])
    return (
        f"{capital(meaning)}. On the {asked} questions nDCG@10 is {score(decision['after'])} against "
        f"{score(decision['before'])} ({signed(decision['delta'])}, interval {signed(low)} to {signed(high)}, {p}; "
        f"{decision['queries']} questions in {decision['clusters']} groups)."
    )


def verdict_word(summary: Mapping[str, Any]) -> str:
    """``ship``, or ``ship (provisional)``."""
    return str(summary["verdict"]) + ("" if summary["decision"]["firm"] else " (provisional)")


def verdict_lines(summary: Mapping[str, Any]) -> list[str]:
    """Verdict, reasons and advice, a sentence or two each."""
    decision = summary["decision"]
    forgotten = summary.get("forgetting", {})
    lost = [capital(forgotten["reason"]) + "."] if forgotten.get("blocks") else []
    return [verdict_sentence(summary), *decision["reasons"], *lost, *decision["advice"]]


def markdown_table(summary: Mapping[str, Any]) -> str:
    """Verdict and advice, every system on every test set, and tuned against base, as Markdown; the best in bold."""
    word, first, *more = verdict_word(summary), *verdict_lines(summary)
    lines = [f"**{word}**: {first}", "", *(f"- {line}" for line in more)]
    for test_set in summary["test_sets"]:
        rows = system_rows(summary, test_set)
        metrics = list(rows[0]["values"])
        lines += [
            "",
            f"**{test_set} questions**",
            "",
            f"| system | {' | '.join(metrics)} | against tuned | p corrected |",
        ]
        lines.append(f"| --- | {' | '.join('---:' for _ in metrics)} | ---: | ---: |")
        lines += [_markdown_row(row, metrics) for row in rows]
    lines += [
        "",
        "**Tuned against base**",
        "",
        "| test set | metric | base | tuned | change | interval | p corrected |",
    ]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for row in comparison_rows(summary):
        lines.append(
            f"| {row['test_set']} | {row['metric']} | {score(row['base'])} | {score(row['tuned'])} "
            f"| {signed(row['delta'])} | {signed(row['ci'][0])} to {signed(row['ci'][1])} "
            f"| {p_value(row['p_corrected'])} |"
        )
    return "\n".join(lines) + "\n"


def _markdown_row(row: Mapping[str, Any], metrics: Sequence[str]) -> str:
    bold = "**" if row["best"] else ""
    cells = [f"{bold}{score(row['values'][metric])}{bold}" for metric in metrics]
    versus = row["versus"]
    against = ("", "") if versus is None else (signed(versus["delta"]), p_value(versus["p_corrected"]))
    return f"| {bold}{row['name']}{bold} | {' | '.join([*cells, *against])} |"


def svg_systems(summary: Mapping[str, Any]) -> str:
    """nDCG@10 of every system on every test set as a standalone SVG with its own background.

    A line for each way of use: a ring before training, a dot after it, a bar between them, thin lines for the
    intervals.
    """
    groups, y = [], 0
    for test_set in summary["test_sets"]:
        y += 34
        title = {"y": y, "text": f"nDCG@10, {test_set} questions"}
        lines = []
        for line in _chart_lines(summary, test_set):
            y += _PLOT["row"]
            lines.append(line | {"y": y})
        groups.append({"title": title, "lines": lines})
        y += 14
    template = environment().get_template("systems.svg.j2")
    return template.render(**_PLOT, height=y + 42, groups=groups, ticks=[0, 0.2, 0.4, 0.6, 0.8, 1.0])


def _chart_lines(summary: Mapping[str, Any], test_set: str) -> list[dict[str, Any]]:
    """The lines of the chart: single systems have ``before`` None."""
    systems, intervals = summary["test_sets"][test_set], summary["intervals"][test_set]
    best = max(systems, key=lambda one: systems[one][DECIDING_METRIC])

    def point(system: str) -> dict[str, Any]:
        low, high = intervals.get(system, (None, None))
        return {"value": systems[system][DECIDING_METRIC], "low": low, "high": high, "best": system == best}

    pairs = [pair for pair in PAIRS if all(one in systems for one in pair)]
    paired = {one for pair in pairs for one in pair}
    alone = [one for one in ordered(systems) if one not in paired]

    def line(before: str | None, after: str) -> dict[str, Any]:
        told = name_of(after) if before is None else f"{name_of(before)}; {name_of(after)}"
        earlier = None if before is None else point(before)
        return {"label": way_of(before or after), "told": told, "before": earlier, "after": point(after)}

    first = [line(None, one) for one in alone if one == "bm25"]
    return [*first, *(line(*pair) for pair in pairs), *(line(None, one) for one in alone if one != "bm25")]


def printable(value: Any) -> Any:
    """Control characters, which HTML and SVG forbid, become the replacement character."""
    return _CONTROL.sub("\ufffd", value) if isinstance(value, str) and not isinstance(value, Markup) else value


def environment() -> jinja2.Environment:
    """Templates of this folder, with the figures of reports as filters."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("embed_pipeline.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(score=score, signed=signed, p_value=p_value)
    return environment

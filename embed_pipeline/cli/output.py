"""What the command line prints: progress, tables, JSON."""

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from embed_pipeline.progress import reporting
from embed_pipeline.stages.plan import PlanStep

METRICS = ("ndcg", "recall", "precision", "map")
PIPE_WIDTH = 160
_LINE_ENDS = re.compile(r"[\t-\r\x1c-\x1e\x85\u2028\u2029]")
_COMMANDS = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, marks and overrides of the direction, halves of surrogate pairs."""


def out() -> Console:
    """Standard output; tables keep their width when it is a file or a pipe."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def err() -> Console:
    """Standard error: progress and messages."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def printable(text: str) -> str:
    """Untrusted text on one line of a terminal: nothing in it moves the cursor, colours, or turns the direction."""
    return " ".join(_COMMANDS.sub("", _LINE_ENDS.sub(" ", text)).split())


def announce_page(what: str, url: str, as_json: bool, open_browser: bool) -> None:
    """Say where a page is served, and open it if asked."""
    import webbrowser

    if as_json:
        sys.stdout.write(json.dumps({"url": url}) + "\n")
        sys.stdout.flush()
    else:
        sys.stderr.write(f"{what}: {url}    (Ctrl-C stops it)\n")
        sys.stderr.flush()
    if open_browser:
        webbrowser.open(url)


class TerminalReporter:
    """Bars on a terminal; plain lines elsewhere, one per finished piece of work and every 15 s in between."""

    def __init__(self) -> None:
        self.console = err()
        self._lines: dict[int, dict[str, Any]] = {}
        self._progress: Progress | None = None
        if self.console.is_terminal:
            self._progress = Progress(
                TextColumn("  {task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self.console,
                transient=True,
            )
            self._progress.start()

    def start(self, name: str, total: int | None) -> object:
        if self._progress is not None:
            return self._progress.add_task(name, total=total, note="")
        return {"name": name, "total": total, "began": time.monotonic(), "said": time.monotonic()}

    def update(self, handle: object, done: int, note: str = "") -> None:
        if self._progress is not None:
            assert isinstance(handle, int)
            self._progress.update(TaskID(handle), completed=done, note=note)
            return
        assert isinstance(handle, dict)
        now = time.monotonic()
        if now - handle["said"] >= 15.0:
            handle["said"] = now
            total = handle["total"]
            left = f", about {(now - handle['began']) / done * (total - done):.0f} s left" if total and done else ""
            self.console.print(
                f"  {handle['name']}: {done}/{total or '?'}{left}{', ' + note if note else ''}", markup=False
            )

    def finish(self, handle: object) -> None:
        if self._progress is not None:
            assert isinstance(handle, int)
            self._progress.remove_task(TaskID(handle))

    def message(self, text: str) -> None:
        self.console.print(text, markup=False)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()


@contextmanager
def terminal_reporting() -> Iterator[None]:
    """Progress of everything inside the block goes to the terminal."""
    reporter = TerminalReporter()
    try:
        with reporting(reporter):
            yield
    finally:
        reporter.close()


def plan_table(steps: Mapping[str, PlanStep], names: Sequence[str]) -> Table:
    """What would run, and why."""
    table = Table("asset", "group", "would", "because", box=None, header_style="bold")
    for name in names:
        step = steps[name]
        table.add_row(name, step.stage.group, step.action, "; ".join(step.reasons))
    return table


def status_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Every asset: fresh, stale (why), missing."""
    table = Table("asset", "group", "state", "version", "computed", "why", box=None, header_style="bold")
    colours = {"fresh": "green", "stale": "yellow", "missing": "red"}
    for row in rows:
        table.add_row(
            row["asset"],
            row["group"],
            f"[{colours[row['state']]}]{row['state']}[/]",
            (row["version"] or "")[:12],
            row["computed_at"] or "",
            "; ".join(row["reasons"]),
        )
    return table


def system_tables(summary: Mapping[str, Any]) -> list[Table]:
    """Every system, one table per test set; the best in bold."""
    from embed_pipeline.evaluation.figures import p_value, signed
    from embed_pipeline.evaluation.report import system_rows

    tables = []
    for test_set in summary["test_sets"]:
        rows = system_rows(summary, test_set)
        metrics = list(rows[0]["values"])
        table = Table(
            "system", *metrics, "against tuned", Column("interval", no_wrap=True), "p corrected",
            title=f"{test_set} questions", title_justify="left", box=None, header_style="bold",
        )  # fmt: skip
        for row in rows:
            versus = row["versus"]
            against = ("", "", "")
            if versus is not None:
                low, high = versus["ci95"]
                interval = f"{signed(low)} to {signed(high)}"
                against = (signed(versus["delta"]), interval, p_value(versus["p_corrected"]))
            cells = (row["name"], *(_cell(row["values"].get(metric)) for metric in metrics), *against)
            table.add_row(*cells, style="bold" if row["best"] else None)
        tables.append(table)
    return tables


def comparison_tables(summary: Mapping[str, Any]) -> list[Table]:
    """Tuned against base at every metric, one table per test set."""
    tables = []
    for test_set in summary["test_sets"]:
        table = Table(
            "metric", "base", "tuned", "delta", Column("interval", no_wrap=True), "p corrected",
            title=f"{test_set} questions, tuned against base", title_justify="left", box=None, header_style="bold",
        )  # fmt: skip
        compared = summary["comparison"][test_set]
        for metric in _ordered(compared):
            row = compared[metric]
            low, high = row["ci95"]
            p = row.get("p_corrected", row["p"])
            colour = ("green" if row["delta"] > 0 else "red") if p < 0.05 else "default"
            table.add_row(
                metric,
                _cell(row["base"]),
                _cell(row["tuned"]),
                f"[{colour}]{row['delta']:+.4f}[/]",
                f"[{low:+.4f}, {high:+.4f}]".replace("[", "\\["),
                f"{p:.4f}",
            )
        tables.append(table)
    return tables


def print_verdict(summary: Mapping[str, Any]) -> None:
    """The verdict, what it rests on, and what to do, in plain lines."""
    from embed_pipeline.evaluation.report import verdict_lines, verdict_word

    if "decision" not in summary:  # measured by an earlier version
        out().print(f"\nverdict: {summary['verdict']}", markup=False)
        return
    out().print(f"\nverdict: {verdict_word(summary)}", markup=False)
    for line in verdict_lines(summary):
        out().print(f"  {line}", markup=False, soft_wrap=True)


def sweep_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The trainings of a sweep; the best on validation is marked."""
    test_set = rows[0]["test_set"]
    table = Table(
        "training", "learning rate", "epochs", "share", "steps", "kept", "loss", "validation", f"{test_set}",
        Column("interval against base", no_wrap=True), "p", "seconds",
        title="nDCG@10; chosen on validation", title_justify="left", box=None, header_style="bold",
    )  # fmt: skip
    for row in rows:
        mark = "[green]" if row["best"] else ""
        table.add_row(
            f"{mark}{row['variant']}",
            f"{row['learning_rate']:g}",
            str(row["epochs"]),
            f"{row['training_share']:.0%}",
            str(row["steps"]),
            str(row["best_step"]),
            f"{row['final_loss']:.4f}",
            f"{mark}{row['validation']:.4f}",
            f"{row['test']:.4f}",
            f"[{row['ci_low']:+.4f}, {row['ci_high']:+.4f}]".replace("[", "\\["),
            f"{row['p']:.4f}",
            f"{row['seconds']:.0f}",
        )
    return table


def _ordered(compared: Mapping[str, Any]) -> list[str]:
    names = [name for name in compared if name.split("@")[0] in METRICS]
    return sorted(names, key=lambda name: (METRICS.index(name.split("@")[0]), int(name.split("@")[1])))


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"

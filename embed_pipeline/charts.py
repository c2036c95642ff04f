"""Small charts as Markdown images for the web UI (SVG data URIs of at most 30 kB), and Markdown of untrusted text."""

import base64
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE_INCHES = (6.0, 3.0)
BAR_INCHES = 0.28
LARGEST_BYTES = 30_000
MOST_POINTS = 300
_ACTIVE = re.compile(r"([\\`*_{}\[\]()#+!|~<>&$:@^=-])")


def escaped(text: object, most: int | None = None) -> str:
    """Untrusted text for one line or table cell of Markdown: nothing in it is markup, a link or HTML.

    Args:
        most: characters kept; what is cut ends in an ellipsis.
    """
    line = " ".join(str(text).split())
    if most is not None and len(line) > most:
        line = line[: most - 1] + "…"
    return _ACTIVE.sub(lambda match: f"&#{ord(match[1])};", line)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; the cells stand as they are (see :func:`escaped`), numbers to the right."""
    numeric = [bool(rows) and all(isinstance(row[place], int | float) for row in rows) for place in range(len(header))]
    lines = [header, ["---:" if right else "---" for right in numeric]]
    lines += [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def svg_markdown(name: str, svg: str) -> str:
    """An SVG document as a Markdown image."""
    encoded = base64.b64encode(svg.encode("utf-8")).decode("ascii")
    return f"![{name}](data:image/svg+xml;base64,{encoded})"


def histogram(name: str, values: Mapping[str, Sequence[float]], label: str, bins: int = 24) -> str:
    """Overlaid histograms, one per named series, as a Markdown image; a note when there is nothing to show."""
    shown = {series: list(numbers) for series, numbers in values.items() if len(numbers)}
    if not shown:
        return f"{name}: no values"
    low = min(min(numbers) for numbers in shown.values())
    high = max(max(numbers) for numbers in shown.values())

    def draw(axes: "Axes") -> None:
        for series, numbers in shown.items():
            counts, edges = np.histogram(numbers, bins, (low, high if high > low else low + 1))
            axes.stairs(counts, edges, fill=True, alpha=0.6, label=series)
        axes.set_xlabel(label)
        axes.set_ylabel("count")
        axes.legend()

    return _draw(name, draw)


def lines(name: str, series: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str) -> str:
    """Line chart of (x, y) points per named series as a Markdown image."""
    shown = {label: list(points) for label, points in series.items() if len(points)}
    if not shown:
        return f"{name}: no values"

    def draw(axes: "Axes") -> None:
        for label, points in shown.items():
            step = math.ceil(len(points) * len(shown) / MOST_POINTS)
            kept = points[::-step][::-1]  # with the last point
            axes.plot(
                [point[0] for point in kept], [point[1] for point in kept], marker="." * (len(kept) < 40), label=label
            )
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.legend()

    return _draw(name, draw)


def bars(name: str, values: Mapping[str, float], label: str) -> str:
    """Horizontal bars as a Markdown image."""
    if not values:
        return f"{name}: no values"

    def draw(axes: "Axes") -> None:
        names = list(values)[::-1]
        drawn = axes.barh(names, [values[item] for item in names])
        axes.bar_label(drawn, [f"{values[item]:,.6g}" for item in names], padding=2, fontsize=8)
        axes.margins(x=0.12)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(label)

    return _draw(name, draw, max(SIZE_INCHES[1], 1 + BAR_INCHES * len(values)))


def _draw(name: str, draw: "Callable[[Axes], None]", height: float = SIZE_INCHES[1]) -> str:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.size": 9, "text.parse_math": False}):
        figure = Figure(figsize=(SIZE_INCHES[0], height), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.set_title(name)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    markdown = svg_markdown(name, _smaller(buffer.getvalue()))
    return markdown if len(markdown) <= LARGEST_BYTES else f"{name}: too large to show here"


_UNSEEN = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
_PATH = re.compile(r'\bd="[^"]*"')
_DECIMALS = re.compile(r"(\.\d\d)\d+")


def _smaller(svg: str) -> str:
    """Without comments, metadata and indentation; paths to a hundredth of a point."""
    shown = re.sub(r"\s*\n\s*", " ", _UNSEEN.sub("", svg))
    return _PATH.sub(lambda path: _DECIMALS.sub(r"\1", path[0]), shown)

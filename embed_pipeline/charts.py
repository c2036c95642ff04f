"""Small charts as Markdown images for the web UI (SVG data URIs of at most 30 kB)."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE_INCHES = (6.0, 3.0)
LARGEST_BYTES = 30_000


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
            axes.hist(numbers, bins=bins, range=(low, high if high > low else low + 1), alpha=0.6, label=series)
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
            step = max(1, len(points) // 300)
            kept = points[::step]
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
        axes.barh(names, [values[item] for item in names])
        axes.set_xlabel(label)

    return _draw(name, draw)


def _draw(name: str, draw: "Callable[[Axes], None]") -> str:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.set_title(name)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    return svg_markdown(name, svg) if len(svg) <= LARGEST_BYTES else f"{name}: too large to show here"

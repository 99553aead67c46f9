"""Plots as inline SVG. Their colours are the page's CSS variables, so that they follow light and dark."""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from components.evaluate.results import Reliability
from pipeline.report.statistics import Bar

# Matplotlib knows no CSS variables: it draws in these colours, which are then replaced.
_COLOURS: Final[Mapping[str, str]] = {
    "retrieve": "#010201",
    "recommend": "#010202",
    "baseline": "#010203",
    "own": "#01020a",
    "ials": "#01020b",
    "knn": "#01020c",
    "text": "#010204",
    "muted": "#010205",
    "surface": "#01020d",
    "grid": "#010206",
    "train": "#010207",
    "eval": "#010208",
    "test": "#010209",
}
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "westwork",
    # A dollar sign in the user's data is no mathematics.
    "text.parse_math": False,
    "font.size": 10,
    "text.color": _COLOURS["text"],
    "axes.edgecolor": _COLOURS["grid"],
    "axes.labelcolor": _COLOURS["muted"],
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": _COLOURS["muted"],
    "ytick.color": _COLOURS["muted"],
    "grid.color": _COLOURS["grid"],
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
_METADATA: Final = {"Date": None, "Creator": None, "Format": None, "Type": None}
_WIDTH: Final = 4.4
"""Inches. Plots are shown about this wide, on any screen, so that their text stays legible."""

_APART: Final = 1.14
"""Between the middles of two funnels, whose widest bars are 1."""
_THICK: Final = 0.62
"""Of a funnel's bars, whose middles are 1 apart."""

Series = tuple[str, str, Sequence[float]]
"""Label, name of a colour, and values."""


def bars(title: str, groups: Sequence[str], series: Sequence[Series]) -> Markup:
    """Groups of horizontal bars, each with its value.

    Args:
        title: Of the plot.
        groups: Labels of the groups, from the top.
        series: One bar of each goes into each group; NaN leaves it out.
    """
    with _figure(title, _WIDTH, 0.6 + len(groups) * (0.12 + 0.19 * len(series))) as (figure, axes):
        thickness = 0.82 / len(series)
        for number, (_, colour, values) in enumerate(series):
            places = [group + (number - (len(series) - 1) / 2) * thickness for group in range(len(groups))]
            drawn = [0.0 if math.isnan(value) else value for value in values]
            axes.barh(places, drawn, thickness * 0.9, color=_COLOURS[colour])
            for place, value in zip(places, values, strict=True):
                text, end = ("–", 0.0) if math.isnan(value) else (f"{value:.3f}", value)
                axes.annotate(
                    text, (end, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8.5
                )
        axes.set_yticks(range(len(groups)), groups, color=_COLOURS["text"])
        axes.invert_yaxis()
        axes.margins(x=0.14)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    return _svg(figure, title)


def columns(title: str, groups: Sequence[str], series: Sequence[Series], *, from_zero: bool = True) -> Markup:
    """Groups of vertical bars; or of points, where zero is no natural start.

    Args:
        title: Of the plot.
        groups: Labels of the groups, from the left; may have two lines.
        series: One bar or point of each goes into each group; NaN leaves it out.
        from_zero: Whether bars, from zero, are drawn.
    """
    with _figure(title, _WIDTH, 2.5) as (figure, axes):
        for number, (_, colour, values) in enumerate(series):
            shift = (number - (len(series) - 1) / 2) * 0.8 / len(series)
            places = [group + shift for group in range(len(groups))]
            if from_zero:
                axes.bar(places, values, 0.8 / len(series) * 0.9, color=_COLOURS[colour])
            else:
                axes.plot(places, values, "o", markersize=7, color=_COLOURS[colour])
        axes.set_xticks(range(len(groups)), groups, color=_COLOURS["text"])
        axes.set_xlim(-0.6, len(groups) - 0.4)
        axes.tick_params(axis="x", length=0)
        _grid(axes)
        if not from_zero:
            axes.margins(y=0.15)
    return _svg(figure, title)


def curves(title: str, series: Sequence[Series], before: float | None = None) -> Markup:
    """Values epoch by epoch.

    Args:
        title: Of the plot.
        series: Values of epoch 1, 2 and so on.
        before: A level to draw: the value before the first epoch, where training goes on from something.
    """
    with _figure(title, _WIDTH, 2.4) as (figure, axes):
        for label, colour, values in series:
            epochs = range(1, len(values) + 1)
            axes.plot(epochs, values, "o-", markersize=3, color=_COLOURS[colour], label=label)
        if before is not None:
            axes.axhline(before, color=_COLOURS["muted"], linewidth=1, linestyle="dashed", label="before")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        _grid(axes)
        if len(series) > 1 or before is not None:
            axes.legend(labelcolor=_COLOURS["text"])
    return _svg(figure, title)


def tradeoff(
    title: str, axis: str, points: Sequence[tuple[float, float]], chosen: int | None, target: float
) -> Markup:
    """A share reached by what it costs, on a logarithmic axis.

    Args:
        title: Of the plot.
        axis: What the cost is.
        points: Cost and share.
        chosen: Number of the point that is marked.
        target: A level to draw.
    """
    with _figure(title, _WIDTH, 2.4) as (figure, axes):
        costs, shares = zip(*points, strict=True)
        axes.axhline(target, color=_COLOURS["muted"], linewidth=1, linestyle="dashed")
        axes.plot(costs, shares, "o-", markersize=3, color=_COLOURS["retrieve"])
        if chosen is not None:
            axes.plot(*points[chosen], "o", markersize=8, color=_COLOURS["recommend"])
        axes.set_xscale("log")
        axes.set_xlabel(axis)
        # Labels such as 0.5 rather than powers of ten; few, for they are wide.
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: f"{cost:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        _grid(axes)
    return _svg(figure, title)


def reliability(title: str, reliability: Reliability) -> Markup:
    """What was predicted against what came true, a point a bin, with its 95% confidence interval.

    The interval is Wilson's (JASA 1927), which stays within 0 and 1 and says something of a bin without any.

    Args:
        title: Of the plot.
        reliability: The bins.
    """
    with _figure(title, _WIDTH, 3.2) as (figure, axes):
        low, high = _wilson(reliability.observed, reliability.counts)
        most = max(1e-6, *reliability.predicted, *high) if len(reliability.counts) else 1.0
        # Probabilities that reach past a half are shown on the whole scale.
        most = 1.0 if most > 0.5 else 1.05 * most
        axes.plot([0, most], [0, most], color=_COLOURS["muted"], linewidth=1, linestyle="dashed")
        axes.vlines(reliability.predicted, low, high, color=_COLOURS["recommend"], linewidth=1.4, alpha=0.6)
        axes.plot(
            reliability.predicted, reliability.observed, "o-", markersize=4.5, linewidth=1.2,
            color=_COLOURS["recommend"],
        )  # fmt: skip
        axes.set_xlim(0, most)
        axes.set_ylim(0, most)
        axes.set_xlabel("predicted probability")
        axes.set_ylabel("share that came true")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
        _grid(axes)
    return _svg(figure, title)


def _wilson(share: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bounds of shares' 95% confidence intervals."""
    z = 1.96
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return middle - half, middle + half


def funnel(title: str, stages: Sequence[str], series: Sequence[Series]) -> Markup:
    """What is left at each stage, as bars in the middle of which the next stage's begins.

    Args:
        title: Of the plot.
        stages: Labels from the top, of one or two lines.
        series: Shares that are left at the stages, of each a funnel beside the others.
    """
    with _figure(title, _WIDTH, 0.8 + 0.68 * len(stages)) as (figure, axes):
        for number, (_, colour, shares) in enumerate(series):
            middle = _APART * number
            for place, share in enumerate(shares):
                axes.barh(place, share, _THICK, left=middle - share / 2, color=_COLOURS[colour])
                _write_share(axes, share, middle, place)
            for place, (share, left_of_it) in enumerate(itertools.pairwise(shares)):
                halves = np.array([share, left_of_it]) / 2
                between = [place + _THICK / 2, place + 1 - _THICK / 2]
                axes.fill_betweenx(
                    between, middle - halves, middle + halves, color=_COLOURS[colour], alpha=0.25, linewidth=0
                )
        axes.set_yticks(range(len(stages)), stages, color=_COLOURS["text"])
        axes.set_xticks([_APART * n for n in range(len(series))], [label for label, _, _ in series])
        axes.set_xlim(-0.54, _APART * (len(series) - 1) + 0.54)
        axes.xaxis.tick_top()
        axes.invert_yaxis()
        axes.tick_params(axis="both", length=0)
        axes.tick_params(axis="x", labelcolor=_COLOURS["text"])
        for spine in axes.spines.values():
            spine.set_visible(False)
    return _svg(figure, title)


def _write_share(axes: Axes, share: float, middle: float, place: int) -> None:
    """A share into its bar, or beside one that is too small for it."""
    inside = share > 0.35
    axes.annotate(
        f"{share:.1%}",
        (middle if inside else middle + share / 2, place),
        xytext=(0 if inside else 4, 0),
        textcoords="offset points",
        va="center",
        ha="center" if inside else "left",
        color=_COLOURS["surface" if inside else "text"],
        fontweight="bold" if inside else "normal",
    )


def timeline(title: str, splits: Mapping[str, Sequence[Bar]]) -> Markup:
    """How many interactions there were a day.

    Args:
        title: Of the plot.
        splits: Histogram of the timestamps (seconds since 1970 UTC) of each split, oldest first.
    """
    with _figure(title, 2.2 * _WIDTH, 2.4) as (figure, axes):
        for split, ranges in splits.items():
            # A range of no width is a single moment: a day shows it.
            days = [max((bar.high - bar.low) / 86_400, 1.0) for bar in ranges]
            rates = [bar.count / length for bar, length in zip(ranges, days, strict=True)]
            starts = [bar.low / 86_400 for bar in ranges]
            colour = _COLOURS[split if split in _COLOURS else "train"]
            axes.bar(starts, rates, days, align="edge", color=colour, label=split)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda day, _: _date(day * 86_400)))
        axes.set_ylabel("a day")
        _grid(axes)
        axes.legend(labelcolor=_COLOURS["text"], loc="upper left", ncols=len(splits))
    return _svg(figure, title)


def sparkline(title: str, heights: Sequence[float]) -> Markup:
    """A histogram of a few bars without axes.

    Args:
        title: Read out instead of the plot.
        heights: Of the bars, from the left.
    """
    with _figure("", 1.7, 0.42) as (figure, axes):
        axes.bar(range(len(heights)), heights, 0.88, color=_COLOURS["retrieve"])
        axes.set_axis_off()
        axes.set_xlim(-0.6, max(len(heights), 10) - 0.4)
        axes.set_position((0, 0.02, 1, 0.98))
    return _svg(figure, title)


@contextmanager
def _figure(title: str, width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one pair of axes, in the report's style until the context ends."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        if title:
            axes.set_title(title)
        yield figure, axes


def _grid(axes: Axes) -> None:
    axes.grid(axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%d %b %Y}"


def _svg(figure: Figure, title: str) -> Markup:
    """The figure as an element of the page: no prologue, no fixed size, a name for screen readers."""
    drawn = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(drawn, format="svg", metadata=_METADATA, transparent=True)
    text = drawn.getvalue()
    text = text[text.index("<svg") :]
    for name, colour in _COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    # The page's own font; naming matplotlib's with every word would be half of the page.
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    width = figure.get_figwidth() * 96
    opening = f'<svg class="plot" role="img" style="max-width: {width:.0f}px" viewBox='
    text = re.sub(r"<svg .*?viewBox=", opening, text, count=1, flags=re.DOTALL)
    # Groups are numbered in each figure anew; on one page these ids would clash, and nothing refers to them.
    text = _without_unused_ids(re.sub(r"<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL))
    heading = str(Markup("<title>{}</title>").format(title))
    return Markup(text.replace(">", f">{heading}", 1))


def _without_unused_ids(text: str) -> str:
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))

    def kept(found: re.Match[str]) -> str:
        return found.group() if found[1] in used else ""

    return re.sub(r' id="([^"]*)"', kept, text)

"""A search as a plot: how trials went, and what each setting did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from pipeline.tune.config import Interval
from pipeline.tune.trials import Trial, in_yaml, ranked
from pipeline.tune.view import short_names

PLOT: Final = "trials.svg"
"""Name of the plot in a search's folder."""
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "westwork",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
}
_COLUMNS: Final = 3
_BEST, _DONE, _PRUNED, _FIRST = "#c1440e", "#3b6ea5", "#b8c4d0", "#222222"


def write_plot(
    path: Path, title: str, trials: Sequence[Trial], ranges: Mapping[str, Interval | tuple[Any, ...]]
) -> None:
    """Draws recall@100 by epoch, and against each setting; one SVG that needs nothing beside it.

    Args:
        path: Where to.
        title: The domain's title.
        trials: All trials; failed ones are left out.
        ranges: What was searched.
    """
    order = ranked(trials)
    rows = math.ceil((1 + len(ranges)) / _COLUMNS)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4 * _COLUMNS, 2.8 * rows + 0.4), layout="constrained")
        FigureCanvasSVG(figure)
        figure.suptitle(f"{title}: recall@100 on the eval split, {len(order)} trials")
        places = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
        _draw_curves(places[0], order)
        for axes, (key, name) in zip(places[1:], short_names(list(ranges)).items(), strict=False):
            _draw_setting(axes, key, name, ranges[key], order)
        for axes in places[1 + len(ranges) :]:
            axes.set_axis_off()
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _draw_curves(axes: Axes, order: Sequence[Trial]) -> None:
    for trial in reversed(order):
        epochs = range(1, len(trial.curve) + 1)
        marker = "." if len(trial.curve) == 1 else None
        axes.plot(epochs, trial.curve, color=_colour(trial, order), marker=marker, linewidth=1.3)
    axes.set_title("by epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for label, colour in (("best", _BEST), ("as in the file", _FIRST), ("other", _DONE), ("pruned", _PRUNED)):
        axes.plot([], [], color=colour, label=label)
    axes.legend(fontsize=8, loc="lower right")


def _draw_setting(
    axes: Axes, key: str, name: str, values: Interval | tuple[Any, ...], order: Sequence[Trial]
) -> None:
    """One dot a trial; values of a list stand side by side, in the list's order."""
    axes.set_title(name)
    if isinstance(values, Interval):
        shown = [trial.settings[key] for trial in order]
        if values.log and all(value and value > 0 for value in shown):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_locator(NullLocator())
    else:
        labels = list(dict.fromkeys(in_yaml(_plain(value)) for value in values))
        # The first trial's may be another one.
        labels += [
            label for label in {in_yaml(trial.settings[key]) for trial in order} if label not in labels
        ]
        shown = [labels.index(in_yaml(trial.settings[key])) for trial in order]
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlim(-0.5, len(labels) - 0.5)
    colours = [_colour(trial, order) for trial in order]
    axes.scatter(shown, [trial.recall_at_100 or 0.0 for trial in order], c=colours, s=22)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _colour(trial: Trial, order: Sequence[Trial]) -> str:
    if trial.number == order[0].number:
        return _BEST
    if trial.number == 1:
        return _FIRST
    return _PRUNED if trial.state == "pruned" else _DONE

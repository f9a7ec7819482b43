"""Figures of a reproduced table beside the thesis's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import stats

from grandpp.studies.thesis.printed import SPLITS
from grandpp.studies.thesis.reproduced_cells import Paired, Reproduced, Reproduction
from grandpp.training.figures import check_picture, line_styles, save_figure

# Share of the distance between two ticks over which the models are spread.
_SPREAD = 0.5
_AXES = {"labels": "labelled nodes per class", "depth": "integration time T, or layers"}


@dataclass(frozen=True)
class _Row:
    """A row of panels.

    Args:
        title: What stands before their titles.
        cells: Our accuracies in it.
        pairs: Its paired differences.
        ticks: Place on the axis of every data set and number of labels or depth.
        names: Names of the places, from the left.
        axis: Title of the axis.
        joined: Whether neighbouring places are joined by a line.
    """

    title: str
    cells: Sequence[Reproduced]
    pairs: Sequence[Paired]
    ticks: Mapping[tuple[str, float], int]
    names: Sequence[str]
    axis: str
    joined: bool


def draw_reproduction(reproduction: Reproduction, path: Path) -> None:
    """Draw accuracies and paired differences, one row of panels per data set.

    On the left lines are ours and hollow markers the thesis's, both with 95 % t-intervals of the
    mean over splits; on the right the paired difference to the baseline with its interval, filled
    where Holm's corrected p is below 0.05. Data sets without pairs have no panel there. Where all
    data sets with a single number of labels, or depth, have the same one, they share a row with
    their names on its axis.

    Args:
        reproduction: The table.
        path: Where the picture goes; it appears whole or not at all.

    Raises:
        ValueError: If the folder is missing or the ending is no format of matplotlib.
        OSError: If the picture cannot be written.
    """
    check_picture(path)
    cells = [c for c in reproduction.cells if c.runs]
    models = list(dict.fromkeys(c.model for c in cells))
    styles = dict(zip(models, line_styles(), strict=False))
    rows = _rows(reproduction, cells)
    tested = any(row.pairs for row in rows)
    columns = 2 if tested else 1
    widest = max([1.0, *(len(row.names) / 5 for row in rows)])
    figure = Figure(
        figsize=(2.0 + 4.75 * columns * widest, 0.8 + 3.8 * max(1, len(rows))), layout="constrained"
    )
    for i, row in enumerate(rows):
        left = figure.add_subplot(len(rows), columns, columns * i + 1)
        panels = [left]
        ours = "lines" if row.joined else "filled"
        _accuracies(left, row, styles)
        beside = any(c.thesis is not None and c.thesis.mean for c in row.cells)
        left.set(title=f"{row.title}: ours ({ours})" + (", thesis (hollow)" if beside else ""),
                 ylabel="test accuracy (%)")  # fmt: skip
        if row.pairs:
            right = figure.add_subplot(len(rows), columns, columns * i + 2)
            panels.append(right)
            _differences(right, row, styles)
            right.set(title=f"{row.title}: ours, paired",
                      ylabel=f"difference to {reproduction.layout.baseline} (points)")  # fmt: skip
        for axes in panels:
            axes.set_xticks(range(len(row.names)), row.names)
            axes.set(xlim=(-0.5, len(row.names) - 0.5), xlabel=row.axis)
            axes.grid(alpha=0.3)
    handles = [
        Line2D([], [], label=model, **_joined(styles[model], any(row.joined for row in rows)))
        for model in models
    ]
    figure.legend(handles=handles, loc="outside right upper", frameon=False)
    filled = "\non the right filled where Holm's corrected p < 0.05" if tested else ""
    figure.suptitle(f"Thesis Table {reproduction.layout.table}, protocol {reproduction.protocol}; "
                    f"bars: 95 % intervals{filled}", fontsize=10, x=0.01, ha="left")  # fmt: skip
    # The version of matplotlib would change the bytes of an unchanged picture.
    metadata = {"Software": None} if path.suffix.lower() == ".png" else None
    save_figure(figure, path, dpi=120, metadata=metadata)


def _rows(reproduction: Reproduction, cells: Sequence[Reproduced]) -> list[_Row]:
    datasets = list(dict.fromkeys(c.dataset for c in cells))
    tested = [p for p in reproduction.paired if p.best.difference is not None]
    axis = _AXES[reproduction.layout.axis]
    places = {name: sorted({c.at for c in cells if c.dataset == name}) for name in datasets}
    single = [name for name in datasets if len(places[name]) == 1]
    rows = []
    if len(single) > 1 and len({places[name][0] for name in single}) == 1:
        datasets = [name for name in datasets if name not in single]
        at = places[single[0]][0]
        ticks = {(name, at): n for n, name in enumerate(single)}
        own = [c for c in cells if c.dataset in single]
        pairs = [p for p in tested if p.best.dataset in single]
        rows.append(_Row(f"{axis} = {at:g}", own, pairs, ticks, single, "data set", False))
    for name in datasets:
        own = [c for c in cells if c.dataset == name]
        ticks = {(name, place): n for n, place in enumerate(places[name])}
        pairs = [p for p in tested if p.best.dataset == name]
        names = [f"{place:g}" for place in places[name]]
        rows.append(_Row(name, own, pairs, ticks, names, axis, True))
    return rows


def _joined(style: Mapping[str, Any], joined: bool) -> dict[str, Any]:
    return dict(style) if joined else {**style, "linestyle": "none"}


def _accuracies(axes: Axes, row: _Row, styles: Mapping[str, dict[str, Any]]) -> None:
    for model, shift in _shifts([c.model for c in row.cells]).items():
        own = [c for c in row.cells if c.model == model and c.mean is not None]
        own.sort(key=lambda c: row.ticks[c.dataset, c.at])
        # A place without a run is a gap: a line across it would show a value.
        nothing = (math.nan, 0.0)
        at = {
            row.ticks[c.dataset, c.at]: (100 * c.mean, 100 * _half_width(c.std, c.splits))
            for c in own
            if c.mean is not None
        }
        places = range(min(at, default=0), max(at, default=-1) + 1)
        axes.errorbar(
            [place + shift for place in places],
            [at.get(place, nothing)[0] for place in places],
            yerr=[at.get(place, nothing)[1] for place in places],
            capsize=2.5,
            elinewidth=1,
            **_joined(styles[model], row.joined),
        )
        theirs = [
            (row.ticks[c.dataset, c.at], c.thesis)
            for c in own
            if c.thesis is not None and c.thesis.mean
        ]
        hollow = styles[model] | {"linestyle": "none", "markerfacecolor": "white", "markersize": 6}
        if theirs:
            axes.errorbar(
                [place + shift + _SPREAD / 16 for place, _ in theirs],
                [100 * (t.mean or 0.0) for _, t in theirs],
                yerr=[100 * _half_width(t.std, SPLITS) for _, t in theirs],
                capsize=2.5,
                elinewidth=0.8,
                **hollow,
            )
    low, high = axes.get_ylim()  # the t-interval of two splits may leave what is possible
    if low < 0 or high > 100:
        axes.set_ylim(max(low, 0), min(high, 100))


def _differences(axes: Axes, row: _Row, styles: Mapping[str, dict[str, Any]]) -> None:
    axes.axhline(0, color="0.3", linewidth=1)
    for model, shift in _shifts([p.best.model for p in row.pairs]).items():
        for paired in row.pairs:
            own = paired.best
            if own.model != model or own.difference is None:
                continue
            at = own.labels_per_class if paired.depth is None else paired.depth
            y = 100 * own.difference
            half = 0.0 if own.high is None else 100 * own.high - y
            fill = styles[model]["color"] if own.significant else "white"
            style = styles[model] | {"markerfacecolor": fill}
            axes.errorbar([row.ticks[own.dataset, at] + shift], [y], yerr=[half], capsize=2.5,
                          elinewidth=1.5, **style)  # fmt: skip


def _half_width(std: float | None, n: int) -> float:
    if std is None or n < 2:
        return 0.0
    return float(stats.t.ppf(0.975, n - 1) * std / n**0.5)


def _shifts(names: Sequence[str]) -> dict[str, float]:
    """Models side by side, so that no interval hides another."""
    models = list(dict.fromkeys(names))
    step = _SPREAD / max(len(models), 6)
    return {m: step * (i - (len(models) - 1) / 2) for i, m in enumerate(models)}

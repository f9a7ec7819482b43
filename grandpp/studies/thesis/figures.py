"""Figures of a reproduced table beside the thesis's."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import stats

from grandpp.studies.thesis.printed import SPLITS
from grandpp.studies.thesis.reproduced_cells import Paired, Reproduced, Reproduction
from grandpp.training.atomic_files import write_whole
from grandpp.training.figures import check_picture, line_styles

# Share of the distance between two ticks over which the models are spread.
_SPREAD = 0.5
_AXES = {"labels": "labelled nodes per class", "depth": "integration time T, or layers"}


def draw_reproduction(reproduction: Reproduction, path: Path) -> None:
    """Draw accuracies and paired differences, one row of panels per data set.

    On the left lines are ours and hollow markers the thesis's, both with 95 % t-intervals of the
    mean over splits; on the right the paired difference to the baseline with its interval, filled
    where Holm's corrected p is below 0.05. Data sets without pairs have no panel there.

    Args:
        reproduction: The table.
        path: Where the picture goes; it appears whole or not at all.

    Raises:
        ValueError: If the folder is missing or the ending is no format of matplotlib.
        OSError: If the picture cannot be written.
    """
    check_picture(path)
    cells = [c for c in reproduction.cells if c.runs]
    datasets = list(dict.fromkeys(c.dataset for c in cells))
    models = list(dict.fromkeys(c.model for c in cells))
    styles = dict(zip(models, line_styles(), strict=False))
    tested = [p for p in reproduction.paired if p.best.difference is not None]
    columns = 2 if tested else 1
    figure = Figure(
        figsize=(2.0 + 4.75 * columns, 0.8 + 3.8 * max(1, len(datasets))), layout="constrained"
    )
    for i, dataset in enumerate(datasets):
        own = [c for c in cells if c.dataset == dataset]
        pairs = [p for p in tested if p.best.dataset == dataset]
        left = figure.add_subplot(len(datasets), columns, columns * i + 1)
        panels = [left]
        ticks = {at: n for n, at in enumerate(sorted({c.at for c in own}))}
        _accuracies(left, own, ticks, styles)
        beside = any(c.thesis is not None and c.thesis.mean for c in own)
        left.set(title=f"{dataset}: ours (lines)" + (", thesis (hollow)" if beside else ""),
                 ylabel="test accuracy (%)")  # fmt: skip
        if pairs:
            right = figure.add_subplot(len(datasets), columns, columns * i + 2)
            panels.append(right)
            _differences(right, pairs, ticks, styles)
            right.set(title=f"{dataset}: ours, paired",
                      ylabel=f"difference to {reproduction.layout.baseline} (points)")  # fmt: skip
        for axes in panels:
            axes.set_xticks(list(ticks.values()), [f"{at:g}" for at in ticks])
            axes.set(xlim=(-0.5, len(ticks) - 0.5), xlabel=_AXES[reproduction.layout.axis])
            axes.grid(alpha=0.3)
    handles = [Line2D([], [], label=model, **styles[model]) for model in models]
    figure.legend(handles=handles, loc="outside right upper", frameon=False)
    filled = "\non the right filled where Holm's corrected p < 0.05" if tested else ""
    figure.suptitle(f"Thesis Table {reproduction.layout.table}, protocol {reproduction.protocol}; "
                    f"bars: 95 % intervals{filled}", fontsize=10, x=0.01, ha="left")  # fmt: skip
    picture = io.BytesIO()
    # The version of matplotlib would change the bytes of an unchanged picture.
    ending = path.suffix.lower().removeprefix(".")
    metadata = {"Software": None} if ending == "png" else None
    figure.savefig(picture, dpi=120, format=ending, metadata=metadata)
    write_whole(path, picture.getvalue())


def _accuracies(
    axes: Axes,
    cells: Sequence[Reproduced],
    ticks: dict[float, int],
    styles: dict[str, dict[str, Any]],
) -> None:
    for model, shift in _shifts([c.model for c in cells]).items():
        own = [c for c in cells if c.model == model and c.mean is not None]
        own.sort(key=lambda c: c.at)
        axes.errorbar(
            [ticks[c.at] + shift for c in own],
            [100 * c.mean for c in own if c.mean is not None],
            yerr=[100 * _half_width(c.std, c.splits) for c in own],
            capsize=2.5,
            elinewidth=1,
            **styles[model],
        )
        theirs = [(c.at, c.thesis) for c in own if c.thesis is not None and c.thesis.mean]
        hollow = styles[model] | {"linestyle": "none", "markerfacecolor": "white", "markersize": 6}
        if theirs:
            axes.errorbar(
                [ticks[at] + shift + _SPREAD / 16 for at, _ in theirs],
                [100 * (t.mean or 0.0) for _, t in theirs],
                yerr=[100 * _half_width(t.std, SPLITS) for _, t in theirs],
                capsize=2.5,
                elinewidth=0.8,
                **hollow,
            )


def _differences(
    axes: Axes,
    pairs: Sequence[Paired],
    ticks: dict[float, int],
    styles: dict[str, dict[str, Any]],
) -> None:
    axes.axhline(0, color="0.3", linewidth=1)
    for model, shift in _shifts([p.best.model for p in pairs]).items():
        for paired in pairs:
            row = paired.best
            if row.model != model or row.difference is None:
                continue
            at = row.labels_per_class if paired.depth is None else paired.depth
            y = 100 * row.difference
            half = 0.0 if row.high is None else 100 * row.high - y
            fill = styles[model]["color"] if row.significant else "white"
            style = styles[model] | {"markerfacecolor": fill}
            axes.errorbar([ticks[at] + shift], [y], yerr=[half], capsize=2.5, elinewidth=1.5,
                          **style)  # fmt: skip


def _half_width(std: float | None, n: int) -> float:
    if std is None or n < 2:
        return 0.0
    return float(stats.t.ppf(0.975, n - 1) * std / n**0.5)


def _shifts(names: Sequence[str]) -> dict[str, float]:
    """Models side by side, so that no interval hides another."""
    models = list(dict.fromkeys(names))
    step = _SPREAD / max(len(models), 6)
    return {m: step * (i - (len(models) - 1) / 2) for i, m in enumerate(models)}

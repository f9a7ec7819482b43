"""Figures of accuracy and paired differences against the number of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grandpp.studies.low_label.comparison import Comparison
from grandpp.training.figures import check_picture, line_styles, save_figure

# Share of the distance between two numbers of labels over which the models are spread.
_SPREAD = 0.5
_METRICS = {
    "test_accuracy": "test accuracy",
    "last_test_accuracy": "test accuracy, last epoch",
    "val_accuracy": "validation accuracy",
    "best_time_test_accuracy": "test accuracy, best time",
}


def draw_accuracy_against_labels(comparisons: Sequence[Comparison], path: Path) -> None:
    """Draw accuracy, and the paired difference to the baseline, one row of panels per data set.

    Bars are 95 % t-intervals: on the left of the mean over splits, whose spread all models share,
    on the right of the paired difference. A filled marker on the right says that the corrected
    paired t-test tells the model from the baseline.

    Args:
        comparisons: Result of :func:`compare`.
        path: Where the picture goes; it appears whole or not at all.

    Raises:
        ValueError: If there is nothing to draw, the folder is missing or the ending is no format.
        OSError: If the picture cannot be written.
    """
    if not comparisons:
        raise ValueError("expected comparisons to draw (got none)")
    check_picture(path)
    metric = _METRICS[comparisons[0].metric]
    datasets = list(dict.fromkeys(c.dataset for c in comparisons))
    models = list(dict.fromkeys(c.model for c in comparisons))
    styles = dict(zip(models, line_styles(), strict=False))
    figure = Figure(figsize=(11.5, 0.6 + 3.8 * len(datasets)), layout="constrained")
    handles: dict[str, Any] = {}
    for i, dataset in enumerate(datasets):
        own = [c for c in comparisons if c.dataset == dataset]
        left, right = (figure.add_subplot(len(datasets), 2, 2 * i + j) for j in (1, 2))
        handles |= _accuracies(left, own, styles)
        _differences(right, own, styles)
        left.set(title=f"{dataset}: mean over splits", ylabel=f"{metric} (%)")
        right.set(title=f"{dataset}: paired difference",
                  ylabel=f"difference to {comparisons[0].baseline} (points)")  # fmt: skip
    named = [m for m in models if m in handles]
    figure.legend([handles[m] for m in named], named, loc="outside right upper", frameon=False)
    figure.supxlabel("bars: 95 % intervals; on the right filled where Holm's corrected p < 0.05",
                     fontsize=9, color="0.3")  # fmt: skip
    save_figure(figure, path)


def _accuracies(
    axes: Axes, rows: Sequence[Comparison], styles: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """One line per model; what the legend shows of it."""
    ticks = _label_axis(axes, rows)
    handles = {}
    for model, shift in _shifts(rows).items():
        own = [c for c in rows if c.model == model and c.mean is not None]
        if own:
            handles[model] = axes.errorbar(
                [ticks[c.labels_per_class] + shift for c in own],
                [100 * c.mean for c in own if c.mean is not None],
                yerr=[100 * (c.half_width or 0.0) for c in own],
                capsize=2.5,
                elinewidth=1,
                **styles[model],
            )
    return handles


def _differences(
    axes: Axes, rows: Sequence[Comparison], styles: Mapping[str, dict[str, Any]]
) -> None:
    ticks = _label_axis(axes, rows)
    axes.axhline(0, color="0.3", linewidth=1)
    for model, shift in _shifts(rows).items():
        own = [c for c in rows if c.model == model and c.difference is not None]
        colour = styles[model]["color"]
        at = [ticks[c.labels_per_class] + shift for c in own]
        differences = [100 * c.difference for c in own if c.difference is not None]
        line = {"color": colour, "linestyle": styles[model]["linestyle"]}
        axes.plot(at, differences, linewidth=0.8, alpha=0.6, **line)
        for c, x, y in zip(own, at, differences, strict=True):
            half = 0.0 if c.high is None else 100 * c.high - y
            style = styles[model] | {"markerfacecolor": colour if c.significant else "white"}
            axes.errorbar([x], [y], yerr=[half], capsize=2.5, elinewidth=1.5, **style)


def _label_axis(axes: Axes, rows: Sequence[Comparison]) -> dict[int, int]:
    """Evenly spaced numbers of labels; where each of them is."""
    ticks = {k: i for i, k in enumerate(sorted({c.labels_per_class for c in rows}))}
    axes.set_xticks(list(ticks.values()), [str(k) for k in ticks])
    axes.set_xlim(-0.5, len(ticks) - 0.5)
    axes.set_xlabel("labelled nodes per class")
    axes.grid(alpha=0.3)
    return ticks


def _shifts(rows: Sequence[Comparison]) -> dict[str, float]:
    """Models side by side, so that no interval hides another."""
    models = list(dict.fromkeys(c.model for c in rows))
    step = _SPREAD / max(len(models), 6)
    return {m: step * (i - (len(models) - 1) / 2) for i, m in enumerate(models)}

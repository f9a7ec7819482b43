"""Pictures of trained and untrained flows; colours are those of Okabe and Ito (2008)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from grandpp.training.model_styles import COLOURS, title

_DISC, _RING = "#0072B2", "#D55E00"


class GrowthRun(Protocol):
    """A random model carried along a signal."""

    @property
    def model(self) -> str:
        """Name of the model."""
        ...

    @property
    def norms(self) -> list[float]:
        """|h(t)| at the times 0, 1, 2, ..."""
        ...


def draw_point_cloud(runs: Sequence[Mapping[str, Any]], times: Sequence[float], path: Path) -> None:
    """Points carried by one run of every model, and cost and loss of all (hbnode.md Fig. 5).

    The run shown is the one whose final loss is the median of its model.

    Args:
        runs: Records of :class:`grandpp.studies.point_cloud.training.PointCloudRun`.
        times: When the snapshots were taken.
        path: Where the picture goes.
    """
    models = [name for name in COLOURS if any(r["model"] == name for r in runs)]
    height = 1 + 1.6 * max(len(models), 3)
    figure = Figure(figsize=(15.5, height), layout="constrained")
    left, right = cast(Any, figure.subfigures(1, 2, width_ratios=(9, 6)))
    grid = left.subplots(len(models), len(times), squeeze=False)
    for model, panels in zip(models, grid, strict=True):
        _evolution(panels, [r for r in runs if r["model"] == model], times)
    for axes, t in zip(grid[0], times, strict=True):
        axes.set_title(f"t = {t:g}", fontsize=10)
    left.suptitle(
        "(a) the points in the flow, every panel to its own scale, in the run of median loss",
        fontsize=11,
    )
    columns = {
        "nfe_forward": "evaluations, forward",
        "nfe_backward": "evaluations, adjoint",
        "loss": "mean squared error",
    }
    stack = right.subplots(3, 1, sharex=True)
    for axes, (column, label) in zip(stack, columns.items(), strict=True):
        for model in models:
            draw_curve(axes, [r[column] for r in runs if r["model"] == model], model)
        axes.set(ylabel=label)
        axes.grid(alpha=0.3)
    stack[2].set(xlabel="epoch", yscale="log")
    stack[0].legend(fontsize=8, ncol=3)
    right.suptitle("(b) mean over the runs, and their range", fontsize=11)
    figure.savefig(path, dpi=150)


def _evolution(panels: Any, runs: list[Mapping[str, Any]], times: Sequence[float]) -> None:
    good = sorted((r for r in runs if r["snapshots"]), key=lambda r: r["final_loss"])
    name = runs[0]["model"]
    for axes in panels:
        axes.set(xticks=[], yticks=[])
        axes.set_box_aspect(1)
    label = title(name)
    if not good:
        panels[0].set_ylabel(f"{label}\nfailed")
        return
    shown = good[(len(good) - 1) // 2]
    panels[0].set_ylabel(f"{label}\nloss {shown['final_loss']:.2g}", fontsize=9)
    for axes, snapshot in zip(panels, shown["snapshots"], strict=True):
        points = np.asarray(snapshot)
        disc = np.arange(len(points)) < len(points) // 3
        axes.scatter(*points[~disc].T, s=5, color=_RING, linewidths=0)
        axes.scatter(*points[disc].T, s=5, color=_DISC, linewidths=0)
        axes.margins(0.08)


def draw_curve(axes: Axes, curves: Sequence[Sequence[float]], model: str) -> None:
    """A model's mean over runs against the epoch, in its colour, and the range of the runs."""
    # A failed run is shorter; the others go on without it.
    length = max(map(len, curves))
    table = np.full((len(curves), length), np.nan)
    for row, curve in zip(table, curves, strict=True):
        row[: len(curve)] = curve
    epochs = np.arange(1, length + 1)
    axes.plot(epochs, np.nanmean(table, axis=0), color=COLOURS[model], linewidth=1.4,
              label=title(model))  # fmt: skip
    axes.fill_between(epochs, np.nanmin(table, axis=0), np.nanmax(table, axis=0),
                      color=COLOURS[model], alpha=0.12, linewidth=0)  # fmt: skip


def draw_growth(runs: Sequence[GrowthRun], exact: Tensor, path: Path) -> None:
    """|h(t)| against t: the mean of its logarithm over draws, and all draws thinly.

    Args:
        runs: Draws.
        exact: Output voltage, whose size is drawn for comparison.
        path: Where the picture goes.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for model in dict.fromkeys(run.model for run in runs):
        table = np.array([run.norms for run in runs if run.model == model])
        logs = np.log10(np.maximum(table, 1e-12))
        axes.plot(logs.T, color=COLOURS[model], linewidth=0.5, alpha=0.35)
        mean = [fmean(column[~np.isnan(column)]) if (~np.isnan(column)).any() else np.nan
                for column in logs.T]  # fmt: skip
        axes.plot(mean, color=COLOURS[model], linewidth=2.2,
                  label=title(model))  # fmt: skip
    size = np.log10(np.maximum(exact[: len(runs[0].norms)].abs().numpy(), 1e-12))
    axes.plot(size, color="black", linewidth=1.2, linestyle="--", label="measured |V2(t)|")
    powers = range(-2, int(np.nanmax(axes.dataLim.intervaly)) + 2, 2)
    axes.set_yticks(list(powers), [f"$10^{{{p}}}$" for p in powers])
    axes.set(xlabel="time t", ylabel="|h(t)|", xlim=(0, len(size) - 1), ylim=(-2.5, None),
             title="Silverbox at initialisation: mean logarithm, and every draw")  # fmt: skip
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)

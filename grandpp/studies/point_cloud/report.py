"""Table and picture of point-cloud classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import numpy as np
from matplotlib.figure import Figure

from grandpp.training.figures import save_figure
from grandpp.training.model_styles import COLOURS, draw_curve, title
from grandpp.training.record_file import Record
from grandpp.training.tables import aligned

SEPARATED = 0.05


def table(runs: Sequence[Record]) -> str:
    """One line per model."""
    head = ("model", "runs", "failed", "final loss", "< 0.05", "accuracy", "nfe forward",
            "nfe backward", "last forward", "last backward")  # fmt: skip
    rows = []
    for model in dict.fromkeys(r["model"] for r in runs):
        own = [r for r in runs if r["model"] == model]
        good = [r for r in own if r["final_loss"] is not None]
        cells = [model, str(len(own)), str(len(own) - len(good))]
        if good:
            cells += [f"{fmean(r['final_loss'] for r in good):.4f}",
                      str(sum(r["final_loss"] < SEPARATED for r in good)),
                      f"{fmean(r['accuracy'] for r in good):.3f}"]  # fmt: skip
            columns = ("nfe_forward", "nfe_backward")
            cells += [f"{fmean(fmean(r[c]) for r in good):.1f}" for c in columns]
            cells += [f"{fmean(r[c][-1] for r in good):.1f}" for c in columns]
        rows.append(cells)
    return aligned(head, rows)


_DISC, _RING = "#0072B2", "#D55E00"


def draw_point_cloud(runs: Sequence[Mapping[str, Any]], times: Sequence[float], path: Path) -> None:
    """Draw the flow of the points in one run per model, and cost and loss (HBNODE paper Fig. 5).

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
    save_figure(figure, path)


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

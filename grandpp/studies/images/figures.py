"""Pictures of trained image classifiers, in the colours of the other flows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, cast

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from grandpp.studies.images.tables import efficacy
from grandpp.training.model_styles import COLOURS, draw_curve, title
from grandpp.training.record_file import Record

_PANELS: dict[str, Callable[[Mapping[str, float]], float]] = {
    "evaluations per batch, forward": lambda row: row["nfe_forward"],
    "evaluations per batch, adjoint": lambda row: row["nfe_backward"],
    "seconds per epoch": lambda row: row["seconds"],
    "test accuracy %": lambda row: 100 * row["test_accuracy"],
    "training loss": lambda row: row["loss"],
    "efficacy: accuracy % per evaluation": efficacy,
}


def draw_training(records: Sequence[Record], path: Path) -> None:
    """Cost and success of every epoch (hbnode.md Figs. 1 and 6, adamnode.md Fig. 2).

    Args:
        records: Runs on one data set; those without an epoch are left out.
        path: Where the picture goes.
    """
    figure = Figure(figsize=(13, 7), layout="constrained")
    grid = cast(Any, figure.subplots(2, 3, sharex=True))
    for axes, (label, value) in zip(grid.flat, _PANELS.items(), strict=True):
        for model in COLOURS:
            own = [r["history"] for r in records if r["model"] == model and r["history"]]
            if own:
                draw_curve(axes, [[value(row) for row in rows] for rows in own], model)
        axes.set(ylabel=label)
        axes.grid(alpha=0.3)
    for axes in grid[1]:
        axes.set(xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    grid[1, 1].set(yscale="log")
    if grid[0, 0].lines:
        grid[0, 0].legend(fontsize=8, ncol=2)
    sets = dict.fromkeys(r["dataset"] for r in records)
    tolerances = dict.fromkeys(f"{r['tolerance']:g}" for r in records)
    figure.suptitle(
        f"{', '.join(sets)}, tolerance {', '.join(tolerances)}: mean over the runs, and their range"
    )
    figure.savefig(path, dpi=150)


def draw_tolerances(records: Sequence[Record], path: Path) -> None:
    """Evaluations of trained models by tolerance, and adjoint against forward (hbnode.md Fig. 7).

    Args:
        records: Runs on one data set whose ``by_tolerance`` has rows; others are left out.
        path: Where the picture goes.
    """
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    left, middle, right = cast(Any, figure.subplots(1, 3))
    for model, colour in COLOURS.items():
        rows = [row for r in records if r["model"] == model for row in r["by_tolerance"]]
        tolerances = sorted({row["tolerance"] for row in rows}, reverse=True)
        if not tolerances:
            continue
        forward, backward = (
            [fmean(row[c] for row in rows if row["tolerance"] == tol) for tol in tolerances]
            for c in ("nfe_forward", "nfe_backward")
        )
        style: Any = {"color": colour, "marker": "o", "markersize": 4, "linewidth": 1.4}
        left.plot(tolerances, forward, label=title(model), **style)
        middle.plot(tolerances, backward, **style)
        right.plot(forward, backward, **style)
    for axes, solve in ((left, "forward solve"), (middle, "adjoint solve")):
        axes.set(xlabel="tolerance", ylabel="evaluations per batch", title=solve, xscale="log",
                 ylim=(0, None))  # fmt: skip
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.invert_xaxis()
    right.set(xlabel="forward", ylabel="adjoint", title="one against the other")
    right.axline((0, 0), slope=1, color="0.5", linewidth=0.8, linestyle=":")
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
    if left.lines:
        left.legend(fontsize=8)
    figure.savefig(path, dpi=150)

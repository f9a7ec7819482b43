"""Table and picture of how states grow before any training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from grandpp.studies.silverbox.growth import Growth
from grandpp.training.figures import save_figure
from grandpp.training.model_styles import COLOURS, title
from grandpp.training.tables import aligned


def log_end(run: Growth) -> float:
    """log10 |h(64)|; NaN where the solve failed."""
    return math.log10(max(run.norms[-1], 1e-300)) if run.status == "success" else math.nan


def table(runs: Sequence[Growth]) -> str:
    """One line per model."""
    head = ("model", "draws", "failed", "log10 |h(64)|", "min", "max", "max |h|", "nfe")
    rows = []
    for model in dict.fromkeys(run.model for run in runs):
        own = [run for run in runs if run.model == model]
        good = [run for run in own if run.status == "success"]
        cells = [model, str(len(own)), str(len(own) - len(good))]
        if good:
            ends = [log_end(run) for run in good]
            top = max(max(run.norms) for run in good)
            cells += [f"{fmean(ends):.2f}", f"{min(ends):.2f}", f"{max(ends):.2f}", f"{top:.3g}",
                      f"{fmean(run.nfe for run in good):.0f}"]  # fmt: skip
        rows.append(cells)
    return aligned(head, rows)


def draw_growth(runs: Sequence[Growth], exact: Tensor, path: Path) -> None:
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
    save_figure(figure, path)

"""Table and picture of trainings on sequences (HBNODE paper Figs. 4, 8 and 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from grandpp.studies.sequences.settings import best
from grandpp.training.figures import save_figure
from grandpp.training.model_styles import COLOURS, title
from grandpp.training.record_file import Record
from grandpp.training.tables import aligned

_HEAD = ("model", "runs", "failed", "train", "validation", "test", "test at best", "nfe forward",
         "nfe backward", "nfe evaluation", "adjoint forward", "adjoint backward", "first/last",
         "seconds")  # fmt: skip


def summary_table(runs: Sequence[Record]) -> str:
    """Means over the runs of every model that did not fail, one line per model.

    Losses are those of the last epoch; "test at best" is the test loss of the epoch with the
    smallest validation loss. Evaluations are those of one batch, the mean over epochs; "adjoint
    forward" and "backward" are what the adjoint solve of one batch takes after the last epoch, and
    "first/last" the norm of its state at the first observation over that at the last one: dashes
    where no run could be probed.
    """
    rows = []
    for model in dict.fromkeys(run["model"] for run in runs):
        own = [run for run in runs if run["model"] == model]
        good = [run for run in own if run["status"] == "success"]
        cells = [model, str(len(own)), str(len(own) - len(good))]
        if good:
            cells += _cells(good)
        rows.append(cells)
    return aligned(_HEAD, rows)


def _cells(good: Sequence[Record]) -> list[str]:
    last = [run["history"][-1] for run in good]
    losses = [[row[f"{part}_loss"] for row in last] for part in ("train", "validation", "test")]
    losses.append([best(run["history"])["test_loss"] for run in good])
    costs = [
        [fmean(row[f"nfe_{part}"] for row in run["history"]) for run in good]
        for part in ("forward", "backward", "evaluation")
    ]
    probes = [run["adjoint"] for run in good if "adjoint" in run]
    ways = ("nfe_forward", "nfe_backward")
    counts = [f"{fmean(p[way] for p in probes):.1f}" if probes else "-" for way in ways]
    reach = [f"{fmean(p['norms'][0] / p['norms'][-1] for p in probes):.2g}"] if probes else ["-"]
    return [
        *(f"{fmean(values):.4g}" for values in losses),
        *(f"{fmean(values):.1f}" for values in costs),
        *counts,
        *reach,
        f"{fmean(run['seconds'] for run in good):.1f}",
    ]


_PANELS = {
    "train_loss": "train loss",
    "test_loss": "test loss",
    "nfe_forward": "evaluations, forward",
    "nfe_backward": "evaluations, backward",
}


def draw_sequence_runs(runs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Learned curves next to the truth, losses and evaluations per epoch, and adjoint norms.

    Curves are those of each model's first run that did not fail; the other panels show the mean
    over runs and their range. Left of the line every point is predicted from those before it, but
    a model whose initial state is a map of the whole window (plane vibration, oscillator) has seen
    them all: for it only what is right of the line is a forecast.

    Args:
        runs: Records of :func:`grandpp.studies.sequences.settings.make_run`, with ``curve`` and
            ``adjoint`` where neither training nor probe failed.
        path: Where the picture goes.
    """
    models = [name for name in COLOURS if any(run["model"] == name for run in runs)]
    figure = Figure(figsize=(16, 1.5 + 1.6 * max(len(models), 4)), layout="constrained")
    left, right = cast(Any, figure.subfigures(1, 2, width_ratios=(6, 9)))
    left.suptitle("(a) one test window: predicted, and after the line forecast", fontsize=11)
    stack = left.subplots(len(models), 1, sharex=True, squeeze=False)[:, 0]
    for axes, model in zip(stack, models, strict=True):
        _curve(axes, model, [run for run in runs if run["model"] == model])
    stack[-1].set_xlabel("time")
    right.suptitle(
        "(b) mean over the runs, and their range; evaluations are those of one batch", fontsize=11
    )
    grid = right.subplots(3, 2)
    for axes, (column, label) in zip(grid.flat, _PANELS.items(), strict=False):
        for model in models:
            rows = [[row[column] for row in run["history"]] for run in runs
                    if run["model"] == model and run["history"]]  # fmt: skip
            _band(axes, model, rows, first=1)
        axes.set(xlabel="epoch", ylabel=label, yscale="log" if "loss" in column else "linear")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    grid[0, 0].legend(fontsize=8, ncol=2)
    for model in models:
        norms = [run["adjoint"]["norms"] for run in runs
                 if run["model"] == model and "adjoint" in run]  # fmt: skip
        _band(grid[2, 0], model, [[n / row[-1] for n in row] for row in norms], first=0)
    grid[2, 0].set(xlabel="observation", ylabel="adjoint norm / the last one", yscale="log")
    _bars(grid[2, 1], models, runs)
    for axes in grid.flat:
        axes.grid(alpha=0.3)
    save_figure(figure, path)


def _curve(axes: Axes, model: str, runs: list[Mapping[str, Any]]) -> None:
    axes.set_ylabel(title(model), fontsize=9)
    good = [run for run in runs if "curve" in run and "adjoint" in run]
    if not good:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "failed", transform=axes.transAxes, ha="center", va="center")
        return
    curve, adjoint = good[0]["curve"], good[0]["adjoint"]
    times = curve["times"]
    axes.plot(times, curve["truth"], color="black", linewidth=0.9, marker=".", markersize=3,
              label="truth")  # fmt: skip
    axes.plot(times, curve["predicted"], color=COLOURS[model], linewidth=1.4)
    # As many norms as observations: the first forecast comes after them.
    axes.axvline(times[len(adjoint["norms"]) - 1], color="0.5", linestyle="--", linewidth=0.9)


def _band(axes: Axes, model: str, rows: list[list[float]], first: int) -> None:
    """A mean and its range; a run that failed is shorter, and the others go on without it."""
    if not rows:
        return
    table = np.full((len(rows), max(map(len, rows))), np.nan)
    for line, row in zip(table, rows, strict=True):
        line[: len(row)] = row
    at = np.arange(first, first + table.shape[1])
    axes.plot(at, np.nanmean(table, axis=0), color=COLOURS[model], linewidth=1.4,
              label=title(model))  # fmt: skip
    axes.fill_between(at, np.nanmin(table, axis=0), np.nanmax(table, axis=0),
                      color=COLOURS[model], alpha=0.12, linewidth=0)  # fmt: skip


def _bars(axes: Axes, models: Sequence[str], runs: Sequence[Mapping[str, Any]]) -> None:
    """Evaluations of an adjoint solve after the last epoch: forward pale, backward full."""
    for place, model in enumerate(models):
        probes = [run["adjoint"] for run in runs if run["model"] == model and "adjoint" in run]
        if probes:
            forward, backward = (
                float(np.mean([probe[f"nfe_{way}"] for probe in probes]))
                for way in ("forward", "backward")
            )
            axes.bar(place - 0.2, forward, 0.38, color=COLOURS[model], alpha=0.45)
            axes.bar(place + 0.2, backward, 0.38, color=COLOURS[model])
    axes.set_xticks(range(len(models)), [title(model) for model in models], fontsize=8)
    axes.set_ylabel("adjoint: forward (pale), back")

"""Tables and pictures of image classifiers, over their runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, cast

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from grandpp.training.figures import save_figure
from grandpp.training.model_styles import COLOURS, draw_curve, title
from grandpp.training.record_file import Record
from grandpp.training.tables import aligned


def efficacy(row: Mapping[str, float]) -> float:
    """Test accuracy in percent per evaluation of a training step, forward and backward.

    Source: AdamNODE paper §4, "the test accuracy per the number of function evaluations in the
    forward and backward passes".
    """
    return 100 * row["test_accuracy"] / (row["nfe_forward"] + row["nfe_backward"])


def image_table(records: Sequence[Record]) -> str:
    """One line per data set, model, tolerance and solver; means over runs that reached the end."""
    head = ("data set", "model", "tol", "solver", "parameters", "runs", "failed", "epochs",
            "accuracy %", "train loss", "nfe forward", "nfe backward", "last forward",
            "last backward", "efficacy", "s/epoch")  # fmt: skip
    names = ("dataset", "model", "tolerance", "solver", "amp", "parameters")
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record[name] for name in names), []).append(record)
    rows = []
    for group, runs in groups.items():
        dataset, model, tolerance, solver, amp, parameters = group
        good = [r for r in runs if r["status"] == "success" and r["history"]]
        cells = [dataset, model, f"{tolerance:g}", f"{solver} bf16" if amp else solver,
                 str(parameters), str(len(runs)),
                 str(len(runs) - len(good))]  # fmt: skip
        rows.append([*cells, *(_measured(good) if good else ())])
    return aligned(head, rows)


def _measured(good: Sequence[Record]) -> list[str]:
    last = [r["history"][-1] for r in good]
    epochs = [row for r in good for row in r["history"]]
    accuracies = [100 * row["test_accuracy"] for row in last]
    costs = ("nfe_forward", "nfe_backward")
    means = [[fmean(row[c] for row in r["history"]) for r in good] for c in costs]
    lengths = sorted({len(r["history"]) for r in good})
    return [
        "-".join(str(n) for n in dict.fromkeys((lengths[0], lengths[-1]))),
        _mean(accuracies, 2),
        f"{fmean(row['loss'] for row in last):.4f}",
        *(_mean(values, 1) for values in means),
        *(_mean([row[c] for row in last], 1) for c in costs),
        f"{fmean(efficacy(row) for row in last):.2f}",
        f"{fmean(row['seconds'] for row in epochs):.1f}",
    ]


def _mean(values: Sequence[float], digits: int) -> str:
    """Mean of one value per run, with its standard error where there are several."""
    if len(values) < 2:
        return f"{fmean(values):.{digits}f}"
    error = stdev(values) / len(values) ** 0.5
    return f"{fmean(values):.{digits}f} +- {error:.{digits}f}"


def tolerance_table(records: Sequence[Record]) -> str:
    """Evaluations of trained models by tolerance, means over runs; empty if none were counted."""
    head = ("data set", "model", "trained at", "solved at", "runs", "nfe forward", "nfe backward",
            "accuracy %")  # fmt: skip
    groups: dict[tuple[Any, ...], list[Mapping[str, float]]] = {}
    for r in records:
        for row in r["by_tolerance"]:
            key = (r["dataset"], r["model"], f"{r['tolerance']:g}", f"{row['tolerance']:g}")
            groups.setdefault(key, []).append(row)
    rows = [
        [*key, str(len(own)),
         *(_mean([row[c] for row in own], 1) for c in ("nfe_forward", "nfe_backward")),
         f"{100 * fmean(row['accuracy'] for row in own):.2f}"]
        for key, own in groups.items()
    ]  # fmt: skip
    return aligned(head, rows) if rows else ""


_PANELS: dict[str, Callable[[Mapping[str, float]], float]] = {
    "evaluations per batch, forward": lambda row: row["nfe_forward"],
    "evaluations per batch, adjoint": lambda row: row["nfe_backward"],
    "seconds per epoch": lambda row: row["seconds"],
    "test accuracy %": lambda row: 100 * row["test_accuracy"],
    "training loss": lambda row: row["loss"],
    "efficacy: accuracy % per evaluation": efficacy,
}


def draw_training(records: Sequence[Record], path: Path) -> None:
    """Cost and success of every epoch (HBNODE paper Figs. 1 and 6, AdamNODE paper Fig. 2).

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
    save_figure(figure, path)


def draw_tolerances(records: Sequence[Record], path: Path) -> None:
    """Evaluations of trained models by tolerance; adjoint against forward (HBNODE paper Fig. 7).

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
    save_figure(figure, path)

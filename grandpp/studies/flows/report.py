"""Tables and pictures of a flow's training and of the cost of solvers on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from grandpp.training.figures import save_figure
from grandpp.training.tables import aligned

_TRAINING = ("epoch", "loss", "bits_per_dim", "nfe_forward", "nfe_backward", "seconds")
_COSTS = {
    "bits/dim": "bits_per_dim",
    "change": "change",
    "nfe": "nfe_forward",
    "nfe training": "nfe_training",
    "products": "nfe_backward",
    "inverse": "reconstruction",
    "s forward": "seconds_forward",
    "s training": "seconds_training",
}


def training_table(history: Sequence[Mapping[str, float]]) -> str:
    """About ten epochs and the last one."""
    every = max(1, len(history) // 10)
    rows = [row for n, row in enumerate(history, 1) if n % every == 0 or n == len(history)]
    return aligned(_TRAINING, [[f"{row[name]:.4g}" for name in _TRAINING] for row in rows])


def cost_table(costs: Sequence[Mapping[str, Any]]) -> str:
    """One line per solver; dashes where it failed."""
    rows = []
    for cost in costs:
        values = [cost[name] for name in _COSTS.values()] if cost["status"] == "success" else []
        rows.append(
            [cost["solver"], *("-" if value is None else f"{value:.4g}" for value in values)]
        )
    return aligned(("solver", *_COSTS), rows)


_BLUE, _ORANGE = "#0072B2", "#D55E00"


def draw_flow_training(history: Sequence[Mapping[str, float]], title: str, path: Path) -> None:
    """Loss and evaluations over the epochs (thesis Fig. 5.6 a, c, d).

    Args:
        history: Rows of a training.
        title: Of the picture.
        path: Where it goes.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(epochs) < 10 else None
    for axes, column, label, colour in (
        (left, "loss", "training", _BLUE),
        (left, "bits_per_dim", "held out", _ORANGE),
        (right, "nfe_forward", "forward", _BLUE),
        (right, "nfe_backward", "backward", _ORANGE),
    ):
        axes.plot(epochs, [row[column] for row in history], color=colour, label=label,
                  marker=marker, markersize=3)  # fmt: skip
    left.set(ylabel="bits/dim")
    right.set(ylabel="evaluations per batch", ylim=(0, None))
    for axes in (left, right):
        axes.set(xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    save_figure(figure, path)


def draw_samples(samples: Tensor, real: Tensor, title: str, path: Path, columns: int = 12) -> None:
    """A sheet of samples beside as many real images.

    Args:
        samples: ``[N, C, H, W]`` from 0 to 1, C 1 or 3.
        real: Images of the data set, at least as many.
        title: Of the samples.
        path: Where the picture goes.
        columns: Images in a row. (default: ``12``)
    """
    left, right = (sheet(images[: len(samples)], columns) for images in (samples, real))
    height = 6.4 * left.size(0) / left.size(1) + 0.5
    figure = Figure(figsize=(13.2, height), layout="constrained")
    for axes, image, name in zip(
        figure.subplots(1, 2), (left, right), (title, "held-out images"), strict=True
    ):
        axes.imshow(image.squeeze(-1).numpy(), cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(name, fontsize=10)
        axes.set_axis_off()
    save_figure(figure, path)


def sheet(images: Tensor, columns: int) -> Tensor:
    """Images ``[N, C, H, W]`` side by side with gaps of W // 8, ``[height, width, C]``.

    The gaps, and what is missing in the last row, are 0.
    """
    count, channels, height, width = images.shape
    gap = width // 8
    rows = -(-count // columns)
    full = torch.zeros(rows * columns, channels, height + gap, width + gap, dtype=images.dtype)
    full[:count, :, :height, :width] = images.detach().cpu()
    grid = full.view(rows, columns, *full.shape[1:]).permute(0, 3, 1, 4, 2)
    whole = grid.reshape(rows * (height + gap), columns * (width + gap), channels)
    return whole[: len(whole) - gap, : whole.size(1) - gap]

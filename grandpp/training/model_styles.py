"""Colours (Okabe and Ito, 2008), titles and curves of neural ODEs in pictures, by their names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

COLOURS = {
    "node": "#0072B2",
    "anode": "#E69F00",
    "sonode": "#009E73",
    "hbnode": "#D55E00",
    "ghbnode": "#CC79A7",
    "adamnode": "#56B4E9",
    "ghbnode-hardtanh": "#000000",
}

_TITLES = {
    "hbnode": "HBNODE",
    "ghbnode": "GHBNODE",
    "adamnode": "AdamNODE",
    "ghbnode-hardtanh": "GHBNODE (hardtanh)",
}


def title(model: str) -> str:
    """A model as the papers spell it."""
    return _TITLES.get(model, model.upper())


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

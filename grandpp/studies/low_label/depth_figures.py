"""Test accuracy and Dirichlet energy against the depth, as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grandpp.training.figures import line_styles, make_panels


def draw_depth(rows: Sequence[Mapping[str, Any]], title: str, path: Path) -> None:
    """Test accuracy and Dirichlet energy against the depth T, one line per model."""
    figure, (left, right) = make_panels(2, width=10, height=4)
    panels = (
        (left, "test_accuracy", 100.0, "test accuracy (%)"),
        (right, "energy", 1.0, "Dirichlet energy left"),
    )
    for axes, key, factor, label in panels:
        for model, style in zip(
            dict.fromkeys(r["model"] for r in rows), line_styles(), strict=False
        ):
            own = [r for r in rows if r["model"] == model and r[key] is not None]
            own.sort(key=lambda r: r["time"])
            axes.plot(
                [r["time"] for r in own], [factor * r[key] for r in own], label=model, **style
            )
        axes.set_xscale("log", base=2)
        axes.set(xlabel="integration time T", ylabel=label)
    right.set_yscale("log")
    left.legend(frameon=False)
    figure.suptitle(title)
    figure.savefig(path, dpi=150)

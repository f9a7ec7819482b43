"""Summary, table and figure of runs at growing depth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grandpp.training.figures import line_styles, make_panels, save_figure
from grandpp.training.records import Record
from grandpp.training.tables import aligned


def summarise(records: list[Record]) -> list[dict[str, Any]]:
    """One row per model and depth."""
    groups: dict[tuple[str, float], list[Record]] = {}
    for record in records:
        groups.setdefault((record["model"], record["config"]["time"]), []).append(record)
    rows = []
    for (model, time), group in groups.items():
        good = [r for r in group if r["status"] == "success"]
        energies = [r["energy"] for r in good if r["energy"]]
        rows.append({
            "model": model,
            "time": time,
            "runs": len(good),
            "failed": len(group) - len(good),
            "val_accuracy": _mean([r["val_accuracy"] for r in good]),
            "test_accuracy": _mean([r["test_accuracy"] for r in good]),
            "last_test_accuracy": _mean([r["last_test_accuracy"] for r in good]),
            "energy": math.exp(_mean([math.log(e) for e in energies]) or 0) if energies else None,
            "nfe_forward": _mean([r["nfe_forward"] for r in good]),
        })  # fmt: skip
    return rows


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    head = ("model", "T", "runs", "failed", "validation", "test", "last epoch", "energy", "NFE")
    formats = {
        "val_accuracy": "{:.2%}",
        "test_accuracy": "{:.2%}",
        "last_test_accuracy": "{:.2%}",
        "energy": "{:.2e}",
        "nfe_forward": "{:.0f}",
    }
    return aligned(
        head,
        [
            [
                r["model"],
                f"{r['time']:g}",
                str(r["runs"]),
                str(r["failed"]),
                *("-" if r[k] is None else f.format(r[k]) for k, f in formats.items()),
            ]
            for r in rows
        ],
    )


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
    save_figure(figure, path)

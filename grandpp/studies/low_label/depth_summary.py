"""Summaries of runs at growing depth."""

from __future__ import annotations

import math
from typing import Any

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

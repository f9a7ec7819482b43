"""Tables of a flow's training and of what several solvers cost on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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

"""Tables of image classifiers, over their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from grandpp.training.record_file import Record
from grandpp.training.tables import aligned


def efficacy(row: Mapping[str, float]) -> float:
    """Test accuracy in percent per evaluation of a training step, forward and backward.

    Source: adamnode.md §4, "the test accuracy per the number of function evaluations in the
    forward and backward passes".
    """
    return 100 * row["test_accuracy"] / (row["nfe_forward"] + row["nfe_backward"])


def image_table(records: Sequence[Record]) -> str:
    """One line per data set, model and tolerance; means over runs that reached the end."""
    head = ("data set", "model", "tol", "parameters", "runs", "failed", "epochs", "accuracy %",
            "train loss", "nfe forward", "nfe backward", "last forward", "last backward",
            "efficacy", "s/epoch")  # fmt: skip
    names = ("dataset", "model", "tolerance", "parameters")
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record[name] for name in names), []).append(record)
    rows = []
    for group, runs in groups.items():
        dataset, model, tolerance, parameters = group
        good = [r for r in runs if r["status"] == "success" and r["history"]]
        cells = [dataset, model, f"{tolerance:g}", str(parameters), str(len(runs)),
                 str(len(runs) - len(good))]  # fmt: skip
        rows.append([*cells, *(_measured(good) if good else ())])
    return aligned(head, rows)


def _measured(good: Sequence[Record]) -> list[str]:
    last = [r["history"][-1] for r in good]
    epochs = [row for r in good for row in r["history"]]
    accuracies = [100 * row["test_accuracy"] for row in last]
    spread = f" +- {stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
    lengths = sorted({len(r["history"]) for r in good})
    return [
        "-".join(str(n) for n in dict.fromkeys((lengths[0], lengths[-1]))),
        f"{fmean(accuracies):.2f}{spread}",
        f"{fmean(row['loss'] for row in last):.4f}",
        *(f"{fmean(row[c] for row in epochs):.1f}" for c in ("nfe_forward", "nfe_backward")),
        *(f"{fmean(row[c] for row in last):.1f}" for c in ("nfe_forward", "nfe_backward")),
        f"{fmean(efficacy(row) for row in last):.2f}",
        f"{fmean(row['seconds'] for row in epochs):.1f}",
    ]


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
         *(f"{fmean(row[c] for row in own):.1f}" for c in ("nfe_forward", "nfe_backward")),
         f"{100 * fmean(row['accuracy'] for row in own):.2f}"]
        for key, own in groups.items()
    ]  # fmt: skip
    return aligned(head, rows) if rows else ""

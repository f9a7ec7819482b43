"""Records of trainings on sequences, and their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from statistics import fmean
from typing import Any

from grandpp.studies.sequences.settings import SequenceConfig
from grandpp.training.checkpointed_training import Fit
from grandpp.training.record_file import Record, RecordFormat
from grandpp.training.tables import aligned

SEQUENCE_RECORDS = RecordFormat(
    key=tuple(f.name for f in fields(SequenceConfig)),
    required=("status", "seconds", "history"),
    optional=("parameters", "best_epoch", "curve", "adjoint", "probe_status"),
    earlier={"solver": "tsit5"},
)
"""Every setting tells runs apart; older lines were all solved by tsit5."""

_HEAD = ("model", "runs", "failed", "train", "validation", "test", "test at best", "nfe forward",
         "nfe backward", "nfe evaluation", "adjoint forward", "adjoint backward", "first/last",
         "seconds")  # fmt: skip


def make_run(key: Mapping[str, Any], parameters: int, done: Fit) -> Record:
    """One training in plain values.

    Args:
        key: The settings.
        parameters: Number of parameters.
        done: The training.

    Returns:
        The key with ``parameters``, ``status``, ``seconds``, ``history`` and, if an epoch was
        finished, ``best_epoch``: the one with the smallest validation loss.
    """
    run = {
        **key,
        "parameters": parameters,
        "status": done.status,
        "seconds": sum(row["seconds"] for row in done.history),
        "history": done.history,
    }
    if done.history:
        run["best_epoch"] = int(best(done.history)["epoch"])
    return run


def best(history: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """The row with the smallest validation loss."""
    return min(history, key=lambda row: row["validation_loss"])


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

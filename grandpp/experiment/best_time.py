"""The accuracy at the best time of the trajectory, as GRAND's official code reports it."""

from __future__ import annotations

from typing import Any

from torch_geometric.data import Data

from grandpp.experiment.result import RunResult
from grandpp.models import DiffusionClassifier

# In units of the integration time T: how far the trajectory is followed, which is as far as GRAND's
# code does, and how many times are looked at in each; T itself is one of them.
_SPAN, _TIMES_PER_SPAN = 3, 4


def note_best_time(model: Any, x: Any, data: Data, epoch: int, result: RunResult) -> None:
    """Follow the trajectory to 3 T and note where the validation accuracy is best.

    Source: the early stopping of `GRAND's official code
    <https://github.com/twitter-research/graph-neural-pde>`_, whose test accuracy is that at the
    best epoch and time of all. The model was trained at T; time 0 does not count; the first of
    equals wins.

    Args:
        model: The trained model, in evaluation mode.
        x: Features as the model takes them.
        data: Graph with the masks of its split; it has validation nodes.
        epoch: Number of the epoch.
        result: Changed in its fields ``best_time...`` alone.

    Raises:
        ValueError: If the model solves no equation.
        SolveError: If it cannot be solved that far.

    Cost: a solve of three times the length.
    """
    if not isinstance(model, DiffusionClassifier):
        raise ValueError(f"expected a model with a trajectory (got {type(model).__name__})")
    numbers = range(1, _SPAN * _TIMES_PER_SPAN + 1)
    times = [model.conv.time * n / _TIMES_PER_SPAN for n in numbers]
    along = model.classify_along(x, data.edge_index, data.edge_weight, data.train_mask, times=times)
    for time, logits in zip(times, along, strict=True):
        hit = logits.argmax(dim=-1) == data.y
        val = float(hit[data.val_mask].float().mean())
        best = result.best_time_val_accuracy
        if best is None or val > best:
            result.best_time, result.best_time_epoch = time, epoch
            result.best_time_val_accuracy = val
            result.best_time_test_accuracy = float(hit[data.test_mask].float().mean())

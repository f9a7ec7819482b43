"""Accuracy at the best time of the trajectory, close to GRAND's official code."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch_geometric.data import Data

from grandpp.models import DiffusionClassifier, NodeModel, SparseFeatures
from grandpp.training.result import RunResult, accuracy

# In units of the integration time T: how far the trajectory is followed, which is as far as GRAND's
# code does, and how many times are evaluated in each; T itself is one of them.
_SPAN, _TIMES_PER_SPAN = 3, 4


def record_best_time(
    model: NodeModel,
    x: Tensor | SparseFeatures,
    data: Data,
    logits: Tensor,
    epoch: int,
    result: RunResult,
    adjust: Callable[[Tensor], Tensor] | None = None,
) -> None:
    """Find the time up to 3 T with the best validation accuracy, and record the accuracies there.

    Source: the early stopping of `GRAND's official code
    <https://github.com/twitter-research/graph-neural-pde>`_, whose test accuracy is that at the
    best epoch and time of all. Here 12 times are evaluated, T/4 apart, and the first of equals
    wins; there the steps of its integrator, and the end wins.

    Args:
        model: The model, trained at T, in evaluation mode.
        x: Features ``[N, F]``.
        data: Graph with the masks of its split; it has validation nodes.
        logits: Adjusted logits of the model at T, ``[N, C]``.
        epoch: Number of the epoch.
        result: Changed in its fields ``best_time...`` alone. A solve that fails beyond T ends the
            search there.
        adjust: Adjusts logits before they are evaluated. (default: ``None``, the model's own)

    Raises:
        ValueError: If the model solves no equation.

    Cost: 12 solves of length T/4, three to nine times the evaluations of one to T, and 12 states in
    memory.
    """
    if not isinstance(model, DiffusionClassifier):
        raise ValueError(f"expected a model with a trajectory (got {type(model).__name__})")
    end = model.conv.time
    times = [end * n / _TIMES_PER_SPAN for n in range(1, _SPAN * _TIMES_PER_SPAN + 1)]
    graph = (data.edge_index, data.edge_weight, data.train_mask)
    along = model.classify_along(x, *graph, times=times, throw=False)
    found = dict(zip(times, map(adjust or model.adjust, along), strict=False))
    found[end] = logits  # which a method with fixed steps reaches by others on the long way
    for time in sorted(found):
        val = accuracy(found[time], data.y, data.val_mask)
        best = result.best_time_val_accuracy
        if val is not None and (best is None or val > best):
            result.best_time, result.best_time_epoch = time, epoch
            result.best_time_val_accuracy = val
            result.best_time_test_accuracy = accuracy(found[time], data.y, data.test_mask)

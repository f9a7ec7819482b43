"""Train one model on the labelled nodes of a graph and keep its best parameters."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from grandpp.data.features import scale_features
from grandpp.models import NodeModel, sparse_if_sparse
from grandpp.training.loggers import Logger, RunLog, followed
from grandpp.training.loop import TrainingRun, check_selection
from grandpp.training.memory import PeakMemory
from grandpp.training.records import make_record
from grandpp.training.result import RunResult
from grandpp.training.rewired import rewired
from grandpp.training.settings import Run, build_optimizer


class FittedModel(NamedTuple):
    """A trained model and what it says of the graph that it was trained on.

    Args:
        model: The model in evaluation mode.
        logits: Its logits ``[N, C]``, on the CPU.
        pooled: Those pooled with its clusters, as its settings ask for; else the same.
    """

    model: NodeModel
    logits: Tensor
    pooled: Tensor


def train_model(
    run: Run,
    data: Data,
    device: torch.device,
    on_epoch: Callable[[], object] = lambda: None,
    logger: Logger | None = None,
) -> FittedModel:
    """Train the model of a run; the same run gives the same parameters again on the CPU.

    Args:
        run: The run: its settings and seeds.
        data: Graph with masks; with validation nodes the parameters of the epoch with the best
            validation accuracy are kept, the first of several, without them those of the last.
        device: Where to train.
        on_epoch: Called after every epoch.
        logger: Follows the run; without validation nodes its epochs have no accuracy. It changes
            no parameter. (default: ``None``)

    Returns:
        The model, and its logits.

    Raises:
        ValueError: See :func:`grandpp.training.train_run`.
        RuntimeError: If a solve fails or a number is not finite.
    """
    check_selection(run, data)
    with followed(logger, [run]) as following:
        log, start = following.logs[0], time.perf_counter()
        training = TrainingRun.begin(run, rewired(run, data), device)
        if log is None:
            _train(training, run, RunResult(), on_epoch)
        else:
            result = RunResult()
            with PeakMemory(device) as memory:
                _train(training, run, result, on_epoch, log)
            training.record_cost(result, time.perf_counter() - start, memory)
            following.records = [make_record(run, result, data, str(device))]
    model = training.model.eval()
    logits = logits_of(model, run, data)
    return FittedModel(model, logits, training.targets.pool(logits, run.settings.cluster_pool))


def _train(
    training: TrainingRun,
    run: Run,
    result: RunResult,
    on_epoch: Callable[[], object],
    log: RunLog | None = None,
) -> None:
    """Train, and leave the model with the parameters that are kept."""
    model = training.model
    optimizer = build_optimizer(run, model) if model.is_trained else None
    choose = bool((training.data.val_mask & (training.data.y >= 0)).any())
    # Without training there is no epoch to choose: its accuracy is of interest to a log alone.
    evaluate = choose and (optimizer is not None or log is not None)
    best: dict[str, Tensor] = {}
    for epoch in range(1, run.settings.epochs + 1) if optimizer else (0,):
        began = time.perf_counter()
        if optimizer:
            training.train_epoch(optimizer)
        if evaluate:
            training.evaluate(epoch, result)
            if optimizer and result.best_epoch == epoch:
                best = copy.deepcopy(model.state_dict())
        else:
            result.epochs = result.best_epoch = epoch
        if log is not None:
            log.epoch(training.epoch_values(epoch, time.perf_counter() - began))
        if optimizer:
            on_epoch()
        if result.out_of_patience(run.settings.patience):
            break
    if best:
        model.load_state_dict(best)


@torch.no_grad()
def logits_of(model: NodeModel, run: Run, data: Data) -> Tensor:
    """The logits ``[N, C]`` of a trained model for every node of a graph, on the CPU.

    Args:
        model: The model, on the device of the graph.
        run: Its run, which says how features are scaled and edges rewired.
        data: Graph with ``train_mask``, the nodes that a source trusts.
    """
    data = rewired(run, data)
    x: Any = sparse_if_sparse(scale_features(data.x, run.settings.features))
    return model(x, data.edge_index, data.edge_weight, data.train_mask).cpu()

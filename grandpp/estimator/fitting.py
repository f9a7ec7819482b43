"""Train one model on the labelled nodes of a graph and keep its best parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from grandpp.data.features import scale_features
from grandpp.models import NodeModel, sparse_if_sparse
from grandpp.training.loop import TrainingRun, check_selection
from grandpp.training.result import RunResult
from grandpp.training.rewired import rewired
from grandpp.training.settings import Run, build_optimizer


def train_model(
    run: Run, data: Data, device: torch.device, on_epoch: Callable[[], object] = lambda: None
) -> NodeModel:
    """Train the model of a run; the same run gives the same parameters again on the CPU.

    Args:
        run: The run: its settings and seeds.
        data: Graph with masks; with validation nodes the parameters of the epoch with the best
            validation accuracy are kept, the first of several, without them those of the last.
        device: Where to train.
        on_epoch: Called after every epoch.

    Returns:
        The model in evaluation mode.

    Raises:
        ValueError: See :func:`grandpp.training.train_run`.
        RuntimeError: If a solve fails or a number is not finite.
    """
    check_selection(run, data)
    training = TrainingRun.begin(run, rewired(run, data), device)
    model = training.model
    if model.is_trained:
        optimizer, result = build_optimizer(run, model), RunResult()
        choose = bool((training.data.val_mask & (training.data.y >= 0)).any())
        best: dict[str, Tensor] = {}
        for epoch in range(1, run.settings.epochs + 1):
            training.train_epoch(optimizer)
            if choose:
                training.evaluate(epoch, result)
                if result.best_epoch == epoch:
                    best = copy.deepcopy(model.state_dict())
            on_epoch()
            if result.out_of_patience(run.settings.patience):
                break
        if best:
            model.load_state_dict(best)
    return model.eval()


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

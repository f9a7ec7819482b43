"""Train one model on one split, evaluate every epoch, choose the epoch on validation nodes."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from grandpp.data import check_data, low_label_split
from grandpp.data.features import scale_features
from grandpp.graph import dirichlet_energy
from grandpp.linalg import all_finite
from grandpp.models import DiffusionClassifier, NodeModel, sparse_if_sparse
from grandpp.solvers import SolveStats
from grandpp.training.best_time import record_best_time
from grandpp.training.chosen_labels import count_missed_classes, coverage_split, met_classes
from grandpp.training.loggers import EpochValues, Logger, RunLog, followed
from grandpp.training.memory import PeakMemory
from grandpp.training.records import Record, make_record
from grandpp.training.result import DIVERGED, FAILURES, NO_TEST, DivergedError, RunResult, accuracy
from grandpp.training.rewired import rewired
from grandpp.training.settings import Run, build_optimizer
from grandpp.training.shared_views import with_views
from grandpp.training.targets import targets_of, without_unknown


def split_of(run: Run, data: Data) -> Data:
    """The run's split of a graph; a graph that has masks already is taken as it is."""
    if "train_mask" in data:
        return data
    return low_label_split(data, run.labels_per_class, run.split, run.protocol)


def record_run(
    run: Run,
    data: Data,
    device: torch.device,
    on_epoch: Callable[[], object] = lambda: None,
    logger: Logger | None = None,
) -> Record:
    """Split the graph, train, and return the record; arguments as of :func:`train_run`."""
    with followed(logger, [run]) as following:
        log = following.logs[0]
        if run.labels_chosen is None:
            split = with_views(run, split_of(run, data), data)
            result = train_run(run, split, device, on_epoch, log)
        else:
            split = coverage_split(run, data)
            part, classes_met = met_classes(with_views(run, split, data))
            result = train_run(run, part, device, on_epoch, log)
            count_missed_classes(result, split, part, classes_met)
        record = make_record(run, result, split, str(device))
        following.records = [record]
    return record


def train_run(
    run: Run,
    data: Data,
    device: torch.device,
    on_epoch: Callable[[], object] = lambda: None,
    log: RunLog | None = None,
) -> RunResult:
    """Train and evaluate; on the CPU the same run gives the same bits again.

    Args:
        run: The run.
        data: Graph with ``x``, ``edge_index``, ``y`` and the three masks of its split; rewired
            here if its settings name a rewiring and :func:`run_sweep` has not done so.
        device: Where to run.
        on_epoch: Called after every epoch, for a progress bar.
        log: Gets the values of every epoch. (default: ``None``: nothing is computed for it)

    Returns:
        The result; a failed solve is reported in its ``status``, not as an accuracy.

    Raises:
        ValueError: If validation nodes are needed and not there, see :func:`check_selection`, or
            the data are malformed, see :func:`grandpp.data.check_data`.
        IndexError: If an edge names a node that does not exist.
    """
    check_selection(run, data)
    data = rewired(run, data)
    start = time.perf_counter()
    training = TrainingRun.begin(run, data, device)
    optimizer = build_optimizer(run, training.model) if training.model.is_trained else None
    result = RunResult()
    with PeakMemory(device) as memory:
        try:
            # A model without parameters is evaluated once, as its epoch 0.
            for epoch in range(1, run.settings.epochs + 1) if optimizer else (0,):
                began = 0.0 if log is None else time.perf_counter()
                if optimizer:
                    training.train_epoch(optimizer)
                training.evaluate(epoch, result)
                if log is not None:
                    log.epoch(training.epoch_values(epoch, time.perf_counter() - began))
                if optimizer:
                    on_epoch()
                if result.out_of_patience(run.settings.patience):
                    break
            result.energy = training.energy()
        except FAILURES as error:
            result = RunResult.failed(error)
    training.record_cost(result, time.perf_counter() - start, memory)
    return result


def check_selection(run: Run, data: Data) -> None:
    """Raise an error if an epoch or a time is to be chosen without validation nodes.

    Args:
        run: The run.
        data: Graph with the masks of its split.

    Raises:
        ValueError: If ``patience`` or ``best_time`` is asked for and no validation node has a known
            label.
    """
    check_validation(run, int((data.val_mask & (data.y >= 0)).sum()))


def check_validation(run: Run, nodes: int) -> None:
    """:func:`check_selection` for a number of validation nodes.

    Raises:
        ValueError: If there is none where one is needed.
    """
    for name in ("patience", "best_time"):
        value = getattr(run.settings, name)
        if value and not nodes:
            raise ValueError(
                f"expected validation nodes for {name}={value} "
                f"(got none with protocol '{run.protocol}')"
            )


@dataclass
class TrainingRun:
    """A model on the graph and the split of its run.

    Nodes whose label is not known, ``y = -1``, are taken out of the masks: they neither train nor
    count, and a source does not trust them.

    Args:
        model: The model.
        data: Graph with the masks of its split.
        features: See :class:`TrainedSettings`. (default: ``None``)
        cluster_labels, clusters, cluster_pool: See :class:`TrainedSettings`. (default: ``None``)
        x: The features as models take them, for runs that share them.
            (default: ``None``, made from those of ``data``)
        best_time: Look for the best time of the trajectory. (default: ``None``)
        nfe_forward, nfe_backward: Evaluations of every epoch so far.
        loss: Loss of the last training epoch, on the device. (default: ``None``, before the first)
        val_accuracy: Validation accuracy after the last epoch. (default: ``None``, if there is
            none)
    """

    model: NodeModel
    data: Data
    features: str | None = None
    cluster_labels: float | None = None
    x: Any = None
    best_time: bool | None = None
    clusters: str | None = None
    cluster_pool: float | None = None
    nfe_forward: list[int] = field(default_factory=list)
    nfe_backward: list[int] = field(default_factory=list)
    loss: Tensor | None = None
    val_accuracy: float | None = None

    def __post_init__(self) -> None:
        self.data = without_unknown(self.data)
        if self.x is None:
            self.x = sparse_if_sparse(scale_features(self.data.x, self.features))
        self.targets = targets_of(
            self.data, self.features, self.cluster_labels, self.clusters, self.x
        )

    @classmethod
    def begin(cls, run: Run, data: Data, device: torch.device, x: Any = None) -> TrainingRun:
        """Set the seeds, build the model and give it the labels of its split.

        Raises:
            ValueError: If the data are malformed, or no training node has a known label.
            IndexError: If an edge names a node that does not exist.
        """
        check_data(data)  # what is not finite later comes from training
        if not bool((data.train_mask & (data.y >= 0)).any()):
            raise ValueError("expected training nodes with a known label (got none)")
        # Initialisation and dropout differ from split to split, reproducibly.
        state = np.random.SeedSequence([run.split, run.seed]).generate_state(1)
        torch.manual_seed(int(state[0]))
        num_classes = int(data.y.max()) + 1
        settings = run.settings
        model = settings.build(data.num_features, num_classes).to(device)
        here = copy.copy(data).to(device)
        training = cls(model, here, settings.features, settings.cluster_labels, x,
                       settings.best_time, settings.clusters, settings.cluster_pool)  # fmt: skip
        model.fit_features(training.x)
        model.fit_shares(training.targets.shares(num_classes))
        index = training.data.train_mask.nonzero().view(-1)
        model.fit_labels(index, here.y[index])
        return training

    def train_epoch(self, optimizer: torch.optim.Optimizer) -> None:
        """Train for an epoch.

        Raises:
            DivergedError: If a number is not finite after it.
        """
        data, targets = self.data, self.targets
        self.model.train()
        optimizer.zero_grad()
        logits, stats = self.model.classify(
            self.x, data.edge_index, data.edge_weight, data.train_mask, wanted=targets.nodes
        )
        loss = targets.loss(logits)
        loss.backward()
        optimizer.step()
        if not all(all_finite(p) for p in (loss, *self.model.parameters())):
            raise DivergedError(DIVERGED)
        self.loss = loss.detach()
        self.count(stats)

    def epoch_values(self, epoch: int, seconds: float) -> EpochValues:
        """What an epoch was like, for a logger, after its evaluation."""
        return EpochValues(
            epoch,
            None if self.loss is None else float(self.loss),
            self.val_accuracy,
            self.nfe_forward[-1] if self.nfe_forward else None,
            self.nfe_backward[-1] if self.nfe_backward else None,
            seconds,
        )

    def count(self, stats: SolveStats | None) -> None:
        """Record the evaluations of an epoch, after its backward pass."""
        if stats is not None:
            self.nfe_forward.append(stats.nfe_forward)
            self.nfe_backward.append(stats.nfe_backward)

    @torch.no_grad()
    def evaluate(self, epoch: int, result: RunResult) -> None:
        """Record the accuracies after an epoch."""
        data = self.data
        self.model.eval()
        logits = self.model(self.x, data.edge_index, data.edge_weight, data.train_mask)
        logits = self.adjust(logits)
        self.record_accuracy(logits, epoch, result)
        self.evaluate_trajectory(logits, epoch, result)

    def adjust(self, logits: Tensor) -> Tensor:
        """Return the model's logits of all nodes ``[N, C]`` as they are to be evaluated.

        Pooled with the clusters, then adjusted to the shares of the classes, where the settings ask
        for it.
        """
        return self.model.adjust(self.targets.pool(logits, self.cluster_pool))

    def record_accuracy(self, logits: Tensor, epoch: int, result: RunResult) -> None:
        """Record the accuracies of the logits ``[N, C]`` after an epoch."""
        data = self.data
        test = accuracy(logits, data.y, data.test_mask)
        result.last_test_accuracy, result.epochs = test, epoch
        val = self.val_accuracy = accuracy(logits, data.y, data.val_mask)
        if val is None:
            result.test_accuracy, result.best_epoch = test, epoch
            return
        if result.val_accuracy is None or val > result.val_accuracy:
            result.val_accuracy, result.test_accuracy, result.best_epoch = val, test, epoch

    def evaluate_trajectory(self, logits: Tensor, epoch: int, result: RunResult) -> None:
        """Find the best time, if the settings ask for it; the model is in evaluation mode.

        Args:
            logits: Logits at the end time, ``[N, C]``.
            epoch: Number of the epoch.
            result: Where the best time is recorded.
        """
        if self.best_time:
            record_best_time(self.model, self.x, self.data, logits, epoch, result, self.adjust)

    @torch.no_grad()
    def energy(self) -> float | None:
        """Share of the encoded features' Dirichlet energy that is left; ``None`` without any."""
        model, data = self.model, self.data
        if not isinstance(model, DiffusionClassifier):
            return None
        model.eval()
        before = model.encoder(self.x)
        after = model.diffuse(before, data.edge_index, data.edge_weight, data.train_mask).features
        energies = [dirichlet_energy(h, data.edge_index, data.edge_weight) for h in (after, before)]
        share = float(energies[0] / energies[1])
        return share if math.isfinite(share) else None

    def record_cost(self, result: RunResult, seconds: float, memory: PeakMemory) -> None:
        """Record the cost of the run, and a message if there was no node to test."""
        if result.status == "success" and not bool(self.data.test_mask.any()):
            result.message = NO_TEST
        result.seconds, result.peak_memory_mb = seconds, memory.mib
        if self.nfe_forward:
            result.nfe_forward = float(np.mean(self.nfe_forward))
            result.nfe_backward = float(np.mean(self.nfe_backward))

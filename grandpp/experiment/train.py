"""Train one model on one split, evaluate every epoch, choose the epoch on validation nodes."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from grandpp.experiment.build import build_model, build_optimizer
from grandpp.experiment.config import RunConfig
from grandpp.experiment.memory import PeakMemory
from grandpp.experiment.rewired import rewired
from grandpp.experiment.targets import clustered_targets, labelled_targets
from grandpp.graph import dirichlet_energy
from grandpp.models import (
    DiffusionClassifier,
    NodeClassifier,
    SparseFeatures,
    sparse_if_sparse,
)
from grandpp.ops import all_finite
from grandpp.singular import ConvergenceError
from grandpp.solvers import SolveError


@dataclass
class RunResult:
    """What a run gave; accuracies are fractions, ``None`` where they do not exist.

    Args:
        test_accuracy: Test accuracy at ``best_epoch``.
        val_accuracy: Validation accuracy at ``best_epoch``; ``None`` without validation nodes.
        last_test_accuracy: Test accuracy after the last epoch.
        best_epoch: First epoch (from 1) with the best validation accuracy; without validation
            nodes the last one; 0 for a model without training.
        epochs: Epochs trained: fewer than asked for where patience ended.
        nfe_forward: Mean evaluations per training forward pass; ``None`` without a solver.
        nfe_backward: Mean vector-Jacobian products per backward pass.
        seconds: Wall time of training and evaluation.
        peak_memory_mb: Peak memory of the process (CPU) or of the allocator (CUDA) in MiB.
        energy: Dirichlet energy of the diffused features over that of the encoded ones, after
            the last epoch: near 0 they are over-smoothed; ``None`` without diffusion.
        status: ``"success"``, the status of a failed solve (``"max_nfe"``, ...), or ``"diverged"``.
        message: What failed, in words; empty otherwise.
    """

    test_accuracy: float | None = None
    val_accuracy: float | None = None
    last_test_accuracy: float | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    nfe_forward: float | None = None
    nfe_backward: float | None = None
    seconds: float = 0.0
    peak_memory_mb: float | None = None
    energy: float | None = None
    status: str = "success"
    message: str = ""

    def out_of_patience(self, patience: int | None) -> bool:
        """Whether the best epoch lies that many epochs back."""
        if patience is None or self.epochs is None or self.best_epoch is None:
            return False
        return self.epochs - self.best_epoch >= patience


def train_run(
    config: RunConfig,
    data: Data,
    device: torch.device,
    on_epoch: Callable[[], object] = lambda: None,
) -> RunResult:
    """Train and evaluate; on the CPU the same configuration gives the same bits again.

    Args:
        config: The run.
        data: Graph with ``x``, ``edge_index``, ``y`` and the three masks of its split; rewired
            here where the run asks for it and :func:`run_sweep` has not done so.
        device: Where to run.
        on_epoch: Called after every epoch, for a progress bar.

    Returns:
        The result; a failed solve is reported in its ``status``, not as an accuracy.

    Raises:
        ValueError: If there is patience but nothing to wait for, see :func:`check_patience`.
    """
    check_patience(config, data)
    data = rewired(config, data)
    # Initialisation and dropout differ from split to split, reproducibly.
    state = np.random.SeedSequence([config.split, config.seed]).generate_state(1)
    torch.manual_seed(int(state[0]))
    num_classes = int(data.y.max()) + 1
    model = build_model(config, data.num_features, num_classes).to(device)
    optimizer = build_optimizer(config, model) if model.is_trained else None
    result = RunResult()
    start = time.perf_counter()
    run = _Run(model, copy.copy(data).to(device), config.features, config.cluster_labels)
    run.fit_labels()
    with PeakMemory(device) as memory:
        try:
            # A model without parameters is evaluated once, as its epoch 0.
            for epoch in range(1, config.epochs + 1) if optimizer else (0,):
                if optimizer:
                    run.train_epoch(optimizer)
                run.evaluate(epoch, result)
                if optimizer:
                    on_epoch()
                if result.out_of_patience(config.patience):
                    break
            result.energy = run.energy()
        except SolveError as error:
            status = error.solution.status.name.lower()
            result = RunResult(status=status, message=str(error))
        except ConvergenceError as error:
            result = RunResult(status="linear_solve_failed", message=str(error))
        except DivergedError as error:
            result = RunResult(status="diverged", message=str(error))
    result.seconds = time.perf_counter() - start
    result.peak_memory_mb = memory.mib
    if run.nfe_forward:
        result.nfe_forward = float(np.mean(run.nfe_forward))
        result.nfe_backward = float(np.mean(run.nfe_backward))
    return result


def check_patience(config: RunConfig, data: Data) -> None:
    """Refuse to stop early by a validation accuracy that does not exist.

    Raises:
        ValueError: If ``config.patience`` is not positive, or the split has no validation nodes.
    """
    if config.patience is None:
        return
    if config.patience < 1:
        raise ValueError(f"expected 'patience' to be positive (got {config.patience})")
    if not bool(data.val_mask.any()):
        raise ValueError(
            f"expected validation nodes for patience={config.patience} "
            f"(got none with protocol '{config.protocol}')"
        )


class DivergedError(RuntimeError):
    """Training left the finite numbers."""


@dataclass
class _Run:
    model: NodeClassifier
    data: Data
    features: str | None = None
    cluster_labels: float | None = None
    nfe_forward: list[int] = field(default_factory=list)
    nfe_backward: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        x = (self.data.x != 0).float() if self.features == "binary" else self.data.x
        self.x: Tensor | SparseFeatures = sparse_if_sparse(x)
        self.targets = labelled_targets(self.data)
        if self.cluster_labels:
            classes = int(self.data.y.max()) + 1
            self.targets = clustered_targets(self.data, self.x, classes, self.cluster_labels)

    def fit_labels(self) -> None:
        index = self.data.train_mask.nonzero().view(-1)
        self.model.fit_labels(index, self.data.y[index])

    def train_epoch(self, optimizer: torch.optim.Optimizer) -> None:
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
            raise DivergedError("the loss or a parameter became NaN or infinite in training")
        if stats is not None:
            self.nfe_forward.append(stats.nfe_forward)
            self.nfe_backward.append(stats.nfe_backward)

    @torch.no_grad()
    def evaluate(self, epoch: int, result: RunResult) -> None:
        data = self.data
        self.model.eval()
        logits = self.model(self.x, data.edge_index, data.edge_weight, data.train_mask)
        hit = logits.argmax(dim=-1) == data.y
        test = float(hit[data.test_mask].float().mean())
        result.last_test_accuracy, result.epochs = test, epoch
        if not bool(data.val_mask.any()):
            result.test_accuracy, result.best_epoch = test, epoch
            return
        val = float(hit[data.val_mask].float().mean())
        if result.val_accuracy is None or val > result.val_accuracy:
            result.val_accuracy, result.test_accuracy, result.best_epoch = val, test, epoch

    @torch.no_grad()
    def energy(self) -> float | None:
        """Share of the encoded features' Dirichlet energy that diffusion leaves."""
        model, data = self.model, self.data
        if not isinstance(model, DiffusionClassifier):
            return None
        model.eval()
        before = model.encoder(self.x)
        after = model.diffuse(before, data.edge_index, data.edge_weight, data.train_mask).features
        energies = [dirichlet_energy(h, data.edge_index, data.edge_weight) for h in (after, before)]
        return float(energies[0] / energies[1])

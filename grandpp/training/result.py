"""The result of a run, and the errors that a run records."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from grandpp.fields import NonFiniteFeaturesError
from grandpp.linalg.singular import ConvergenceError
from grandpp.solvers import SolveError


class DivergedError(RuntimeError):
    """The loss or a parameter became NaN or infinite in training."""


NO_TEST = "no test accuracy: the split has no test node with a known label"
DIVERGED = "the loss or a parameter became NaN or infinite in training"

# Data are checked when a run begins, so that features that are not finite come from an encoder that
# overflowed in training.
FAILURES = (SolveError, ConvergenceError, DivergedError, NonFiniteFeaturesError)
"""Exceptions that end a run without an accuracy and give its result a status."""


def accuracy(logits: Tensor, y: Tensor, mask: Tensor) -> float | None:
    """Share of nodes in a mask ``[N]`` whose largest logit ``[N, C]`` is that of their class.

    Nodes of unknown class, ``y = -1``, are not counted; ``None`` if there are no others.
    """
    counted = mask & (y >= 0)
    if not bool(counted.any()):
        return None
    return float((logits.argmax(dim=-1) == y)[counted].float().mean())


@dataclass
class RunResult:
    """Accuracies and costs of a run; accuracies are fractions, ``None`` where they do not exist.

    Args:
        test_accuracy: Test accuracy at ``best_epoch``; ``None`` without test nodes.
        val_accuracy: Validation accuracy at ``best_epoch``; ``None`` without validation nodes.
        last_test_accuracy: Test accuracy after the last epoch.
        best_epoch: First epoch (from 1) with the best validation accuracy; without validation
            nodes the last one; 0 for a model without training.
        epochs: Number of epochs trained, which early stopping may reduce.
        nfe_forward: Mean evaluations per training forward pass; ``None`` without a solver.
        nfe_backward: Mean vector-Jacobian products per backward pass.
        seconds: Wall time of training and evaluation.
        peak_memory_mb: Peak memory of the process (CPU) or of the allocator (CUDA) in MiB.
        best_time: Time of the trajectory to 3 T with the best validation accuracy of all epochs,
            see :func:`grandpp.training.best_time.record_best_time`; ``None`` if not recorded.
        best_time_epoch: Epoch of that accuracy.
        best_time_val_accuracy, best_time_test_accuracy: Accuracies at that epoch and time.
        energy: Dirichlet energy of the diffused features divided by that of the encoded ones,
            after the last epoch; near 0, features are over-smoothed. ``None`` without diffusion,
            or if the encoded features have energy 0.
        status: ``"success"``, the status of a failed solve (``"max_nfe"``, ...), or ``"diverged"``.
        message: Reason of a failure or of a missing test accuracy; empty otherwise.
        classes_met: Number of classes with a labelled node, where the nodes to label were chosen
            without labels; ``None`` where every class has some.
        batch_size: Number of runs trained as one batch, including this one. Evaluations and memory
            are those of the batch, and ``seconds`` is its time divided by this number.
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
    best_time: float | None = None
    best_time_epoch: int | None = None
    best_time_val_accuracy: float | None = None
    best_time_test_accuracy: float | None = None
    energy: float | None = None
    status: str = "success"
    message: str = ""
    classes_met: int | None = None
    batch_size: int = 1

    def out_of_patience(self, patience: int | None) -> bool:
        """Whether the best epoch is ``patience`` or more epochs ago."""
        if patience is None or self.epochs is None or self.best_epoch is None:
            return False
        return self.epochs - self.best_epoch >= patience

    @classmethod
    def failed(cls, error: Exception) -> RunResult:
        """The result of a run that one of :data:`FAILURES` ended."""
        status = "diverged"
        if isinstance(error, SolveError):
            status = error.solution.status.name.lower()
        elif isinstance(error, ConvergenceError):
            status = "linear_solve_failed"
        overflow = isinstance(error, NonFiniteFeaturesError)
        where = "the encoder overflowed in training: " if overflow else ""
        return cls(status=status, message=f"{where}{error}")

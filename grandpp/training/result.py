"""The result of a run, and the errors that a run records."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from grandpp.fields import NonFiniteFeaturesError
from grandpp.linalg.singular import ConvergenceError
from grandpp.solvers import SolveError


class DivergedError(RuntimeError):
    """Training left the finite numbers."""


NO_TEST = "no test accuracy: the split has no test node with a known label"
DIVERGED = "the loss or a parameter became NaN or infinite in training"

# The data are checked when a run begins: features that are not finite come from an encoder that
# overflowed in training.
FAILURES = (SolveError, ConvergenceError, DivergedError, NonFiniteFeaturesError)
"""What ends a run without an accuracy, and is a status of its result."""


def accuracy(logits: Tensor, y: Tensor, mask: Tensor) -> float | None:
    """Share of nodes in a mask ``[N]`` whose largest logit ``[N, C]`` is that of their class.

    Nodes whose class is not known, ``y = -1``, do not count; without any other there is no
    accuracy, ``None``.
    """
    counted = mask & (y >= 0)
    if not bool(counted.any()):
        return None
    return float((logits.argmax(dim=-1) == y)[counted].float().mean())


@dataclass
class RunResult:
    """What a run gave; accuracies are fractions, ``None`` where they do not exist.

    Args:
        test_accuracy: Test accuracy at ``best_epoch``; ``None`` without test nodes.
        val_accuracy: Validation accuracy at ``best_epoch``; ``None`` without validation nodes.
        last_test_accuracy: Test accuracy after the last epoch.
        best_epoch: First epoch (from 1) with the best validation accuracy; without validation
            nodes the last one; 0 for a model without training.
        epochs: Epochs trained: fewer than asked for where patience ended.
        nfe_forward: Mean evaluations per training forward pass; ``None`` without a solver.
        nfe_backward: Mean vector-Jacobian products per backward pass.
        seconds: Wall time of training and evaluation.
        peak_memory_mb: Peak memory of the process (CPU) or of the allocator (CUDA) in MiB.
        best_time: Time of the trajectory to 3 T with the best validation accuracy of all epochs,
            see :func:`grandpp.training.best_time.record_best_time`; ``None`` if not asked for.
        best_time_epoch: The epoch then.
        best_time_val_accuracy, best_time_test_accuracy: The accuracies there.
        energy: Dirichlet energy of the diffused features over that of the encoded ones, after
            the last epoch: near 0 they are over-smoothed; ``None`` without diffusion, or where
            the encoded ones have none.
        status: ``"success"``, the status of a failed solve (``"max_nfe"``, ...), or ``"diverged"``.
        message: What failed, or that there are no test nodes, in words; empty otherwise.
        together: Number of runs trained as one batch, this one included. Evaluations and memory are
            the batch's then, and ``seconds`` its time over this number.
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
    together: int = 1

    def out_of_patience(self, patience: int | None) -> bool:
        """Whether the best epoch lies that many epochs back."""
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

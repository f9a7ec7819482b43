"""Hold labelled nodes out and measure the predictions for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, log_loss

from grandpp.estimator.calibration import Reliability, reliability
from grandpp.estimator.labels import Labels

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """Quality of predictions for held-out labelled nodes.

    Args:
        nodes: How many were held out.
        accuracy: Share that is predicted right.
        macro_f1: Mean of the classes' F1 scores.
        log_loss: Mean of -log of the probability of the right class.
        calibration_error: Expected calibration error, 15 bins of equal width.
        reliability: Confidence against accuracy.
    """

    nodes: int
    accuracy: float
    macro_f1: float
    log_loss: float
    calibration_error: float
    reliability: Reliability

    def as_row(self) -> dict[str, Any]:
        """The numbers by name."""
        names = ("nodes", "accuracy", "macro_f1", "log_loss", "calibration_error")
        return {name: getattr(self, name) for name in names}


def hold_out(labels: Labels, share: float, seed: int) -> NDArray[np.bool_]:
    """Choose a share of the labelled nodes of each class; one at least stays with every class.

    Args:
        labels: Labels of all nodes.
        share: Share in (0, 1).
        seed: Seed of the draw.

    Returns:
        Mask of the nodes held out, bool ``[N]``.

    Raises:
        ValueError: If the share is out of range, or no class has labels enough.
    """
    if not 0 < share < 1:
        raise ValueError(f"expected a share of labelled nodes in (0, 1) (got {share})")
    rng = np.random.default_rng(seed)
    held = np.zeros(labels.codes.size, dtype=bool)
    for k in range(len(labels.classes)):
        nodes = rng.permutation(np.flatnonzero(labels.codes == k))
        held[nodes[: min(round(share * nodes.size), nodes.size - 1)]] = True
    if not held.any():
        raise ValueError(
            f"expected labels enough to hold a share of {share} out (got at most "
            f"{np.bincount(labels.codes[labels.codes >= 0]).max()} per class)"
        )
    return held


def evaluate(proba: Array, label: NDArray[np.int64]) -> Evaluation:
    """Measure probabilities against the right classes.

    Args:
        proba: ``[I, C]``.
        label: Columns of the right classes ``[I]``.

    Raises:
        ValueError: Without nodes.
    """
    found = reliability(proba, label)
    guess = proba.argmax(axis=1)
    columns = np.arange(proba.shape[1])
    return Evaluation(
        nodes=label.size,
        accuracy=float((guess == label).mean()),
        macro_f1=float(f1_score(label, guess, average="macro", zero_division=0)),
        log_loss=float(log_loss(label, np.clip(proba, 1e-12, 1), labels=columns)),
        calibration_error=found.calibration_error,
        reliability=found,
    )

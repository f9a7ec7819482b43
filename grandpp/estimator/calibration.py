"""Calibrate probabilities by one temperature, and measure how well they are calibrated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor

Array = NDArray[np.float64]

_LIMIT = math.log(20.0)


def fit_temperature(logits: Tensor, label: Tensor) -> float:
    r"""Find the temperature T that makes softmax(logits / T) fit held-out labels best.

    Source: Guo et al. (ICML 2017), "On Calibration of Modern Neural Networks", with a prior that
    keeps T near 1 where labels are few:

    .. math:: \min_T \; -\sum_i \log \mathrm{softmax}(z_i / T)_{y_i} + \tfrac12 (\log T)^2

    The order of the classes does not change.

    Args:
        logits: Of nodes that were not trained on ``[I, C]``.
        label: Their classes, int64 ``[I]``.

    Returns:
        T in [1/20, 20]; 1 without nodes.
    """
    if label.numel() == 0:
        return 1.0
    z = logits.detach().double()

    def cost(log_t: float) -> float:
        return float(F.cross_entropy(z / math.exp(log_t), label, reduction="sum")) + log_t**2 / 2

    found = minimize_scalar(cost, bounds=(-_LIMIT, _LIMIT), method="bounded")
    return math.exp(float(found.x))


class Adjustment(NamedTuple):
    r"""From the logits z of some models to probabilities.

    .. math:: p_i = \frac1K \sum_k \mathrm{softmax}(z^k_i / T + c^k)

    Args:
        temperature: Temperature T.
        corrections: Logarithms c of the shares of the classes over those in training, ``[C]`` for
            each model.
    """

    temperature: float
    corrections: list[Tensor]

    def probabilities(self, logits: Sequence[Tensor]) -> Array:
        """Return probabilities ``[N, C]`` for the logits of each model ``[N, C]``."""
        pairs = zip(logits, self.corrections, strict=True)
        parts = [torch.softmax(z.double() / self.temperature + c, dim=1) for z, c in pairs]
        return torch.stack(parts).mean(dim=0).numpy()


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy in bins of equal width.

    Args:
        edges: Limits of the bins ``[B + 1]``.
        count: Nodes in each ``[B]``.
        confidence: Their mean confidence ``[B]``, NaN in an empty bin.
        accuracy: Share of them whose most probable class is right ``[B]``, NaN in an empty bin.
    """

    edges: Array
    count: Array
    confidence: Array
    accuracy: Array

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: mean of |accuracy - confidence| over nodes."""
        filled = self.count > 0
        gap = np.abs(self.accuracy - self.confidence)[filled]
        return float((self.count[filled] * gap).sum() / self.count.sum())


def reliability(proba: Array, label: NDArray[np.int64], bins: int = 15) -> Reliability:
    """Sort nodes into bins by the probability of their most probable class.

    Args:
        proba: Probabilities ``[I, C]``.
        label: Columns of the right classes ``[I]``; -1 where the right class has no column.
        bins: Number B of bins. (default: ``15``)

    Raises:
        ValueError: Without nodes.
    """
    if label.size == 0:
        raise ValueError("expected nodes with a known label (got none)")
    edges = np.linspace(0, 1, bins + 1)
    confidence, right = proba.max(axis=1), proba.argmax(axis=1) == label
    place = np.clip(np.digitize(confidence, edges[1:-1], right=True), 0, bins - 1)
    count = np.bincount(place, minlength=bins).astype(np.float64)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, confidence, minlength=bins) / count
        share = np.bincount(place, right.astype(np.float64), minlength=bins) / count
    return Reliability(edges, count, mean, share)


def held_out_folds(
    label: Tensor, labelled: Tensor, seed: int, wanted: int = 100, most: int = 5
) -> list[Tensor]:
    """Choose labelled nodes to hold out, fold by fold, so that no class loses its last label.

    Args:
        label: Classes ``[N]``.
        labelled: Indices of the labelled nodes ``[I]``.
        seed: Seed of the draw.
        wanted: Folds are added until so many nodes are held out once. (default: ``100``)
        most: Number of folds at most. (default: ``5``)

    Returns:
        Folds of indices, each of a fifth of the nodes of a class or one of them; none where no
        class has two labels.
    """
    generator = torch.Generator().manual_seed(seed)
    by_class = []
    for c in label[labelled].unique().tolist():
        nodes = labelled[label[labelled] == c]
        if nodes.numel() > 1:
            by_class.append(nodes[torch.randperm(nodes.numel(), generator=generator)])
    if not by_class:
        return []
    number = min(5, max(nodes.numel() for nodes in by_class))
    folds: list[Tensor] = []
    for k in range(min(number, most)):
        if sum(fold.numel() for fold in folds) >= wanted:
            break
        # A class with two labels gives one of them to the first fold and one to the second.
        parts = [nodes[k::number] for nodes in by_class]
        folds.append(torch.cat(parts).sort().values)
    return [fold for fold in folds if fold.numel()]

"""Weights of polynomial interpolation at a few unequal times, newest first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor

Time = TypeVar("Time", float, Tensor)


def lagrange(times: list[float], x: Time) -> list[Time]:
    r"""Values :math:`\ell_j(x)` of the Lagrange polynomials, differentiable in ``x``."""
    weights = []
    for j, own in enumerate(times):
        others = [p for i, p in enumerate(times) if i != j]
        weight = x * 0 + 1
        for p in others:
            weight = weight * (x - p) / (own - p)
        weights.append(weight)
    return weights


def slopes(times: list[float]) -> list[float]:
    r"""Derivatives :math:`\ell_j'` at the first time: the weights of a BDF step."""
    x = times[0]
    first = sum(1 / (x - p) for p in times[1:])
    rest = []
    for j in range(1, len(times)):
        own = times[j]
        others = [p for i, p in enumerate(times) if i not in (0, j)]
        rest.append(math.prod((x - p) / (own - p) for p in others) / (own - x))
    return [first, *rest]


def bdf_error_weights(times: list[float]) -> list[float]:
    r"""Weights of the local error of a BDF step of order ``len(times) - 2``.

    .. math:: \sigma \prod_{j=1}^{k} (x_0 - x_j) \; h[x_0, \dots, x_{k+1}], \qquad
        \sigma = 1 / \sum_{j=1}^{k} (x_0 - x_j)^{-1}
    """
    x, used = times[0], times[1:-1]
    factor = math.prod(x - p for p in used) / sum(1 / (x - p) for p in used)
    return [
        factor / math.prod(own - p for i, p in enumerate(times) if i != j)
        for j, own in enumerate(times)
    ]


def combine(weights: Sequence[float | Tensor], states: Sequence[Tensor]) -> Tensor:
    """The sum of weighted states."""
    total = states[0] * weights[0]
    for weight, state in zip(weights[1:], states[1:], strict=True):
        total = total + state * weight
    return total

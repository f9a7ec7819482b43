"""One step of an explicit Runge-Kutta method on tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from grandpp.linalg import LOCAL, Reductions
from grandpp.solvers.explicit.tableau import Tableau
from grandpp.solvers.interpolation import combine

Rate: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""A right-hand side on states that are one tensor."""


class StepAttempt(NamedTuple):
    """A step attempt, with the values for error control and dense output.

    Args:
        y: The state it started from.
        end: The state it arrives at.
        slopes: Its slopes; the last one is that at ``end``.
        size: Its length, negative backwards in time.
    """

    y: Tensor
    end: Tensor
    slopes: list[Tensor]
    size: float


def attempt_step(
    rate: Rate, tableau: Tableau, y: Tensor, slope: Tensor, times: Sequence[Tensor], size: float
) -> StepAttempt:
    """Try one step.

    Args:
        rate: The right-hand side.
        tableau: The method.
        y: State to start from.
        slope: The derivative there.
        times: Times of the other stages; without the last one the slope at the end, which the state
            there does not need, is not computed.
        size: Length of the step, negative backwards in time.
    """
    slopes, state = [slope], y
    for i, row in enumerate(tableau.stages):
        state = advance(y, slopes, row, size)
        if i < len(times):
            slopes.append(rate(times[i], state))
    return StepAttempt(y, state, slopes, size)


def advance(y: Tensor, slopes: Sequence[Tensor], weights: Sequence[float], size: float) -> Tensor:
    r""":math:`y + h \sum_j w_j k_j`."""
    # In place and with scalars: measured against products on a stacked buffer of slopes and a
    # custom autograd function per stage, forward and backward, this is the fastest for small
    # states and not behind for large ones. Autograd keeps no operand of a sum.
    total = torch.add(y, slopes[0], alpha=size * weights[0])
    for weight, slope in zip(weights[1:], slopes[1:], strict=True):
        total.add_(slope, alpha=size * weight)
    return total


def interpolate(tableau: Tableau, attempt: StepAttempt, theta: float | Tensor) -> Tensor:
    """The state at a fraction ``theta`` of a step: a number, or a tensor to differentiate by."""
    if isinstance(theta, Tensor):
        real = attempt.y.dtype.to_real()
        weights = [weight.to(real) for weight in tableau.weights(theta)]
        return attempt.y + attempt.size * combine(weights, attempt.slopes)
    if is_end(theta):
        return attempt.end
    return advance(attempt.y, attempt.slopes, tableau.weights(theta), attempt.size)


def is_end(theta: float) -> bool:
    """Whether a fraction of a step means its end, which is known to one more order."""
    return abs(theta - 1) < 1e-14


class ErrorNorm:
    r"""Sizes in units of the tolerance: root mean square of :math:`x_i / (atol + rtol\,|y_i|)`.

    Args:
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        sections: Lengths of the sections of a flat state, the largest of whose sizes counts.
            (default: ``None``, one)
        reductions: How to sum over the state. (default: as it is in this process)
    """

    def __init__(
        self,
        rtol: float,
        atol: float,
        sections: Sequence[int] | None = None,
        reductions: Reductions = LOCAL,
    ) -> None:
        self.rtol, self.atol, self.reductions = rtol, atol, reductions
        self.sections = None if sections is None else [n for n in sections if n]

    @torch.no_grad()
    def __call__(self, x: Tensor, scale: Tensor) -> Tensor:
        """Size of ``x`` where ``scale`` is the size of the state, a scalar tensor."""
        ratio = x / (scale * self.rtol).add_(self.atol)
        if self.sections is None:
            return root_mean_square(ratio, self.reductions)
        parts = ratio.reshape(-1).split(self.sections)
        return torch.stack([root_mean_square(p, self.reductions) for p in parts]).max()

    @torch.no_grad()
    def error(self, tableau: Tableau, attempt: StepAttempt) -> float:
        """Estimate of a step's error (its one device read)."""
        weights = tableau.errors
        wrong = attempt.slopes[0] * (attempt.size * weights[0])
        for weight, slope in zip(weights[1:], attempt.slopes[1:], strict=True):
            wrong.add_(slope, alpha=attempt.size * weight)
        scale = torch.maximum(attempt.y.abs(), attempt.end.abs())
        return float(self(wrong, scale))


def root_mean_square(x: Tensor, reductions: Reductions = LOCAL) -> Tensor:
    """The root of the mean square of all entries, over all processes."""
    if reductions.is_local:
        return torch.linalg.vector_norm(x) * x.numel() ** -0.5
    square = torch.linalg.vector_norm(x).square()
    total, count = reductions.sum(torch.stack([square, torch.full_like(square, x.numel())]))
    return (total / count).sqrt()

"""The common frame of implicit time loops: equation, failures, statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from grandpp.solvers.base import Solution, Status, check_positive, is_finite
from grandpp.solvers.checks import check_state
from grandpp.solvers.gradients.counting import BudgetError, CountedField
from grandpp.solvers.gradients.inspection import check_repeatable
from grandpp.solvers.implicit.equation import (
    ImplicitEquation,
    Packing,
    StepError,
    spectral_estimate,
)
from grandpp.solvers.implicit.inner import resolve_inner
from grandpp.solvers.implicit.iteration import InnerSolver
from grandpp.vector_field import AnyField, State

Loop: TypeAlias = Callable[[ImplicitEquation, Tensor, Tensor], Iterator[Tensor]]


class Options(Protocol):
    """Options of every proximal solver."""

    @property
    def inner(self) -> str | InnerSolver:
        """Inner solver."""
        ...

    @property
    def max_inner(self) -> int:
        """Most inner iterations per equation."""
        ...

    @property
    def max_nfe(self) -> int:
        """Evaluation budget."""
        ...


def check_options(options: Options, gradient: str, *positive: str) -> None:
    """Check the options that all proximal solvers have, and those named that must be positive.

    Raises:
        TypeError: For an option that should be a number and is none.
        ValueError: For an unknown inner solver or gradient, or a number out of range.
    """
    resolve_inner(options.inner)
    if gradient != "implicit":
        raise ValueError(
            f"expected gradient='implicit' for a proximal solver (got '{gradient}'): its steps "
            "are equations, differentiated without storing how they were solved"
        )
    check_positive(options, "max_inner", "max_nfe", *positive)


def run_implicit_loop(
    f: AnyField, y0: State, ts: Tensor, *, options: Options, tol: float, loop: Loop
) -> Solution:
    """Run a time loop over flat states; turn its failures into a :class:`Status`.

    Args:
        f: Right-hand side.
        y0: Initial state, a tensor of any shape or a tuple of tensors.
        ts: Strictly monotone times, float64 ``[1 + S]``.
        options: Inner solver and budgets.
        tol: Tolerance on the weighted residual of an equation.
        loop: Yields the flat state at each of ``ts[1:]``.
    """
    check_state(y0)
    counted_field = CountedField(f, options.max_nfe, float(ts[0].detach()))
    packing, inner = Packing.of(y0), resolve_inner(options.inner)
    equation = ImplicitEquation(counted_field, packing, inner, tol, options.max_inner)
    flat = packing.pack(y0)
    status, ys = Status.SUCCESS, flat.detach().new_full((len(ts) - 1, flat.numel()), math.nan)
    try:
        ys = torch.stack(list(loop(equation, flat, ts)))
        if not is_finite(ys):
            status = Status.NON_FINITE
    except BudgetError:
        status = Status.MAX_NFE
    except StepError as error:
        status = error.status
    counted_field.release()
    return Solution(
        ts[1:], packing.unpack(ys), counted_field.stats, status, counted_field.t_reached
    )


def first_rate(
    equation: ImplicitEquation, y: Tensor, ts: Tensor, spectral: float | None = None
) -> Tensor:
    """Evaluate f at the start, find whether a gradient is wanted, and estimate the stiffness.

    Args:
        equation: Where the last two are stored.
        y: Initial state.
        ts: Times.
        spectral: Largest eigenvalue, if it is known. (default: ``None``, estimated)
    """
    first = check_repeatable(equation.f.f, y, lambda: equation.rate(ts[0], y), "a proximal solver")
    equation.differentiable = torch.is_grad_enabled() and (
        first.requires_grad or y.requires_grad or ts.requires_grad
    )
    if spectral is None:
        estimate_spectrum(equation, ts[0].detach(), y.detach(), first.detach())
    else:
        equation.spectral = spectral
    return first


def estimate_spectrum(equation: ImplicitEquation, t: Tensor, y: Tensor, rate: Tensor) -> None:
    """Store the largest eigenvalue of the Jacobian at ``y`` in the equation.

    Raises:
        StepError: If it is not finite.
    """
    n = equation.coupled
    equation.spectral = spectral_estimate(lambda z: equation.coupled_rate(t, z), y[:n], rate[:n])
    if not math.isfinite(equation.spectral):
        raise StepError(Status.NON_FINITE)

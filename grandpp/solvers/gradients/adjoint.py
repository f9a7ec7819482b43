r"""The adjoint equation by an explicit method: saved states alone are kept for the backward pass.

With :math:`a = \partial L / \partial y` (Pontryagin; Chen et al. 2018),

.. math:: a' = -a\, \partial_y f, \qquad
    \frac{\partial L}{\partial \theta} = \int_{t_0}^{t_1} a\, \partial_\theta f \, dt, \qquad
    \frac{\partial L}{\partial t_0} = -a(t_0) f(t_0, y_0)

runs backwards in time together with y, and a jumps by its gradient at each saved state. Steps are
chosen for y and a alone: the integral over time feeds back into neither, so its error does not grow
and needs no control of its own (Kidger et al. 2021, "Hey, that's not an ODE"). It is summed with
the weights of the method over accepted steps, and takes no part in their stages.

The absolute tolerance on a is not scaled: where a is smaller, as with a mean over many outputs, the
steps are those that y needs. On the point cloud's HBNODE at 1e-6 that takes 43 evaluations for
gradients within 9e-5; in units of its own size it takes 175 for 4e-6, as kinks in f' (ELU) then
count.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from grandpp.linalg import reductions_of
from grandpp.linalg.once_differentiable import once_differentiable
from grandpp.solvers.base import Solution, SolveError, Status
from grandpp.solvers.explicit.adaptive_loop import AdaptiveLoop
from grandpp.solvers.explicit.flat_state import FlatState
from grandpp.solvers.explicit.stages import ErrorNorm, Rate, StepAttempt
from grandpp.solvers.explicit.tableau import Tableau
from grandpp.solvers.gradients.captured import bind_tensors, fresh_leaves
from grandpp.solvers.gradients.counting import CountedField
from grandpp.solvers.gradients.ownership import alive
from grandpp.solvers.implicit.equation import StepError


@dataclass
class Equation:
    """Data of the backward pass besides tensors.

    Args:
        counted_field: The counted right-hand side.
        layout: Layout of its states.
        tableau: The method.
        rtol, atol: Tolerances, on y and a alike.
        first_step: Length of the first step backwards.
        autocast: Device type, and whether and how the forward pass mixed precisions there.
    """

    counted_field: CountedField
    layout: FlatState
    tableau: Tableau
    rtol: float
    atol: float
    first_step: float | None
    autocast: tuple[str, bool, torch.dtype]


def adjoint_states(
    equation: Equation, y0: Tensor, ys: Tensor, ts: Tensor, captured: Sequence[Tensor]
) -> Tensor:
    """Give states of a solve without graph the gradient of the adjoint equation.

    Args:
        equation: The solve.
        y0: Initial state.
        ys: States ``[S, *state]`` at ``ts[1:]``.
        ts: Times ``[1 + S]``.
        captured: Every other tensor that f depends on.

    Note:
        Holds ``equation`` weakly: keep it alive until the backward pass.
    """
    equation.counted_field.release()
    equation.counted_field.forward_done = equation.counted_field.adjoint = True
    found: Tensor = _AdjointStates.apply(equation, ts, y0, ys, *captured)
    return found


@once_differentiable
class _AdjointStates(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, equation: Equation, ts: Tensor, y0: Tensor, ys: Tensor, *captured: Tensor
    ) -> Tensor:
        ctx.equation = weakref.ref(equation)
        ctx.save_for_backward(ts, ys, *captured)
        return ys.view_as(ys)

    @staticmethod
    def backward(ctx: Any, grads: Tensor) -> tuple[Tensor | None, ...]:
        ts, ys, *captured = ctx.saved_tensors
        equation: Equation = alive(ctx.equation)
        sweep = _Sweep(equation, captured)
        device, enabled, dtype = equation.autocast
        with torch.autocast(device, enabled=enabled, dtype=dtype):
            a, to_times = sweep.run(ts.detach(), ys, grads)
        found = iter(sweep.totals)
        totals = [next(found) if c.requires_grad else None for c in sweep.leaves]
        return (None, to_times if ctx.needs_input_grad[1] else None, a, None, *totals)


@dataclass
class _Pair:
    """The right-hand side of y and a, stacked; keeps the products with the captured tensors."""

    rate: Rate
    wanted: list[Tensor]
    budget: int
    retain: bool
    products: list[Sequence[Tensor | None]] = field(default_factory=list)

    def __call__(self, t: Tensor, z: Tensor) -> Tensor:
        if self.budget == 0:
            raise StepError(Status.MAX_NFE)
        self.budget -= 1
        with torch.enable_grad():
            y = z[0].detach().requires_grad_()
            slope = self.rate(t, y)
        if not slope.requires_grad:
            self.products.append([None] * len(self.wanted))
            return torch.stack([slope, torch.zeros_like(slope)])
        back, *products = torch.autograd.grad(
            slope, (y, *self.wanted), z[1], retain_graph=self.retain, allow_unused=True
        )
        self.products.append(products)
        change = torch.zeros_like(slope) if back is None else -back
        return torch.stack([slope.detach(), change])


class _Sweep:
    """One backward pass."""

    def __init__(self, equation: Equation, captured: Sequence[Tensor]) -> None:
        counted_field = equation.counted_field
        self.equation = equation
        self.leaves = fresh_leaves(counted_field.f, captured)
        counted_field.f = bind_tensors(counted_field.f, self.leaves)
        wanted = [c for c in self.leaves if c.requires_grad]
        self.totals = [torch.zeros_like(c) for c in wanted]
        rate = equation.layout.rate(counted_field)
        self.pair = _Pair(rate, wanted, counted_field.max_nfe, counted_field.retain)
        self.reached = counted_field.t_reached
        self.ends: list[Tensor] = []  # slopes of y at both ends of a span

    def run(self, ts: Tensor, ys: Tensor, grads: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients to the initial state and to all times."""
        to_times, a = torch.zeros_like(ts), torch.zeros_like(ys[0])
        next_step = self.equation.first_step
        for k in range(len(ys) - 1, -1, -1):
            a = a + grads[k]
            loop = self._loop(ys[0], next_step)
            span = ts[k : k + 2].flip(0)
            (z,) = self._through(loop, torch.stack([ys[k], a]), span)
            to_times[k + 1] = _product(grads[k], self.ends[0])
            a, next_step = z[1], loop.next_step
        to_times[0] = -_product(a, self.ends[1])
        return a, to_times

    def _loop(self, y: Tensor, next_step: float | None) -> AdaptiveLoop:
        equation = self.equation
        sections = equation.layout.sections or (y.numel(),)
        reductions = reductions_of(equation.counted_field.f)
        norm = ErrorNorm(equation.rtol, equation.atol, 2 * sections, reductions)
        self.ends.clear()
        self.pair.products.clear()
        return AdaptiveLoop(
            self.pair, equation.tableau, norm, self._accepted, self._rejected, next_step
        )

    def _through(self, loop: AdaptiveLoop, z: Tensor, span: Tensor) -> list[Tensor]:
        try:
            return loop.run(z, span)
        except StepError as error:
            counted_field = self.equation.counted_field
            end = span[1:].cpu()
            failed = Solution(end, end, counted_field.stats, error.status, self.reached)
            raise SolveError(failed, "the adjoint of this solve") from None

    def _accepted(self, start: float, attempt: StepAttempt, end: float) -> None:
        products = self.pair.products
        for weight, product in zip(self.equation.tableau.stages[-1], products, strict=False):
            for total, part in zip(self.totals, product, strict=True):
                if part is not None:
                    total.add_(part, alpha=-attempt.size * weight)
        self.reached = end
        first = self.ends[0] if self.ends else attempt.slopes[0][0]
        self.ends = [first, attempt.slopes[-1][0]]
        del products[:-1]

    def _rejected(self) -> None:
        del self.pair.products[1:]


def _product(a: Tensor, slope: Tensor) -> Tensor:
    return torch.vdot(a.reshape(-1), slope.reshape(-1)).real

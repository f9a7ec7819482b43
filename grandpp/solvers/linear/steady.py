r"""The limit T = infinity of linear diffusion, computed by linear systems.

.. math:: \alpha (A - I) z + s = 0, \qquad
          \sum_{i \in C} \pi_i z_i = \sum_{i \in C} \pi_i z_i(0)
          \ \text{in every closed class } C

exists if s is balanced, :math:`\sum_{i \in C} \pi_i s_i = 0` for the stationary measure pi of A;
with the balanced source of GRAND++ it is Poisson learning (Calder et al. 2020). A closed class of a
directed graph is a strongly connected set of nodes that receives nothing from others, in an
undirected graph a component; all other nodes follow from the closed classes, whatever their source.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grandpp.linalg import CSR, sampled_product
from grandpp.linalg.components import Classes
from grandpp.linalg.once_differentiable import once_differentiable
from grandpp.linalg.singular import ConvergenceError, SingularSystem
from grandpp.solvers.base import Solution, SolveError, SolveStats, Status, is_finite
from grandpp.solvers.linear.exponential import LinearField
from grandpp.vector_field import AnyField, State

# A source counts as balanced if what is left of its weighted sum is rounding.
_BALANCED = {torch.float32: 1e-4, torch.float64: 1e-9}


@dataclass(frozen=True)
class Steady:
    """The steady state with implicit-function gradients to state, source, rate and weights.

    Note:
        One sparse factorisation on the CPU in float64 (up to 50,000 nodes) or one or two Krylov
        solves per channel, forward and backward; see
        :class:`grandpp.linalg.singular.SingularSystem`. Conserves the stationary mean of the
        initial state in every closed class. Weights below 1e-12 count as 0. Gradients cannot be
        differentiated again.
    """

    method: str = "steady"

    def solve(self, f: AnyField, y0: State, ts: Tensor) -> Solution[Any]:
        """Return the limit as the state at ``ts[-1]``, which must be infinity.

        Raises:
            TypeError: If the field is not linear or the state is a tuple.
            SolveError: In the backward pass, if a linear system for the gradient does not
                converge. What fails in the forward pass is the status of the solution.
        """
        if not isinstance(f, LinearField) or not isinstance(y0, Tensor):
            raise TypeError(
                "expected a linear diffusion field for solver='steady' (got a field whose "
                "operator depends on the state or is unknown): use mode='linear'"
            )
        stats = SolveStats()
        status, y = Status.SUCCESS, torch.full_like(y0, math.nan)
        try:
            limit = _Limit.prepare(f, y0)
            if limit is None:
                status = Status.LINEAR_SOLVE_FAILED
            elif not limit.is_balanced(f.source, y0, f.alpha):
                status = Status.UNBALANCED
            else:
                y = _SteadyState.apply(limit, f.weight, f.alpha, y0, f.source)
                stats.steps = 1
                status = Status.SUCCESS if is_finite(y) else Status.NON_FINITE
        except ConvergenceError:
            status = Status.LINEAR_SOLVE_FAILED
        reached = math.inf if status is Status.SUCCESS else 0.0
        return Solution(ts[1:], y.unsqueeze(0), stats, status, reached)


@dataclass(frozen=True)
class _Limit:
    """The linear algebra of one solve: system, closed classes, measure ``[N, 1]``."""

    csr: CSR
    system: SingularSystem
    pi: Tensor

    @classmethod
    def prepare(cls, f: LinearField, y0: Tensor) -> _Limit | None:
        system = SingularSystem(f.csr, f.weight)
        pi = system.null_vector(torch.ones(f.csr.num_rows, dtype=torch.float64))
        return None if pi is None else cls(f.csr, system, pi.to(y0.device).unsqueeze(-1))

    @property
    def classes(self) -> Classes:
        return self.system.classes

    def is_balanced(self, source: Tensor | None, y0: Tensor, alpha: Tensor) -> bool:
        if source is None:
            return True
        tolerance = _BALANCED.get(source.dtype, 1e-4)
        s, start = source.detach().double(), y0.detach().double()
        left = self.classes.groups.sum(self.pi * s).abs()
        size = self.classes.groups.sum(self.pi * s.abs())
        # Differences of equal features are rounding of the features themselves.
        rounding = 8 * torch.finfo(source.dtype).eps * float(alpha.detach())
        size = tolerance * size + rounding * self.classes.groups.sum(self.pi * start.abs())
        return bool((left <= size + 1e-30).all())

    def mean(self, values: Tensor) -> Tensor:
        """The pi-weighted mean over each node's closed class, ``[N, F]``; 0 at transient nodes."""
        return self.classes.groups.sum(self.pi * values) / self.mass

    @property
    def mass(self) -> Tensor:
        mass = self.classes.groups.sum(self.pi)
        return mass.clamp(min=torch.finfo(mass.dtype).tiny)


@once_differentiable
class _SteadyState(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, limit: _Limit, weight: Tensor, alpha: Tensor, y0: Tensor, source: Tensor | None
    ) -> Tensor:
        start, system = y0.double(), limit.system
        if source is None:
            b = u = torch.zeros_like(start)
        else:
            b = source.double() / alpha.double()
            b = b - limit.mean(b)
            u = system.solve(b)
        z = u + system.carry_to_transient(limit.mean(start - u))
        ctx.limit, ctx.has_source, ctx.dtypes = limit, source is not None, (weight.dtype, y0.dtype)
        ctx.save_for_backward(start, b, z, alpha)
        return z.to(y0.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        try:
            return _SteadyState._gradients(ctx, grad.double())
        except ConvergenceError as error:
            ts = torch.tensor([math.inf], dtype=torch.float64)
            failed = Solution(ts, grad, SolveStats(), Status.LINEAR_SOLVE_FAILED, 0.0)
            raise SolveError(failed, "the gradient of steady") from error

    @staticmethod
    def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        limit: _Limit = ctx.limit
        pi, groups, system = limit.pi, limit.classes.groups, limit.system
        start, b, z, alpha = ctx.saved_tensors
        weight_dtype, dtype = ctx.dtypes
        # What reaches the conserved mean of each closed class, from its nodes and transient ones.
        received = groups.sum(system.carry_to_closed(grad)) / limit.mass
        grad_start = pi * received
        adjoint = system.solve(grad - grad_start, transposed=True)
        # The source is projected onto balanced ones, which a mean of each class does.
        adjoint = adjoint - pi * groups.sum(adjoint) / limit.mass
        grad_weight = None
        if ctx.needs_input_grad[1]:
            # The weights act through (I - A) z = b and through pi in the conserved mean.
            to_pi = (received * (start - z)).sum(-1, keepdim=True)
            q = system.solve(to_pi - limit.mean(to_pi))
            q = q - limit.mean(q)
            a, c = torch.cat([adjoint, pi], dim=1), torch.cat([z, q], dim=1)
            grad_weight = sampled_product(limit.csr, a, c).to(weight_dtype)
        if not ctx.has_source:
            return None, grad_weight, None, grad_start.to(dtype), None
        grad_source = adjoint / alpha.double()
        grad_alpha = -(adjoint * b).sum() / alpha.double()
        return (
            None,
            grad_weight,
            grad_alpha.to(alpha.dtype),
            grad_start.to(dtype),
            grad_source.to(dtype),
        )

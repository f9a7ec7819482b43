r"""The limit T = infinity of linear diffusion, solved for instead of waited for.

.. math:: \alpha (A - I) z + s = 0, \qquad
          \sum_{i \in C} \pi_i z_i = \sum_{i \in C} \pi_i z_i(0) \ \text{in every component } C

exists if s is balanced, :math:`\sum_{i \in C} \pi_i s_i = 0` for the stationary measure pi of A;
with the balanced source of GRAND++ it is Poisson learning (Calder et al. 2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grandpp.components import Components, find_components
from grandpp.ops import CSR
from grandpp.ops.once import once_differentiable
from grandpp.singular import ConvergenceError, SingularSystem
from grandpp.solvers.base import Solution, SolveStats, State, Status, VectorField
from grandpp.solvers.exponential import LinearField

# A source counts as balanced if what is left of its weighted sum is rounding.
_BALANCED = {torch.float32: 1e-4, torch.float64: 1e-9}


@dataclass(frozen=True)
class Steady:
    """The steady state with implicit-function gradients to state, source, rate and weights.

    Note:
        One sparse factorisation on the CPU in float64 (up to 50,000 nodes) or one Krylov solve
        per channel, forward and backward; see :class:`grandpp.singular.SingularSystem`. Conserves
        the stationary mean of the initial state.
    """

    method: str = "steady"

    def solve(self, f: VectorField, y0: State, ts: Tensor) -> Solution:
        """Return the limit as the state at ``ts[-1]``, which must be infinity.

        Raises:
            TypeError: If the field is not linear or the state is a tuple.
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
                status = Status.INNER_NOT_CONVERGED
            elif not limit.is_balanced(f.source):
                status = Status.UNBALANCED
            else:
                y = _SteadyState.apply(limit, f.weight, f.alpha, y0, f.source)
                stats.steps = 1
        except ConvergenceError:
            status = Status.INNER_NOT_CONVERGED
        reached = math.inf if status is Status.SUCCESS else 0.0
        return Solution(ts[1:], y.unsqueeze(0), stats, status, reached)


@dataclass(frozen=True)
class _Limit:
    """The linear algebra of one solve: system, components, measure."""

    csr: CSR
    system: SingularSystem
    parts: Components
    pi: Tensor

    @classmethod
    def prepare(cls, f: LinearField, y0: Tensor) -> _Limit | None:
        csr, weight = f.csr, f.weight.detach().double()
        # Rows that sum to 1 only in float32 would make the system inconsistent.
        total = weight.new_zeros(csr.num_rows).index_add(0, csr.row, weight)
        weight = weight / total[csr.row]
        parts = find_components(csr, weight > 0)
        system = SingularSystem(csr, weight, parts)
        pi = system.null_vector(torch.ones(csr.num_rows, dtype=torch.float64))
        return None if pi is None else cls(csr, system, parts, pi.to(y0.device).unsqueeze(-1))

    def is_balanced(self, source: Tensor | None) -> bool:
        if source is None:
            return True
        s = source.detach().double()
        left = self.parts.sum(self.pi * s).abs()
        size = self.parts.sum(self.pi * s.abs())
        return bool((left <= _BALANCED.get(source.dtype, 1e-4) * size + 1e-30).all())

    def mean(self, values: Tensor) -> Tensor:
        """The pi-weighted mean over each node's component, ``[N, F]``."""
        return self.parts.sum(self.pi * values) / self.parts.sum(self.pi)


@once_differentiable
class _SteadyState(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, limit: _Limit, weight: Tensor, alpha: Tensor, y0: Tensor, source: Tensor | None
    ) -> Tensor:
        start = y0.double()
        if source is None:
            b = u = torch.zeros_like(start)
        else:
            b = source.double() / alpha.double()
            b = b - limit.mean(b)
            u = limit.system.solve(b)
        ctx.limit, ctx.has_source, ctx.dtypes = limit, source is not None, (weight.dtype, y0.dtype)
        ctx.save_for_backward(start, b, u, alpha)
        return (u + limit.mean(start - u)).to(y0.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        limit: _Limit = ctx.limit
        csr, pi, parts = limit.csr, limit.pi, limit.parts
        start, b, u, alpha = ctx.saved_tensors
        weight_dtype, dtype = ctx.dtypes
        mass = parts.sum(pi)
        received = parts.sum(grad.double()) / mass
        grad_start = pi * received
        # To u: what reaches it directly, less what it takes from the conserved mean.
        adjoint = limit.system.solve(grad.double() - grad_start, transposed=True)
        adjoint = adjoint - pi * parts.sum(adjoint) / mass
        grad_weight = None
        if ctx.needs_input_grad[1]:
            # The weights act through (I - A) u = b and through pi in the conserved mean.
            to_pi = (received * (start - u)).sum(-1, keepdim=True)
            q = limit.system.solve(to_pi - limit.mean(to_pi))
            q = q - limit.mean(q)
            row, col = csr.row, csr.col_long
            values = (adjoint[row] * u[col]).sum(-1) + (pi[row] * q[col]).squeeze(-1)
            grad_weight = values.to(weight_dtype)
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
